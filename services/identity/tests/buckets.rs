//! Buckets: whose they are, over real gRPC.

mod support;

use std::collections::BTreeMap;

use api::error::v1::Reason;
use api::event::v1::AccountSettings;
use api::event::v1::payload::Event as Kind;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::watch_buckets_response::Message;
use api::identity::v1::*;
use support::{Home, Identity, START_MS, at, mask, refused};
use tonic::{Code, Request, Status, Streaming};

fn claim(account: &str, name: &str) -> ClaimBucketRequest {
    let bucket = Bucket {
        bucket_name: name.into(),
        region: if name.ends_with("eu") { "eu".into() } else { String::new() },
        ..Default::default()
    };
    ClaimBucketRequest { parent: account.into(), bucket: Some(bucket), ..Default::default() }
}

fn release(name: &str) -> ReleaseBucketRequest {
    ReleaseBucketRequest { name: format!("buckets/{name}"), ..Default::default() }
}

fn transfer(name: &str, from: &str, to: &str) -> TransferBucketRequest {
    TransferBucketRequest {
        name: format!("buckets/{name}"),
        source_account: from.into(),
        account: to.into(),
        ..Default::default()
    }
}

async fn account(identity: &Identity, name: &str) -> String {
    identity.account(name).await.account.expect("there").name
}

/// Whose a bucket is.
async fn owner(identity: &Identity, name: &str) -> Result<String, Status> {
    let request = GetBucketRequest { name: format!("buckets/{name}"), ..Default::default() };
    Ok(identity.get_bucket(request).await?.bucket.expect("there").account)
}

async fn names(identity: &Identity, request: ListBucketsRequest) -> Vec<String> {
    let mut request = request;
    let mut names = vec![];
    loop {
        let page = identity.list_buckets(request.clone()).await.expect("listed");
        if request.page_size > 0 {
            assert!(page.buckets.len() <= usize::try_from(request.page_size).expect("positive"));
        }
        names.extend(page.buckets.into_iter().map(|bucket| bucket.bucket_name));
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

fn of(parent: &str) -> ListBucketsRequest {
    ListBucketsRequest { parent: parent.into(), ..Default::default() }
}

#[tokio::test]
async fn a_name_is_one_accounts_until_it_is_released() {
    let home = Home::new();
    let identity = home.start().await;
    let (acme, other) = (account(&identity, "Acme").await, account(&identity, "Other").await);
    let made = identity.claim_bucket(claim(&acme, "data-eu")).await.expect("claimed");
    let expected = Bucket {
        name: "buckets/data-eu".into(),
        bucket_name: "data-eu".into(),
        account: acme.clone(),
        region: "eu".into(),
        create_time: Some(at(START_MS)),
    };
    assert_eq!(made.bucket, Some(expected.clone()));
    let request = GetBucketRequest { name: expected.name.clone(), min_position: made.position };
    let found = identity.get_bucket(request).await.expect("found");
    assert_eq!((found.bucket, found.position), (Some(expected), made.position));

    let again = identity.claim_bucket(claim(&acme, "data-eu"));
    identity.refuses(again, Code::AlreadyExists, Reason::BucketAlreadyOwned).await;
    let taken = identity.claim_bucket(claim(&other, "data-eu"));
    identity.refuses(taken, Code::AlreadyExists, Reason::BucketAlreadyExists).await;

    let of_other = ReleaseBucketRequest { account: other.clone(), ..release("data-eu") };
    let of_other = identity.release_bucket(of_other);
    identity.refuses(of_other, Code::Aborted, Reason::BucketOwnerChanged).await;
    let of_acme = ReleaseBucketRequest { account: acme.clone(), ..release("data-eu") };
    identity.release_bucket(of_acme).await.expect("released");
    refused(owner(&identity, "data-eu").await, Code::NotFound, Reason::NoSuchBucket);
    let again = identity.release_bucket(release("data-eu"));
    identity.refuses(again, Code::NotFound, Reason::NoSuchBucket).await;

    identity.claim_bucket(claim(&other, "data-eu")).await.expect("claimed anew");
    assert_eq!(owner(&identity, "data-eu").await.expect("found"), other);
    let taken = identity.claim_bucket(claim(&acme, "data-eu"));
    identity.refuses(taken, Code::AlreadyExists, Reason::BucketAlreadyExists).await;
}

#[tokio::test]
async fn what_is_no_bucket_or_no_account_is_refused() {
    let home = Home::new();
    let identity = home.start().await;
    let acme = account(&identity, "Acme").await;
    for name in ["", "ab", "Data", "a/b", "1.2.3.4", "a..b", &"x".repeat(64)] {
        identity.refuses_field(identity.claim_bucket(claim(&acme, name))).await;
        identity.refuses_field(identity.release_bucket(release(name))).await;
    }
    let region = |region: &str| {
        let bucket =
            Bucket { bucket_name: "data".into(), region: region.into(), ..Bucket::default() };
        ClaimBucketRequest { parent: acme.clone(), bucket: Some(bucket), ..Default::default() }
    };
    for bad in ["a b", "é", &"x".repeat(65)] {
        identity.refuses_field(identity.claim_bucket(region(bad))).await;
    }
    let nothing = ClaimBucketRequest { parent: acme.clone(), ..Default::default() };
    identity.refuses_field(identity.claim_bucket(nothing)).await;
    identity.refuses_field(identity.claim_bucket(claim("accounts/-", "data"))).await;
    let nobody = "accounts/01935a3c-0000-7000-8000-000000000000";
    let claimed = identity.claim_bucket(claim(nobody, "data"));
    identity.refuses(claimed, Code::NotFound, Reason::NoSuchAccount).await;
    let too_long = ListBucketsRequest { prefix: "x".repeat(64), ..of(&acme) };
    identity.refuses_field(identity.list_buckets(too_long)).await;
    let region = ListBucketsRequest { region: "a b".into(), ..of(&acme) };
    identity.refuses_field(identity.list_buckets(region)).await;
}

#[tokio::test]
async fn of_two_accounts_that_want_a_name_at_once_one_gets_it() {
    let home = Home::new();
    let identity = home.start().await;
    let accounts = [account(&identity, "Acme").await, account(&identity, "Other").await];
    for round in 0..20 {
        let name = format!("wanted-{round}");
        // Twice each, so that the same account races itself as well.
        let wanted = accounts.iter().chain(&accounts).map(|account| {
            let request = claim(account, &name);
            let identity = &identity;
            async move { (account, identity.claim_bucket(request).await) }
        });
        let results = futures::future::join_all(wanted).await;
        let winners: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).collect();
        let [(winner, _)] = winners[..] else { panic!("{results:?}") };
        assert_eq!(owner(&identity, &name).await.expect("found"), **winner);
        for (account, result) in &results {
            let Err(status) = result else { continue };
            let reason = match account == winner {
                true => Reason::BucketAlreadyOwned,
                false => Reason::BucketAlreadyExists,
            };
            assert_eq!((status.code(), api::reason(status)), (Code::AlreadyExists, Some(reason)));
        }
    }
}

#[tokio::test]
async fn a_bucket_is_transferred_from_whom_it_is_said_to_be_of_two_that_try_by_one() {
    let home = Home::new();
    let identity = home.start().await;
    let [acme, left, right] = [
        account(&identity, "Acme").await,
        account(&identity, "Left").await,
        account(&identity, "Right").await,
    ];
    let made = identity.claim_bucket(claim(&acme, "data-eu")).await.expect("claimed").bucket;
    home.clock.advance(1000);
    let wrong = identity.transfer_bucket(transfer("data-eu", &left, &right));
    identity.refuses(wrong, Code::Aborted, Reason::BucketOwnerChanged).await;
    let itself = identity.transfer_bucket(transfer("data-eu", &acme, &acme));
    identity.refuses(itself, Code::AlreadyExists, Reason::BucketAlreadyOwned).await;
    let none = identity.transfer_bucket(transfer("none", &acme, &left));
    identity.refuses(none, Code::NotFound, Reason::NoSuchBucket).await;

    let (one, other) = tokio::join!(
        identity.transfer_bucket(transfer("data-eu", &acme, &left)),
        identity.transfer_bucket(transfer("data-eu", &acme, &right)),
    );
    let (winner, moved) = match (&one, &other) {
        (Ok(moved), Err(_)) => (&left, moved),
        (Err(_), Ok(moved)) => (&right, moved),
        _ => panic!("{one:?} {other:?}"),
    };
    let loser = if one.is_ok() { other.clone() } else { one.clone() };
    refused(loser, Code::Aborted, Reason::BucketOwnerChanged);
    let expected = Bucket { account: winner.clone(), ..made.expect("there") };
    assert_eq!(moved.bucket, Some(expected), "it keeps region and age");
    assert_eq!(owner(&identity, "data-eu").await.expect("found"), *winner);
    assert!(names(&identity, of(&acme)).await.is_empty());
    assert_eq!(names(&identity, of(winner)).await, ["data-eu"]);

    // Each account is told its part, and no more.
    let kinds = async |account: &String| {
        let request = ListEventsRequest { account: account.clone(), ..Default::default() };
        let events = identity.all_events(request).await;
        let kinds = events.into_iter().filter_map(|event| {
            assert_eq!(event.account, *account);
            let kind = event.payload?.event?;
            if let Kind::BucketClaimed(event) = kind {
                return Some(format!("claimed {}", event.bucket_name));
            }
            if let Kind::BucketReceived(event) = kind {
                return Some(format!("received {}", event.bucket_name));
            }
            let Kind::BucketGiven(event) = kind else { return None };
            Some(format!("given {}", event.bucket_name))
        });
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&acme).await, ["claimed data-eu", "given data-eu"]);
    assert_eq!(kinds(winner).await, ["received data-eu"]);

    // Those that give each other something do not wait for each other.
    for name in ["a-b", "b-a"] {
        let account = if name == "a-b" { &left } else { &right };
        identity.claim_bucket(claim(account, name)).await.expect("claimed");
    }
    let (one, other) = tokio::join!(
        identity.transfer_bucket(transfer("a-b", &left, &right)),
        identity.transfer_bucket(transfer("b-a", &right, &left)),
    );
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn lists_go_by_name_page_by_page() {
    let home = Home::new();
    let identity = home.start().await;
    let (acme, other) = (account(&identity, "Acme").await, account(&identity, "Other").await);
    let all = ["aaa", "b-1", "b-2-eu", "b.1", "b0-eu", "c-eu"];
    for name in all.iter().rev() {
        let owner = if *name == "b-1" { &other } else { &acme };
        identity.claim_bucket(claim(owner, name)).await.expect("claimed");
    }
    let own: Vec<_> = all.iter().copied().filter(|name| *name != "b-1").collect();
    for page_size in [0, 1, 2, 5, 1000] {
        let list = |parent: &str, prefix: &str, region: &str| ListBucketsRequest {
            prefix: prefix.into(),
            region: region.into(),
            page_size,
            ..of(parent)
        };
        let listed = async |request| names(&identity, request).await;
        assert_eq!(listed(list(&acme, "", "")).await, own);
        assert_eq!(listed(list(&acme, "b", "")).await, ["b-2-eu", "b.1", "b0-eu"]);
        assert_eq!(listed(list(&acme, "b", "eu")).await, ["b-2-eu", "b0-eu"]);
        assert_eq!(listed(list(&acme, "", "us")).await, [""; 0]);
        assert_eq!(listed(list(&other, "", "")).await, ["b-1"]);
        assert_eq!(listed(list("accounts/-", "", "")).await, all);
        assert_eq!(listed(list("accounts/-", "b-", "")).await, ["b-1", "b-2-eu"]);
    }
    let first = ListBucketsRequest { page_size: 1, ..of(&acme) };
    let token = identity.list_buckets(first).await.expect("listed").next_page_token;
    for wrong in [of(&other), ListBucketsRequest { prefix: "a".into(), ..of(&acme) }] {
        let request = ListBucketsRequest { page_token: token.clone(), ..wrong };
        let listed = identity.list_buckets(request);
        identity.refuses(listed, Code::InvalidArgument, Reason::InvalidPageToken).await;
    }
}

#[tokio::test]
async fn an_account_has_so_many_buckets_and_no_more() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { buckets_max: 2, ..Default::default() };
    let acme = identity.account_with(settings).await.account.expect("there").name;
    let other = account(&identity, "Other").await;
    for name in ["one", "two"] {
        identity.claim_bucket(claim(&acme, name)).await.expect("claimed");
    }
    identity.claim_bucket(claim(&other, "three")).await.expect("claimed");
    let full = (Code::ResourceExhausted, Reason::BucketLimit);
    identity.refuses(identity.claim_bucket(claim(&acme, "four")), full.0, full.1).await;
    let transferred = identity.transfer_bucket(transfer("three", &other, &acme));
    identity.refuses(transferred, full.0, full.1).await;
    identity.release_bucket(release("one")).await.expect("released");
    identity.transfer_bucket(transfer("three", &other, &acme)).await.expect("transferred");
    let more = Account {
        name: acme.clone(),
        settings: Some(AccountSettings { buckets_max: 3, ..Default::default() }),
        ..Default::default()
    };
    let update = UpdateAccountRequest {
        account: Some(more),
        update_mask: mask(["settings.buckets_max"]),
        ..Default::default()
    };
    identity.update_account(update).await.expect("updated");
    // As many as there is room for, however many want it at once.
    let wanted = (0..10).map(|n| identity.claim_bucket(claim(&acme, &format!("more-{n}"))));
    let wanted: Vec<_> = wanted.collect();
    let claimed = futures::future::join_all(wanted).await;
    assert_eq!(claimed.iter().filter(|claimed| claimed.is_ok()).count(), 1);
}

#[tokio::test]
async fn an_account_with_buckets_is_deleted_only_by_force_which_releases_them() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.account.expect("there");
    let other = account(&identity, "Other").await;
    // More than one command can release.
    let names: Vec<_> = (0..45).map(|n| format!("{n:03}{}", "x".repeat(60))).collect();
    for name in &names {
        identity.claim_bucket(claim(&made.name, name)).await.expect("claimed");
    }
    let delete = |etag: &str, force| DeleteAccountRequest {
        name: made.name.clone(),
        etag: etag.into(),
        force,
        ..Default::default()
    };
    let has_buckets = (Code::FailedPrecondition, Reason::AccountHasBuckets);
    let deleted = identity.delete_account(delete("", false));
    identity.refuses(deleted, has_buckets.0, has_buckets.1).await;
    // What is refused for another reason releases nothing.
    let deleted = identity.delete_account(delete("another", true));
    identity.refuses(deleted, Code::Aborted, Reason::EtagMismatch).await;
    let user = identity.user(&made.name, "alice").await.expect("created");
    let deleted = identity.delete_account(delete(&made.etag, true));
    identity.refuses(deleted, Code::FailedPrecondition, Reason::AccountHasUsers).await;
    let gone = DeleteUserRequest { name: user.name, ..Default::default() };
    identity.delete_user(gone).await.expect("deleted");
    identity.delete_account(delete(&made.etag, true)).await.expect("deleted");
    for name in [&names[0], &names[44]] {
        refused(owner(&identity, name).await, Code::NotFound, Reason::NoSuchBucket);
        identity.claim_bucket(claim(&other, name)).await.expect("claimed anew");
    }
}

#[tokio::test]
async fn whose_buckets_are_is_known_after_a_restart_from_a_checkpoint_or_without() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (acme, root) = (made.account.expect("there").name, made.root_user.expect("there").name);
    let other = account(&identity, "Other").await;
    for name in ["kept", "moved-eu", "gone", "again"] {
        identity.claim_bucket(claim(&acme, name)).await.expect("claimed");
    }
    identity.transfer_bucket(transfer("moved-eu", &acme, &other)).await.expect("transferred");
    for name in ["gone", "again"] {
        identity.release_bucket(release(name)).await.expect("released");
    }
    identity.claim_bucket(claim(&other, "again")).await.expect("claimed");
    let everything = async |identity: &Identity| {
        identity.list_buckets(of("accounts/-")).await.expect("listed").buckets
    };
    let known = everything(&identity).await;
    assert_eq!(known.len(), 3);
    identity.stop().await;
    let identity = home.start().await;
    assert_eq!(everything(&identity).await, known, "from the first event");
    identity.flood(&root, 10_000).await;
    identity.stop().await;
    assert!(home.data_dir().join("checkpoint").exists());
    let identity = home.start().await;
    assert_eq!(everything(&identity).await, known, "from a checkpoint");
    // And goes on from there: streams stand where they did, and names are taken still.
    let taken = identity.claim_bucket(claim(&acme, "moved-eu"));
    identity.refuses(taken, Code::AlreadyExists, Reason::BucketAlreadyExists).await;
    identity.release_bucket(release("moved-eu")).await.expect("released");
    identity.claim_bucket(claim(&acme, "moved-eu")).await.expect("claimed");
    let verified = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert!(verified.complete);
}

/// A call of a gateway on behalf of a user, through this interface.
fn acting<T>(user: &User, facade: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    for (name, value) in [
        ("claviger-acting-user", user.user_id.as_str()),
        ("claviger-facade", facade),
        ("claviger-source-address", "192.0.2.7"),
    ] {
        metadata.insert(name, value.parse().expect("visible ASCII"));
    }
    request
}

#[tokio::test]
async fn users_claim_by_s3_alone_and_for_their_own_account() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (acme, root) = (made.account.expect("there").name, made.root_user.expect("there"));
    let foreign = identity.account("Other").await;
    let (other, foreign) =
        (foreign.account.expect("there").name, foreign.root_user.expect("there"));
    let alice = identity.user(&acme, "alice").await.expect("created");
    let token = identity.tokens.gateway.as_ref().expect("given");
    let mut gateway = BucketServiceClient::new(rpc::channel(&identity.uri, token).expect("a URI"));
    let denied = (Code::PermissionDenied, Reason::CallerNotAllowed);
    identity.claim_bucket(claim(&other, "foreign")).await.expect("claimed");
    for user in [&root, &alice] {
        for facade in ["rest", "iam", "s3s"] {
            let claimed = gateway.claim_bucket(acting(user, facade, claim(&acme, "data"))).await;
            refused(claimed, denied.0, denied.1);
        }
        let elsewhere = gateway.claim_bucket(acting(user, "s3", claim(&other, "data"))).await;
        refused(elsewhere, denied.0, denied.1);
        gateway.claim_bucket(acting(user, "s3", claim(&acme, "data"))).await.expect("claimed");
        let rest = gateway.release_bucket(acting(user, "rest", release("data"))).await;
        refused(rest, denied.0, denied.1);
        let by_foreigner = gateway.release_bucket(acting(&foreign, "s3", release("data"))).await;
        refused(by_foreigner, denied.0, denied.1);
        gateway.release_bucket(acting(user, "s3", release("data"))).await.expect("released");
    }
    let lock = LockUserRequest { name: alice.name.clone(), ..Default::default() };
    identity.lock_user(lock).await.expect("locked");
    let locked = gateway.claim_bucket(acting(&alice, "s3", claim(&acme, "data"))).await;
    refused(locked, denied.0, denied.1);
    assert!(names(&identity, of(&acme)).await.is_empty());
}

async fn watch(identity: &Identity) -> Streaming<WatchBucketsResponse> {
    let token = identity.tokens.gateway.as_ref().expect("given");
    let channel = rpc::channel(&identity.uri, token).expect("a URI");
    let watched = BucketServiceClient::new(channel).watch_buckets(WatchBucketsRequest {}).await;
    watched.expect("watches").into_inner()
}

async fn next(watched: &mut Streaming<WatchBucketsResponse>) -> Message {
    watched.message().await.expect("goes on").expect("there").message.expect("there")
}

/// The account in a message.
fn spelled(id: &[u8]) -> String {
    uuid::Uuid::from_slice(id).map(|id| format!("accounts/{id}")).unwrap_or_default()
}

#[tokio::test]
async fn a_watch_begins_with_all_there_is_and_tells_each_change() {
    let home = Home::new();
    let identity = home.start().await;
    let (acme, other) = (account(&identity, "Acme").await, account(&identity, "Other").await);
    let mut last = 0;
    let mut expected = BTreeMap::new();
    for n in 0..5 {
        let (name, owner) = (format!("data-{n}"), if n % 2 == 0 { &acme } else { &other });
        last = identity.claim_bucket(claim(owner, &name)).await.expect("claimed").position;
        expected.insert(name, owner.clone());
    }
    let mut watched = watch(&identity).await;
    let mut known = BTreeMap::new();
    let complete = loop {
        match next(&mut watched).await {
            Message::Snapshot(records) => known.extend(
                records.buckets.into_iter().map(|r| (r.bucket_name, spelled(&r.account_id))),
            ),
            Message::SnapshotComplete(complete) => break complete.position,
            other @ (Message::Change(_) | Message::Heartbeat(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!((known, complete), (expected, last));

    let moved = identity.transfer_bucket(transfer("data-0", &acme, &other)).await.expect("moved");
    let released = identity.release_bucket(release("data-1")).await.expect("released");
    // What is of no bucket is told by its position alone.
    let user = identity.user(&acme, "alice").await.expect("created");
    let head = identity.head().await;
    let (mut changes, mut told) = (vec![], 0);
    while told < head {
        match next(&mut watched).await {
            Message::Change(change) => {
                let owner = spelled(&change.account_id);
                changes.push((change.position, change.bucket_name, owner));
            }
            Message::Heartbeat(heartbeat) => told = heartbeat.position,
            other @ (Message::Snapshot(_) | Message::SnapshotComplete(_)) => panic!("{other:?}"),
        }
    }
    let at = |position, name: &str, owner: &str| (position, name.to_owned(), owner.to_owned());
    let expected = [
        at(moved.position - 1, "data-0", &other),
        at(moved.position, "data-0", &other),
        at(released.position, "data-1", ""),
    ];
    assert_eq!(changes, expected);
    assert!(told > released.position, "{user:?} is told of");

    identity.stop().await;
    let ended = loop {
        match watched.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    refused::<()>(Err(ended), Code::Unavailable, Reason::WatchEnded);
}

#[tokio::test]
async fn a_watch_of_an_operator_ends_with_its_token_and_there_are_so_many_and_no_more() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity
        .admin_token(AdminToken { display_name: "brief".into(), ..Default::default() })
        .await;
    let token = rpc::Token::parse(&made.token).expect("a token");
    let channel = rpc::channel(&identity.uri, &token).expect("a URI");
    let mut operator = BucketServiceClient::new(channel);
    let mut watched =
        operator.watch_buckets(WatchBucketsRequest {}).await.expect("watches").into_inner();
    let name = made.admin_token.expect("there").name;
    let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
    identity.revoke_admin_token(revoke).await.expect("revoked");
    let ended = loop {
        match watched.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    refused::<()>(Err(ended), Code::PermissionDenied, Reason::CallerNotAllowed);

    // One connection has fewer calls under way than that.
    let client = || {
        let channel = rpc::channel(&identity.uri, &identity.tokens.admin).expect("a URI");
        BucketServiceClient::new(channel)
    };
    let mut clients = [client(), client()];
    let mut watches = vec![];
    let full = loop {
        match clients[watches.len() % 2].watch_buckets(WatchBucketsRequest {}).await {
            Ok(watched) => watches.push(watched),
            Err(status) => break status,
        }
        assert!(watches.len() <= 256);
    };
    refused::<()>(Err(full), Code::ResourceExhausted, Reason::TooManyWatches);
}

//! Requests that are sent again.

mod support;

use api::error::v1::Reason;
use api::event::v1::AccountSettings;
use api::identity::v1::*;
use futures::future::BoxFuture;
use prost::Message;
use support::{DAY_MS, Home, Identity, mask, refused, request_id};
use tonic::{Code, Status};

/// Sends a request, and tells the bytes of the answer.
type Sending = Box<dyn for<'a> Fn(&'a Identity) -> BoxFuture<'a, Result<Vec<u8>, Status>>>;

/// A request that was sent, how it was answered, and another request under its id.
struct Sent {
    call: &'static str,
    again: Sending,
    answer: Vec<u8>,
    other: Sending,
}

macro_rules! sending {
    ($call:ident, $request:expr) => {{
        let request = $request;
        let sending: Sending = Box::new(move |identity| {
            let request = request.clone();
            Box::pin(async move { Ok(identity.$call(request).await?.encode_to_vec()) })
        });
        sending
    }};
}

/// Everything that was sent, each under an id of its own.
#[derive(Default)]
struct Log(Vec<Sent>);

macro_rules! send {
    ($log:ident, $identity:ident.$call:ident($request:expr), $change:expr) => {{
        let mut request = $request;
        request.request_id = request_id($log.0.len() as u128 + 1);
        let mut other = request.clone();
        #[allow(clippy::redundant_closure_call, reason = "tells the type of what is changed")]
        ($change)(&mut other);
        let answer = $identity.$call(request.clone()).await.expect(stringify!($call));
        $log.0.push(Sent {
            call: stringify!($call),
            again: sending!($call, request),
            answer: answer.encode_to_vec(),
            other: sending!($call, other),
        });
        answer
    }};
}

impl Log {
    /// Sends everything again, and asserts that each is answered as it was, and nothing is done.
    async fn again(&self, identity: &Identity) {
        let before = (identity.head().await, identity.data_keys().await);
        for sent in &self.0 {
            let answer = (sent.again)(identity).await;
            assert_eq!(answer.as_ref().map_err(Status::message), Ok(&sent.answer), "{}", sent.call);
            refused((sent.other)(identity).await, Code::AlreadyExists, Reason::RequestIdReused);
        }
        assert_eq!((identity.head().await, identity.data_keys().await), before);
    }
}

fn user(name: &str, label: &str) -> Option<User> {
    Some(User { name: name.into(), label: label.into(), ..Default::default() })
}

fn new_user(account: &str, user_name: &str) -> CreateUserRequest {
    let user = User { user_name: user_name.into(), ..Default::default() };
    CreateUserRequest { parent: account.into(), user: Some(user), ..Default::default() }
}

fn new_account(display_name: &str) -> CreateAccountRequest {
    let settings = AccountSettings { retention_seconds: 3600, ..Default::default() };
    let account = Account {
        display_name: display_name.into(),
        settings: Some(settings),
        ..Default::default()
    };
    CreateAccountRequest { account: Some(account), ..Default::default() }
}

fn renaming(account: &Account, display_name: &str) -> UpdateAccountRequest {
    UpdateAccountRequest {
        account: Some(Account {
            name: account.name.clone(),
            display_name: display_name.into(),
            ..Default::default()
        }),
        update_mask: mask(["display_name"]),
        ..Default::default()
    }
}

fn deletion(key: &AccessKey) -> DeleteAccessKeyRequest {
    DeleteAccessKeyRequest { name: key.name.clone(), ..Default::default() }
}

/// Makes every call that takes a request id, and then changes or removes what it was about, as long
/// as no secret in an answer goes with it.
async fn everything(identity: &Identity) -> (Log, String) {
    let mut log = Log::default();
    let change = |other: &mut CreateAccountRequest| other.account = new_account("Bcme").account;
    let made = send!(log, identity.create_account(new_account("Acme")), change);
    let account = made.account.expect("there");
    let root = made.root_user.expect("there").name;
    let change = |other: &mut UpdateAccountRequest| other.update_mask = mask(["settings"]);
    send!(log, identity.update_account(renaming(&account, "Bcme")), change);
    identity.update_account(renaming(&account, "Ccme")).await.expect("renamed");

    let change = |other: &mut CreateUserRequest| other.parent.clear();
    let brief = send!(log, identity.create_user(new_user(&account.name, "erin")), change);
    let brief = brief.user.expect("there").name;
    let by_name = format!("{}/users/erin", account.name);
    let rename = UpdateUserRequest {
        user: Some(User { name: by_name.clone(), user_name: "frank".into(), ..Default::default() }),
        update_mask: mask(["user_name"]),
        ..Default::default()
    };
    let change = |other: &mut UpdateUserRequest| other.update_mask = mask(["label"]);
    send!(log, identity.update_user(rename), change);
    let lock =
        LockUserRequest { name: format!("{}/users/frank", account.name), ..Default::default() };
    send!(log, identity.lock_user(lock), |other: &mut LockUserRequest| other.name.clear());
    let unlock = UnlockUserRequest { name: brief.clone(), ..Default::default() };
    let change = |other: &mut UnlockUserRequest| other.etag = "x".into();
    send!(log, identity.unlock_user(unlock), change);
    let label = UpdateUserRequest {
        user: user(&brief, "new"),
        update_mask: mask(["label"]),
        ..Default::default()
    };
    identity.update_user(label).await.expect("updated");
    let delete = DeleteUserRequest { name: brief, ..Default::default() };
    let change = |other: &mut DeleteUserRequest| other.force = true;
    send!(log, identity.delete_user(delete), change);

    // A user with its first key, and another key for that one's slot with a comment.
    let first = CreateUserRequest {
        access_key: Some(AccessKey { slot: 1, ..Default::default() }),
        ..new_user(&account.name, "grace")
    };
    let change = |other: &mut CreateUserRequest| other.access_key = None;
    let grace = send!(log, identity.create_user(first), change);
    assert_eq!(grace.secret_access_key.len(), 40);
    let for_slot = CreateAccessKeyRequest {
        parent: grace.user.expect("there").name,
        access_key: Some(AccessKey { slot: 2, ..Default::default() }),
        take_slot: true,
        user_comment: Some("two keys".into()),
        ..Default::default()
    };
    let change = |other: &mut CreateAccessKeyRequest| other.user_comment = None;
    send!(log, identity.create_access_key(for_slot), change);

    let new_key = |user: &str, label: &str| CreateAccessKeyRequest {
        parent: user.into(),
        access_key: Some(AccessKey { label: label.into(), ..Default::default() }),
        ..Default::default()
    };
    let change = |other: &mut CreateAccessKeyRequest| other.lifetime_days_max = 1;
    let key = send!(log, identity.create_access_key(new_key(&root, "kept")), change);
    let key = key.access_key.expect("there");
    let relabel = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: key.name.clone(),
            label: "x".into(),
            ..Default::default()
        }),
        update_mask: mask(["label"]),
        ..Default::default()
    };
    let change = |other: &mut UpdateAccessKeyRequest| other.lifetime_days_max = 1;
    send!(log, identity.update_access_key(relabel), change);
    let rotate = RotateSecretAccessKeyRequest {
        name: key.name.clone(),
        grace_period_seconds: Some(60),
        ..Default::default()
    };
    let change = |other: &mut RotateSecretAccessKeyRequest| other.grace_period_seconds = None;
    send!(log, identity.rotate_secret_access_key(rotate.clone()), change);
    let end = EndGracePeriodRequest { name: key.name.clone(), ..Default::default() };
    let change = |other: &mut EndGracePeriodRequest| other.etag = "x".into();
    send!(log, identity.end_grace_period(end), change);
    let replace = ReplaceAccessKeyRequest {
        name: key.name.clone(),
        grace_period_seconds: Some(60),
        ..Default::default()
    };
    let change =
        |other: &mut ReplaceAccessKeyRequest| other.access_key = Some(AccessKey::default());
    let replaced = send!(log, identity.replace_access_key(replace), change);
    let replaced = replaced.access_key.expect("there");
    let again = RotateSecretAccessKeyRequest { name: replaced.name, ..rotate };
    identity.rotate_secret_access_key(again).await.expect("rotated");

    let gone = identity.create_access_key(new_key(&root, "gone")).await.expect("created");
    let gone = gone.access_key.expect("there");
    let change = |other: &mut DeleteAccessKeyRequest| other.replace_last = true;
    send!(log, identity.delete_access_key(deletion(&gone)), change);
    let undelete = UndeleteAccessKeyRequest { name: gone.name.clone(), ..Default::default() };
    let change = |other: &mut UndeleteAccessKeyRequest| other.etag = "x".into();
    send!(log, identity.undelete_access_key(undelete), change);
    identity.delete_access_key(deletion(&gone)).await.expect("deleted");
    let purge = PurgeAccessKeyRequest { name: gone.name.clone(), ..Default::default() };
    let change = |other: &mut PurgeAccessKeyRequest| other.etag = "x".into();
    send!(log, identity.purge_access_key(purge), change);

    let carol = identity.user(&account.name, "carol").await.expect("created").name;
    let only = identity.create_access_key(new_key(&carol, "only")).await.expect("created");
    let last =
        DeleteAccessKeyRequest { replace_last: true, ..deletion(&only.access_key.expect("there")) };
    let change = |other: &mut DeleteAccessKeyRequest| other.replace_last = false;
    let deleted = send!(log, identity.delete_access_key(last), change);
    assert_eq!(deleted.replacement_secret_access_key.len(), 40);

    let new_token = |display_name: &str| {
        let admin_token = AdminToken { display_name: display_name.into(), ..Default::default() };
        CreateAdminTokenRequest { admin_token: Some(admin_token), ..Default::default() }
    };
    let change = |other: &mut CreateAdminTokenRequest| other.admin_token = None;
    let kept = send!(log, identity.create_admin_token(new_token("kept")), change);
    assert_eq!(kept.token.len(), 64);
    let brief = identity.create_admin_token(new_token("brief")).await.expect("created");
    let name = brief.admin_token.expect("there").name;
    let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
    let change = |other: &mut RevokeAdminTokenRequest| other.name.clear();
    send!(log, identity.revoke_admin_token(revoke), change);

    let other = identity.create_account(new_account("Other")).await.expect("created");
    let other = other.account.expect("there");
    let bucket = Bucket { bucket_name: "brief".into(), region: "eu".into(), ..Default::default() };
    let claim = ClaimBucketRequest {
        parent: account.name.clone(),
        bucket: Some(bucket),
        ..Default::default()
    };
    let change = |other: &mut ClaimBucketRequest| other.bucket = None;
    send!(log, identity.claim_bucket(claim), change);
    let transfer = TransferBucketRequest {
        name: "buckets/brief".into(),
        source_account: account.name.clone(),
        account: other.name.clone(),
        ..Default::default()
    };
    let change = |other: &mut TransferBucketRequest| other.account.clear();
    send!(log, identity.transfer_bucket(transfer), change);
    let release = ReleaseBucketRequest { name: "buckets/brief".into(), ..Default::default() };
    let change = |other: &mut ReleaseBucketRequest| other.name.clear();
    send!(log, identity.release_bucket(release), change);
    let change = |other: &mut UpdateAccountRequest| other.account = None;
    send!(log, identity.update_account(renaming(&other, "Former")), change);
    let delete = DeleteAccountRequest { name: other.name, ..Default::default() };
    let change = |other: &mut DeleteAccountRequest| other.etag = "x".into();
    send!(log, identity.delete_account(delete), change);
    (log, root)
}

#[tokio::test]
async fn whatever_is_sent_again_is_answered_as_it_was_also_after_a_restart() {
    let home = Home::new();
    let identity = home.start().await;
    let (log, root) = everything(&identity).await;
    log.again(&identity).await;
    home.clock.advance(3_600_000 / 2);
    log.again(&identity).await;
    identity.stop().await;
    let identity = home.start().await;
    log.again(&identity).await;

    // Enough for a checkpoint, which the next start begins from.
    identity.flood(&root, 10_000).await;
    identity.stop().await;
    assert!(home.data_dir().join("checkpoint").exists());
    let identity = home.start().await;
    log.again(&identity).await;
}

#[tokio::test]
async fn a_request_id_is_its_callers_own() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let request = CreateUserRequest { request_id: request_id(1), ..new_user(&account, "alice") };
    let made = identity.create_user(request.clone()).await.expect("created");
    let token = identity
        .admin_token(AdminToken { display_name: "other".into(), ..Default::default() })
        .await
        .token;
    let token = rpc::Token::parse(&token).expect("a token");
    let channel = rpc::channel(&identity.uri, &token).expect("a URI");
    let mut other = api::identity::v1::user_service_client::UserServiceClient::new(channel);
    let taken = other.create_user(request.clone());
    identity.refuses(taken, Code::AlreadyExists, Reason::UserNameTaken).await;
    let theirs = CreateUserRequest { request_id: request_id(1), ..new_user(&account, "bob") };
    other.create_user(theirs).await.expect("under an id of their own");
    assert_eq!(identity.create_user(request).await.expect("repeated"), made);

    let lock = LockUserRequest {
        name: made.user.expect("there").name,
        request_id: request_id(1),
        ..Default::default()
    };
    let reused = identity.lock_user(lock);
    identity.refuses(reused, Code::AlreadyExists, Reason::RequestIdReused).await;
    for bad in [
        "00000000-0000-0000-0000-000000000000",
        "1",
        "3f2b6f3e-0000-4000-8000-00000000000g",
        &"0".repeat(64),
    ] {
        let bad = CreateUserRequest { request_id: bad.into(), ..new_user(&account, "carol") };
        identity.refuses_field(identity.create_user(bad)).await;
    }
}

#[tokio::test]
async fn a_request_id_is_forgotten_after_a_day() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.account.expect("there");
    let rename = UpdateAccountRequest { request_id: request_id(1), ..renaming(&made, "Bcme") };
    let renamed = identity.update_account(rename.clone()).await.expect("renamed");
    identity.update_account(renaming(&made, "Ccme")).await.expect("renamed");
    home.clock.advance(DAY_MS);
    assert_eq!(identity.update_account(rename.clone()).await.expect("repeated"), renamed);
    home.clock.advance(1);
    let anew = identity.update_account(rename).await.expect("renamed");
    assert!(anew.position > renamed.position);
    assert_eq!(anew.account.expect("there").display_name, "Bcme");
}

#[tokio::test]
async fn a_secret_is_not_told_again_once_its_key_was_deleted() {
    let home = Home::new();
    let identity = home.start().await;
    let create = CreateAccountRequest { request_id: request_id(1), ..Default::default() };
    let account = Some(Account { display_name: "Acme".into(), ..Default::default() });
    let create = CreateAccountRequest { account, ..create };
    let made = identity.create_account(create.clone()).await.expect("created");
    let first = made.access_key.expect("there");
    let rotate = RotateSecretAccessKeyRequest {
        name: first.name.clone(),
        request_id: request_id(2),
        ..Default::default()
    };
    identity.rotate_secret_access_key(rotate.clone()).await.expect("rotated");
    let replace = ReplaceAccessKeyRequest {
        name: first.name,
        request_id: request_id(3),
        ..Default::default()
    };
    let second = identity.replace_access_key(replace.clone()).await.expect("replaced");
    let delete = DeleteAccessKeyRequest {
        replace_last: true,
        request_id: request_id(4),
        ..deletion(&second.access_key.expect("there"))
    };
    let third = identity.delete_access_key(delete.clone()).await.expect("deleted");
    identity
        .delete_access_key(deletion(&third.replacement.expect("there")))
        .await
        .expect("deleted");
    let shredded = (Code::FailedPrecondition, Reason::SecretShredded);
    let mut identity = identity;
    for _ in 0..2 {
        refused(identity.create_account(create.clone()).await, shredded.0, shredded.1);
        refused(identity.rotate_secret_access_key(rotate.clone()).await, shredded.0, shredded.1);
        refused(identity.replace_access_key(replace.clone()).await, shredded.0, shredded.1);
        refused(identity.delete_access_key(delete.clone()).await, shredded.0, shredded.1);
        identity.stop().await;
        identity = home.start().await;
    }
}

#[tokio::test]
async fn an_admin_token_is_told_again_to_whom_it_was_told_and_until_it_is_revoked() {
    let home = Home::new();
    let identity = home.start().await;
    let admin_token = AdminToken { display_name: "one".into(), ..Default::default() };
    let request = CreateAdminTokenRequest {
        admin_token: Some(admin_token.clone()),
        request_id: request_id(1),
    };
    let made = identity.create_admin_token(request.clone()).await.expect("created");
    let admin_token = Some(AdminToken { display_name: "many".into(), ..admin_token });
    let many = CreateAdminTokenRequest { admin_token, request_id: request_id(2) };
    let at_once = [(); 4].map(|()| identity.create_admin_token(many.clone()));
    let at_once = futures::future::try_join_all(at_once).await.expect("created");
    assert!(at_once.iter().all(|answer| *answer == at_once[0]), "one token");
    assert_ne!(at_once[0].token, made.token);

    // Another caller's id is another command, and what it makes is another token.
    let theirs = rpc::Token::parse(&made.token).expect("a token");
    let channel = rpc::channel(&identity.uri, &theirs).expect("a URI");
    let mut other =
        api::identity::v1::admin_token_service_client::AdminTokenServiceClient::new(channel);
    let taken = other.create_admin_token(request.clone());
    identity.refuses(taken, Code::AlreadyExists, Reason::AdminTokenNameTaken).await;

    let name = made.admin_token.expect("there").name;
    let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
    identity.revoke_admin_token(revoke.clone()).await.expect("revoked");
    identity
        .refuses(
            identity.create_admin_token(request),
            Code::FailedPrecondition,
            Reason::SecretShredded,
        )
        .await;
    let gone = identity.revoke_admin_token(revoke);
    identity.refuses(gone, Code::NotFound, Reason::NoSuchAdminToken).await;
}

#[tokio::test]
async fn a_request_that_changed_nothing_changes_nothing_when_it_comes_again() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let name = identity.user(&account, "alice").await.expect("created").name;
    let plain = LockUserRequest { name: name.clone(), ..Default::default() };
    identity.users().lock_user(plain.clone()).await.expect("locked");
    let again = LockUserRequest {
        request_id: "3f2b6f3e-0000-4000-8000-00000000000a".into(),
        ..plain.clone()
    };
    let first = identity.users().lock_user(again.clone()).await.expect("is locked").into_inner();
    let unlock = UnlockUserRequest { name: name.clone(), ..Default::default() };
    identity.users().unlock_user(unlock).await.expect("unlocked");
    let retried = identity.users().lock_user(again).await.expect("answered").into_inner();
    assert_eq!(retried, first);
    let request = GetUserRequest { name, ..Default::default() };
    let user = identity.users().get_user(request).await.expect("found").into_inner().user;
    assert_eq!(user.expect("there").state(), UserState::Active, "the retry has locked nobody");
}

/// Asserts that a request that is sent many times at once is answered the same each time.
async fn check_at_once<T: std::fmt::Debug + PartialEq>(
    times: usize,
    call: impl AsyncFn() -> Result<T, Status>,
) -> T {
    let answers = futures::future::join_all((0..times).map(|_| call())).await;
    let mut answers = answers.into_iter().map(|answer| answer.expect("done, or repeated"));
    let first = answers.next().expect("there");
    assert!(answers.all(|answer| answer == first), "not all are {first:?}");
    first
}

#[tokio::test]
async fn what_is_sent_many_times_at_once_is_done_once_and_answered_the_same() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created").name;
    let new_key = |number| CreateAccessKeyRequest {
        parent: alice.clone(),
        request_id: request_id(number),
        ..Default::default()
    };
    let import = CreateAccessKeyRequest {
        access_key: Some(AccessKey {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            ..Default::default()
        }),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        ..new_key(1)
    };
    let imported = check_at_once(8, async || identity.create_access_key(import.clone()).await);
    let imported = imported.await.access_key.expect("there");
    for _ in 2..10 {
        identity.access_key(&alice).await.expect("created");
    }
    let last = check_at_once(64, async || identity.create_access_key(new_key(2)).await).await;
    let full = identity.create_access_key(new_key(3));
    identity.refuses(full, Code::ResourceExhausted, Reason::KeyLimit).await;

    let rotate = RotateSecretAccessKeyRequest {
        name: imported.name.clone(),
        request_id: request_id(4),
        ..Default::default()
    };
    check_at_once(64, async || identity.rotate_secret_access_key(rotate.clone()).await).await;
    let delete = DeleteAccessKeyRequest { request_id: request_id(5), ..deletion(&imported) };
    check_at_once(64, async || identity.delete_access_key(delete.clone()).await).await;
    let user = CreateUserRequest { request_id: request_id(6), ..new_user(&account, "bob") };
    check_at_once(64, async || identity.create_user(user.clone()).await).await;
    let made = CreateAccountRequest { request_id: request_id(7), ..new_account("Bcme") };
    check_at_once(64, async || identity.create_account(made.clone()).await).await;
    let parent = format!("{account}/users/-");
    let keys = identity.all_keys(ListAccessKeysRequest { parent, ..Default::default() }).await;
    assert_eq!(keys.len(), 1 + 9, "the root user's, and alice's but the one that was deleted");
    assert!(keys.contains(last.access_key.as_ref().expect("there")));
    assert_eq!(identity.data_keys().await, 1 + 9 + 1, "and of the other account's root user");
}

#[tokio::test]
async fn a_request_id_in_capitals_is_the_same() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let id = "3f2b6f3e-0000-4000-8000-00000000000a";
    let request =
        |id: &str| CreateUserRequest { request_id: id.to_owned(), ..new_user(&account, "alice") };
    let made = identity.create_user(request(id)).await.expect("created");
    for spelled in [id.to_uppercase(), id.replace('-', "")] {
        let again = identity.create_user(request(&spelled)).await.expect("repeated");
        assert_eq!(again, made, "{spelled}");
    }
}

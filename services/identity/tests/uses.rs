//! What auth reports: when access keys were last used, and who is locked out.

mod support;

use api::error::v1::Reason;
use api::event::v1::payload::Event as Kind;
use api::event::v1::{AccessKeyLockedOut, AccountSettings, LockoutMode};
use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::*;
use support::{Home, Identity, START_MS, at, mask, refused};
use tonic::{Code, Status, Streaming};

const SOURCE: &str = "192.0.2.1";

fn used(access_key_id: &str, generation: u32, ms: u64, user_agent: &str) -> UseRecord {
    let told = AccessKeyUse {
        time: Some(at(ms)),
        source_address: SOURCE.into(),
        user_agent: user_agent.into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    };
    UseRecord { access_key_id: access_key_id.into(), generation, r#use: Some(told) }
}

async fn report_use(identity: &Identity, uses: Vec<UseRecord>) -> Result<(), Status> {
    identity.feed().report_use(ReportUseRequest { uses }).await.map(drop)
}

fn lockout(access_key_id: &str, source: &str, end_ms: u64) -> LockoutRecord {
    LockoutRecord {
        access_key_id: access_key_id.into(),
        source: source.into(),
        end_time_ms: i64::try_from(end_ms).expect("fits"),
        failures: 4,
    }
}

async fn report_lockout(identity: &Identity, lockouts: Vec<LockoutRecord>) -> Result<(), Status> {
    identity.feed().report_lockout(ReportLockoutRequest { lockouts }).await.map(drop)
}

async fn watch(identity: &Identity) -> Streaming<WatchCredentialsResponse> {
    let watched = identity.feed().watch_credentials(WatchCredentialsRequest {}).await;
    watched.expect("watches").into_inner()
}

/// The next message that `pick` takes something of.
async fn told<T>(
    feed: &mut Streaming<WatchCredentialsResponse>,
    pick: impl Fn(Message) -> Option<T>,
) -> T {
    loop {
        let message = feed.message().await.expect("goes on").expect("goes on").message;
        if let Some(picked) = pick(message.expect("there")) {
            return picked;
        }
    }
}

fn lockouts(message: Message) -> Option<Vec<LockoutRecord>> {
    if let Message::Lockouts(records) = message { Some(records.lockouts) } else { None }
}

async fn recorded(identity: &Identity) -> Vec<AccessKeyLockedOut> {
    let events = identity.all_events(ListEventsRequest::default()).await.into_iter();
    let mut recorded = vec![];
    for kind in events.filter_map(|event| event.payload?.event) {
        if let Kind::AccessKeyLockedOut(event) = kind {
            recorded.push(event);
        }
    }
    recorded
}

#[tokio::test]
async fn each_secret_tells_when_it_was_last_used_also_after_a_restart_and_an_etag_stays() {
    let home = Home::new();
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there");
    assert_eq!(identity.key(&key.name).await.last_use, None);
    identity.rotate(&key.name, 3600).await.expect("rotated");
    let before = identity.key(&key.name).await;
    let head = identity.head().await;
    let (old, new) = (START_MS - 120_000, START_MS - 60_000);
    let id = &key.access_key_id;
    let uses = vec![used(id, 1, old, "boto3"), used(id, 2, new, "aws-cli"), used(id, 1, 1, "x")];
    report_use(&identity, uses.clone()).await.expect("kept");
    report_use(&identity, uses).await.expect("kept, again");
    let check = async |identity: &Identity| {
        let listed = identity.all_keys(ListAccessKeysRequest {
            parent: key.name.split("/accessKeys/").next().expect("a user").into(),
            ..Default::default()
        });
        for shown in [identity.key(&key.name).await, listed.await.remove(0)] {
            let of = |told: &Option<AccessKeyUse>| {
                let told = told.clone().expect("was used");
                (told.time.expect("there"), told.user_agent)
            };
            assert_eq!(of(&shown.last_use), (at(new), "aws-cli".into()));
            let secrets: Vec<_> = shown.secrets.iter().map(|s| of(&s.last_use)).collect();
            assert_eq!(secrets, [(at(new), "aws-cli".into()), (at(old), "boto3".into())]);
            let told = shown.last_use.expect("was used");
            assert_eq!(
                (&*told.source_address, &*told.region, &*told.service),
                (SOURCE, "us-east-1", "s3")
            );
            assert_eq!(shown.etag, before.etag);
        }
    };
    check(&identity).await;
    assert_eq!(identity.head().await, head, "nothing of it is in the log");
    // As it was, it is not told by whom it is used now.
    let request = GetAccessKeyRequest {
        name: key.name.clone(),
        read_time: Some(at(START_MS)),
        ..Default::default()
    };
    let then = identity.access_keys().get_access_key(request).await.expect("shown").into_inner();
    assert_eq!(then.access_key.expect("there").last_use, None);
    identity.stop().await;
    check(&home.start().await).await;
}

#[tokio::test]
async fn uses_of_what_is_not_there_are_passed_over_and_a_report_is_bounded() {
    let home = Home::new();
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there");
    let id = &key.access_key_id;
    let unknown = used("AKIAIOSFODNN7EXAMPLE", 1, START_MS, "x");
    let future = used(id, 1, START_MS + 1_000_000, "ours");
    report_use(&identity, vec![unknown, future]).await.expect("kept");
    let told = identity.key(&key.name).await.last_use.expect("was used");
    assert_eq!((told.time, &*told.user_agent), (Some(at(START_MS)), "ours"));
    let many = vec![used(id, 1, START_MS, "x"); 257];
    let wrong = vec![used(id, 1, START_MS, "a\r\nb")];
    for wrong in [many, wrong] {
        refused(report_use(&identity, wrong).await, Code::InvalidArgument, Reason::InvalidField);
    }
    let many = vec![lockout(id, SOURCE, START_MS); 257];
    let wrong = vec![lockout(id, "192.0.2.1/32", START_MS)];
    for wrong in [many, wrong] {
        let answer = report_lockout(&identity, wrong).await;
        refused(answer, Code::InvalidArgument, Reason::InvalidField);
    }
}

#[tokio::test]
async fn a_lock_out_reaches_all_who_watch_and_those_who_come_later() {
    let home = Home::new();
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there").access_key_id;
    let mut feeds = [watch(&identity).await, watch(&identity).await];
    for feed in &mut feeds {
        told(feed, |m| matches!(m, Message::SnapshotComplete(_)).then_some(())).await;
    }
    let first = lockout(&key, SOURCE, START_MS + 60_000);
    report_lockout(&identity, vec![first.clone(), first.clone()]).await.expect("told on");
    let longer = lockout(&key, SOURCE, START_MS + 120_000);
    report_lockout(&identity, vec![longer.clone()]).await.expect("told on");
    report_lockout(&identity, vec![first.clone()]).await.expect("passed over");
    for feed in &mut feeds {
        assert_eq!(told(feed, lockouts).await, vec![first.clone()]);
        assert_eq!(told(feed, lockouts).await, vec![longer.clone()]);
    }
    assert_eq!(told(&mut watch(&identity).await, lockouts).await, vec![longer.clone()]);
    // Identity keeps none of it; who has locked out tells it again.
    identity.stop().await;
    let identity = home.start().await;
    report_lockout(&identity, vec![longer.clone()]).await.expect("told on");
    assert_eq!(told(&mut watch(&identity).await, lockouts).await, [longer]);
}

#[tokio::test]
async fn lock_outs_are_recorded_once_a_minute_and_only_as_the_account_asks() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (account, key) = (made.account.expect("there"), made.access_key.expect("there"));
    let id = key.access_key_id;
    let end = START_MS + 60_000;
    let from = |source| lockout(&id, source, end);
    let unknown = lockout("AKIAIOSFODNN7EXAMPLE", SOURCE, end);
    let reported = vec![from(""), unknown, from(SOURCE), from("192.0.2.2"), from("2001:db8::/64")];
    report_lockout(&identity, reported).await.expect("taken");
    let events = recorded(&identity).await;
    let expected = AccessKeyLockedOut {
        access_key_id: id.clone(),
        source: SOURCE.into(),
        end_time: Some(at(end)),
        failures: 4,
    };
    assert_eq!(events, vec![expected.clone()]);

    let mut feed = watch(&identity).await;
    let mode = |mode: LockoutMode| {
        let settings = Some(AccountSettings { lockout_mode: mode.into(), ..Default::default() });
        UpdateAccountRequest {
            account: Some(Account { name: account.name.clone(), settings, ..Default::default() }),
            update_mask: mask(["settings.lockout_mode"]),
            ..Default::default()
        }
    };
    let accounts = |message| {
        let Message::Change(change) = message else { return None };
        change.records.filter(|records| !records.accounts.is_empty())
    };
    home.clock.advance(60_000);
    for asked in [LockoutMode::Off, LockoutMode::PerKey] {
        let updated = identity.accounts().update_account(mode(asked)).await;
        updated.expect("updated");
        let told = told(&mut feed, accounts).await.accounts.remove(0);
        assert_eq!(told.lockout_mode(), asked);
        assert_eq!(told.account_id.len(), 16);
        let later = |source| lockout(&id, source, end + 60_000);
        report_lockout(&identity, vec![later(SOURCE), later("")]).await.expect("taken");
    }
    let per_key = AccessKeyLockedOut {
        source: String::new(),
        end_time: Some(at(end + 60_000)),
        ..expected.clone()
    };
    assert_eq!(recorded(&identity).await, [expected, per_key]);
    // One that is over is nobody's business any more.
    home.clock.advance(60_000);
    report_lockout(&identity, vec![lockout(&id, "", end + 60_000)]).await.expect("taken");
    assert_eq!(recorded(&identity).await.len(), 2);
}

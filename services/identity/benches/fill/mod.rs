//! A data directory of identity with many access keys, written without its services.

use std::path::Path;
use std::time::Instant;

use domain::{
    AccessKeyId, AccountEvent, AccountId, AccountNumber, DisplayName, Email, Event, Label,
    SealedSecret, UserEvent, UserId, UserName, UserPath,
};
use event_store::{
    Actor, Batch, Claim, ClaimOp, EventLog, Expected, NewEvent, Revision, SledLog, SledOptions,
    StreamId, payload,
};
use sealing::{Context, Keyring, Keystore};
use uuid::Uuid;

/// Users whose events go into one batch: as many as its claims allow.
const USERS_PER_BATCH: usize = 16;

/// Records an account and its users, each with an access key.
pub async fn fill(data_dir: &Path, keyring: Keyring, keys: usize) {
    let start = Instant::now();
    let keystore = Keystore::open(data_dir.join("keystore"), keyring).await.expect("opens");
    let index_key = keystore.reserved_key("claviger/log-checkpoint").await.expect("made");
    let options = SledOptions::new(identity::log_dir(data_dir)).checkpoint_key(*index_key.expose());
    let log = SledLog::open(options).await.expect("opens");
    let account = AccountId(Uuid::now_v7());
    let number = AccountNumber::from_random(7);
    let display_name = DisplayName::parse("Acme").expect("valid");
    let created = Event::Account(AccountEvent::Created { number, display_name });
    append(&log, account, vec![(format!("account/{account}"), created)], vec![]).await;
    let all: Vec<usize> = (0..keys).collect();
    // Side by side, so that commits are shared.
    let mut under_way = futures::stream::FuturesUnordered::new();
    for batch in all.chunks(USERS_PER_BATCH) {
        under_way.push(record(&log, &keystore, account, batch));
        if under_way.len() >= 64 {
            futures::StreamExt::next(&mut under_way).await;
        }
    }
    while futures::StreamExt::next(&mut under_way).await.is_some() {}
    drop(under_way);
    log.close().await;
    println!("{keys} access keys of as many users were recorded in {:.1?}", start.elapsed());
}

async fn record(log: &SledLog, keystore: &Keystore, account: AccountId, users: &[usize]) {
    let mut events = vec![];
    let mut claims = vec![];
    for user in users {
        let stream = format!("user/{}", UserId(Uuid::now_v7()));
        let mut random = [0; 10];
        random[2..].copy_from_slice(&(*user as u64).to_be_bytes());
        let id = AccessKeyId::from_random(random);
        let name = UserName::parse(&format!("user-{user:08}")).expect("valid");
        let data_key = keystore.create(id.as_str()).await.expect("made");
        let context = Context {
            log_id: log.log_id(),
            account: account.0,
            access_key_id: id.as_str(),
            generation: 1,
        };
        let sealed = data_key.seal(&[b'x'; 40], &context).expect("sealed");
        let take = |kind: &str, key: &str| {
            let label = event_store::Label::truncated;
            ClaimOp::Take(Claim { kind: label(kind), key: event_store::Label::truncated(key) })
        };
        claims.push(take("user-name", &format!("{account}/{}", name.folded())));
        claims.push(take("access-key-id", id.as_str()));
        let created = UserEvent::Created {
            name,
            root: false,
            label: Label::parse("of a bench").expect("valid"),
            comment: Label::default(),
            path: UserPath::default(),
            email: Email::default(),
        };
        let key = UserEvent::AccessKeyCreated {
            id,
            secret: SealedSecret(sealed.into()),
            imported: false,
            label: Label::default(),
            slot: None,
            not_before: None,
            expires_at: None,
            time_to_live: None,
        };
        events.extend([created, key].map(|event| (stream.clone(), Event::User(event))));
    }
    append(log, account, events, claims).await;
}

async fn append(
    log: &SledLog,
    account: AccountId,
    events: Vec<(String, Event)>,
    claims: Vec<ClaimOp>,
) {
    let events = events.into_iter().map(|(stream, event)| {
        let payload = payload::encode(&event);
        NewEvent {
            stream: StreamId::parse(stream).expect("a name"),
            expected: Expected::Revision(Revision::NONE),
            event_type: payload.event_type,
            schema_version: payload::SCHEMA_VERSION,
            payload: payload.bytes,
            sealed: payload.sealed,
        }
    });
    let batch = Batch {
        command_id: Uuid::now_v7(),
        command_digest: [0; 32],
        account: account.0,
        actor: Actor::default(),
        events: events.collect(),
        claims,
    };
    log.append(batch).await.expect("recorded");
}

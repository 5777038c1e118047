//! The restore drill: a log and a keystore taken while writes go on, put in place elsewhere.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::error::v1::Reason;
use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::*;
use sealing::{KeyEncryptionKey, Keyring, Keystore};
use support::{DAY_MS, Home, Identity, START_MS, at, mask, refused, request_id};
use tonic::Code;

/// Added to each position in the second epoch.
const EPOCH_2: u64 = 1 << 48;

fn new_key(user: &str, number: u128) -> CreateAccessKeyRequest {
    CreateAccessKeyRequest {
        parent: user.into(),
        request_id: request_id(number),
        ..Default::default()
    }
}

async fn watch(identity: &Identity, after_position: u64) -> Result<(), tonic::Status> {
    let request = WatchEventsRequest { after_position, ..Default::default() };
    identity.events().watch_events(request).await.map(drop)
}

/// The date key of a day that the feed tells for an access key.
async fn told_date_key(identity: &Identity, access_key_id: &str) -> Option<Vec<u8>> {
    let watched = identity.feed().watch_credentials(WatchCredentialsRequest {}).await;
    let mut feed = watched.expect("watches").into_inner();
    let today = u32::try_from(START_MS / DAY_MS).expect("fits");
    loop {
        match feed.message().await.expect("goes on").expect("there").message.expect("there") {
            Message::Snapshot(records) => {
                let key = records.access_keys.iter().find(|key| key.access_key_id == access_key_id);
                if let Some(key) = key {
                    let of_today = |date_key: &&DateKey| date_key.day == today;
                    return key.secrets[0].date_keys.iter().find(of_today).map(|it| it.key.clone());
                }
            }
            Message::SnapshotComplete(_)
            | Message::Change(_)
            | Message::DateKeys(_)
            | Message::Lockouts(_)
            | Message::Heartbeat(_) => return None,
        }
    }
}

fn date_key(secret: &str) -> Vec<u8> {
    let date = sigv4::Date::from_unix_seconds(i64::try_from(START_MS / 1000).expect("fits"));
    sigv4::DateKey::derive(secret.as_bytes(), &date).expose().to_vec()
}

#[tokio::test]
async fn what_was_exported_while_writes_went_on_is_whole_elsewhere() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.clone().expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let kept = identity.create_access_key(new_key(&alice.name, 1)).await.expect("created");
    let gone = identity.create_access_key(new_key(&alice.name, 2)).await.expect("created");
    let kept_key = kept.access_key.clone().expect("there");
    let gone_key = gone.access_key.expect("there");
    let signed = identity.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");

    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (mut users, account, stop) = (identity.users(), account.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            for n in 0.. {
                let user = User { user_name: format!("user-{n}"), ..Default::default() };
                let request = CreateUserRequest {
                    parent: account.clone(),
                    user: Some(user),
                    ..Default::default()
                };
                users.create_user(request).await.expect("created");
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        })
    };
    let image = identity.exported_keystore().await;
    let deletion = DeleteAccessKeyRequest { name: gone_key.name.clone(), ..Default::default() };
    identity.delete_access_key(deletion).await.expect("deleted");
    let archive = identity.exported_log().await;
    stop.store(true, Ordering::Relaxed);
    writing.await.expect("no panic");
    let late = identity.user(&account, "late").await.expect("created");
    let old_head = identity.head().await;
    let list = ListEventsRequest { page_size: 1, ..Default::default() };
    let old_token = identity.list_events(list.clone()).await.expect("listed").next_page_token;
    let before = identity.all_events(ListEventsRequest::default()).await;
    identity.stop().await;

    let restored = home.elsewhere();
    restored.restore(&archive, &image);
    let identity = restored.start().await;
    let head = identity.head().await;
    assert!((EPOCH_2 + gone.position..EPOCH_2 + old_head).contains(&head), "{head:#x}");
    let after = identity.all_events(ListEventsRequest::default()).await;
    let count = usize::try_from(head - EPOCH_2).expect("fits");
    assert_eq!(after.len(), count);
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.position, EPOCH_2 + before.position);
        assert_eq!((&after.hash, &after.payload), (&before.hash, &before.payload));
    }
    let verified = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert_eq!((verified.head_position, verified.epoch, verified.complete), (head, 2, true));
    let since = VerifyLogRequest { since: signed.checkpoint, events_max: 0 };
    identity.verify_log(since).await.expect("what was signed before is still there");

    let again = identity.create_access_key(new_key(&alice.name, 1)).await.expect("repeated");
    assert_eq!(again.secret_access_key, kept.secret_access_key, "it opens");
    let told = told_date_key(&identity, &kept_key.access_key_id).await;
    assert_eq!(told, Some(date_key(&kept.secret_access_key)));
    assert_eq!(told_date_key(&identity, &gone_key.access_key_id).await, None);
    assert_eq!(identity.data_keys().await, 2, "what was deleted by then is destroyed again");
    let shredded = identity.create_access_key(new_key(&alice.name, 2));
    identity.refuses(shredded, Code::FailedPrecondition, Reason::SecretShredded).await;
    let unknown = GetUserRequest { name: late.name, ..Default::default() };
    refused(identity.get_user(unknown).await, Code::NotFound, Reason::NoSuchUser);

    let other_epoch = (Code::InvalidArgument, Reason::OtherEpoch);
    let get = |min_position| GetAccountRequest { name: account.clone(), min_position };
    refused(identity.get_account(get(old_head)).await, other_epoch.0, other_epoch.1);
    refused(watch(&identity, old_head).await, other_epoch.0, other_epoch.1);
    for request in [
        ListEventsRequest { after_position: 1, ..list.clone() },
        ListEventsRequest { until_position: old_head, ..list.clone() },
        ListEventsRequest { min_position: old_head, ..list.clone() },
        ListEventsRequest { page_token: old_token, ..list },
    ] {
        refused(identity.list_events(request).await, other_epoch.0, other_epoch.1);
    }
    let checkpoint = GetCheckpointRequest { min_position: old_head };
    refused(identity.get_checkpoint(checkpoint).await, other_epoch.0, other_epoch.1);
    watch(&identity, head).await.expect("positions of now are known");

    let rotated = identity.rotate(&kept_key.name, 60).await.expect("writes go on");
    assert_eq!(rotated.position, head + 1);
    let key = identity.access_key(&alice.name).await.expect("created");
    identity.get_account(get(key.position)).await.expect("is known");
    identity.stop().await;
    let identity = restored.start().await;
    assert_eq!(identity.head().await, key.position);
    identity.stop().await;
}

#[tokio::test]
async fn a_log_that_was_restored_can_be_restored_again() {
    let home = Home::new();
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there");
    let (archive, image) = (identity.exported_log().await, identity.exported_keystore().await);
    identity.stop().await;
    let second = home.elsewhere();
    second.restore(&archive, &image);
    let identity = second.start().await;
    let rotated = identity.rotate(&key.name, 60).await.expect("rotated");
    let (archive, image) = (identity.exported_log().await, identity.exported_keystore().await);
    identity.stop().await;
    let third = home.elsewhere();
    third.restore(&archive, &image);
    let identity = third.start().await;
    let verified = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert_eq!((verified.epoch, verified.head_position), (3, rotated.position + EPOCH_2));
    for old in [1, rotated.position] {
        let old = watch(&identity, old).await;
        refused(old, Code::InvalidArgument, Reason::OtherEpoch);
    }
    assert_eq!(identity.key(&key.name).await.secrets.len(), 2);
}

#[tokio::test]
async fn with_another_key_encryption_key_nothing_is_restored() {
    let home = Home::new();
    let identity = home.start().await;
    identity.account("Acme").await;
    let (archive, image) = (identity.exported_log().await, identity.exported_keystore().await);
    identity.stop().await;
    let stranger = KeyEncryptionKey::generate().expect("randomness");
    let needed = home.kek().id().to_string();
    let restored = home.elsewhere();
    let path = restored.dir.path().join("keystore");
    let error =
        Keystore::restore(image.as_slice(), &path, &Keyring::new(stranger)).expect_err("shut");
    assert!(error.to_string().contains(&needed), "{error}");
    assert!(!path.exists());

    restored.restore(&archive, &image);
    let stranger = Keyring::new(KeyEncryptionKey::generate().expect("randomness"));
    let error = restored.try_start_with(stranger).await.err().expect("is refused");
    assert!(format!("{error:#}").contains(&needed), "{error:#}");
    restored.start().await.stop().await;
}

#[tokio::test]
async fn a_keystore_that_is_older_than_the_log_opens_what_it_knows() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let image = identity.exported_keystore().await;
    let root = made.root_user.expect("there").name;
    let late = identity.access_key(&root).await.expect("created").access_key.expect("there");
    let archive = identity.exported_log().await;
    identity.stop().await;
    let restored = home.elsewhere();
    restored.restore(&archive, &image);
    let heard = support::Heard::from_now();
    let identity = restored.start().await;
    assert!(heard.has(tracing::Level::ERROR, "the keystore lacks data keys"));
    let old = made.access_key.expect("there");
    let told = told_date_key(&identity, &old.access_key_id).await;
    assert_eq!(told, Some(date_key(&made.secret_access_key)));
    // It is known, and cannot be verified; what cannot be opened is no harm to others.
    assert_eq!(told_date_key(&identity, &late.access_key_id).await, None);
    let shut = identity.rotate(&late.name, 0);
    identity.refuses(shut, Code::FailedPrecondition, Reason::DataKeyMissing).await;
    let off = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: late.name.clone(),
            expire_time: Some(at(START_MS + DAY_MS)),
            ..Default::default()
        }),
        update_mask: mask(["expire_time"]),
        ..Default::default()
    };
    identity.update_access_key(off).await.expect("it can be changed");
    let replace = ReplaceAccessKeyRequest { name: late.name.clone(), ..Default::default() };
    let replaced = identity.replace_access_key(replace).await.expect("and replaced");
    let id = replaced.access_key.expect("there").access_key_id;
    let told = told_date_key(&identity, &id).await;
    assert_eq!(told, Some(date_key(&replaced.secret_access_key)));
}

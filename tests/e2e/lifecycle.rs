//! What becomes of a key's requests while the key and its user change.

use std::time::{Duration, SystemTime};

use api::error::v1::Reason;
use api::identity::v1::*;

use crate::support::{Dev, Home, Key, denied_code, is_verified, send, signed_get};

async fn lock(dev: &Dev, user: &User) -> u64 {
    let request = LockUserRequest { name: user.name.clone(), ..Default::default() };
    dev.users().lock_user(request).await.expect("locked").into_inner().position
}

async fn rotate(dev: &Dev, name: &str, grace_period_seconds: u32) -> Key {
    let request = RotateSecretAccessKeyRequest {
        name: name.into(),
        grace_period_seconds: Some(grace_period_seconds),
        ..Default::default()
    };
    let rotated = dev.access_keys().rotate_secret_access_key(request).await.expect("rotated");
    let rotated = rotated.into_inner();
    let id = rotated.access_key.expect("there").access_key_id;
    let key = Key { id, secret: rotated.secret_access_key };
    let verdict = dev.verify(&key, rotated.position).await.expect("a verdict");
    assert!(is_verified(&verdict));
    key
}

async fn set_state(dev: &Dev, name: &str, state: AccessKeyState) {
    let request = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: name.into(),
            state: state.into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["state".into()] }),
        ..Default::default()
    };
    dev.access_keys().update_access_key(request).await.expect("updated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_is_refused_within_100_ms_and_back_when_unlocked() {
    let home = Home::new();
    let dev = home.start();
    let (alice, made) = dev.user_with_key("alice").await;
    let key = Key::from(&made);
    let mut took = vec![];
    // Several times, since what else this machine does may hold any one of them up.
    for _ in 0..5 {
        dev.until(&key, 200, "").await;
        let position = lock(&dev, &alice).await;
        took.push(dev.until(&key, 403, "AccessDenied").await);
        // With the position of the write there is no delay at all.
        let verdict = dev.verify(&key, position).await.expect("a verdict");
        assert_eq!(denied_code(&verdict), "AccessDenied");
        let request = UnlockUserRequest { name: alice.name.clone(), ..Default::default() };
        dev.users().unlock_user(request).await.expect("unlocked");
    }
    dev.until(&key, 200, "").await;
    let best = took.iter().min().expect("five");
    assert!(*best < Duration::from_millis(100), "took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_work_for_the_grace_period_and_then_the_new_one() {
    let home = Home::new();
    let dev = home.start();
    let (_, made) = dev.user_with_key("alice").await;
    let (old, name) = (Key::from(&made), made.access_key.expect("there").name);
    let start = SystemTime::now();
    let new = rotate(&dev, &name, 5).await;
    assert_eq!(dev.list_buckets(&old).await.0, 200);
    assert_eq!(dev.list_buckets(&new).await.0, 200);
    dev.until(&old, 403, "SignatureDoesNotMatch").await;
    let took = start.elapsed().expect("time goes on");
    assert!(took >= Duration::from_millis(4900), "ended after {took:?}");
    assert_eq!(dev.list_buckets(&new).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_period_the_old_secret_fails_at_once() {
    let home = Home::new();
    let dev = home.start();
    let (_, made) = dev.user_with_key("alice").await;
    let (old, name) = (Key::from(&made), made.access_key.expect("there").name);
    let new = rotate(&dev, &name, 0).await;
    assert_eq!(dev.list_buckets(&old).await, (403, "SignatureDoesNotMatch".into()));
    assert_eq!(dev.list_buckets(&new).await.0, 200);
    let newer = rotate(&dev, &name, 60).await;
    let end = EndGracePeriodRequest { name, ..Default::default() };
    dev.access_keys().end_grace_period(end).await.expect("ended");
    dev.until(&new, 403, "SignatureDoesNotMatch").await;
    assert_eq!(dev.list_buckets(&newer).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_until_it_expires() {
    let home = Home::new();
    let dev = home.start();
    let (alice, _) = dev.user_with_key("alice").await;
    let expiring = |at: SystemTime| CreateAccessKeyRequest {
        parent: alice.name.clone(),
        access_key: Some(AccessKey { expire_time: Some(at.into()), ..Default::default() }),
        ..Default::default()
    };
    let past = SystemTime::now() - Duration::from_secs(1);
    let refusal = dev.access_keys().create_access_key(expiring(past)).await.expect_err("refused");
    assert_eq!(api::reason(&refusal), Some(Reason::TimeInPast));
    let end = SystemTime::now() + Duration::from_secs(3);
    let made = dev.access_keys().create_access_key(expiring(end)).await.expect("created");
    let made = made.into_inner();
    let key = Key::from(&made);
    dev.verify(&key, made.position).await.expect("a verdict");
    assert_eq!(dev.list_buckets(&key).await.0, 200);
    dev.until(&key, 403, "InvalidAccessKeyId").await;
    assert!(SystemTime::now() >= end - Duration::from_millis(1), "not a moment too early");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_or_deleted_key_is_an_invalid_one() {
    let home = Home::new();
    let dev = home.start();
    let (alice, made) = dev.user_with_key("alice").await;
    let (key, name) = (Key::from(&made), made.access_key.expect("there").name);
    set_state(&dev, &name, AccessKeyState::Inactive).await;
    dev.until(&key, 403, "InvalidAccessKeyId").await;
    set_state(&dev, &name, AccessKeyState::Active).await;
    dev.until(&key, 200, "").await;
    let request = DeleteAccessKeyRequest { name, ..Default::default() };
    dev.access_keys().delete_access_key(request).await.expect("deleted");
    dev.until(&key, 403, "InvalidAccessKeyId").await;
    let key = Key::from(&dev.key(&alice.name).await);
    let request = DeleteUserRequest { name: alice.name, force: true, ..Default::default() };
    dev.users().delete_user(request).await.expect("deleted");
    dev.until(&key, 403, "InvalidAccessKeyId").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_account_is_verified_and_kept_out_of_anothers_buckets() {
    let home = Home::new();
    let dev = home.start();
    let account = Account { display_name: "Other".into(), ..Default::default() };
    let request = CreateAccountRequest { account: Some(account), ..Default::default() };
    let made = dev.accounts().create_account(request).await.expect("created").into_inner();
    assert_eq!(made.root_user.expect("there").label, "Initial S3 user");
    let id = made.access_key.expect("there").access_key_id;
    let key = Key { id, secret: made.secret_access_key };
    let verdict = dev.verify(&key, made.position).await.expect("a verdict");
    assert!(is_verified(&verdict));
    assert_eq!(dev.list_buckets(&key).await, (200, String::new()));
    dev.aws_ok(&dev.root(), &["s3api", "create-bucket", "--bucket", "root-s"]);
    let request = signed_get(&format!("{}/root-s", dev.text("s3")), &key, SystemTime::now());
    assert_eq!(send(request).await, (403, "AccessDenied".into()));
}

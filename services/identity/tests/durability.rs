//! What is there after a restart, and when it does not start.

mod support;

use api::identity::v1::*;
use support::Home;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.clone().expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let key = identity.access_key(&alice.name).await.expect("created");
    let verified = identity.events().verify_log(VerifyLogRequest::default()).await;
    let before = verified.expect("whole").into_inner();
    identity.stop().await;

    let identity = home.start().await;
    let request = GetAccessKeyRequest {
        name: key.access_key.clone().expect("there").name,
        min_position: key.position,
        ..Default::default()
    };
    let got = identity.access_keys().get_access_key(request).await.expect("found").into_inner();
    assert_eq!(got.access_key, key.access_key);
    let verified = identity.events().verify_log(VerifyLogRequest::default()).await;
    let after = verified.expect("whole").into_inner();
    assert_eq!((before.head_position, before.head_hash), (after.head_position, after.head_hash));
}

#[tokio::test]
async fn a_second_process_cannot_have_the_same_data() {
    let home = Home::new();
    let _identity = home.start().await;
    let error = home.try_start().await.err().expect("is refused");
    assert!(format!("{error:#}").contains("another process"), "{error:#}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[tokio::test]
async fn an_old_copy_of_the_log_costs_no_data_key() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    identity.stop().await;
    let log = home.dir.path().join("data/log");
    let (old, new) = (home.dir.path().join("old"), home.dir.path().join("new"));
    copy(&log, &old);
    let identity = home.start().await;
    let request = CreateAccessKeyRequest {
        parent: root,
        request_id: "3f2b6f3e-0000-4000-8000-000000000003".into(),
        ..Default::default()
    };
    let made = identity.access_keys().create_access_key(request.clone()).await.expect("created");
    identity.stop().await;
    copy(&log, &new);

    copy(&old, &log);
    home.start().await.stop().await;
    copy(&new, &log);
    let identity = home.start().await;
    let again = identity.access_keys().create_access_key(request).await.expect("still opens");
    assert_eq!(again.into_inner().secret_access_key, made.into_inner().secret_access_key);
}

#[tokio::test]
async fn a_deletion_that_was_cut_short_is_finished_at_the_next_start() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.access_key.expect("there");
    let request = DeleteAccessKeyRequest { name: made.name, ..Default::default() };
    identity.access_keys().delete_access_key(request).await.expect("deleted");
    identity.stop().await;
    let keystore = || async {
        let keyring = sealing::Keyring::new(
            sealing::KeyEncryptionKey::from_file(&home.dir.path().join("kek")).expect("a key"),
        );
        let path = home.dir.path().join("data/keystore");
        sealing::Keystore::open(path, keyring).await.expect("opens")
    };
    // As if the process had ended between the event and the shredding.
    let left_over = keystore().await;
    assert!(left_over.get(&made.access_key_id).is_none(), "was shredded");
    left_over.create(&made.access_key_id).await.expect("made");
    drop(left_over);
    home.start().await.stop().await;
    assert!(keystore().await.get(&made.access_key_id).is_none(), "is shredded again");
}

#[tokio::test]
async fn a_clock_that_goes_back_shortens_no_grace_period() {
    let home = Home::new();
    home.clock.advance(3_600_000);
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there");
    home.clock.set(support::START_MS);
    let rotated = identity.rotate(&key.name, 1800).await.expect("rotated");
    let secrets = rotated.access_key.expect("there").secrets;
    assert_eq!(secrets.len(), 2, "{secrets:?}");
}

#[tokio::test]
async fn without_its_keystore_it_does_not_start() {
    let home = Home::new();
    let identity = home.start().await;
    identity.account("Acme").await;
    identity.stop().await;
    let keystore = home.dir.path().join("data/keystore");
    let kept = home.dir.path().join("kept");
    std::fs::rename(&keystore, &kept).expect("moved");
    let error = home.try_start().await.err().expect("is refused");
    assert!(format!("{error:#}").contains("it is not the keystore of this log"), "{error:#}");
    std::fs::rename(&kept, &keystore).expect("moved");
    home.start().await.stop().await;
}

#[tokio::test]
async fn only_the_owner_may_look_into_the_data() {
    let home = Home::new();
    let _identity = home.start().await;
    let data = std::fs::metadata(home.dir.path().join("data")).expect("exists");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777, 0o700);
}

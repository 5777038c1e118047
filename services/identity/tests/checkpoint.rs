//! Starts from a checkpoint of the write model, or without.

mod support;

use std::path::Path;

use api::identity::v1::*;
use support::{Heard, Home, Identity, copy_folder};
use tracing::Level;

/// Starts, asserts from which position the log was read and what was warned of, and stops.
async fn check(home: &Home, from: u64, warning: Option<&str>, known: &Known) {
    let heard = Heard::from_now();
    let identity = home.start().await;
    assert!(heard.has(Level::INFO, &format!("from={from} ")), "{warning:?}");
    let warnings = heard.warnings();
    assert_eq!(warnings.len(), usize::from(warning.is_some()), "{warnings:?}");
    assert!(warnings.iter().all(|line| line.contains(warning.expect("none"))), "{warnings:?}");
    assert_eq!(Known::of(&identity, &known.account).await, *known);
    let verified = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert!(verified.complete);
    identity.stop().await;
}

/// What there is to know of an account.
#[derive(Debug, PartialEq)]
struct Known {
    account: String,
    users: Vec<User>,
    access_keys: Vec<AccessKey>,
}

impl Known {
    async fn of(identity: &Identity, account: &str) -> Self {
        let users = ListUsersRequest { parent: account.into(), ..Default::default() };
        let keys =
            ListAccessKeysRequest { parent: format!("{account}/users/-"), ..Default::default() };
        Self {
            account: account.into(),
            users: identity.list_users(users).await.expect("listed").users,
            access_keys: identity.all_keys(keys).await,
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("read");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn a_checkpoint_spares_reading_the_log_and_one_of_no_use_costs_nothing_else() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    let root = made.root_user.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let key = identity.access_key(&alice.name).await.expect("created").access_key.expect("there");
    identity.rotate(&key.name, 3600).await.expect("rotated");
    let early = Known::of(&identity, &account).await;
    identity.stop().await;
    assert!(!home.data_dir().join("checkpoint").exists(), "the log is short");
    let (log, old_log) = (home.data_dir().join("log"), home.dir.path().join("old-log"));
    copy_folder(&log, &old_log);
    check(&home, 0, None, &early).await;

    let identity = home.start().await;
    identity.flood(&root, 10_000).await;
    let head = identity.head().await;
    let known = Known::of(&identity, &account).await;
    let (archive, image) = (identity.exported_log().await, identity.exported_keystore().await);
    identity.stop().await;
    let path = home.data_dir().join("checkpoint");
    let whole = std::fs::read(&path).expect("was written");
    check(&home, head, None, &known).await;

    // What follows the checkpoint is read.
    let identity = home.start().await;
    identity.user(&account, "bob").await.expect("created");
    let known = Known::of(&identity, &account).await;
    identity.stop().await;
    check(&home, head, None, &known).await;

    let of_no_use = Some("the checkpoint is of no use");
    change(&path, |bytes| bytes[1000] ^= 1);
    check(&home, 0, of_no_use, &known).await;
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
    check(&home, 0, of_no_use, &known).await;
    std::fs::write(&path, b"").expect("written");
    check(&home, 0, of_no_use, &known).await;
    std::fs::remove_file(&path).expect("removed");
    check(&home, 0, None, &known).await;

    // A checkpoint of what this log has not recorded.
    std::fs::write(&path, &whole).expect("written");
    copy_folder(&old_log, &log);
    check(&home, 0, Some("the checkpoint is not of this log"), &early).await;

    // A checkpoint from before a restore, which has a log of the same id.
    let restored = home.elsewhere();
    restored.restore(&archive, &image);
    std::fs::write(restored.data_dir().join("checkpoint"), &whole).expect("written");
    let heard = Heard::from_now();
    let identity = restored.start().await;
    let warnings = heard.warnings();
    assert!(warnings[0].contains("it is of another log or epoch"), "{warnings:?}");
    assert!(heard.has(Level::INFO, "from=0 "));
    let users = Known::of(&identity, &account).await.users;
    assert_eq!(users.len(), 2, "bob came after the export");
    identity.stop().await;
}

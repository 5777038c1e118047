//! Rotation of the key-encryption key, while calls go on.

mod support;

use api::identity::v1::*;
use sealing::{KeyEncryptionKey, Keyring};
use support::{Home, Identity, request_id};

fn new_key(user: &str, number: u128) -> CreateAccessKeyRequest {
    CreateAccessKeyRequest {
        parent: user.into(),
        request_id: request_id(number + 1),
        ..Default::default()
    }
}

/// The same key once more: it is in a ring, and rings are not shared.
fn same(key: &KeyEncryptionKey) -> KeyEncryptionKey {
    KeyEncryptionKey::from_text("a test", &key.expose_hex()).expect("a key")
}

async fn told(identity: &Identity) -> GetKeystoreResponse {
    identity.get_keystore(GetKeystoreRequest {}).await.expect("told")
}

#[tokio::test]
async fn a_new_key_takes_over_while_calls_go_on() {
    const USERS: u128 = 4;
    const KEYS: u128 = 10;
    let home = Home::new();
    let (old, new) = (home.kek(), KeyEncryptionKey::generate().expect("randomness"));
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let mut users = vec![];
    for n in 0..USERS {
        users.push(identity.user(&account, &format!("user-{n}")).await.expect("created").name);
    }
    let mut secrets = vec![];
    for n in 0..USERS * KEYS {
        let user = &users[usize::try_from(n % USERS).expect("fits")];
        let made = identity.create_access_key(new_key(user, n)).await.expect("created");
        secrets.push((user.clone(), n, made.secret_access_key));
    }
    let keystore = told(&identity).await;
    assert_eq!(keystore.kek_ids, [old.id().to_string()]);
    assert_eq!((keystore.data_keys, keystore.data_keys_to_rewrap), (41, 0));
    identity.stop().await;

    // Without the old one it does not start, and says which it needs.
    let error = home.try_start_with(Keyring::new(same(&new))).await.err().expect("is refused");
    let message = format!("{error:#}");
    assert!(message.contains(&old.id().to_string()), "{message}");

    let ring = || Keyring::new(same(&new)).with(same(&old)).expect("another");
    let identity = home.try_start_with(ring()).await.expect("starts with both");
    assert_eq!(told(&identity).await.kek_ids, [new.id().to_string(), old.id().to_string()]);
    let mut made_meanwhile = 0;
    while told(&identity).await.data_keys_to_rewrap > 0 || made_meanwhile == 0 {
        let user = identity.user(&account, &format!("late-{made_meanwhile}")).await;
        let user = user.expect("created").name;
        let number = USERS * KEYS + made_meanwhile;
        let made = identity.create_access_key(new_key(&user, number)).await.expect("created");
        secrets.push((user, number, made.secret_access_key));
        let rewrap = identity.keystore().rewrap_data_keys(RewrapDataKeysRequest {}).await;
        rewrap.expect("by two at once");
        made_meanwhile += 1;
    }
    identity.stop().await;

    let identity = home.try_start_with(Keyring::new(same(&new))).await.expect("the new one alone");
    let keystore = told(&identity).await;
    assert_eq!(keystore.kek_ids, [new.id().to_string()]);
    assert_eq!((keystore.data_keys_to_rewrap, keystore.damaged_slots), (0, 0));
    assert_eq!(u128::from(keystore.data_keys), 41 + made_meanwhile);
    for (user, number, secret) in secrets {
        let again = identity.create_access_key(new_key(&user, number)).await.expect("repeated");
        assert_eq!(again.secret_access_key, secret);
    }
    identity.stop().await;
    let error = home.try_start_with(Keyring::new(old)).await.err().expect("is refused");
    let message = format!("{error:#}");
    assert!(message.contains(&new.id().to_string()), "{message}");
}

#[tokio::test]
async fn identity_rewraps_by_itself() {
    let home = Home::new();
    let new = KeyEncryptionKey::generate().expect("randomness");
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    identity.stop().await;
    let ring = Keyring::new(same(&new)).with(home.kek()).expect("another");
    let identity = home.try_start_with(ring).await.expect("starts with both");
    while told(&identity).await.data_keys_to_rewrap > 0 {
        tokio::task::yield_now().await;
    }
    identity.rotate(&made.access_key.expect("there").name, 60).await.expect("rotated");
    identity.stop().await;
    let identity = home.try_start_with(Keyring::new(new)).await.expect("the new one alone");
    identity.stop().await;
}

#[tokio::test]
async fn a_backup_from_before_opens_with_the_key_of_then() {
    let home = Home::new();
    let new = KeyEncryptionKey::generate().expect("randomness");
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    let made = identity.create_access_key(new_key(&root, 1)).await.expect("created");
    let image = identity.exported_keystore().await;
    identity.stop().await;
    let ring = Keyring::new(same(&new)).with(home.kek()).expect("another");
    let identity = home.try_start_with(ring).await.expect("starts with both");
    while told(&identity).await.data_keys_to_rewrap > 0 {
        tokio::task::yield_now().await;
    }
    let archive = identity.exported_log().await;
    identity.stop().await;

    let restored = home.elsewhere();
    restored.restore(&archive, &image);
    let ring = Keyring::new(same(&new)).with(home.kek()).expect("another");
    let identity = restored.try_start_with(ring).await.expect("starts with both");
    let again = identity.create_access_key(new_key(&root, 1)).await.expect("repeated");
    assert_eq!(again.secret_access_key, made.secret_access_key);
}

//! The credential feed, over real gRPC.

mod support;

use api::error::v1::Reason;
use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::*;
use support::{DAY_MS, Home, Identity, START_MS};
use tonic::{Code, Streaming};

type Feed = Streaming<WatchCredentialsResponse>;

async fn watch(identity: &Identity) -> Feed {
    let watched = identity.feed().watch_credentials(WatchCredentialsRequest {}).await;
    watched.expect("watches").into_inner()
}

async fn next(feed: &mut Feed) -> Message {
    feed.message().await.expect("goes on").expect("there").message.expect("there")
}

/// The change at a position, whatever comes before it.
async fn change_at(feed: &mut Feed, position: u64) -> CredentialChange {
    loop {
        if let Message::Change(change) = next(feed).await
            && change.position == position
        {
            return change;
        }
    }
}

fn today() -> u32 {
    u32::try_from(START_MS / DAY_MS).expect("fits")
}

fn date_key(secret: &str, day: u32) -> Vec<u8> {
    let date = sigv4::Date::from_unix_seconds(i64::from(day) * 86_400);
    sigv4::DateKey::derive(secret.as_bytes(), &date).expose().to_vec()
}

#[tokio::test]
async fn the_feed_starts_with_all_there_is_and_goes_on_with_each_change() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let mut feed = watch(&identity).await;
    let Message::Snapshot(records) = next(&mut feed).await else { panic!("no snapshot") };
    assert_eq!((records.users.len(), records.access_keys.len()), (1, 1));
    let key = &records.access_keys[0];
    assert_eq!(key.access_key_id, made.access_key.expect("there").access_key_id);
    let days: Vec<u32> = key.secrets[0].date_keys.iter().map(|key| key.day).collect();
    assert_eq!(days, [today() - 1, today(), today() + 1]);
    for found in &key.secrets[0].date_keys {
        assert_eq!(found.key, date_key(&made.secret_access_key, found.day));
    }
    let Message::SnapshotComplete(complete) = next(&mut feed).await else {
        panic!("the snapshot does not end")
    };
    assert_eq!(complete.position, made.position);

    let root = made.root_user.expect("there").name;
    let second = identity.access_key(&root).await.expect("created");
    let change = change_at(&mut feed, second.position).await;
    assert_eq!(change.records.expect("there").access_keys.len(), 1);

    let name = second.access_key.expect("there").name;
    let rotated = identity.rotate(&name, 60).await.expect("rotated");
    let change = change_at(&mut feed, rotated.position).await.records.expect("there");
    let secrets = &change.access_keys[0].secrets;
    assert_eq!(secrets.iter().map(|s| s.generation).collect::<Vec<_>>(), [2, 1]);
    let end = i64::try_from(START_MS + 60_000).expect("fits");
    assert_eq!((secrets[0].expire_time_ms, secrets[1].expire_time_ms), (None, Some(end)));

    let request = LockUserRequest { name: root, ..Default::default() };
    let locked = identity.users().lock_user(request).await.expect("locked").into_inner();
    let change = change_at(&mut feed, locked.position).await.records.expect("there");
    assert!(change.users[0].locked && change.access_keys.is_empty());

    let request = DeleteAccessKeyRequest { name, ..Default::default() };
    let deleted = identity.access_keys().delete_access_key(request).await.expect("deleted");
    let change = change_at(&mut feed, deleted.into_inner().position).await;
    assert_eq!(change.deleted_access_key_ids.len(), 1);
}

#[tokio::test]
async fn every_position_is_told_so_that_a_verifier_can_wait_for_it() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let mut feed = watch(&identity).await;
    let label = UpdateUserRequest {
        user: Some(User { name: alice.name, label: "new".into(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["label".into()] }),
        ..Default::default()
    };
    let updated = identity.users().update_user(label).await.expect("updated").into_inner();
    let change = change_at(&mut feed, updated.position).await;
    assert!(change.records.expect("there").users.is_empty(), "a label is not auth's business");
}

#[tokio::test]
async fn a_new_days_keys_come_a_day_ahead_and_heartbeats_in_between() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let mut feed = watch(&identity).await;
    loop {
        if let Message::Heartbeat(heartbeat) = next(&mut feed).await {
            assert_eq!(heartbeat.position, made.position);
            break;
        }
    }
    home.clock.advance(DAY_MS / 2); // midnight
    let records = loop {
        if let Message::DateKeys(records) = next(&mut feed).await {
            break records;
        }
    };
    let key = records.date_keys[0].date_key.clone().expect("there");
    assert_eq!(key.day, today() + 2);
    assert_eq!(key.key, date_key(&made.secret_access_key, today() + 2));
}

#[tokio::test]
async fn older_days_are_derived_on_demand_for_known_keys_only() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let id = made.access_key.expect("there").access_key_id;
    let spelled = async |id: &str, day, spelling: i32| {
        let request = DeriveDateKeysRequest { access_key_id: id.into(), day, spelling };
        identity.feed().derive_date_keys(request).await.map(tonic::Response::into_inner)
    };
    let derive = async |id: &str, day| spelled(id, day, 0).await;
    let derived = derive(&id, today() - 7).await.expect("derived");
    let key = derived.date_keys[0].date_key.clone().expect("there");
    assert_eq!(key.key, date_key(&made.secret_access_key, today() - 7));
    for day in [0, today() - 9, today() + 2, u32::MAX] {
        let status = derive(&id, day).await.expect_err("is refused");
        assert_eq!(api::reason(&status), Some(Reason::InvalidField));
    }
    let osc4 = spelled(&id, today(), SignatureSpelling::Osc4.into()).await.expect("derived");
    let key = osc4.date_keys[0].date_key.clone().expect("there");
    let date = sigv4::Date::from_unix_seconds(i64::from(today()) * 86_400);
    let secret = made.secret_access_key.as_bytes();
    let expected = sigv4::DateKey::derive_spelled(sigv4::Spelling::Osc4, secret, &date);
    assert_eq!(key.key, expected.expose());
    let status = spelled(&id, today(), 99).await.expect_err("is refused");
    assert_eq!(api::reason(&status), Some(Reason::InvalidField));
    let status = derive("AKIAIOSFODNN7EXAMPLE", today()).await.expect_err("is refused");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn public_keys_are_derived_for_every_live_secret_of_a_known_key() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let key = made.access_key.expect("there");
    let derive = async |id: &str| {
        let request = DerivePublicKeysRequest { access_key_id: id.into() };
        identity.feed().derive_public_keys(request).await.map(tonic::Response::into_inner)
    };
    let expected = |generation, secret: &str| {
        let private = sigv4::PrivateKey::derive(&key.access_key_id, secret.as_bytes());
        let public = private.and_then(|key| key.public_key()).expect("has one");
        PublicKeyRecord { generation, public_key: public.to_bytes().to_vec() }
    };
    let first = expected(1, &made.secret_access_key);
    let derived = derive(&key.access_key_id).await.expect("derived");
    assert_eq!(derived.public_keys, std::slice::from_ref(&first));
    let rotated = identity.rotate(&key.name, 60).await.expect("rotated");
    let second = expected(2, &rotated.secret_access_key);
    let derived = derive(&key.access_key_id).await.expect("derived");
    assert_eq!(derived.public_keys, [second.clone(), first]);
    home.clock.advance(60_000);
    assert_eq!(derive(&key.access_key_id).await.expect("derived").public_keys, [second]);
    let status = derive("AKIAIOSFODNN7EXAMPLE").await.expect_err("is refused");
    assert_eq!(api::reason(&status), Some(Reason::NoSuchAccessKey));
    let status = derive("no id").await.expect_err("is refused");
    assert_eq!(api::reason(&status), Some(Reason::InvalidField));
}

#[tokio::test]
async fn a_signature_of_version_2_is_verified_only_where_that_is_turned_on() {
    use hmac::{Hmac, KeyInit, Mac};
    let mut home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let key = made.access_key.expect("there");
    let ask = async |identity: &Identity, id: &str, secret: &str, bytes: usize| {
        let text = "GET\n\n\nFri, 24 May 2013 00:00:00 GMT\n/bucket/key";
        let mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).expect("any key is one");
        let signature = mac.chain_update(text).finalize().into_bytes()[..bytes].to_vec();
        let (access_key_id, string_to_sign) = (id.into(), text.into());
        let request = VerifySignatureVersion2Request { access_key_id, string_to_sign, signature };
        let answer = identity.feed().verify_signature_version2(request).await;
        answer.map(|answer| answer.into_inner().generation).map_err(|status| api::reason(&status))
    };
    let (id, first) = (key.access_key_id.as_str(), made.secret_access_key.as_str());
    let off = Err(Some(Reason::SignatureVersion2Off));
    assert_eq!(ask(&identity, id, first, 20).await, off, "it is off by default");
    assert_eq!(ask(&identity, "AKIAIOSFODNN7EXAMPLE", first, 20).await, off, "for everybody");
    identity.stop().await;

    home.accepts_signature_v2 = true;
    let identity = home.start().await;
    assert_eq!(ask(&identity, id, first, 20).await, Ok(Some(1)));
    assert_eq!(ask(&identity, id, "another", 20).await, Ok(None));
    let rotated = identity.rotate(&key.name, 60).await.expect("rotated");
    assert_eq!(ask(&identity, id, first, 20).await, Ok(Some(1)));
    assert_eq!(ask(&identity, id, &rotated.secret_access_key, 20).await, Ok(Some(2)));
    home.clock.advance(60_000);
    assert_eq!(ask(&identity, id, first, 20).await, Ok(None));
    assert_eq!(ask(&identity, id, first, 19).await, Err(Some(Reason::InvalidField)));
    let nobody = Err(Some(Reason::NoSuchAccessKey));
    assert_eq!(ask(&identity, "AKIAIOSFODNN7EXAMPLE", first, 20).await, nobody);
}

#[tokio::test]
async fn the_feed_is_for_services_only() {
    let home = Home::new();
    let identity = home.start().await;
    let mut feed =
        api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient::new(
            identity.operator(),
        );
    let status = feed.watch_credentials(WatchCredentialsRequest {}).await.expect_err("is refused");
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_feed_ends_with_the_server() {
    let home = Home::new();
    let identity = home.start().await;
    identity.account("Acme").await;
    let mut feed = watch(&identity).await;
    next(&mut feed).await;
    identity.stop().await;
    let status = loop {
        match feed.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
}

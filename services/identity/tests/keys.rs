//! Access keys: what is asked of them, how they end, and how they come back.

mod support;

use api::error::v1::Reason;
use api::event::v1::AccountSettings;
use api::identity::v1::*;
use support::{DAY_MS, Home, Identity, START_MS, at, holds, is_in_files, mask, request_id};
use tonic::Code;

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3_600_000;
const BROUGHT_ID: &str = "AKIABROUGHTFROMAFAR7";
const BROUGHT_SECRET: &str = "brought/+secret~0123456789~abcdefghijklm";

async fn root(identity: &Identity) -> String {
    identity.account("Acme").await.root_user.expect("there").name
}

/// A key of a user, of which nothing is said.
async fn made(identity: &Identity, user: &str) -> AccessKey {
    identity.access_key(user).await.expect("created").access_key.expect("there")
}

async fn update<const N: usize>(
    identity: &Identity,
    access_key: AccessKey,
    paths: [&str; N],
) -> Result<AccessKey, tonic::Status> {
    let request = UpdateAccessKeyRequest {
        access_key: Some(access_key),
        update_mask: mask(paths),
        ..Default::default()
    };
    Ok(identity.update_access_key(request).await?.access_key.expect("there"))
}

fn brought() -> CreateAccessKeyRequest {
    CreateAccessKeyRequest {
        access_key: Some(AccessKey { access_key_id: BROUGHT_ID.into(), ..Default::default() }),
        secret_access_key: BROUGHT_SECRET.into(),
        ..Default::default()
    }
}

fn rotation(name: &str) -> RotateSecretAccessKeyRequest {
    RotateSecretAccessKeyRequest { name: name.into(), ..Default::default() }
}

fn replacement(name: &str, grace_period_seconds: Option<u32>) -> ReplaceAccessKeyRequest {
    ReplaceAccessKeyRequest { name: name.into(), grace_period_seconds, ..Default::default() }
}

fn undeletion(name: &str) -> UndeleteAccessKeyRequest {
    UndeleteAccessKeyRequest { name: name.into(), ..Default::default() }
}

fn purge(name: &str) -> PurgeAccessKeyRequest {
    PurgeAccessKeyRequest { name: name.into(), ..Default::default() }
}

fn generations(key: &AccessKey) -> Vec<u32> {
    key.secrets.iter().map(|secret| secret.generation).collect()
}

#[tokio::test]
async fn a_key_is_made_as_it_was_asked_for_and_changed_all_or_nothing() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let label = "é".repeat(256);
    let asked = AccessKey {
        label: label.clone(),
        slot: 1,
        state: AccessKeyState::Inactive.into(),
        ..Default::default()
    };
    let key = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");
    assert_eq!((&key.label, key.slot, key.state()), (&label, 1, AccessKeyState::Inactive));
    assert!(!key.imported && key.expire_time.is_none());
    assert_eq!(identity.key(&key.name).await, key);

    for bad in [
        AccessKey { label: "x".repeat(257), ..Default::default() },
        AccessKey { slot: 3, ..Default::default() },
        AccessKey { state: AccessKeyState::Expired.into(), ..Default::default() },
        AccessKey { state: AccessKeyState::Deleted.into(), ..Default::default() },
        AccessKey { state: 77, ..Default::default() },
    ] {
        identity.refuses_field(identity.key_with(&root, bad)).await;
    }
    let same_slot = AccessKey { slot: 1, ..Default::default() };
    let taken = identity.key_with(&root, same_slot.clone());
    identity.refuses(taken, Code::AlreadyExists, Reason::SlotTaken).await;

    let other = made(&identity, &root).await;
    let to_slot_1 = AccessKey { name: other.name.clone(), label: "new".into(), ..same_slot };
    let taken = update(&identity, to_slot_1.clone(), ["label", "slot"]);
    identity.refuses(taken, Code::AlreadyExists, Reason::SlotTaken).await;
    let freed = AccessKey { slot: 0, state: AccessKeyState::Active.into(), ..key.clone() };
    let freed = update(&identity, freed, ["slot", "state"]).await.expect("changed");
    assert_eq!((freed.slot, freed.state(), &freed.label), (0, AccessKeyState::Active, &label));
    assert_ne!(freed.etag, key.etag);
    let moved = update(&identity, to_slot_1.clone(), ["label", "slot"]).await.expect("is free");
    assert_eq!((moved.slot, moved.label.as_str()), (1, "new"));

    for paths in
        [vec![], vec!["name"], vec!["label", "secrets"], vec!["expire_time", "time_to_live"]]
    {
        let request = UpdateAccessKeyRequest {
            access_key: Some(to_slot_1.clone()),
            update_mask: Some(prost_types::FieldMask {
                paths: paths.into_iter().map(str::to_owned).collect(),
            }),
            ..Default::default()
        };
        identity.refuses_field(identity.update_access_key(request)).await;
    }
    let stale = AccessKey { etag: key.etag, label: "x".into(), ..freed };
    let stale = update(&identity, stale, ["label"]);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
}

#[tokio::test]
async fn a_brought_key_keeps_its_id_and_secret_which_is_nowhere_in_the_clear() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let request =
        CreateAccessKeyRequest { parent: root.clone(), request_id: request_id(1), ..brought() };
    let first = identity.create_access_key(request.clone()).await.expect("created");
    assert_eq!(first.secret_access_key, BROUGHT_SECRET);
    let key = first.access_key.clone().expect("there");
    assert_eq!((key.access_key_id.as_str(), key.imported), (BROUGHT_ID, true));
    let again = identity.create_access_key(request.clone()).await.expect("repeated");
    assert_eq!(again, first);
    let other_secret =
        CreateAccessKeyRequest { secret_access_key: BROUGHT_SECRET.replace('~', "-"), ..request };
    let reused = identity.create_access_key(other_secret);
    identity.refuses(reused, Code::AlreadyExists, Reason::RequestIdReused).await;

    let rotated = identity.rotate(&key.name, 60).await.expect("rotated");
    assert_ne!(rotated.secret_access_key, BROUGHT_SECRET);
    let archive = identity.exported_log().await;
    let image = identity.exported_keystore().await;
    identity.stop().await;
    for secret in [BROUGHT_SECRET, &rotated.secret_access_key] {
        assert!(!is_in_files(&home.data_dir(), secret.as_bytes()), "a secret is in a file");
        assert!(!holds(&archive, secret.as_bytes()) && !holds(&image, secret.as_bytes()));
    }
    assert!(is_in_files(&home.data_dir(), BROUGHT_ID.as_bytes()), "the files are looked into");
}

#[tokio::test]
async fn a_key_is_brought_whole_and_well_formed_and_its_id_is_new_for_ever() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let root = made.root_user.expect("there").name;
    let bring = |id: &str, secret: &str| {
        let mut request = CreateAccessKeyRequest { parent: root.clone(), ..brought() };
        request.access_key.as_mut().expect("there").access_key_id = id.into();
        request.secret_access_key = secret.into();
        identity.create_access_key(request)
    };
    for (id, secret) in [
        (BROUGHT_ID, String::new()),
        ("", BROUGHT_SECRET.into()),
        (BROUGHT_ID, "x".repeat(39)),
        (BROUGHT_ID, "x".repeat(129)),
        (BROUGHT_ID, format!("{} ", "x".repeat(39))),
        (BROUGHT_ID, "é".repeat(40)),
        ("AKIABROUGHTFROMAFAR", "x".repeat(40)),
        ("AKIABROUGHTFROMAFAR77", "x".repeat(40)),
        ("akiabroughtfromafar7", "x".repeat(40)),
        ("AKIABROUGHTFROM_FAR7", "x".repeat(40)),
    ] {
        identity.refuses_field(bring(id, &secret)).await;
    }
    let taken = made.access_key.expect("there").access_key_id;
    let refusal = bring(&taken, BROUGHT_SECRET);
    identity.refuses(refusal, Code::AlreadyExists, Reason::AccessKeyIdTaken).await;

    let key = bring(BROUGHT_ID, &"x".repeat(128)).await.expect("created").access_key;
    let key = key.expect("there");
    let other = identity.account("Other").await.root_user.expect("there").name;
    let elsewhere = CreateAccessKeyRequest { parent: other, ..brought() };
    let refusal = identity.create_access_key(elsewhere.clone());
    identity.refuses(refusal, Code::AlreadyExists, Reason::AccessKeyIdTaken).await;
    identity.delete_key(&key.name).await.expect("deleted");
    for refusal in [
        identity.create_access_key(elsewhere.clone()).await,
        bring(BROUGHT_ID, BROUGHT_SECRET).await,
    ] {
        identity.refuses(async { refusal }, Code::AlreadyExists, Reason::AccessKeyIdTaken).await;
    }
    identity.stop().await;
    let identity = home.start().await;
    let refusal = identity.create_access_key(elsewhere);
    identity.refuses(refusal, Code::AlreadyExists, Reason::AccessKeyIdTaken).await;
}

#[tokio::test]
async fn a_key_ends_when_it_was_asked_to_in_any_form() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let time = |ms| AccessKey { expire_time: Some(at(ms)), ..Default::default() };
    let ttl = |text: &str| AccessKey { time_to_live: text.into(), ..Default::default() };
    let date = |text: &str| AccessKey { expiration_date: text.into(), ..Default::default() };
    let march_1 = 1_772_323_200_000;
    for (asked, end, spelling) in [
        (time(march_1 + 123), Some(march_1 + 123), ""),
        (ttl("P30D"), Some(START_MS + 30 * DAY_MS), "P30D"),
        (ttl("P1DT36H0M5S"), Some(START_MS + DAY_MS + 36 * HOUR_MS + 5000), "P1DT36H0M5S"),
        (ttl("P4W"), Some(START_MS + 28 * DAY_MS), "P4W"),
        (ttl("0"), None, "0"),
        (ttl("PT0S"), None, "PT0S"),
        (date("20260301"), Some(march_1), ""),
        (date("2026-03-01"), Some(march_1), ""),
        (date("20260301T120000Z"), Some(march_1 + DAY_MS / 2), ""),
        (date("2026-03-01T12:00:00.250Z"), Some(march_1 + DAY_MS / 2 + 250), ""),
        (date("2026-03-01T13:00:00+01:00"), Some(march_1 + DAY_MS / 2), ""),
    ] {
        let told = format!("{asked:?}");
        let key = identity.key_with(&root, asked.clone()).await.expect("created").access_key;
        let key = key.expect("there");
        assert_eq!(key.expire_time, end.map(at), "{told}");
        assert_eq!((key.time_to_live.as_str(), key.expiration_date.as_str()), (spelling, ""));
        identity.delete_key(&key.name).await.expect("deleted");

        let key = made(&identity, &root).await;
        let changed = AccessKey { name: key.name.clone(), ..asked };
        let path = match () {
            () if changed.expire_time.is_some() => "expire_time",
            () if changed.time_to_live.is_empty() => "expiration_date",
            () => "time_to_live",
        };
        let changed = update(&identity, changed, [path]).await.expect("changed");
        assert_eq!((changed.expire_time, changed.time_to_live.as_str()), (end.map(at), spelling));
        identity.delete_key(&key.name).await.expect("deleted");
    }
    for bad in ["P1Y", "P1M", "1D", "P", "PT", "P-1D", "P1.5D", "P36501D", "P1W1D", &"9".repeat(65)]
    {
        identity.refuses_field(identity.key_with(&root, ttl(bad))).await;
    }
    for bad in ["2026", "2026-3-1", "2026-0301", "20260301T12:00:00Z", "2026-02-30", "31.12.2026"] {
        identity.refuses_field(identity.key_with(&root, date(bad))).await;
    }
    for two in [
        AccessKey { time_to_live: "P1D".into(), ..time(march_1) },
        AccessKey { expiration_date: "20260301".into(), ..time(march_1) },
        AccessKey { expiration_date: "20260301".into(), ..ttl("P1D") },
    ] {
        identity.refuses_field(identity.key_with(&root, two)).await;
    }
    let year_10000 = prost_types::Timestamp { seconds: 253_402_300_800, nanos: 0 };
    let far = AccessKey { expire_time: Some(year_10000), ..Default::default() };
    identity.refuses_field(identity.key_with(&root, far)).await;
    for past in [time(START_MS), date("2026-01-01"), date("20260101T120000Z")] {
        let past = identity.key_with(&root, past);
        identity.refuses(past, Code::InvalidArgument, Reason::TimeInPast).await;
    }
}

#[tokio::test]
async fn an_update_of_the_end_reads_the_form_that_its_mask_names() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let asked = AccessKey { time_to_live: "P30D".into(), ..Default::default() };
    let key = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");
    // As read, with one field changed: the other form of the end is still there.
    let changed = AccessKey { expire_time: Some(at(START_MS + DAY_MS)), ..key.clone() };
    let changed = AccessKey { etag: String::new(), ..changed };
    let changed = update(&identity, changed, ["expire_time"]).await.expect("changed");
    assert_eq!(changed.expire_time, Some(at(START_MS + DAY_MS)));
    assert_eq!(changed.time_to_live, "");
    let changed = AccessKey { time_to_live: "PT1H".into(), ..changed };
    let changed = update(&identity, changed, ["time_to_live"]).await.expect("changed");
    assert_eq!(changed.expire_time, Some(at(START_MS + HOUR_MS)));
    let changed = AccessKey { time_to_live: String::new(), ..changed };
    let changed = update(&identity, changed, ["time_to_live"]).await.expect("removed");
    assert_eq!((changed.expire_time, changed.time_to_live.as_str()), (None, ""));
}

#[tokio::test]
async fn a_caller_may_limit_lifetimes_beside_the_account() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let create = |ttl: &str, lifetime_days_max| {
        let access_key = AccessKey { time_to_live: ttl.into(), ..Default::default() };
        let request = CreateAccessKeyRequest {
            parent: root.clone(),
            access_key: Some(access_key),
            lifetime_days_max,
            ..Default::default()
        };
        identity.create_access_key(request)
    };
    let key = create("P1095D", 1095).await.expect("just so").access_key.expect("there");
    create("0", 1095).await.expect("no end is no lifetime");
    let too_long = (Code::InvalidArgument, Reason::LifetimeTooLong);
    identity.refuses(create("P1095DT1S", 1095), too_long.0, too_long.1).await;
    let longer = |paths: &str| UpdateAccessKeyRequest {
        access_key: Some(AccessKey { time_to_live: "P1096D".into(), ..key.clone() }),
        update_mask: mask([paths]),
        lifetime_days_max: 1095,
        ..Default::default()
    };
    let refusal = identity.update_access_key(longer("time_to_live"));
    identity.refuses(refusal, too_long.0, too_long.1).await;
    identity.update_access_key(longer("label")).await.expect("no matter of lifetimes");
    let rotated = RotateSecretAccessKeyRequest {
        access_key: Some(AccessKey { time_to_live: "P1096D".into(), ..Default::default() }),
        lifetime_days_max: 1095,
        ..rotation(&key.name)
    };
    let refusal = identity.rotate_secret_access_key(rotated);
    identity.refuses(refusal, too_long.0, too_long.1).await;

    let settings =
        AccountSettings { access_key_lifetime_seconds_max: 86_400, ..Default::default() };
    let made = identity.account_with(settings).await;
    assert_eq!(made.access_key.expect("there").expire_time, Some(at(START_MS + DAY_MS)));
    let strict = made.root_user.expect("there").name;
    let endless = identity.access_key(&strict);
    identity.refuses(endless, Code::InvalidArgument, Reason::ExpiryRequired).await;
    let long = AccessKey { time_to_live: "P1DT1S".into(), ..Default::default() };
    identity.refuses(identity.key_with(&strict, long), too_long.0, too_long.1).await;
    let allowed = AccessKey { time_to_live: "P1D".into(), ..Default::default() };
    identity.key_with(&strict, allowed).await.expect("just so");
}

#[tokio::test]
async fn a_key_begins_and_ends_at_the_instant() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let asked = AccessKey {
        not_before_time: Some(at(START_MS + HOUR_MS)),
        time_to_live: "PT1H".into(),
        ..Default::default()
    };
    let key = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");
    assert_eq!(key.expire_time, Some(at(START_MS + 2 * HOUR_MS)), "it lives from when it begins");
    for (ms, state) in [
        (START_MS, AccessKeyState::NotYetValid),
        (START_MS + HOUR_MS - 1, AccessKeyState::NotYetValid),
        (START_MS + HOUR_MS, AccessKeyState::Active),
        (START_MS + 2 * HOUR_MS - 1, AccessKeyState::Active),
        (START_MS + 2 * HOUR_MS, AccessKeyState::Expired),
    ] {
        home.clock.set(ms);
        let shown = identity.key(&key.name).await;
        assert_eq!((shown.state(), shown.etag), (state, key.etag.clone()), "at {ms}");
    }
    let now = START_MS + 2 * HOUR_MS;
    let beginning = |ms| AccessKey { not_before_time: Some(at(ms)), ..Default::default() };
    let begun = identity.key_with(&root, beginning(now)).await.expect("created").access_key;
    let begun = begun.expect("there");
    assert_eq!((begun.state(), begun.not_before_time), (AccessKeyState::Active, None));
    let ended = AccessKey { expire_time: Some(at(now + 1000)), ..beginning(now + 1000) };
    identity.refuses_field(identity.key_with(&root, ended)).await;
    let far = beginning(now + 36_501 * DAY_MS);
    identity.refuses_field(identity.key_with(&root, far)).await;
    let inactive = AccessKey { state: AccessKeyState::Inactive.into(), ..beginning(now + HOUR_MS) };
    let inactive = identity.key_with(&root, inactive).await.expect("created").access_key;
    assert_eq!(inactive.expect("there").state(), AccessKeyState::Inactive);
}

#[tokio::test]
async fn a_rotation_that_does_not_say_has_the_accounts_grace_period() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { default_grace_period_seconds: 60, ..Default::default() };
    let made = identity.account_with(settings).await;
    let name = made.access_key.expect("there").name;
    let rotate = |grace_period_seconds| {
        let request = RotateSecretAccessKeyRequest { grace_period_seconds, ..rotation(&name) };
        identity.rotate_secret_access_key(request)
    };
    let key = rotate(None).await.expect("rotated").access_key.expect("there");
    assert_eq!(generations(&key), [2, 1]);
    assert_eq!(key.secrets[1].expire_time, Some(at(START_MS + 60 * SECOND_MS)));
    let key = rotate(None).await.expect("rotated").access_key.expect("there");
    assert_eq!(generations(&key), [3, 2], "the oldest ends at once");
    let key = rotate(Some(0)).await.expect("rotated").access_key.expect("there");
    assert_eq!(generations(&key), [4]);
    let end = EndGracePeriodRequest { name: name.clone(), ..Default::default() };
    let none = identity.end_grace_period(end.clone());
    identity.refuses(none, Code::FailedPrecondition, Reason::NoGracePeriod).await;
    identity.refuses_field(rotate(Some(7_776_001))).await;
    rotate(Some(7_776_000)).await.expect("the longest");
    let ended = identity.end_grace_period(end.clone()).await.expect("ended").access_key;
    assert_eq!(generations(&ended.expect("there")), [5]);
    rotate(None).await.expect("rotated");
    home.clock.advance(60 * SECOND_MS);
    identity
        .refuses(identity.end_grace_period(end), Code::FailedPrecondition, Reason::NoGracePeriod)
        .await;
}

#[tokio::test]
async fn a_time_to_live_begins_anew_with_each_rotation_and_an_end_stays() {
    let home = Home::new();
    let identity = home.start().await;
    let root = root(&identity).await;
    let ttl = AccessKey { time_to_live: "PT1H".into(), ..Default::default() };
    let living = identity.key_with(&root, ttl).await.expect("created").access_key.expect("there");
    let end = AccessKey { expire_time: Some(at(START_MS + HOUR_MS)), ..Default::default() };
    let ending =
        identity.key_with(&root, end.clone()).await.expect("created").access_key.expect("there");
    home.clock.advance(HOUR_MS / 2);
    let rotated = identity.rotate(&living.name, 7200).await.expect("rotated").access_key;
    let rotated = rotated.expect("there");
    assert_eq!(rotated.expire_time, Some(at(START_MS + HOUR_MS + HOUR_MS / 2)));
    assert_eq!(rotated.time_to_live, "PT1H");
    assert_eq!(rotated.secrets[1].expire_time, rotated.expire_time, "it ends with its key");
    let rotated = identity.rotate(&ending.name, 0).await.expect("rotated").access_key;
    assert_eq!(rotated.expect("there").expire_time, Some(at(START_MS + HOUR_MS)));

    home.clock.advance(2 * HOUR_MS);
    let now = START_MS + 2 * HOUR_MS + HOUR_MS / 2;
    let revived = identity.rotate(&living.name, 60).await.expect("begins anew").access_key;
    let revived = revived.expect("there");
    assert_eq!((revived.state(), generations(&revived)), (AccessKeyState::Active, vec![3]));
    assert_eq!(revived.expire_time, Some(at(now + HOUR_MS)));
    let expired = identity.rotate(&ending.name, 60);
    identity.refuses(expired, Code::FailedPrecondition, Reason::AccessKeyExpired).await;
    let request = RotateSecretAccessKeyRequest {
        access_key: Some(AccessKey { time_to_live: "P1D".into(), ..Default::default() }),
        ..rotation(&ending.name)
    };
    let revived = identity.rotate_secret_access_key(request).await.expect("with a new end");
    let revived = revived.access_key.expect("there");
    assert_eq!(revived.expire_time, Some(at(now + DAY_MS)));
    let past = RotateSecretAccessKeyRequest { access_key: Some(end), ..rotation(&ending.name) };
    let past = identity.rotate_secret_access_key(past);
    identity.refuses(past, Code::InvalidArgument, Reason::TimeInPast).await;
    let stale = RotateSecretAccessKeyRequest { etag: ending.etag, ..rotation(&ending.name) };
    let stale = identity.rotate_secret_access_key(stale);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
}

#[tokio::test]
async fn a_key_is_replaced_at_once_or_after_a_grace_period() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { access_keys_per_user_max: 2, ..Default::default() };
    let made = identity.account_with(settings).await;
    let root = made.root_user.expect("there").name;
    let asked = AccessKey { slot: 1, time_to_live: "P1D".into(), ..Default::default() };
    let old = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");

    let full = identity.replace_access_key(replacement(&old.name, Some(60)));
    identity.refuses(full, Code::ResourceExhausted, Reason::KeyLimit).await;
    let keys = identity.data_keys().await;
    let new = identity.replace_access_key(replacement(&old.name, None)).await;
    let new = new.expect("one for one").access_key.expect("there");
    assert_eq!((new.slot, new.expire_time), (1, None));
    assert_eq!(identity.data_keys().await, keys, "the old one's is destroyed");
    let request = GetAccessKeyRequest { name: old.name.clone(), ..Default::default() };
    support::refused(
        identity.get_access_key(request).await,
        Code::NotFound,
        Reason::NoSuchAccessKey,
    );
    let gone = identity.replace_access_key(replacement(&old.name, None));
    identity.refuses(gone, Code::NotFound, Reason::NoSuchAccessKey).await;

    identity.delete_key(&made.access_key.expect("there").name).await.expect("deleted");
    let too_long = identity.replace_access_key(replacement(&new.name, Some(7_776_001)));
    identity.refuses_field(too_long).await;
    let bring = brought();
    let request = ReplaceAccessKeyRequest {
        access_key: bring.access_key,
        secret_access_key: bring.secret_access_key,
        etag: new.etag.clone(),
        ..replacement(&new.name, Some(60))
    };
    let newest = identity.replace_access_key(request.clone()).await.expect("replaced");
    assert_eq!(newest.secret_access_key, BROUGHT_SECRET);
    let newest = newest.access_key.expect("there");
    assert_eq!((newest.access_key_id.as_str(), newest.slot), (BROUGHT_ID, 1));
    let ending = identity.key(&new.name).await;
    assert_eq!((ending.slot, ending.state()), (0, AccessKeyState::Active));
    assert_eq!(ending.expire_time, Some(at(START_MS + 60 * SECOND_MS)));
    let stale =
        ReplaceAccessKeyRequest { access_key: None, secret_access_key: String::new(), ..request };
    let stale = identity.replace_access_key(stale);
    // It is full as well; but who saw another state is told that first, as by every other call.
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
    home.clock.advance(60 * SECOND_MS);
    assert_eq!(identity.key(&new.name).await.state(), AccessKeyState::Expired);
}

#[tokio::test]
async fn the_last_key_that_can_be_used_is_replaced_when_it_is_deleted() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let root = made.root_user.expect("there").name;
    let first = made.access_key.expect("there");
    let asked = AccessKey { slot: 2, label: "laptop".into(), ..Default::default() };
    let second = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");
    let delete = |name: &str| {
        let request =
            DeleteAccessKeyRequest { name: name.into(), replace_last: true, ..Default::default() };
        identity.delete_access_key(request)
    };
    let deleted = delete(&first.name).await.expect("deleted");
    assert_eq!((deleted.replacement, deleted.replacement_secret_access_key.as_str()), (None, ""));
    assert_eq!(identity.data_keys().await, 1, "what was made ready for it is destroyed");
    let deleted = delete(&second.name).await.expect("deleted");
    let replacement = deleted.replacement.expect("there");
    assert_eq!(deleted.replacement_secret_access_key.len(), 40);
    assert_eq!((replacement.slot, replacement.label.as_str()), (2, "laptop"));
    assert_eq!(identity.key(&replacement.name).await, replacement);

    let off = AccessKey { state: AccessKeyState::Inactive.into(), ..replacement };
    let off = update(&identity, AccessKey { etag: String::new(), ..off }, ["state"]).await;
    let deleted = delete(&off.expect("changed").name).await.expect("deleted");
    assert_eq!(deleted.replacement, None, "it could not be used");
    assert_eq!(identity.data_keys().await, 0);
}

#[tokio::test]
async fn a_deleted_key_comes_back_while_it_is_retained() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings {
        retention_seconds: 3600,
        access_keys_per_user_max: 2,
        ..Default::default()
    };
    let root = identity.account_with(settings).await.root_user.expect("there").name;
    let request = CreateAccessKeyRequest {
        parent: root.clone(),
        access_key: Some(AccessKey { slot: 1, label: "kept".into(), ..Default::default() }),
        request_id: request_id(1),
        ..Default::default()
    };
    let made = identity.create_access_key(request.clone()).await.expect("created");
    let key = made.access_key.clone().expect("there");
    let name = key.name.as_str();
    for refusal in [
        identity.undelete_access_key(undeletion(name)).await.map(drop),
        identity.purge_access_key(purge(name)).await.map(drop),
    ] {
        identity.refuses(async { refusal }, Code::FailedPrecondition, Reason::NotDeleted).await;
    }

    identity.delete_key(name).await.expect("deleted");
    assert_eq!(identity.data_keys().await, 2, "the data key is retained");
    let deleted = identity.key(name).await;
    assert_eq!(deleted.state(), AccessKeyState::Deleted);
    assert_eq!(deleted.delete_time, Some(at(START_MS)));
    assert_eq!(deleted.purge_time, Some(at(START_MS + HOUR_MS)));
    let repeated = identity.create_access_key(request.clone());
    identity.refuses(repeated, Code::FailedPrecondition, Reason::SecretShredded).await;
    for refusal in [
        identity.rotate(name, 0).await.map(drop),
        identity.delete_key(name).await.map(drop),
        update(&identity, AccessKey { label: "x".into(), ..key.clone() }, ["label"])
            .await
            .map(drop),
        identity.replace_access_key(replacement(name, None)).await.map(drop),
    ] {
        identity.refuses(async { refusal }, Code::NotFound, Reason::NoSuchAccessKey).await;
    }

    let other = AccessKey { slot: 1, ..Default::default() };
    let other = identity.key_with(&root, other).await.expect("created").access_key.expect("there");
    let full = identity.undelete_access_key(undeletion(name));
    identity.refuses(full, Code::ResourceExhausted, Reason::KeyLimit).await;
    let first =
        identity.all_keys(ListAccessKeysRequest { parent: root.clone(), ..Default::default() });
    let first = first.await.into_iter().find(|key| key.name != other.name).expect("there");
    identity.delete_key(&first.name).await.expect("deleted");
    let taken = identity.undelete_access_key(undeletion(name));
    identity.refuses(taken, Code::AlreadyExists, Reason::SlotTaken).await;
    identity.delete_key(&other.name).await.expect("deleted");
    let stale = UndeleteAccessKeyRequest { etag: first.etag, ..undeletion(name) };
    let stale = identity.undelete_access_key(stale);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
    let back = identity.undelete_access_key(undeletion(name)).await.expect("is back");
    let back = back.access_key.expect("there");
    assert_eq!((back.slot, back.label.as_str(), back.delete_time), (1, "kept", None));
    assert_eq!(back.state(), AccessKeyState::Active);
    let again = identity.create_access_key(request.clone()).await.expect("the secret is alive");
    assert_eq!(again, made);
    identity.rotate(name, 0).await.expect("as before");

    identity.delete_key(name).await.expect("deleted");
    assert_eq!(identity.data_keys().await, 3);
    identity.purge_access_key(purge(name)).await.expect("purged");
    assert_eq!(identity.data_keys().await, 2, "its data key alone is gone");
    for refusal in [
        identity.undelete_access_key(undeletion(name)).await.map(drop),
        identity.purge_access_key(purge(name)).await.map(drop),
    ] {
        identity.refuses(async { refusal }, Code::NotFound, Reason::NoSuchAccessKey).await;
    }
    let repeated = identity.create_access_key(request);
    identity.refuses(repeated, Code::FailedPrecondition, Reason::SecretShredded).await;
}

#[tokio::test]
async fn a_deleted_key_is_gone_at_the_end_of_its_retention() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { retention_seconds: 3600, ..Default::default() };
    let key = identity.account_with(settings).await.access_key.expect("there");
    identity.delete_key(&key.name).await.expect("deleted");
    let get = || GetAccessKeyRequest { name: key.name.clone(), ..Default::default() };
    home.clock.advance(HOUR_MS - 1);
    assert_eq!(identity.key(&key.name).await.state(), AccessKeyState::Deleted);
    home.clock.advance(1);
    // Whether or not it has been purged by now.
    let gone = identity.get_access_key(get()).await;
    support::refused(gone, Code::NotFound, Reason::NoSuchAccessKey);
    let gone = identity.undelete_access_key(undeletion(&key.name)).await;
    support::refused(gone, Code::NotFound, Reason::NoSuchAccessKey);
}

#[tokio::test]
async fn keys_are_listed_by_age_and_with_those_that_were_deleted() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { retention_seconds: 7_776_000, ..Default::default() };
    let made_account = identity.account_with(settings).await;
    let root = made_account.root_user.expect("there").name;
    let first = made_account.access_key.expect("there").name;
    home.clock.advance(1);
    let rotated = made(&identity, &root).await.name;
    home.clock.advance(30 * DAY_MS - 2);
    let list = async |older_than_days, show_deleted| -> Vec<String> {
        let request = ListAccessKeysRequest {
            parent: root.clone(),
            older_than_days,
            show_deleted,
            page_size: 1,
            ..Default::default()
        };
        identity.all_keys(request).await.into_iter().map(|key| key.name).collect()
    };
    assert!(list(30, false).await.is_empty());
    identity.rotate(&rotated, 60).await.expect("rotated");
    home.clock.advance(1);
    assert_eq!(list(30, false).await, [first.as_str()], "the secret counts, not its key");
    assert_eq!(list(31, false).await, [""; 0]);
    assert_eq!(list(u32::MAX, false).await, [""; 0]);
    let new = made(&identity, &root).await.name;
    identity.delete_key(&first).await.expect("deleted");
    assert_eq!(list(0, false).await, [rotated.clone(), new.clone()]);
    assert_eq!(list(0, true).await, [first.clone(), rotated, new], "in its place");
    assert_eq!(list(30, true).await, [first]);
}

#[tokio::test]
async fn keys_are_paged_to_the_end_whoever_holds_them() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let mut all = vec![];
    for (name, keys) in [("Bob", 3), ("alice", 2), ("carol", 4), ("nobody", 0)] {
        let user = identity.user(&account, name).await.expect("created").name;
        for _ in 0..keys {
            all.push((name.to_lowercase(), made(&identity, &user).await.name));
            home.clock.advance(1);
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let of_root = |name: &String| !all.iter().any(|(_, made)| made == name);
    for page_size in [1, 2, 3, 1000] {
        let list =
            |parent: String| ListAccessKeysRequest { parent, page_size, ..Default::default() };
        let listed = identity.all_keys(list(format!("{account}/users/-"))).await;
        let mut names: Vec<_> = listed.into_iter().map(|key| key.name).collect();
        assert!(of_root(&names.pop().expect("the root user's comes last")));
        assert!(names.iter().eq(all.iter().map(|(_, name)| name)), "{page_size}: {names:?}");
        let of_bob = identity.all_keys(list(format!("{account}/users/bob"))).await;
        let bobs = all.iter().filter(|(user, _)| user == "bob").map(|(_, name)| name);
        assert!(of_bob.iter().map(|key| &key.name).eq(bobs));
        assert!(identity.all_keys(list(format!("{account}/users/nobody"))).await.is_empty());
    }
    let list = |parent: &str, page_size, page_token: &str| {
        identity.list_access_keys(ListAccessKeysRequest {
            parent: format!("{account}/users/{parent}"),
            page_size,
            page_token: page_token.into(),
            ..Default::default()
        })
    };
    let first = list("bob", 1, "").await.expect("listed");
    assert_eq!(first.access_keys.len(), 1);
    for parent in ["-", "alice"] {
        let other = list(parent, 1, &first.next_page_token).await;
        support::refused(other, Code::InvalidArgument, Reason::InvalidPageToken);
    }
    for size in [-1, 1001] {
        let bad = list("bob", size, "").await;
        support::refused(bad, Code::InvalidArgument, Reason::InvalidField);
    }
    let unknown = list("dave", 1, "").await;
    support::refused(unknown, Code::NotFound, Reason::NoSuchUser);
}

//! Records: users, services and SVMs, with all their fields.

use api::identity::v1::{AccessKey, Account, User};
use chrono::{DateTime, SecondsFormat};
use prost_types::Timestamp;
use serde_json::{Map, Value, json};

use super::duration;
use super::query::encode;

/// What an SVM is in the records of others.
fn svm_of(account: &Account) -> Value {
    let (uuid, name) = (&account.account_id, &account.display_name);
    json!({ "uuid": uuid, "name": name, "_links": links(&svm_path(uuid)) })
}

pub(crate) fn links(path: &str) -> Value {
    json!({ "self": { "href": path } })
}

fn svm_path(uuid: &str) -> String {
    format!("/api/svm/svms/{uuid}")
}

/// Where a user is.
pub(crate) fn user_path(account: &Account, name: &str) -> String {
    format!("/api/protocols/s3/services/{}/users/{}", account.account_id, encode(name))
}

/// A user with its access keys. Those of a slot come first and have an `id`; those that were made without one
/// have none.
pub(crate) fn user(account: &Account, user: &User, keys: &[AccessKey]) -> Value {
    let mut record = Map::new();
    record.insert("svm".into(), svm_of(account));
    record.insert("name".into(), json!(user.user_name));
    record.insert("comment".into(), json!(user.comment));
    if let Some(first) = keys.iter().find(|key| key.slot == 1) {
        record.insert("access_key".into(), json!(first.access_key_id));
        if let Some(end) = time(first.expire_time.as_ref()) {
            record.insert("key_expiry_time".into(), end);
        }
        if !first.time_to_live.is_empty() {
            record.insert("key_time_to_live".into(), json!(first.time_to_live));
        }
    }
    let mut sorted: Vec<&AccessKey> = keys.iter().collect();
    sorted.sort_by_key(|key| if key.slot == 0 { u32::MAX } else { key.slot });
    record.insert("keys".into(), sorted.into_iter().map(key).collect());
    record.insert("_links".into(), links(&user_path(account, &user.user_name)));
    Value::Object(record)
}

fn key(key: &AccessKey) -> Value {
    let mut record = Map::new();
    if key.slot > 0 {
        record.insert("id".into(), json!(key.slot));
    }
    record.insert("access_key".into(), json!(key.access_key_id));
    if let Some(end) = time(key.expire_time.as_ref()) {
        record.insert("expiry_time".into(), end);
    }
    if !key.time_to_live.is_empty() {
        record.insert("time_to_live".into(), json!(key.time_to_live));
    }
    Value::Object(record)
}

/// An access key that was just made, with its secret: the one time that it is told.
pub(crate) fn made_key(account: &Account, name: &str, key: &AccessKey, secret: &str) -> Value {
    let mut record = Map::new();
    record.insert("name".into(), json!(name));
    record.insert("access_key".into(), json!(key.access_key_id));
    record.insert("secret_key".into(), json!(secret));
    if let Some(end) = time(key.expire_time.as_ref()) {
        record.insert("key_expiry_time".into(), end);
    }
    record.insert("_links".into(), links(&user_path(account, name)));
    Value::Object(record)
}

pub(crate) fn service(account: &Account) -> Value {
    let max = account.settings.clone().unwrap_or_default().access_key_lifetime_seconds_max;
    let path = format!("/api/protocols/s3/services/{}", account.account_id);
    let mut record = json!({
        "svm": svm_of(account),
        "name": account.display_name,
        "enabled": true,
        "_links": links(&path),
    });
    if max > 0 {
        record["max_key_time_to_live"] = json!(duration::write(max));
    }
    record
}

pub(crate) fn svm(account: &Account) -> Value {
    json!({
        "uuid": account.account_id,
        "name": account.display_name,
        "state": "running",
        "subtype": "default",
        "s3": { "enabled": true },
        "_links": links(&svm_path(&account.account_id)),
    })
}

/// In RFC 3339, to the millisecond where it is not a whole second.
fn time(at: Option<&Timestamp>) -> Option<Value> {
    let at = at?;
    let at = DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)?;
    Some(json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: &str, slot: u32) -> AccessKey {
        AccessKey { access_key_id: id.into(), slot, ..Default::default() }
    }

    #[test]
    fn a_user_shows_the_key_of_slot_1_and_then_all() {
        let account =
            Account { account_id: "u".into(), display_name: "n".into(), ..Default::default() };
        let user = User { user_name: "a@b".into(), ..Default::default() };
        let first = AccessKey {
            expire_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 }),
            time_to_live: "P1D".into(),
            ..made("ONE", 1)
        };
        let record = super::user(&account, &user, &[made("NONE", 0), made("TWO", 2), first]);
        assert_eq!(record["access_key"], "ONE");
        assert_eq!(record["key_expiry_time"], "2023-11-14T22:13:20.005Z");
        assert_eq!(record["key_time_to_live"], "P1D");
        let keys = json!([
            {"id": 1, "access_key": "ONE", "expiry_time": "2023-11-14T22:13:20.005Z", "time_to_live": "P1D"},
            {"id": 2, "access_key": "TWO"},
            {"access_key": "NONE"},
        ]);
        assert_eq!(record["keys"], keys);
        assert_eq!(record["_links"]["self"]["href"], "/api/protocols/s3/services/u/users/a%40b");
        let record = super::user(&account, &user, &[made("NONE", 0)]);
        assert_eq!(record.get("access_key"), None);
    }
}

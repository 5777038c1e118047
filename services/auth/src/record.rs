//! The feed's messages become records of the read model.
//!
//! What cannot be read is logged and left out, without its content. If it stands for something that
//! was known, that ends: what was true before is no longer, and what is true now is not known.

use api::event::v1::LockoutMode as Mode;
use api::identity::v1 as pb;
use read_model::{
    AccessKeyRecord, AccountRecord, Change, DateKeyRecord, LockoutMode, SECRETS_MAX, SecretRecord,
    UserId, UserRecord,
};
use sigv4::{DateKey, PublicKey};
use tracing::warn;
use zeroize::Zeroize;

/// An access key ID has at most 128 bytes (IAM API reference, `accessKeyIdType`).
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;

/// Why a record was left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Malformed {
    #[error("user id is not 16 bytes")]
    UserId,
    #[error("account id is not 16 bytes")]
    AccountId,
    #[error("access key id is not 1 to 128 bytes")]
    AccessKeyId,
    #[error("access key has more secrets than may be valid at once")]
    Secrets,
    #[error("date key is missing or not 32 bytes")]
    DateKey,
    #[error("public key is no point of the curve")]
    PublicKey,
}

/// Reads records.
pub(crate) fn change(records: pb::CredentialRecords) -> Change {
    let mut change = Change::default();
    for record in records.accounts {
        match account(&record) {
            Ok(record) => change.accounts.push(record),
            Err(malformed) => warn!(%malformed, "left out an account of the credential feed"),
        }
    }
    for record in records.users {
        let id = user_id(&record.user_id);
        match user(record) {
            Ok(record) => change.users.push(record),
            Err(malformed) => {
                warn!(%malformed, "left out a user of the credential feed");
                change.deleted_users.extend(id);
            }
        }
    }
    for record in records.access_keys {
        let id = access_key_id(&record.access_key_id).ok().map(str::to_owned);
        match access_key(record) {
            Ok(record) => change.access_keys.push(record),
            Err(malformed) => {
                warn!(%malformed, "left out an access key of the credential feed");
                change.deleted_access_keys.extend(id);
            }
        }
    }
    change
}

/// Reads what an event changed.
pub(crate) fn event(message: pb::CredentialChange) -> Change {
    let mut change = change(message.records.unwrap_or_default());
    change.deleted_access_keys.extend(message.deleted_access_key_ids);
    for id in message.deleted_user_ids {
        match user_id(&id) {
            Ok(id) => change.deleted_users.push(id),
            Err(malformed) => warn!(%malformed, "left out a deletion of the credential feed"),
        }
    }
    change
}

/// Reads date keys.
pub(crate) fn date_keys(records: Vec<pb::DateKeyRecord>) -> impl Iterator<Item = DateKeyRecord> {
    records.into_iter().filter_map(|record| {
        let generation = record.generation;
        match record.date_key.ok_or(Malformed::DateKey).and_then(date_key) {
            Ok((day, date_key)) => {
                let access_key_id = record.access_key_id;
                Some(DateKeyRecord { access_key_id, generation, day, date_key })
            }
            Err(malformed) => {
                warn!(%malformed, "left out a date key");
                None
            }
        }
    })
}

/// Reads public keys, by generation: as many as there may be secrets.
pub(crate) fn public_keys(
    records: Vec<pb::PublicKeyRecord>,
) -> impl Iterator<Item = (u32, PublicKey)> {
    records.into_iter().take(SECRETS_MAX).filter_map(|record| {
        let key = PublicKey::from_bytes(&record.public_key);
        if key.is_none() {
            warn!(malformed = %Malformed::PublicKey, "left out a public key");
        }
        Some((record.generation, key?))
    })
}

fn account(record: &pb::AccountRecord) -> Result<AccountRecord, Malformed> {
    let account_id = record.account_id.as_slice().try_into().map_err(|_| Malformed::AccountId)?;
    let lockout = match Mode::try_from(record.lockout_mode) {
        Ok(Mode::Off) => LockoutMode::Off,
        Ok(Mode::PerKey) => LockoutMode::PerKey,
        Ok(Mode::PerSource | Mode::Unspecified) | Err(_) => LockoutMode::PerSource,
    };
    Ok(AccountRecord { account_id, lockout })
}

fn user(record: pb::UserRecord) -> Result<UserRecord, Malformed> {
    Ok(UserRecord {
        user_id: user_id(&record.user_id)?,
        account_id: record.account_id.as_slice().try_into().map_err(|_| Malformed::AccountId)?,
        account_number: record.account_number,
        user_name: record.user_name,
        root: record.root,
        locked: record.locked,
    })
}

fn access_key(record: pb::AccessKeyRecord) -> Result<AccessKeyRecord, Malformed> {
    access_key_id(&record.access_key_id)?;
    if record.secrets.len() > SECRETS_MAX {
        return Err(Malformed::Secrets);
    }
    Ok(AccessKeyRecord {
        access_key_id: record.access_key_id,
        user_id: user_id(&record.user_id)?,
        active: record.active,
        not_before_ms: record.not_before_time_ms,
        expires_at_ms: record.expire_time_ms,
        secrets: record.secrets.into_iter().map(secret).collect(),
    })
}

fn secret(record: pb::SecretRecord) -> SecretRecord {
    let mut date_keys = Vec::with_capacity(record.date_keys.len());
    for key in record.date_keys {
        match date_key(key) {
            Ok(key) => date_keys.push(key),
            // Fetched again when somebody signs with it.
            Err(malformed) => warn!(%malformed, "left out a date key of the credential feed"),
        }
    }
    let generation = record.generation;
    SecretRecord { generation, expires_at_ms: record.expire_time_ms, date_keys }
}

fn date_key(mut record: pb::DateKey) -> Result<(u32, DateKey), Malformed> {
    let key = <[u8; 32]>::try_from(record.key.as_slice()).map(DateKey::from_bytes);
    record.key.zeroize();
    Ok((record.day, key.map_err(|_| Malformed::DateKey)?))
}

fn access_key_id(id: &str) -> Result<&str, Malformed> {
    let is_id = (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&id.len());
    if is_id { Ok(id) } else { Err(Malformed::AccessKeyId) }
}

fn user_id(id: &[u8]) -> Result<UserId, Malformed> {
    id.try_into().map_err(|_| Malformed::UserId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_user() -> pb::UserRecord {
        pb::UserRecord {
            user_id: vec![1; 16],
            account_id: vec![2; 16],
            account_number: "123456789012".into(),
            user_name: "alice".into(),
            root: false,
            locked: false,
        }
    }

    fn a_key() -> pb::AccessKeyRecord {
        let date_keys = vec![pb::DateKey { day: 20_000, key: vec![3; 32] }];
        pb::AccessKeyRecord {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            user_id: vec![1; 16],
            active: true,
            not_before_time_ms: Some(4),
            expire_time_ms: Some(5),
            secrets: vec![pb::SecretRecord { generation: 1, expire_time_ms: None, date_keys }],
        }
    }

    /// Reads one user and one access key, and tells what came out: users, access keys, deletions.
    fn check(user: pb::UserRecord, key: pb::AccessKeyRecord) -> (usize, usize, usize, usize) {
        let records =
            pb::CredentialRecords { users: vec![user], access_keys: vec![key], accounts: vec![] };
        let read = change(records);
        let deleted = (read.deleted_users.len(), read.deleted_access_keys.len());
        (read.users.len(), read.access_keys.len(), deleted.0, deleted.1)
    }

    #[test]
    fn records_are_read() {
        assert_eq!(check(a_user(), a_key()), (1, 1, 0, 0));
        let read =
            change(pb::CredentialRecords { access_keys: vec![a_key()], ..Default::default() });
        let key = &read.access_keys[0];
        assert_eq!((key.not_before_ms, key.expires_at_ms), (Some(4), Some(5)));
    }

    #[test]
    fn what_cannot_be_read_ends_what_was_known_under_its_id() {
        let user = pb::UserRecord { account_id: vec![2; 15], ..a_user() };
        assert_eq!(check(user, a_key()), (0, 1, 1, 0));
        let user = pb::UserRecord { user_id: vec![], ..a_user() };
        assert_eq!(check(user, a_key()), (0, 1, 0, 0));
        let key = pb::AccessKeyRecord { user_id: vec![1; 17], ..a_key() };
        assert_eq!(check(a_user(), key), (1, 0, 0, 1));
        let key = pb::AccessKeyRecord { secrets: vec![Default::default(); 3], ..a_key() };
        assert_eq!(check(a_user(), key), (1, 0, 0, 1));
        for id in [String::new(), "A".repeat(129)] {
            let key = pb::AccessKeyRecord { access_key_id: id, ..a_key() };
            assert_eq!(check(a_user(), key), (1, 0, 0, 0));
        }
    }

    #[test]
    fn a_date_key_that_cannot_be_read_does_not_take_its_secret_along() {
        let mut key = a_key();
        key.secrets[0].date_keys.push(pb::DateKey { day: 20_001, key: vec![3; 31] });
        let records = pb::CredentialRecords { access_keys: vec![key], ..Default::default() };
        let read = change(records);
        assert_eq!(read.access_keys[0].secrets[0].date_keys.len(), 1);
    }

    #[test]
    fn an_account_is_read_and_what_it_asks_for_is_by_source_if_that_is_not_known() {
        for (told, lockout) in [
            (Mode::Unspecified.into(), LockoutMode::PerSource),
            (Mode::Off.into(), LockoutMode::Off),
            (Mode::PerSource.into(), LockoutMode::PerSource),
            (Mode::PerKey.into(), LockoutMode::PerKey),
            (99, LockoutMode::PerSource),
        ] {
            let record = pb::AccountRecord { account_id: vec![2; 16], lockout_mode: told };
            let records = pb::CredentialRecords { accounts: vec![record], ..Default::default() };
            let expected = AccountRecord { account_id: [2; 16], lockout };
            assert_eq!(change(records).accounts, [expected]);
        }
        let record = pb::AccountRecord { account_id: vec![2; 15], lockout_mode: 1 };
        let records = pb::CredentialRecords { accounts: vec![record], ..Default::default() };
        assert_eq!(change(records).accounts, []);
    }
}

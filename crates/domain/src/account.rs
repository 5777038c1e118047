//! Accounts: tenants that own users.

use chrono::serde::ts_milliseconds;
use serde::{Deserialize, Serialize};

use crate::{
    AccessKey, AccountEvent, AccountNumber, AccountSettings, DisplayName, Refusal, Timestamp,
};

/// What is known of an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// Its number in ARNs.
    pub number: AccountNumber,
    /// Its name for people.
    pub display_name: DisplayName,
    /// What it asks of access keys.
    pub settings: AccountSettings,
    /// When it was made.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
    /// When it was last changed, its users apart.
    #[serde(with = "ts_milliseconds")]
    pub modified_at: Timestamp,
}

/// What can be asked of an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the account.
    Create {
        /// Its number in ARNs.
        number: AccountNumber,
        /// Its name for people.
        display_name: DisplayName,
        /// What it asks of access keys.
        settings: AccountSettings,
    },
    /// Change what is given, all of it or nothing.
    Update {
        /// Its name for people.
        display_name: Option<DisplayName>,
        /// What it asks of access keys; checked.
        settings: Option<AccountSettings>,
        /// The access key of its users that has the most time left, see [`longest_lived`].
        longest_lived: Option<AccessKey>,
    },
    /// Delete the account.
    Delete {
        /// How many users it has beside its root user.
        users: usize,
        /// How many buckets it has.
        buckets: usize,
    },
}

/// Decides what `command`, given at `now`, does to `account`, which is `None` until it was made and
/// after it was deleted: the events to record, none if nothing changes.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(
    account: Option<&Account>,
    command: Command,
    now: Timestamp,
) -> Result<Vec<AccountEvent>, Refusal> {
    match (account, command) {
        (Some(_), Command::Create { .. }) => Err(Refusal::AccountExists),
        (None, Command::Create { number, display_name, settings }) => {
            let created = AccountEvent::Created { number, display_name };
            let changed = (settings != AccountSettings::default())
                .then_some(AccountEvent::SettingsChanged { settings });
            Ok([created].into_iter().chain(changed).collect())
        }
        (None, Command::Update { .. } | Command::Delete { .. }) => Err(Refusal::NoSuchAccount),
        (Some(account), Command::Update { display_name, settings, longest_lived }) => {
            let mut events = vec![];
            if let Some(display_name) = display_name.filter(|name| *name != account.display_name) {
                events.push(AccountEvent::Renamed { display_name });
            }
            if let Some(settings) = settings.filter(|settings| *settings != account.settings) {
                refuse_longer_lifetimes(&account.settings, &settings, longest_lived, now)?;
                events.push(AccountEvent::SettingsChanged { settings });
            }
            Ok(events)
        }
        (Some(_), Command::Delete { users: 0, buckets: 0 }) => Ok(vec![AccountEvent::Deleted]),
        (Some(_), Command::Delete { users: 0, buckets: count }) => {
            Err(Refusal::AccountHasBuckets { count })
        }
        (Some(_), Command::Delete { users: count, .. }) => Err(Refusal::AccountHasUsers { count }),
    }
}

/// The access key that has the most time left at `now`.
pub fn longest_lived<'a>(
    access_keys: impl Iterator<Item = &'a AccessKey>,
    now: Timestamp,
) -> Option<&'a AccessKey> {
    access_keys.max_by_key(|key| key.seconds_left(now).unwrap_or(u64::MAX))
}

/// Refuses to limit lifetimes to less than what an access key has left, as OUTSCALE does.
fn refuse_longer_lifetimes(
    before: &AccountSettings,
    after: &AccountSettings,
    longest_lived: Option<AccessKey>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(max) = after.access_key_lifetime_seconds_max else { return Ok(()) };
    // To allow more than before is always fine.
    if before.access_key_lifetime_seconds_max.is_some_and(|before| before <= max) {
        return Ok(());
    }
    match longest_lived {
        Some(key) if key.seconds_left(now).is_none_or(|left| left > max) => {
            Err(Refusal::LifetimesLonger { id: key.id })
        }
        Some(_) | None => Ok(()),
    }
}

/// Applies one event, recorded at `at`. Total: what is in the log has happened and cannot be
/// refused; an event that does not fit the state leaves it as it is.
pub fn evolve(account: Option<Account>, event: &AccountEvent, at: Timestamp) -> Option<Account> {
    let Some(mut account) = account else {
        let AccountEvent::Created { number, display_name } = event else { return None };
        return Some(Account {
            number: *number,
            display_name: display_name.clone(),
            settings: AccountSettings::default(),
            created_at: at,
            modified_at: at,
        });
    };
    match event {
        AccountEvent::Created { .. } | AccountEvent::Unchanged => return Some(account),
        AccountEvent::Renamed { display_name } => account.display_name = display_name.clone(),
        AccountEvent::SettingsChanged { settings } => account.settings = settings.clone(),
        AccountEvent::Deleted => return None,
    }
    account.modified_at = at;
    Some(account)
}

#[cfg(test)]
mod tests;

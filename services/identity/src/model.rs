//! The write model: accounts, users and access keys as the log has them, in memory.
//!
//! It is a projection of the log and of nothing else: applied event by event, in order, at boot as
//! in service. What is decided is decided on it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use domain::{
    AccessKey, AccessKeyId, Account, AccountId, AccountNumber, Event, Timestamp, User, UserEvent,
    UserId, UserName, account, user,
};
use event_store::{Position, Recorded, Revision};
use uuid::Uuid;

use crate::stream::Stream;

/// Everything that is known at one position.
#[derive(Debug, Default)]
pub(crate) struct Model {
    position: Position,
    time_ms: u64,
    accounts: BTreeMap<AccountId, AccountEntry>,
    account_numbers: HashMap<AccountNumber, AccountId>,
    users: HashMap<UserId, UserEntry>,
    access_keys: HashMap<AccessKeyId, UserId>,
    commands: HashMap<Uuid, KnownCommand>,
}

#[derive(Debug)]
pub(crate) struct AccountEntry {
    pub(crate) id: AccountId,
    pub(crate) account: Account,
    /// By folded name: the order in which users are listed.
    users: BTreeMap<String, UserId>,
}

#[derive(Clone, Debug)]
pub(crate) struct UserEntry {
    pub(crate) id: UserId,
    pub(crate) account: AccountId,
    pub(crate) user: User,
    pub(crate) revision: Revision,
}

/// Where the outcome of a command stands that may be asked for again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KnownCommand {
    pub(crate) digest: [u8; 32],
    pub(crate) first: Position,
    pub(crate) last: Position,
    time_ms: u64,
}

/// What an event changed, for those who keep a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Nothing that a verifier knows.
    None,
    /// The user itself.
    User(UserId),
    /// The user is gone.
    UserDeleted(UserId),
    /// One access key.
    AccessKey(AccessKeyId),
    /// The access key is gone.
    AccessKeyDeleted(AccessKeyId),
}

/// An event that does not fit the model: the log was not written by this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("event {0}: {1}")]
    Payload(Position, #[source] event_store::PayloadError),
    #[error("event {0} is in the stream {1}, which it does not fit")]
    Stream(Position, String),
}

impl Model {
    /// How far the log has been applied.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// When the last event was recorded, in milliseconds since 1970.
    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// How many access keys there are that the keystore does not hold a data key for.
    pub(crate) fn access_keys_without(&self, data_keys: &HashSet<Box<str>>) -> (usize, usize) {
        let missing = self.access_keys.keys().filter(|id| !data_keys.contains(id.as_str()));
        (missing.count(), self.access_keys.len())
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<&AccountEntry> {
        self.accounts.get(&id)
    }

    pub(crate) fn account_by_number(&self, number: AccountNumber) -> Option<AccountId> {
        self.account_numbers.get(&number).copied()
    }

    /// Accounts after `after`, oldest first.
    pub(crate) fn accounts_after(
        &self,
        after: Option<AccountId>,
    ) -> impl Iterator<Item = &AccountEntry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.accounts.range((from, Bound::Unbounded)).map(|(_, entry)| entry)
    }

    pub(crate) fn user(&self, id: UserId) -> Option<&UserEntry> {
        self.users.get(&id)
    }

    pub(crate) fn user_by_name(&self, account: AccountId, name: &UserName) -> Option<UserId> {
        self.accounts.get(&account)?.users.get(&name.folded()).copied()
    }

    /// Users of an account with a folded name from `from` on, in that order.
    pub(crate) fn users_from(
        &self,
        account: AccountId,
        from: Bound<String>,
    ) -> impl Iterator<Item = &UserEntry> {
        let users = self.accounts.get(&account).map(|entry| &entry.users);
        users
            .into_iter()
            .flat_map(move |users| users.range((from.clone(), Bound::Unbounded)))
            .filter_map(|(_, id)| self.users.get(id))
    }

    pub(crate) fn access_key(&self, id: &AccessKeyId) -> Option<(&UserEntry, &AccessKey)> {
        let entry = self.users.get(self.access_keys.get(id)?)?;
        Some((entry, entry.user.access_key(id)?))
    }

    pub(crate) fn access_key_count(&self) -> usize {
        self.access_keys.len()
    }

    pub(crate) fn holds_access_key(&self, id: &str) -> bool {
        AccessKeyId::parse(id).is_ok_and(|id| self.access_keys.contains_key(&id))
    }

    /// Ids of all users, in no order.
    pub(crate) fn user_ids(&self) -> Vec<UserId> {
        self.users.keys().copied().collect()
    }

    /// A command that was recorded in the 24 hours before `now_ms`.
    pub(crate) fn command(&self, id: Uuid, now_ms: u64) -> Option<KnownCommand> {
        let oldest = now_ms.saturating_sub(event_store::COMMAND_MEMORY_MS);
        self.commands.get(&id).copied().filter(|command| command.time_ms >= oldest)
    }

    /// Applies the event after [`Self::position`].
    ///
    /// # Errors
    /// [`ApplyError`]: nothing was applied, and nothing after it can be.
    pub(crate) fn apply(&mut self, recorded: &Recorded) -> Result<Effect, ApplyError> {
        let unfit = || ApplyError::Stream(recorded.position, recorded.stream.to_string());
        let event = event_store::payload::decode(
            recorded.schema_version,
            recorded.payload.clone(),
            recorded.sealed.as_ref(),
        )
        .map_err(|error| ApplyError::Payload(recorded.position, error))?;
        let at = time(recorded.time_ms);
        let stream = Stream::parse(recorded.stream.as_str()).ok_or_else(unfit)?;
        let effect = match (stream, event) {
            (Stream::Account(id), Event::Account(event)) => {
                let known = self.accounts.remove(&id);
                let users = known.as_ref().map(|entry| entry.users.clone()).unwrap_or_default();
                if let Some(account) = account::evolve(known.map(|entry| entry.account), &event, at)
                {
                    self.account_numbers.insert(account.number, id);
                    self.accounts.insert(id, AccountEntry { id, account, users });
                }
                Effect::None
            }
            (Stream::User(id), Event::User(event)) => {
                self.apply_user(id, AccountId(recorded.account), &event, recorded.revision, at)
            }
            (Stream::Account(_), Event::User(_)) | (Stream::User(_), Event::Account(_)) => {
                return Err(unfit());
            }
        };
        self.remember(recorded);
        self.position = recorded.position;
        self.time_ms = recorded.time_ms;
        Ok(effect)
    }

    fn apply_user(
        &mut self,
        id: UserId,
        account: AccountId,
        event: &UserEvent,
        revision: Revision,
        at: Timestamp,
    ) -> Effect {
        let known = self.users.remove(&id).map(|entry| entry.user);
        let names = self.accounts.get_mut(&account).map(|entry| &mut entry.users);
        let effect = match event {
            UserEvent::Created { name, .. } => {
                if let Some(names) = names {
                    names.insert(name.folded(), id);
                }
                Effect::User(id)
            }
            UserEvent::Deleted => {
                if let (Some(names), Some(user)) = (names, &known) {
                    names.remove(&user.name.folded());
                }
                for key in known.iter().flat_map(|user| &user.access_keys) {
                    self.access_keys.remove(&key.id);
                }
                Effect::UserDeleted(id)
            }
            UserEvent::Locked | UserEvent::Unlocked => Effect::User(id),
            UserEvent::LabelChanged { .. } => Effect::None,
            UserEvent::AccessKeyCreated { id: key, .. } => {
                self.access_keys.insert(key.clone(), id);
                Effect::AccessKey(key.clone())
            }
            UserEvent::AccessKeyDeleted { id: key } => {
                self.access_keys.remove(key);
                Effect::AccessKeyDeleted(key.clone())
            }
            UserEvent::AccessKeyActivated { id: key }
            | UserEvent::AccessKeyDeactivated { id: key }
            | UserEvent::AccessKeyExpiryChanged { id: key, .. }
            | UserEvent::SecretAccessKeyRotated { id: key, .. }
            | UserEvent::GracePeriodEnded { id: key } => Effect::AccessKey(key.clone()),
        };
        if let Some(user) = user::evolve(known, event, at) {
            self.users.insert(id, UserEntry { id, account, user, revision });
        }
        effect
    }

    /// Keeps the outcome of a command that a client gave an id, for as long as the log does.
    fn remember(&mut self, recorded: &Recorded) {
        if !crate::command::is_repeatable(recorded.command_id) || !recorded.ends_batch() {
            return;
        }
        let first = recorded.position.0 - u64::from(recorded.batch_index);
        let command = KnownCommand {
            digest: recorded.command_digest,
            first: Position(first),
            last: recorded.position,
            time_ms: recorded.time_ms,
        };
        self.commands.insert(recorded.command_id, command);
        // Sweeps in proportion to growth, so that remembering costs O(1) on average.
        if self.commands.len().is_power_of_two() {
            let oldest = recorded.time_ms.saturating_sub(event_store::COMMAND_MEMORY_MS);
            self.commands.retain(|_, command| command.time_ms >= oldest);
        }
    }
}

/// A log's time as the domain has it.
pub(crate) fn time(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(Timestamp::from_timestamp_millis).unwrap_or(Timestamp::MAX_UTC)
}

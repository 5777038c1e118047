//! The write model: accounts, users, access keys, buckets and admin tokens as the log has them, in memory.
//!
//! It is a projection of the log and of nothing else: applied event by event, in order, at boot as
//! in service. What is decided is decided on it.

mod buckets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::{panic, thread};

use domain::{
    AccessKey, AccessKeyId, Account, AccountEvent, AccountId, AccountNumber, AccountSettings,
    AdminToken, AdminTokenEvent, AdminTokenId, Bucket, BucketEvent, BucketName, Event, Timestamp,
    TokenHash, User, UserEvent, UserId, UserName, account, admin_token, user,
};
use event_store::{Head, Position, Recorded, Revision};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::buckets::Buckets;
use crate::stream::Stream;
use crate::vault::PasswordId;

/// Everything that is known at one position.
#[derive(Debug)]
pub(crate) struct Model {
    head: Head,
    time_ms: u64,
    accounts: BTreeMap<AccountId, AccountEntry>,
    account_numbers: HashMap<AccountNumber, AccountId>,
    /// Of each account that there ever was.
    pasts: HashMap<AccountId, AccountPast>,
    // Trees, also where no order is asked for: filled from a checkpoint, in order, they take half the
    // time and memory of a hash map.
    users: BTreeMap<UserId, Arc<UserEntry>>,
    former_users: BTreeMap<UserId, Arc<FormerUser>>,
    /// Who holds an access key, or held it and can have it undeleted.
    access_keys: BTreeMap<AccessKeyId, UserId>,
    /// Who held an access key that is gone for good.
    former_access_keys: BTreeMap<AccessKeyId, UserId>,
    buckets: Buckets,
    admin_tokens: BTreeMap<AdminTokenId, AdminTokenEntry>,
    token_hashes: HashMap<TokenHash, AdminTokenId>,
    commands: HashMap<Uuid, KnownCommand>,
}

/// An account.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AccountEntry {
    pub(crate) id: AccountId,
    pub(crate) account: Account,
    pub(crate) revision: Revision,
    /// By folded name: the order in which users are listed. Made from the users.
    #[serde(skip)]
    users: BTreeMap<Box<str>, UserId>,
}

/// What an account ever had.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountPast {
    /// Where its events stand.
    pub(crate) events: Arc<Vec<Position>>,
    /// All users that it ever had, oldest first.
    pub(crate) users: BTreeSet<UserId>,
}

/// A user with its access keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct UserEntry {
    pub(crate) id: UserId,
    pub(crate) account: AccountId,
    pub(crate) user: User,
    pub(crate) revision: Revision,
    /// Where its events stand.
    pub(crate) events: Vec<Position>,
}

/// A user that was deleted.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FormerUser {
    pub(crate) id: UserId,
    pub(crate) account: AccountId,
    /// Where its events stand.
    pub(crate) events: Vec<Position>,
}

/// An admin token.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AdminTokenEntry {
    pub(crate) id: AdminTokenId,
    pub(crate) token: AdminToken,
    pub(crate) revision: Revision,
}

/// Where the outcome of a command stands that may be asked for again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KnownCommand {
    pub(crate) digest: [u8; 32],
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) time_ms: u64,
}

/// What an event changed, for those who keep a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Nothing that a verifier knows.
    None,
    /// What an account asks of access keys.
    Account(AccountId),
    /// The user itself.
    User(UserId),
    /// The user is gone.
    UserDeleted(UserId),
    /// One access key.
    AccessKey(AccessKeyId),
    /// The access key is gone.
    AccessKeyDeleted(AccessKeyId),
    /// Whose a bucket is: nothing that a verifier knows, but a gateway does.
    Bucket(BucketName),
}

/// An event that does not fit the model: the log was not written by this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("event {0}: {1}")]
    Payload(Position, #[source] event_store::PayloadError),
    #[error("event {0} is in the stream {1}, which it does not fit")]
    Stream(Position, String),
}

/// All of a model, in one order, so that two that are the same are written the same. Shares what
/// is large with the model that it was taken of.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) head: Head,
    pub(crate) time_ms: u64,
    pub(crate) accounts: Vec<AccountEntry>,
    pub(crate) account_events: Vec<(AccountId, Arc<Vec<Position>>)>,
    pub(crate) users: Vec<Arc<UserEntry>>,
    pub(crate) former_users: Vec<Arc<FormerUser>>,
    pub(crate) former_access_keys: Vec<(AccessKeyId, UserId)>,
    pub(crate) buckets: Vec<(BucketName, Bucket)>,
    pub(crate) bucket_revisions: Vec<(AccountId, Revision)>,
    pub(crate) admin_tokens: Vec<AdminTokenEntry>,
    pub(crate) commands: Vec<(Uuid, KnownCommand)>,
}

impl Model {
    /// Of a log without events, whose head that is.
    pub(crate) fn new(genesis: Head) -> Self {
        Self {
            head: genesis,
            time_ms: 0,
            accounts: BTreeMap::new(),
            account_numbers: HashMap::new(),
            pasts: HashMap::new(),
            users: BTreeMap::new(),
            former_users: BTreeMap::new(),
            access_keys: BTreeMap::new(),
            former_access_keys: BTreeMap::new(),
            buckets: Buckets::default(),
            admin_tokens: BTreeMap::new(),
            token_hashes: HashMap::new(),
            commands: HashMap::new(),
        }
    }

    /// How far the log has been applied.
    pub(crate) fn position(&self) -> Position {
        self.head.position
    }

    /// The last event that was applied.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// When the last event was recorded, in milliseconds since 1970.
    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<&AccountEntry> {
        self.accounts.get(&id)
    }

    /// What an account asks of access keys.
    pub(crate) fn settings(&self, id: AccountId) -> AccountSettings {
        self.accounts.get(&id).map(|entry| entry.account.settings.clone()).unwrap_or_default()
    }

    /// What an account ever had, also one that was deleted.
    pub(crate) fn past(&self, id: AccountId) -> Option<&AccountPast> {
        self.pasts.get(&id)
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

    pub(crate) fn user(&self, id: UserId) -> Option<&Arc<UserEntry>> {
        self.users.get(&id)
    }

    /// Whose a user is or was, and where its events stand.
    pub(crate) fn user_past(&self, id: UserId) -> Option<(AccountId, &[Position])> {
        let present = self.users.get(&id).map(|entry| (entry.account, entry.events.as_slice()));
        present.or_else(|| {
            self.former_users.get(&id).map(|entry| (entry.account, entry.events.as_slice()))
        })
    }

    pub(crate) fn user_by_name(&self, account: AccountId, name: &UserName) -> Option<UserId> {
        self.accounts.get(&account)?.users.get(name.folded().as_str()).copied()
    }

    /// Users of an account with a folded name from `from` on, in that order.
    pub(crate) fn users_from(
        &self,
        account: AccountId,
        from: Bound<String>,
    ) -> impl Iterator<Item = &Arc<UserEntry>> {
        let users = self.accounts.get(&account).map(|entry| &entry.users);
        users
            .into_iter()
            .flat_map(move |users| {
                let from = from.as_ref().map(String::as_str);
                users.range::<str, _>((from, Bound::Unbounded))
            })
            .filter_map(|(_, id)| self.users.get(id))
    }

    pub(crate) fn access_key(&self, id: &AccessKeyId) -> Option<(&Arc<UserEntry>, &AccessKey)> {
        let entry = self.holder(id)?;
        Some((entry, entry.user.access_key(id)?))
    }

    /// Who holds an access key, or held it and can have it undeleted.
    pub(crate) fn holder(&self, id: &AccessKeyId) -> Option<&Arc<UserEntry>> {
        self.users.get(self.access_keys.get(id)?)
    }

    /// Who holds an access key or ever held it, and whose that user is or was.
    pub(crate) fn holder_ever(&self, id: &AccessKeyId) -> Option<(AccountId, UserId)> {
        let user = self.access_keys.get(id).or_else(|| self.former_access_keys.get(id))?;
        self.user_past(*user).map(|(account, _)| (account, *user))
    }

    pub(crate) fn access_key_count(&self) -> usize {
        self.access_keys.len()
    }

    /// Whether an access key is there, or can be undeleted.
    pub(crate) fn holds_access_key(&self, id: &str) -> bool {
        AccessKeyId::parse(id).is_ok_and(|id| self.access_keys.contains_key(&id))
    }

    /// Whether there was an access key that is gone for good.
    fn held_access_key(&self, id: &str) -> bool {
        AccessKeyId::parse(id).is_ok_and(|id| self.former_access_keys.contains_key(&id))
    }

    /// How many data keys there should be: of access keys, and of passwords.
    pub(crate) fn data_key_count(&self) -> usize {
        let passwords = self.users.values().filter(|entry| entry.user.password().is_some());
        self.access_keys.len() + passwords.count()
    }

    /// Whether what this data key is of is there, or can be undeleted.
    pub(crate) fn holds_data_key(&self, name: &str) -> bool {
        match PasswordId::parse(name) {
            None => self.holds_access_key(name),
            Some(id) => self.users.get(&id.user).is_some_and(|entry| {
                entry.user.password().is_some_and(|(generation, _)| generation == id.generation)
            }),
        }
    }

    /// Whether what this data key is of was there and is gone for good.
    pub(crate) fn held_data_key(&self, name: &str) -> bool {
        let Some(id) = PasswordId::parse(name) else { return self.held_access_key(name) };
        match self.users.get(&id.user) {
            Some(entry) => {
                id.generation < entry.user.next_password_generation() && !self.holds_data_key(name)
            }
            None => self.former_users.contains_key(&id.user),
        }
    }

    /// Ids of all users, in no order.
    pub(crate) fn user_ids(&self) -> Vec<UserId> {
        self.users.keys().copied().collect()
    }

    pub(crate) fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    pub(crate) fn admin_token(&self, id: AdminTokenId) -> Option<&AdminTokenEntry> {
        self.admin_tokens.get(&id)
    }

    pub(crate) fn admin_token_by_hash(&self, hash: &TokenHash) -> Option<&AdminTokenEntry> {
        self.admin_tokens.get(self.token_hashes.get(hash)?)
    }

    /// Admin tokens after `after`, oldest first.
    pub(crate) fn admin_tokens_after(
        &self,
        after: Option<AdminTokenId>,
    ) -> impl Iterator<Item = &AdminTokenEntry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.admin_tokens.range((from, Bound::Unbounded)).map(|(_, entry)| entry)
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
        let stream = Stream::parse(recorded.stream.as_str()).ok_or_else(unfit)?;
        let effect = match (stream, event) {
            (Stream::Account(id), Event::Account(event)) => {
                self.apply_account(id, &event, recorded);
                match event {
                    AccountEvent::SettingsChanged { .. } => Effect::Account(id),
                    AccountEvent::Created { .. }
                    | AccountEvent::Renamed { .. }
                    | AccountEvent::Deleted
                    | AccountEvent::Unchanged => Effect::None,
                }
            }
            (Stream::User(id), Event::User(event)) => self.apply_user(id, &event, recorded),
            (Stream::AdminToken(id), Event::AdminToken(event)) => {
                self.apply_admin_token(id, &event, recorded);
                Effect::None
            }
            (Stream::Buckets(id), Event::Bucket(event)) => self.apply_bucket(id, &event, recorded),
            (Stream::Account(_), Event::User(_) | Event::Bucket(_) | Event::AdminToken(_))
            | (Stream::User(_), Event::Account(_) | Event::Bucket(_) | Event::AdminToken(_))
            | (Stream::Buckets(_), Event::Account(_) | Event::User(_) | Event::AdminToken(_))
            | (Stream::AdminToken(_), Event::Account(_) | Event::User(_) | Event::Bucket(_)) => {
                return Err(unfit());
            }
        };
        self.remember(recorded);
        self.head = Head { position: recorded.position, hash: recorded.hash };
        self.time_ms = recorded.time_ms;
        Ok(effect)
    }

    fn apply_account(&mut self, id: AccountId, event: &domain::AccountEvent, recorded: &Recorded) {
        self.record_past(id, recorded.position);
        let (known, users) = match self.accounts.remove(&id) {
            Some(entry) => (Some(entry.account), entry.users),
            None => (None, BTreeMap::new()),
        };
        let number = known.as_ref().map(|account| account.number);
        match account::evolve(known, event, time(recorded.time_ms)) {
            Some(account) => {
                self.account_numbers.insert(account.number, id);
                let revision = recorded.revision;
                self.accounts.insert(id, AccountEntry { id, account, revision, users });
            }
            None => {
                if let Some(number) = number {
                    self.account_numbers.remove(&number);
                }
            }
        }
    }

    fn apply_user(&mut self, id: UserId, event: &UserEvent, recorded: &Recorded) -> Effect {
        let account = AccountId(recorded.account);
        let past = self.record_past(account, recorded.position);
        past.users.insert(id);
        let (known, mut events) = match self.users.remove(&id).map(Arc::unwrap_or_clone) {
            Some(entry) => (Some(entry.user), entry.events),
            None => (None, vec![]),
        };
        events.push(recorded.position);
        let names = self.accounts.get_mut(&account).map(|entry| &mut entry.users);
        let effect = match event {
            UserEvent::Created { name, .. } => {
                names.map(|names| names.insert(name.folded().into(), id));
                Effect::User(id)
            }
            UserEvent::Renamed { name } => {
                if let (Some(names), Some(user)) = (names, &known) {
                    names.remove(user.name.folded().as_str());
                    names.insert(name.folded().into(), id);
                }
                Effect::User(id)
            }
            UserEvent::Deleted => {
                if let (Some(names), Some(user)) = (names, &known) {
                    names.remove(user.name.folded().as_str());
                }
                for key in known.iter().flat_map(held_access_keys) {
                    self.end_access_key(&key.id);
                }
                Effect::UserDeleted(id)
            }
            UserEvent::Locked | UserEvent::Unlocked => Effect::User(id),
            UserEvent::AccessKeyCreated { id: key, .. } => {
                self.access_keys.insert(key.clone(), id);
                Effect::AccessKey(key.clone())
            }
            UserEvent::AccessKeyDeleted { id: key, purge_at } => {
                if purge_at.is_none() {
                    self.end_access_key(key);
                }
                Effect::AccessKeyDeleted(key.clone())
            }
            UserEvent::AccessKeyPurged { id: key } => {
                self.end_access_key(key);
                Effect::None
            }
            UserEvent::AccessKeyActivated { id: key }
            | UserEvent::AccessKeyDeactivated { id: key }
            | UserEvent::AccessKeyExpiryChanged { id: key, .. }
            | UserEvent::SecretAccessKeyRotated { id: key, .. }
            | UserEvent::GracePeriodEnded { id: key }
            | UserEvent::AccessKeyUndeleted { id: key } => Effect::AccessKey(key.clone()),
            // Not by a password but by a signature does a verifier know a user.
            UserEvent::PasswordSet { .. }
            | UserEvent::PasswordRemoved { .. }
            | UserEvent::LabelChanged { .. }
            | UserEvent::CommentChanged { .. }
            | UserEvent::PathChanged { .. }
            | UserEvent::EmailChanged { .. }
            | UserEvent::TagsChanged(_)
            | UserEvent::AccessKeyLabelChanged { .. }
            | UserEvent::AccessKeySlotChanged { .. }
            | UserEvent::AccessKeyExpiring { .. }
            | UserEvent::AccessKeyRotationDue { .. }
            | UserEvent::AccessKeyLockedOut { .. }
            | UserEvent::Unchanged { .. } => Effect::None,
        };
        match user::evolve(known, event, time(recorded.time_ms)) {
            Some(user) => {
                let revision = recorded.revision;
                let entry = UserEntry { id, account, user, revision, events };
                self.users.insert(id, Arc::new(entry));
            }
            None => {
                self.former_users.insert(id, Arc::new(FormerUser { id, account, events }));
            }
        }
        effect
    }

    fn apply_bucket(
        &mut self,
        account: AccountId,
        event: &BucketEvent,
        recorded: &Recorded,
    ) -> Effect {
        self.record_past(account, recorded.position);
        self.buckets.apply(account, event, recorded.revision, time(recorded.time_ms));
        Effect::Bucket(event.name().clone())
    }

    fn apply_admin_token(
        &mut self,
        id: AdminTokenId,
        event: &AdminTokenEvent,
        recorded: &Recorded,
    ) {
        let known = self.admin_tokens.remove(&id).map(|entry| entry.token);
        if let Some(token) = &known {
            self.token_hashes.remove(&token.hash);
        }
        if let Some(token) = admin_token::evolve(known, event, time(recorded.time_ms)) {
            self.token_hashes.insert(token.hash, id);
            let revision = recorded.revision;
            self.admin_tokens.insert(id, AdminTokenEntry { id, token, revision });
        }
    }

    /// From now on it is only known who held it.
    fn end_access_key(&mut self, id: &AccessKeyId) {
        if let Some((id, user)) = self.access_keys.remove_entry(id) {
            self.former_access_keys.insert(id, user);
        }
    }

    fn record_past(&mut self, account: AccountId, position: Position) -> &mut AccountPast {
        let past = self.pasts.entry(account).or_default();
        Arc::make_mut(&mut past.events).push(position);
        past
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

    /// All of it, as it stands. Takes time in proportion to the number of users, and copies no user.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let former_access_keys = self.former_access_keys.iter();
        let mut account_events: Vec<_> =
            self.pasts.iter().map(|(id, past)| (*id, Arc::clone(&past.events))).collect();
        let oldest = self.time_ms.saturating_sub(event_store::COMMAND_MEMORY_MS);
        let mut commands: Vec<_> = self
            .commands
            .iter()
            .filter(|(_, command)| command.time_ms >= oldest)
            .map(|(id, command)| (*id, *command))
            .collect();
        account_events.sort_unstable_by_key(|(id, _)| *id);
        commands.sort_unstable_by_key(|(id, _)| *id);
        let without_names = |entry: &AccountEntry| AccountEntry {
            id: entry.id,
            account: entry.account.clone(),
            revision: entry.revision,
            users: BTreeMap::new(),
        };
        Snapshot {
            head: self.head,
            time_ms: self.time_ms,
            accounts: self.accounts.values().map(without_names).collect(),
            account_events,
            users: self.users.values().map(Arc::clone).collect(),
            former_users: self.former_users.values().map(Arc::clone).collect(),
            former_access_keys: former_access_keys.map(|(id, user)| (id.clone(), *user)).collect(),
            buckets: self.buckets.claimed(),
            bucket_revisions: self.buckets.revisions(),
            admin_tokens: self.admin_tokens.values().cloned().collect(),
            commands,
        }
    }
}

impl From<Snapshot> for Model {
    fn from(snapshot: Snapshot) -> Self {
        let mut model = Self::new(snapshot.head);
        model.time_ms = snapshot.time_ms;
        for entry in snapshot.accounts {
            model.account_numbers.insert(entry.account.number, entry.id);
            model.accounts.insert(entry.id, entry);
        }
        for (id, events) in snapshot.account_events {
            model.pasts.insert(id, AccountPast { events, users: BTreeSet::new() });
        }
        // What is gathered first and then put in order makes dense trees.
        let access_keys = |users: &[Arc<UserEntry>]| -> BTreeMap<_, _> {
            let held = users.iter().flat_map(|entry| {
                held_access_keys(&entry.user).map(|key| (key.id.clone(), entry.id))
            });
            held.collect()
        };
        let mut names: HashMap<_, Vec<_>> = HashMap::new();
        let mut pasts: HashMap<_, Vec<_>> = HashMap::new();
        thread::scope(|scope| {
            // Half of the work, on another core.
            let access_keys = scope.spawn(|| access_keys(&snapshot.users));
            for entry in &snapshot.users {
                let name = entry.user.name.folded().into_boxed_str();
                names.entry(entry.account).or_default().push((name, entry.id));
                pasts.entry(entry.account).or_default().push(entry.id);
            }
            for entry in &snapshot.former_users {
                pasts.entry(entry.account).or_default().push(entry.id);
            }
            for (account, names) in names {
                if let Some(account) = model.accounts.get_mut(&account) {
                    account.users = names.into_iter().collect();
                }
            }
            for (account, users) in pasts {
                model.pasts.entry(account).or_default().users = users.into_iter().collect();
            }
            model.access_keys =
                access_keys.join().unwrap_or_else(|cause| panic::resume_unwind(cause));
        });
        model.users = snapshot.users.into_iter().map(|entry| (entry.id, entry)).collect();
        let former_users = snapshot.former_users.into_iter().map(|entry| (entry.id, entry));
        model.former_users = former_users.collect();
        model.former_access_keys = snapshot.former_access_keys.into_iter().collect();
        model.buckets = Buckets::of(snapshot.buckets, snapshot.bucket_revisions);
        for entry in snapshot.admin_tokens {
            model.token_hashes.insert(entry.token.hash, entry.id);
            model.admin_tokens.insert(entry.id, entry);
        }
        model.commands.extend(snapshot.commands);
        model
    }
}

/// The access keys of a user, and those that can be undeleted.
fn held_access_keys(user: &User) -> impl Iterator<Item = &AccessKey> {
    user.access_keys
        .iter()
        .chain(user.deleted_access_keys.iter().map(|deleted| &deleted.access_key))
}

/// A log's time as the domain has it.
pub(crate) fn time(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(Timestamp::from_timestamp_millis).unwrap_or(Timestamp::MAX_UTC)
}

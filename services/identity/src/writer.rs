//! The write side: decide on the model, append to the log, wait until the model has it.
//!
//! Commands on one user are decided one after another, under its lock; on different users side by
//! side, so that the log commits them together. What concerns an account as a whole, such as its
//! settings, waits for the commands on its users that are under way, and holds off others. What
//! spans accounts and streams (unique names) is a claim, which the log checks. The model learns of
//! an event only from the log.
//!
//! A command waits for its turn first, and makes nothing before: it is given up when its caller goes
//! away. From then on it is done to its end, whoever has gone. Whether the caller is still let in is
//! looked at again then: it may have been locked or revoked while it waited.

mod buckets;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use domain::{
    AccessKeyId, AccountEvent, AccountId, AccountSettings, AdminTokenEvent, AdminTokenId,
    BucketEvent, BucketName, Event, Refusal, SealedSecret, SecretAccessKey, Timestamp, User,
    UserEvent, UserId, UserName, account, admin_token, user,
};
use event_store::{
    AppendError, Appended, Batch, Claim, ClaimOp, Clock, EventLog, Expected, Label, NewEvent,
    Position, ReadError, Recorded, Revision,
};
use futures::StreamExt;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::answer;
use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::lockouts::Lockouts;
use crate::model::{Effect, KnownCommand, Model, UserEntry, time};
use crate::stream::Stream;
use crate::turn::{Held, Intent, Locks, Place, Places};
use crate::uses::Uses;
use crate::vault::{PasswordId, Prepared, Vault};

/// How long a read waits for the position it asks for.
const BEHIND_TIMEOUT: Duration = Duration::from_secs(1);
/// Changes kept for a watcher that is slower than the writer. One that falls further behind starts
/// again from a snapshot.
const CHANGES_KEPT: usize = 1 << 14;

const USER_NAME_CLAIM: &str = "user-name";
const ACCESS_KEY_ID_CLAIM: &str = "access-key-id";
const ACCOUNT_NUMBER_CLAIM: &str = "account-number";
const ADMIN_TOKEN_NAME_CLAIM: &str = "admin-token-name";
const BUCKET_NAME_CLAIM: &str = "bucket-name";

/// The only writer of the log, and the model that follows it.
pub(crate) struct Writer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) vault: Vault,
    /// Beside the log.
    pub(crate) uses: Uses,
    pub(crate) lockouts: Lockouts,
    clock: Arc<dyn Clock>,
    model: RwLock<Model>,
    /// When the last event was recorded, in milliseconds since 1970. Beside the model, so that the
    /// time can be asked for while the model is being read.
    recorded_ms: AtomicU64,
    applied: watch::Sender<Position>,
    changes: broadcast::Sender<Change>,
    /// Of each watcher of the credential feed there is one more.
    pub(crate) feed_watchers: Arc<()>,
    /// Of each watcher of buckets there is one more.
    pub(crate) bucket_watchers: Arc<()>,
    /// Of a user, an account's buckets or an admin token: alone for a command on it. Of an account: shared by commands on its
    /// users and buckets, alone for commands on the account itself; taken after that of a user or of
    /// buckets, so that a command that waits for its user holds off nobody else's.
    locks: Locks<Stream>,
    /// Of a command that may come again: alone while it is done, before all else.
    commands: Locks<Uuid>,
    /// Before the locks.
    places: Places<Stream>,
    /// Of a caller's rights, by its principal: shared by its commands from when it is seen that it is
    /// still let in until they are recorded, alone for what ends them. So nothing of a caller is
    /// recorded after it was locked or revoked. Taken after the others.
    rights: Locks<Arc<str>>,
    /// Of an access key ID that a client brings: alone while it finds its place.
    imports: Locks<AccessKeyId>,
}

/// The turn of a command, until this is dropped.
struct Turn {
    _place: Place<Stream>,
    _own: Held<Stream>,
    _account: Option<Held<Stream>>,
    _rights: Rights,
}

/// What keeps the rights of a command's caller as they are, and what it ends to itself.
struct Rights {
    _own: Option<Held<Arc<str>>>,
    _ended: Option<Held<Arc<str>>>,
}

/// The effect of the event at one position.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) position: Position,
    pub(crate) effect: Effect,
}

/// Where the outcome of a command stands in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    first: Position,
    pub(crate) last: Position,
    /// When it was recorded, in milliseconds since 1970.
    time_ms: u64,
}

impl Outcome {
    /// When it was recorded.
    pub(crate) fn time(self) -> Timestamp {
        time(self.time_ms)
    }
}

impl From<Appended> for Outcome {
    fn from(Appended { first, last, time_ms, .. }: Appended) -> Self {
        Self { first, last, time_ms }
    }
}

impl From<KnownCommand> for Outcome {
    fn from(command: KnownCommand) -> Self {
        Self { first: command.first, last: command.last, time_ms: command.time_ms }
    }
}

/// A command that is to be done, and that nobody else does meanwhile, until this is dropped: moved as
/// a whole into what does it.
pub(crate) struct Fresh {
    key: CommandKey,
    _once: Option<Held<Uuid>>,
}

/// Whether a command is to be done, or was before.
pub(crate) enum Begun {
    Fresh(Fresh),
    Recorded(Outcome),
}

impl Writer {
    /// Reads what the log holds beyond `model` into it.
    ///
    /// # Errors
    /// If the log cannot be read, or holds what this version does not know.
    pub(crate) async fn replay(
        log: Arc<dyn EventLog>,
        vault: Vault,
        uses: Uses,
        clock: Arc<dyn Clock>,
        mut model: Model,
    ) -> anyhow::Result<Self> {
        let read = |after| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.read(after, event_store::READ_EVENTS_MAX).await })
        };
        let mut next = read(model.position());
        loop {
            let events = next.await??;
            let Some(last) = events.last() else { break };
            // Read and decoded while these are applied.
            next = read(last.position);
            for event in &events {
                model.apply(event)?;
            }
        }
        Ok(Self {
            log,
            vault,
            uses,
            lockouts: Lockouts::new(),
            clock,
            recorded_ms: AtomicU64::new(model.time_ms()),
            applied: watch::channel(model.position()).0,
            model: RwLock::new(model),
            changes: broadcast::channel(CHANGES_KEPT).0,
            feed_watchers: Arc::default(),
            bucket_watchers: Arc::default(),
            locks: Locks::new(),
            commands: Locks::new(),
            places: Places::new(),
            rights: Locks::new(),
            imports: Locks::new(),
        })
    }

    /// Tells of access keys and passwords whose data key is not in the keystore: they cannot be verified.
    /// Gives the names of data keys that nothing holds.
    ///
    /// # Errors
    /// If that is all of them. Then it is another keystore, or a new one.
    pub(crate) fn check_data_keys(&self) -> anyhow::Result<Vec<Box<str>>> {
        let model = self.model();
        let (held, unheld) = self.vault.sweep(|name| model.holds_data_key(name));
        let expected = model.data_key_count();
        let missing = expected.saturating_sub(held);
        anyhow::ensure!(
            missing == 0 || missing < expected,
            "the keystore holds none of the data keys of the {expected} access keys and passwords \
             in the log: it is not the keystore of this log; put that one back"
        );
        if missing > 0 {
            tracing::error!(
                missing,
                expected,
                "the keystore lacks data keys of access keys or passwords"
            );
        }
        Ok(unheld)
    }

    /// Destroys the data keys, of those that nothing holds, of access keys and passwords that the log says
    /// are gone: the process ended between the two. Tells how many.
    ///
    /// A data key that the log has never heard of is left alone. It is of no use if a creation was
    /// cut short, and of all use if this is an old copy of the log and the newer one turns up.
    pub(crate) async fn shred_deleted(&self, unheld: Vec<Box<str>>) -> Result<usize, Error> {
        if unheld.is_empty() {
            return Ok(0);
        }
        let unheld: HashSet<_> = unheld.into_iter().collect();
        let mut shredded = 0;
        for id in &unheld {
            if self.model().held_data_key(id) {
                self.vault.shred(id).await?;
                shredded += 1;
            }
        }
        if shredded < unheld.len() {
            let count = unheld.len() - shredded;
            tracing::warn!(count, "the keystore holds data keys that the log has never heard of");
        }
        Ok(shredded)
    }

    /// Applies what the log records, as it does, until the log ends.
    ///
    /// # Errors
    /// If the log cannot be read or does not fit the model: the process must not go on.
    pub(crate) async fn follow(&self) -> anyhow::Result<()> {
        let from = self.model().position();
        let mut events = self.log.subscribe(from);
        while let Some(event) = events.next().await {
            let event = event?;
            let effect = {
                let mut model = self.model.write().unwrap_or_else(PoisonError::into_inner);
                let effect = model.apply(&event)?;
                self.recorded_ms.store(event.time_ms, Ordering::Release);
                effect
            };
            // No receiver is no error: nobody watches.
            let _ = self.changes.send(Change { position: event.position, effect });
            self.applied.send_replace(event.position);
        }
        Ok(())
    }

    /// How far the clock is behind what the log has recorded, in milliseconds: so long all that is
    /// recorded has the same time, and nothing expires.
    pub(crate) fn clock_behind_ms(&self) -> u64 {
        self.recorded_ms.load(Ordering::Acquire).saturating_sub(self.clock.now_ms())
    }

    /// The model, for a moment: never held over an await.
    pub(crate) fn model(&self) -> RwLockReadGuard<'_, Model> {
        // A panic while applying ends the process; until then readers see the last whole state.
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes after the model's present position, and that position.
    pub(crate) fn watch_changes(&self) -> (Position, broadcast::Receiver<Change>) {
        // Under the lock no change is between "applied" and "announced" unseen by both.
        let model = self.model();
        (model.position(), self.changes.subscribe())
    }

    /// Now, to the millisecond. Like the log's times it never goes back, whatever the clock does:
    /// what is decided and what is recorded must agree on what lies in the past.
    pub(crate) fn now(&self) -> Timestamp {
        time(self.clock.now_ms().max(self.recorded_ms.load(Ordering::Acquire)))
    }

    /// A position as clients are told it.
    pub(crate) fn told(&self, position: Position) -> u64 {
        position.in_epoch(self.log.epoch())
    }

    /// A position as a client was told it.
    ///
    /// # Errors
    /// [`Error::OtherEpoch`] if that was before the log was restored.
    pub(crate) fn asked(&self, field: &'static str, position: u64) -> Result<Position, Error> {
        Position::parse_in_epoch(position, self.log.epoch()).map_err(|other| Error::OtherEpoch {
            field,
            of: other.found,
            log: other.current,
        })
    }

    /// Waits until the model has applied `min_position`.
    ///
    /// # Errors
    /// [`Error::Behind`] after a second; [`Error::OtherEpoch`].
    pub(crate) async fn applied(&self, min_position: u64) -> Result<(), Error> {
        let position = self.asked("min_position", min_position)?;
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|head| *head >= position);
        match tokio::time::timeout(BEHIND_TIMEOUT, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::LogUnavailable),
            Err(_) => {
                let head = self.told(self.model().position());
                Err(Error::Behind { asked: min_position, head })
            }
        }
    }

    /// Begins a command, or gives the outcome of it that was recorded before. While the same is under
    /// way, sent twice at once, it waits for that: all are answered the same, and take one place.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`].
    pub(crate) async fn begin(&self, key: CommandKey) -> Result<Begun, Error> {
        let once = match key.is_repeatable() {
            true => Some(self.commands.alone(key.id).await),
            false => None,
        };
        match self.model().command(key.id, self.clock.now_ms()) {
            None => Ok(Begun::Fresh(Fresh { key, _once: once })),
            Some(known) if known.digest == key.digest => Ok(Begun::Recorded(known.into())),
            Some(_) => Err(Error::RequestIdReused),
        }
    }

    /// What a command recorded, with the account and stream of each event.
    pub(crate) async fn recorded(
        &self,
        outcome: Outcome,
    ) -> Result<Vec<(AccountId, Stream, Event)>, Error> {
        let after = Position(outcome.first.0.saturating_sub(1));
        let count = usize::try_from(outcome.last.0 - after.0).unwrap_or(usize::MAX);
        let events = self.log.read(after, count).await.map_err(read_failed)?;
        events
            .into_iter()
            .map(|event| {
                let corrupt = || Error::LogCorrupt { position: event.position.0 };
                let stream = Stream::parse(event.stream.as_str()).ok_or_else(corrupt)?;
                Ok((AccountId(event.account), stream, decode(&event)?))
            })
            .collect()
    }

    /// Makes an access key ID and its first secret, or takes those that a client brings: sealed
    /// under a data key of their own, which is durable before anything can refer to it.
    ///
    /// # Errors
    /// [`Error::AccessKeyIdTaken`].
    async fn prepare(
        &self,
        account: AccountId,
        brought: Option<&(AccessKeyId, SecretAccessKey)>,
    ) -> Result<Prepared, Error> {
        let Some((id, secret)) = brought else { return self.vault.make_access_key(account).await };
        if self.model().holds_access_key(id.as_str()) {
            return Err(Error::AccessKeyIdTaken);
        }
        // A data key that no access key has is what a creation left that was cut short: imports of one
        // id take turns, and ids that are made here are not met by chance.
        self.vault.shred(id.as_str()).await?;
        self.vault.import_access_key(account, id, secret).await
    }

    /// Does `record` with an access key that is prepared, and destroys its data key again if the
    /// access key was not recorded.
    async fn with_access_key(
        &self,
        account: AccountId,
        brought: Option<(AccessKeyId, SecretAccessKey)>,
        record: impl AsyncFnOnce(Prepared) -> Result<Option<Outcome>, Error>,
    ) -> Result<Option<Outcome>, Error> {
        let _turn = match &brought {
            Some((id, _)) => Some(self.imports.alone(id.clone()).await),
            None => None,
        };
        let prepared = self.prepare(account, brought.as_ref()).await?;
        let id = prepared.id.clone();
        let outcome = record(prepared).await;
        // When the outcome is unknown the data key stays: the event may be there after all.
        let unknown = matches!(outcome, Err(Error::LogUnavailable));
        if !unknown && !self.model().holds_access_key(id.as_str()) {
            self.vault.shred(id.as_str()).await?;
        }
        outcome
    }

    /// Makes an account with its root user and that user's first access key, in one batch.
    pub(crate) async fn create_account(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        command: account::Command,
        root: user::Command,
        access_key: impl FnOnce(Prepared, &AccountSettings) -> user::Command + Send + 'static,
    ) -> Result<Outcome, Error> {
        let rights = self.rights(call, None).await;
        let (writer, call) = (Arc::clone(self), call.clone());
        let created = answer::whole(async move {
            let (_rights, fresh) = (rights, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let account = AccountId(Uuid::now_v7());
            let root_user = UserId(Uuid::now_v7());
            let now = writer.now();
            let outcome = writer.with_access_key(account, None, async |prepared| {
                let mut events = vec![];
                let mut state = None;
                for event in account::decide(None, command, now)? {
                    state = account::evolve(state, &event, now);
                    events.push((Stream::Account(account), Revision::NONE, Event::Account(event)));
                }
                let settings = state.map(|account| account.settings).unwrap_or_default();
                let mut state = None;
                for command in [root, access_key(prepared, &settings)] {
                    for event in user::decide(state.as_ref(), command, &settings, now)? {
                        state = user::evolve(state, &event, now);
                        events.push((Stream::User(root_user), Revision::NONE, Event::User(event)));
                    }
                }
                writer.commit(&call, key, account, events, None).await.map(Some)
            });
            outcome.await
        });
        created.await?.ok_or(Error::Internal)
    }

    /// Waits for the turn of a command on an account itself, while no command on its users is under
    /// way.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`].
    async fn turn_on_account(
        &self,
        call: &Call,
        account: AccountId,
        intent: Intent,
    ) -> Result<Turn, Error> {
        let stream = Stream::Account(account);
        let place = self.places.take(stream, &call.principal(), intent)?;
        let own = self.locks.alone(stream).await;
        // With an account its root user ends, which has no rights but in this account.
        let rights = self.rights(call, None).await;
        Ok(Turn { _place: place, _own: own, _account: None, _rights: rights })
    }

    /// Waits for the turn of a command on a user.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`]; [`Error::NoSuchUser`].
    async fn turn_on_user(&self, call: &Call, user: UserId, intent: Intent) -> Result<Turn, Error> {
        let account = self.model().user(user).ok_or(Error::NoSuchUser)?.account;
        let stream = Stream::User(user);
        let place = self.places.take(stream, &call.principal(), intent)?;
        let own = self.locks.alone(stream).await;
        let account = self.locks.shared(Stream::Account(account)).await;
        let rights = self.rights(call, (intent == Intent::EndCaller).then_some(stream)).await;
        Ok(Turn { _place: place, _own: own, _account: Some(account), _rights: rights })
    }

    /// Waits until the rights of the caller stay as they are, and those of the user or admin token
    /// that is to lose them are no longer made use of.
    async fn rights(&self, call: &Call, ended: Option<Stream>) -> Rights {
        let own: Arc<str> = call.principal().into();
        // Streams and principals have the same names.
        let ended: Option<Arc<str>> = ended.map(|ended| ended.id().as_str().into());
        // In one order, so that two that end each other do not wait for each other.
        let (own, ended) = match ended {
            None => (Some(self.rights.shared(own).await), None),
            Some(ended) if ended == own => (None, Some(self.rights.alone(ended).await)),
            Some(ended) if ended < own => {
                let ended = self.rights.alone(ended).await;
                (Some(self.rights.shared(own).await), Some(ended))
            }
            Some(ended) => {
                let own = self.rights.shared(own).await;
                (Some(own), Some(self.rights.alone(ended).await))
            }
        };
        Rights { _own: own, _ended: ended }
    }

    /// Does to an account what `command` makes of its state, while no command on its users is under
    /// way. `None` if nothing changes.
    pub(crate) async fn change_account(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        intent: Intent,
        account: AccountId,
        command: impl FnOnce(&Model, Timestamp) -> Result<account::Command, Error> + Send + 'static,
    ) -> Result<Option<Outcome>, Error> {
        let turn = self.turn_on_account(call, account, intent).await?;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            writer.change_account_now(&call, key, account, command).await
        })
        .await
    }

    async fn change_account_now(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        command: impl FnOnce(&Model, Timestamp) -> Result<account::Command, Error> + Send,
    ) -> Result<Option<Outcome>, Error> {
        let now = self.now();
        let (events, root) =
            {
                let model = self.model();
                let entry = model.account(account).ok_or(Error::NoSuchAccount)?;
                let mut decided =
                    account::decide(Some(&entry.account), command(&model, now)?, now)?;
                if decided.is_empty() && key.is_repeatable() {
                    decided.push(AccountEvent::Unchanged);
                }
                let mut events = vec![];
                let mut root = None;
                if decided.contains(&AccountEvent::Deleted) {
                    // What is left is the root user.
                    for user in model.users_from(account, std::ops::Bound::Unbounded) {
                        events.extend(user::delete_whole(&user.user).into_iter().map(|event| {
                            (Stream::User(user.id), user.revision, Event::User(event))
                        }));
                        root = Some(Arc::clone(user));
                    }
                }
                events.extend(decided.into_iter().map(|event| {
                    (Stream::Account(account), entry.revision, Event::Account(event))
                }));
                (events, root)
            };
        let user = root.as_ref().map(|entry| &entry.user);
        self.commit_and_shred(call, key, account, events, user).await
    }

    /// Makes a user.
    pub(crate) async fn create_user(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        account: AccountId,
        command: user::Command,
    ) -> Result<Outcome, Error> {
        let shared = self.locks.shared(Stream::Account(account)).await;
        let rights = self.rights(call, None).await;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = ((shared, rights), fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let settings = {
                let model = writer.model();
                model.account(account).ok_or(Error::NoSuchAccount)?.account.settings.clone()
            };
            let stream = Stream::User(UserId(Uuid::now_v7()));
            let events = user::decide(None, command, &settings, writer.now())?;
            let events =
                events.into_iter().map(|event| (stream, Revision::NONE, Event::User(event)));
            writer.commit(&call, key, account, events.collect(), None).await
        })
        .await
    }

    /// Makes a user with a first access key that is made for it, or that the client brings, in one batch.
    ///
    /// `command` is asked twice: a refusal is known before anything is made ready.
    pub(crate) async fn create_user_with_access_key(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        account: AccountId,
        brought: Option<(AccessKeyId, SecretAccessKey)>,
        command: impl Fn(Prepared) -> user::Command + Send + Sync + 'static,
    ) -> Result<Outcome, Error> {
        let shared = self.locks.shared(Stream::Account(account)).await;
        let rights = self.rights(call, None).await;
        let (writer, call) = (Arc::clone(self), call.clone());
        let created = answer::whole(async move {
            let (_turn, fresh) = ((shared, rights), fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let settings = {
                let model = writer.model();
                model.account(account).ok_or(Error::NoSuchAccount)?.account.settings.clone()
            };
            let stream = Stream::User(UserId(Uuid::now_v7()));
            user::decide(None, command(unmade(brought.as_ref())), &settings, writer.now())?;
            let recorded = writer.with_access_key(account, brought, async |prepared| {
                let events = user::decide(None, command(prepared), &settings, writer.now())?;
                let events =
                    events.into_iter().map(|event| (stream, Revision::NONE, Event::User(event)));
                writer.commit(&call, key, account, events.collect(), None).await.map(Some)
            });
            recorded.await
        });
        created.await?.ok_or(Error::Internal)
    }

    /// Does to a user what `command` makes of its state, at its turn. `None` if nothing changes.
    pub(crate) async fn change_user(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        intent: Intent,
        user: UserId,
        command: impl FnOnce(&UserEntry) -> Result<user::Command, Error> + Send + 'static,
    ) -> Result<Option<Outcome>, Error> {
        let turn = self.turn_on_user(call, user, intent).await?;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let entry = writer.entry(user)?;
            let command = command(&entry)?;
            let events = writer.decide(&entry, command, key)?;
            writer.record(&call, key, &entry, events).await
        })
        .await
    }

    /// Does to a user what `command` makes of its state and of an access key that is made for it, or
    /// that the client brings. `None` if nothing changes.
    ///
    /// `command` is asked twice: a refusal is known before anything is made ready.
    pub(crate) async fn change_user_with_access_key(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        intent: Intent,
        user: UserId,
        brought: Option<(AccessKeyId, SecretAccessKey)>,
        command: impl Fn(&UserEntry, Prepared) -> Result<user::Command, Error> + Send + Sync + 'static,
    ) -> Result<Option<Outcome>, Error> {
        let turn = self.turn_on_user(call, user, intent).await?;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let entry = writer.entry(user)?;
            writer.decide(&entry, command(&entry, unmade(brought.as_ref()))?, key)?;
            let recorded = writer.with_access_key(entry.account, brought, async |prepared| {
                let events = writer.decide(&entry, command(&entry, prepared)?, key)?;
                writer.record(&call, key, &entry, events).await
            });
            recorded.await
        })
        .await
    }

    /// Gives a user a password, of which this is the hash.
    pub(crate) async fn set_password(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        user: UserId,
        check: impl FnOnce(&UserEntry) -> Result<(), Error> + Send + 'static,
        hash: Zeroizing<String>,
    ) -> Result<Option<Outcome>, Error> {
        let turn = self.turn_on_user(call, user, Intent::Change).await?;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let entry = writer.entry(user)?;
            check(&entry)?;
            let id = PasswordId { user, generation: entry.user.next_password_generation() };
            let sealed = writer.vault.seal_password(entry.account, id, &hash).await?;
            let events = writer.decide(&entry, user::Command::SetPassword { sealed }, key)?;
            let outcome = writer.record(&call, key, &entry, events).await;
            // When the outcome is unknown the data key stays: the event may be there after all.
            let unknown = matches!(outcome, Err(Error::LogUnavailable));
            if !unknown && !writer.model().holds_data_key(&id.to_string()) {
                writer.vault.shred(&id.to_string()).await?;
            }
            outcome
        })
        .await
    }

    fn entry(&self, user: UserId) -> Result<Arc<UserEntry>, Error> {
        self.model().user(user).map(Arc::clone).ok_or(Error::NoSuchUser)
    }

    /// What a command does to a user as it stands.
    fn decide(
        &self,
        entry: &UserEntry,
        command: user::Command,
        key: CommandKey,
    ) -> Result<Vec<UserEvent>, Error> {
        let settings = self.model().settings(entry.account);
        let access_key = command.access_key_id().cloned();
        let mut events = user::decide(Some(&entry.user), command, &settings, self.now())?;
        // Nothing may have changed; that this request asked for it must be known when it comes again.
        if events.is_empty() && key.is_repeatable() {
            events.push(UserEvent::Unchanged { access_key });
        }
        Ok(events)
    }

    async fn record(
        &self,
        call: &Call,
        key: CommandKey,
        entry: &UserEntry,
        events: Vec<UserEvent>,
    ) -> Result<Option<Outcome>, Error> {
        let stream = Stream::User(entry.id);
        let events = events.into_iter().map(|event| (stream, entry.revision, Event::User(event)));
        self.commit_and_shred(call, key, entry.account, events.collect(), Some(&entry.user)).await
    }

    /// Makes an admin token under this id.
    pub(crate) async fn create_admin_token(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        id: AdminTokenId,
        command: admin_token::Command,
    ) -> Result<Outcome, Error> {
        let rights = self.rights(call, None).await;
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_rights, fresh) = (rights, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let events = admin_token::decide(None, command, writer.now())?;
            let stream = Stream::AdminToken(id);
            let events =
                events.into_iter().map(|event| (stream, Revision::NONE, Event::AdminToken(event)));
            writer.commit(&call, key, NO_ACCOUNT, events.collect(), None).await
        })
        .await
    }

    /// Revokes an admin token.
    pub(crate) async fn revoke_admin_token(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        id: AdminTokenId,
    ) -> Result<Outcome, Error> {
        let stream = Stream::AdminToken(id);
        let place = self.places.take(stream, &call.principal(), Intent::EndCaller)?;
        let own = self.locks.alone(stream).await;
        let rights = self.rights(call, Some(stream)).await;
        let turn = Turn { _place: place, _own: own, _account: None, _rights: rights };
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let entry = writer.model().admin_token(id).cloned().ok_or(Error::NoSuchAdminToken)?;
            let revoke = admin_token::Command::Revoke;
            let events = admin_token::decide(Some(&entry.token), revoke, writer.now())?;
            let events =
                events.into_iter().map(|event| (stream, entry.revision, Event::AdminToken(event)));
            let release = ClaimOp::Release(admin_token_name(&entry.token.name));
            writer.append(&call, key, NO_ACCOUNT, events.collect(), vec![release]).await
        })
        .await
    }

    /// Records events, all or none, and destroys the data keys of access keys and passwords that are then
    /// gone for good. `None` if there are no events.
    async fn commit_and_shred(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        events: Vec<(Stream, Revision, Event)>,
        user: Option<&User>,
    ) -> Result<Option<Outcome>, Error> {
        if events.is_empty() {
            return Ok(None);
        }
        let shredded: Vec<_> = events.iter().filter_map(shredded).collect();
        let outcome = self.commit(call, key, account, events, user).await?;
        for name in shredded {
            self.vault.shred(&name).await?;
        }
        Ok(Some(outcome))
    }

    /// Records events, all or none, and waits until the model has them. `user` is the one that is
    /// changed, as it was before.
    async fn commit(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        events: Vec<(Stream, Revision, Event)>,
        user: Option<&User>,
    ) -> Result<Outcome, Error> {
        let claims = events.iter().flat_map(|(_, _, event)| claims(account, event, user)).collect();
        self.append(call, key, account, events, claims).await
    }

    /// Appends events, each with the revision that its stream stands at, and waits until the model
    /// has them.
    async fn append(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        events: Vec<(Stream, Revision, Event)>,
        claims: Vec<ClaimOp>,
    ) -> Result<Outcome, Error> {
        let events = events.into_iter().map(|(stream, revision, event)| {
            let payload = event_store::payload::encode(&event);
            NewEvent {
                stream: stream.id(),
                expected: Expected::Revision(revision),
                event_type: payload.event_type,
                schema_version: event_store::payload::SCHEMA_VERSION,
                payload: payload.bytes,
                sealed: payload.sealed,
            }
        });
        let batch = Batch {
            command_id: key.id,
            command_digest: key.digest,
            account: account.0,
            actor: call.actor.clone(),
            events: events.collect(),
            claims,
        };
        let appended = self.log.append(batch).await.map_err(append_failed)?;
        // Durable by now: an answer that comes late is no reason to say that it failed.
        let mut applied = self.applied.subscribe();
        applied.wait_for(|head| *head >= appended.last).await.map_err(|_| Error::LogUnavailable)?;
        Ok(appended.into())
    }
}

/// The name of the data key that is to be destroyed when this is recorded.
fn shredded((stream, _, event): &(Stream, Revision, Event)) -> Option<String> {
    match (stream, event) {
        (Stream::User(user), Event::User(UserEvent::PasswordRemoved { generation })) => {
            Some(PasswordId { user: *user, generation: *generation }.to_string())
        }
        (_, Event::User(event)) => event.shredded_access_key().map(ToString::to_string),
        (_, Event::Account(_) | Event::Bucket(_) | Event::AdminToken(_)) => None,
    }
}

/// Stands for an access key that is not made yet.
fn unmade(brought: Option<&(AccessKeyId, SecretAccessKey)>) -> Prepared {
    let id = match brought {
        Some((id, _)) => id.clone(),
        None => AccessKeyId::from_random([0; 10]),
    };
    Prepared { id, secret: SealedSecret(Box::default()) }
}

/// Whose the events of admin tokens are, and the claims on names of buckets.
const NO_ACCOUNT: AccountId = AccountId(Uuid::nil());

/// Decodes a recorded event.
pub(crate) fn decode(event: &Recorded) -> Result<Event, Error> {
    event_store::payload::decode(event.schema_version, event.payload.clone(), event.sealed.as_ref())
        .map_err(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, position = event.position.0, "an event does not decode");
            Error::LogCorrupt { position: event.position.0 }
        })
}

/// What an event takes or gives back in the whole log. Access key IDs and account numbers are never
/// given back.
fn claims(account: AccountId, event: &Event, user: Option<&User>) -> Vec<ClaimOp> {
    let user_name =
        |name: &UserName| claim(USER_NAME_CLAIM, &format!("{account}/{}", name.folded()));
    match event {
        Event::Account(AccountEvent::Created { number, .. }) => {
            vec![ClaimOp::Take(claim(ACCOUNT_NUMBER_CLAIM, &number.to_string()))]
        }
        Event::User(UserEvent::Created { name, .. }) => vec![ClaimOp::Take(user_name(name))],
        Event::User(UserEvent::Renamed { name }) => match user {
            // In another case it is the same name, which the user has.
            Some(user) if user.name.folded() == name.folded() => vec![],
            Some(user) => {
                vec![ClaimOp::Release(user_name(&user.name)), ClaimOp::Take(user_name(name))]
            }
            None => vec![ClaimOp::Take(user_name(name))],
        },
        Event::User(UserEvent::Deleted) => {
            user.iter().map(|user| ClaimOp::Release(user_name(&user.name))).collect()
        }
        Event::User(UserEvent::AccessKeyCreated { id, .. }) => {
            vec![ClaimOp::Take(claim(ACCESS_KEY_ID_CLAIM, id.as_str()))]
        }
        Event::AdminToken(AdminTokenEvent::Created { name, .. }) => {
            vec![ClaimOp::Take(admin_token_name(name))]
        }
        Event::Bucket(BucketEvent::Claimed { name, .. }) => vec![ClaimOp::Take(bucket_name(name))],
        Event::Bucket(BucketEvent::Released { name }) => vec![ClaimOp::Release(bucket_name(name))],
        Event::Account(
            AccountEvent::Renamed { .. }
            | AccountEvent::SettingsChanged { .. }
            | AccountEvent::Deleted
            | AccountEvent::Unchanged,
        )
        | Event::Bucket(BucketEvent::Received { .. } | BucketEvent::Given { .. })
        | Event::AdminToken(AdminTokenEvent::Revoked)
        | Event::User(
            UserEvent::LabelChanged { .. }
            | UserEvent::CommentChanged { .. }
            | UserEvent::PathChanged { .. }
            | UserEvent::EmailChanged { .. }
            | UserEvent::TagsChanged(_)
            | UserEvent::Locked
            | UserEvent::Unlocked
            | UserEvent::PasswordSet { .. }
            | UserEvent::PasswordRemoved { .. }
            | UserEvent::AccessKeyLabelChanged { .. }
            | UserEvent::AccessKeySlotChanged { .. }
            | UserEvent::AccessKeyActivated { .. }
            | UserEvent::AccessKeyDeactivated { .. }
            | UserEvent::AccessKeyExpiryChanged { .. }
            | UserEvent::SecretAccessKeyRotated { .. }
            | UserEvent::GracePeriodEnded { .. }
            | UserEvent::AccessKeyExpiring { .. }
            | UserEvent::AccessKeyRotationDue { .. }
            | UserEvent::AccessKeyLockedOut { .. }
            | UserEvent::AccessKeyDeleted { .. }
            | UserEvent::AccessKeyUndeleted { .. }
            | UserEvent::AccessKeyPurged { .. }
            | UserEvent::Unchanged { .. },
        ) => vec![],
    }
}

fn claim(kind: &str, key: &str) -> Claim {
    Claim { kind: Label::truncated(kind), key: Label::truncated(key) }
}

fn admin_token_name(name: &UserName) -> Claim {
    claim(ADMIN_TOKEN_NAME_CLAIM, &name.folded())
}

fn bucket_name(name: &BucketName) -> Claim {
    claim(BUCKET_NAME_CLAIM, name.as_str())
}

fn append_failed(error: AppendError) -> Error {
    match error {
        AppendError::ClaimTaken { claim, .. } => match claim.kind.as_str() {
            USER_NAME_CLAIM => Error::UserNameTaken,
            ACCESS_KEY_ID_CLAIM => Error::AccessKeyIdTaken,
            ADMIN_TOKEN_NAME_CLAIM => Error::AdminTokenNameTaken,
            // The account's own commands take turns: it was another that was first.
            BUCKET_NAME_CLAIM => Refusal::BucketExists.into(),
            // Numbers are drawn at random: whoever meets a taken one draws again.
            _ => Error::Conflict,
        },
        AppendError::Full => Error::StorageFull,
        AppendError::ClaimNotHeld { .. } | AppendError::Conflict { .. } => Error::Conflict,
        AppendError::CommandReused { .. } => Error::RequestIdReused,
        AppendError::Empty | AppendError::TooLarge { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "a batch was refused");
            Error::Internal
        }
        AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the event log failed");
            Error::LogUnavailable
        }
    }
}

/// What a failed read of the log means to a client.
pub(crate) fn read_failed(error: ReadError) -> Error {
    match error {
        ReadError::AheadOfLog { after, head } => Error::Behind { asked: after.0, head: head.0 },
        ReadError::Fault(fault) => {
            tracing::error!(error = &fault as &dyn std::error::Error, "the event log is broken");
            Error::LogCorrupt { position: fault.position.0 }
        }
        ReadError::Unavailable(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the event log failed");
            Error::LogUnavailable
        }
    }
}

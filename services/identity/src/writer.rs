//! The write side: decide on the model, append to the log, wait until the model has it.
//!
//! Commands on one stream are decided one after another, under a lock; on different streams side
//! by side, so that the log commits them together. What spans streams (unique names) is a claim,
//! which the log checks. The model learns of an event only from the log.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use domain::{
    AccessKeyId, AccountEvent, AccountId, Event, Timestamp, User, UserEvent, UserId, account, user,
};
use event_store::{
    AppendError, Appended, Batch, Claim, ClaimOp, Clock, EventLog, Expected, Label, NewEvent,
    Position, ReadError, Recorded, Revision,
};
use futures::StreamExt;
use tokio::sync::{Mutex, broadcast, watch};

use crate::call::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::{Effect, KnownCommand, Model, UserEntry, time};
use crate::stream::Stream;
use crate::vault::Vault;

/// How long a read waits for the position it asks for.
const BEHIND_TIMEOUT: Duration = Duration::from_secs(1);
/// Locks that streams share by their hash; more only makes chance meetings rarer.
const LOCKS: usize = 1024;
/// Changes kept for a watcher that is slower than the writer. One that falls further behind starts
/// again from a snapshot.
const CHANGES_KEPT: usize = 1 << 14;

const USER_NAME_CLAIM: &str = "user-name";
const ACCESS_KEY_ID_CLAIM: &str = "access-key-id";
const ACCOUNT_NUMBER_CLAIM: &str = "account-number";

/// The only writer of the log, and the model that follows it.
pub(crate) struct Writer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) vault: Vault,
    clock: Arc<dyn Clock>,
    model: RwLock<Model>,
    /// When the last event was recorded, in milliseconds since 1970. Beside the model, so that the
    /// time can be asked for while the model is being read.
    recorded_ms: AtomicU64,
    applied: watch::Sender<Position>,
    changes: broadcast::Sender<Change>,
    locks: Box<[Mutex<()>]>,
    lock_hasher: RandomState,
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
}

impl From<Appended> for Outcome {
    fn from(appended: Appended) -> Self {
        Self { first: appended.first, last: appended.last }
    }
}

impl From<KnownCommand> for Outcome {
    fn from(command: KnownCommand) -> Self {
        Self { first: command.first, last: command.last }
    }
}

impl Writer {
    /// Replays the whole log into a new model.
    ///
    /// # Errors
    /// If the log cannot be read, or holds what this version does not know.
    pub(crate) async fn replay(
        log: Arc<dyn EventLog>,
        vault: Vault,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let mut model = Model::default();
        loop {
            let events = log.read(model.position(), event_store::READ_EVENTS_MAX).await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                model.apply(event)?;
            }
        }
        Ok(Self {
            log,
            vault,
            clock,
            recorded_ms: AtomicU64::new(model.time_ms()),
            applied: watch::channel(model.position()).0,
            model: RwLock::new(model),
            changes: broadcast::channel(CHANGES_KEPT).0,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            lock_hasher: RandomState::new(),
        })
    }

    /// Tells of access keys whose data key is not in the keystore: they cannot be verified.
    ///
    /// # Errors
    /// If that is all of them. Then it is another keystore, or a new one.
    pub(crate) fn check_data_keys(&self) -> anyhow::Result<()> {
        let (missing, access_keys) = self.model().access_keys_without(&self.vault.ids().collect());
        anyhow::ensure!(
            missing == 0 || missing < access_keys,
            "the keystore holds the data key of none of the {access_keys} access keys in the log: \
             it is not the keystore of this log; put that one back"
        );
        if missing > 0 {
            tracing::error!(missing, access_keys, "the keystore lacks data keys of access keys");
        }
        Ok(())
    }

    /// Destroys the data keys of access keys that the log says were deleted: the process ended
    /// between the two. Tells how many.
    ///
    /// A data key that the log has never heard of is left alone. It is of no use if a creation was
    /// cut short, and of all use if this is an old copy of the log and the newer one turns up.
    pub(crate) async fn shred_deleted(&self) -> Result<usize, Error> {
        let unheld: HashSet<_> = {
            let model = self.model();
            self.vault.ids().filter(|id| !model.holds_access_key(id)).collect()
        };
        if unheld.is_empty() {
            return Ok(0);
        }
        let mut shredded = 0;
        let mut after = Position::START;
        loop {
            let events = self.log.read(after, event_store::READ_EVENTS_MAX).await;
            let events = events.map_err(read_failed)?;
            let Some(last) = events.last() else { break };
            after = last.position;
            for event in &events {
                if let Event::User(UserEvent::AccessKeyDeleted { id }) = decode(event)?
                    && unheld.contains(id.as_str())
                {
                    self.vault.shred(id.as_str()).await?;
                    shredded += 1;
                }
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

    /// How many watch the changes.
    pub(crate) fn watchers(&self) -> usize {
        self.changes.receiver_count()
    }

    /// Now, to the millisecond. Like the log's times it never goes back, whatever the clock does:
    /// what is decided and what is recorded must agree on what lies in the past.
    pub(crate) fn now(&self) -> Timestamp {
        time(self.clock.now_ms().max(self.recorded_ms.load(Ordering::Acquire)))
    }

    /// Waits until the model has applied `position`.
    ///
    /// # Errors
    /// [`Error::Behind`] after a second.
    pub(crate) async fn applied(&self, position: u64) -> Result<(), Error> {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|head| head.0 >= position);
        match tokio::time::timeout(BEHIND_TIMEOUT, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::LogUnavailable),
            Err(_) => Err(Error::Behind { asked: position, head: self.model().position().0 }),
        }
    }

    /// The outcome of a command that was recorded before, if it was.
    pub(crate) fn repeated(&self, key: CommandKey) -> Result<Option<Outcome>, Error> {
        match self.model().command(key.id, self.clock.now_ms()) {
            None => Ok(None),
            Some(known) if known.digest == key.digest => Ok(Some(known.into())),
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

    /// Makes an account with its root user and that user's first access key, in one batch.
    pub(crate) async fn create_account(
        &self,
        call: &Call,
        key: CommandKey,
        command: account::Command,
        root: user::Command,
    ) -> Result<Outcome, Error> {
        let account = AccountId(uuid::Uuid::now_v7());
        let root_user = UserId(uuid::Uuid::now_v7());
        let (id, secret) = self.vault.make_access_key(account).await?;
        let now = self.now();
        let access_key = user::Command::CreateAccessKey {
            id: id.clone(),
            secret,
            expires_at: None,
            state: domain::AccessKeyState::Active,
        };
        let mut events = vec![];
        for event in account::decide(None, command)? {
            events.push((Stream::Account(account), Event::Account(event)));
        }
        let mut state = None;
        for command in [root, access_key] {
            for event in user::decide(state.as_ref(), command, now)? {
                state = user::evolve(state, &event, now);
                events.push((Stream::User(root_user), Event::User(event)));
            }
        }
        let outcome = self.commit(call, key, account, Revision::NONE, events, None).await;
        self.keep_only_if_recorded(&id, outcome).await
    }

    /// Makes a user.
    pub(crate) async fn create_user(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        command: user::Command,
    ) -> Result<Outcome, Error> {
        let stream = Stream::User(UserId(uuid::Uuid::now_v7()));
        let events = user::decide(None, command, self.now())?;
        let events = events.into_iter().map(|event| (stream, Event::User(event))).collect();
        self.commit(call, key, account, Revision::NONE, events, None).await
    }

    /// Makes an access key for a user.
    pub(crate) async fn create_access_key(
        &self,
        call: &Call,
        key: CommandKey,
        user: UserId,
        expires_at: Option<Timestamp>,
        state: domain::AccessKeyState,
    ) -> Result<Outcome, Error> {
        let account = self.model().user(user).ok_or(Error::NoSuchUser)?.account;
        let (id, secret) = self.vault.make_access_key(account).await?;
        let command = user::Command::CreateAccessKey { id: id.clone(), secret, expires_at, state };
        let outcome = self.change_user(call, key, user, |_| Ok(command)).await;
        let outcome = outcome.and_then(|outcome| outcome.ok_or(Error::Internal));
        self.keep_only_if_recorded(&id, outcome).await
    }

    /// Does to a user what `command` makes of its state, under the user's lock. `None` if nothing
    /// changes.
    pub(crate) async fn change_user(
        &self,
        call: &Call,
        key: CommandKey,
        user: UserId,
        command: impl FnOnce(&UserEntry) -> Result<user::Command, Error> + Send,
    ) -> Result<Option<Outcome>, Error> {
        let stream = Stream::User(user);
        let _turn = self.locks[self.lock_of(stream)].lock().await;
        // The same command may have been done while this one waited for its turn.
        if let Some(outcome) = self.repeated(key)? {
            return Ok(Some(outcome));
        }
        let entry = self.model().user(user).cloned().ok_or(Error::NoSuchUser)?;
        let events = user::decide(Some(&entry.user), command(&entry)?, self.now())?;
        if events.is_empty() {
            return Ok(None);
        }
        let deleted: Vec<_> = events.iter().filter_map(deleted_access_key).collect();
        let events = events.into_iter().map(|event| (stream, Event::User(event))).collect();
        let outcome = self
            .commit(call, key, entry.account, entry.revision, events, Some(&entry.user))
            .await?;
        for id in deleted {
            self.vault.shred(id.as_str()).await?;
        }
        Ok(Some(outcome))
    }

    /// Records events, all or none, and waits until the model has them. `revision` is what the
    /// stream that is changed stands at; `user` whom it describes.
    async fn commit(
        &self,
        call: &Call,
        key: CommandKey,
        account: AccountId,
        revision: Revision,
        events: Vec<(Stream, Event)>,
        user: Option<&User>,
    ) -> Result<Outcome, Error> {
        let claims = events.iter().filter_map(|(_, event)| claim(account, event, user)).collect();
        let events = events.into_iter().map(|(stream, event)| {
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
            reads: vec![],
        };
        let appended = self.log.append(batch).await.map_err(append_failed)?;
        // Durable by now: an answer that comes late is no reason to say that it failed.
        let mut applied = self.applied.subscribe();
        applied.wait_for(|head| *head >= appended.last).await.map_err(|_| Error::LogUnavailable)?;
        Ok(appended.into())
    }

    /// Destroys the data key of an access key that was not recorded after all.
    async fn keep_only_if_recorded(
        &self,
        id: &AccessKeyId,
        outcome: Result<Outcome, Error>,
    ) -> Result<Outcome, Error> {
        // When the outcome is unknown the data key stays: the event may be there after all.
        let unknown = matches!(outcome, Err(Error::LogUnavailable));
        if !unknown && !self.model().holds_access_key(id.as_str()) {
            self.vault.shred(id.as_str()).await?;
        }
        outcome
    }

    fn lock_of(&self, stream: Stream) -> usize {
        usize::try_from(self.lock_hasher.hash_one(stream) % LOCKS as u64).unwrap_or_default()
    }
}

/// Decodes a recorded event.
pub(crate) fn decode(event: &Recorded) -> Result<Event, Error> {
    event_store::payload::decode(event.schema_version, event.payload.clone(), event.sealed.as_ref())
        .map_err(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, position = event.position.0, "an event does not decode");
            Error::LogCorrupt { position: event.position.0 }
        })
}

/// What an event takes or gives back in the whole log. Access key IDs are never given back.
fn claim(account: AccountId, event: &Event, user: Option<&User>) -> Option<ClaimOp> {
    let name =
        |kind: &str, key: &str| Claim { kind: Label::truncated(kind), key: Label::truncated(key) };
    let user_name = |name_of: &domain::UserName| {
        name(USER_NAME_CLAIM, &format!("{account}/{}", name_of.folded()))
    };
    match event {
        Event::Account(AccountEvent::Created { number, .. }) => {
            Some(ClaimOp::Take(name(ACCOUNT_NUMBER_CLAIM, &number.to_string())))
        }
        Event::User(UserEvent::Created { name, .. }) => Some(ClaimOp::Take(user_name(name))),
        Event::User(UserEvent::Deleted) => user.map(|user| ClaimOp::Release(user_name(&user.name))),
        Event::User(UserEvent::AccessKeyCreated { id, .. }) => {
            Some(ClaimOp::Take(name(ACCESS_KEY_ID_CLAIM, id.as_str())))
        }
        Event::User(
            UserEvent::LabelChanged { .. }
            | UserEvent::Locked
            | UserEvent::Unlocked
            | UserEvent::AccessKeyActivated { .. }
            | UserEvent::AccessKeyDeactivated { .. }
            | UserEvent::AccessKeyExpiryChanged { .. }
            | UserEvent::SecretAccessKeyRotated { .. }
            | UserEvent::GracePeriodEnded { .. }
            | UserEvent::AccessKeyDeleted { .. },
        ) => None,
    }
}

fn deleted_access_key(event: &UserEvent) -> Option<AccessKeyId> {
    if let UserEvent::AccessKeyDeleted { id } = event { Some(id.clone()) } else { None }
}

fn append_failed(error: AppendError) -> Error {
    match error {
        AppendError::ClaimTaken { claim, .. } if claim.kind.as_str() == USER_NAME_CLAIM => {
            Error::UserNameTaken
        }
        // Ids and numbers are drawn at random: whoever meets a taken one draws again.
        AppendError::ClaimTaken { .. }
        | AppendError::ClaimNotHeld { .. }
        | AppendError::Conflict { .. } => Error::Conflict,
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

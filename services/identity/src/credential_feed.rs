//! CredentialFeedService: what auth needs to verify signatures, and nothing more.
//!
//! A watcher first subscribes to changes and then reads the state, piece by piece. What changes
//! meanwhile is sent again as a change: records replace what was known, so nothing is lost and
//! nothing has to stand still.

mod derive;
mod report;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api::identity::v1::credential_feed_service_server::CredentialFeedService;
use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::{
    AccessKeyRecord, AccountRecord, CredentialChange, CredentialRecords, DateKey, DateKeyRecord,
    DateKeyRecords, DeriveDateKeysRequest, DeriveDateKeysResponse, DerivePublicKeysRequest,
    DerivePublicKeysResponse, Heartbeat, LockoutRecord, LockoutRecords, ReportLockoutRequest,
    ReportLockoutResponse, ReportUseRequest, ReportUseResponse, SecretRecord, SnapshotComplete,
    UserRecord, VerifySignatureVersion2Request, VerifySignatureVersion2Response,
    WatchCredentialsRequest, WatchCredentialsResponse,
};
use domain::{AccessKey, AccountId, Secret, UserId, UserState};
use event_store::Position;
use event_store::payload::{proto_lockout, proto_timestamp};
use futures::Stream;
use sigv4::Spelling;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::lockouts::REPORT_LOCKOUTS_MAX;
use crate::model::{Effect, Model, UserEntry};
use crate::vault::SecretOf;
use crate::writer::{Change, Writer};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Users in one message of a snapshot: with ten access keys each still far under the 4 MiB that a
/// gRPC message may have.
const USERS_PER_MESSAGE: usize = 256;
/// Messages under way to a watcher. One that does not take them for as long as it takes to fill
/// the queue of changes is sent away.
const MESSAGES_UNDER_WAY: usize = 64;
const DAY_SECONDS: i64 = 86_400;

pub(crate) struct CredentialFeed {
    pub(crate) writer: Arc<Writer>,
    pub(crate) shutdown: CancellationToken,
    /// Whether signatures of Version 2 are verified.
    pub(crate) accepts_version_2: bool,
}

#[tonic::async_trait]
impl CredentialFeedService for CredentialFeed {
    type WatchCredentialsStream =
        Pin<Box<dyn Stream<Item = Result<WatchCredentialsResponse, Status>> + Send>>;

    async fn watch_credentials(
        &self,
        _request: Request<WatchCredentialsRequest>,
    ) -> Result<Response<Self::WatchCredentialsStream>, Status> {
        let (messages, receiver) = mpsc::channel(MESSAGES_UNDER_WAY);
        let feed = Feed { writer: Arc::clone(&self.writer), messages };
        let shutdown = self.shutdown.clone();
        let counted = Arc::clone(&self.writer.feed_watchers);
        tokio::spawn(async move {
            let _counted = counted;
            let ended = tokio::select! {
                ended = feed.run() => ended,
                () = shutdown.cancelled() => Err(Error::WatchEnded),
            };
            if let Err(error) = ended {
                // The watcher may be gone, which is one way to end.
                let _ = feed.messages.try_send(Err(error.into()));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn derive_date_keys(
        &self,
        request: Request<DeriveDateKeysRequest>,
    ) -> Result<Response<DeriveDateKeysResponse>, Status> {
        Ok(Response::new(derive::date_keys(&self.writer, request.get_ref())?))
    }

    async fn derive_public_keys(
        &self,
        request: Request<DerivePublicKeysRequest>,
    ) -> Result<Response<DerivePublicKeysResponse>, Status> {
        Ok(Response::new(derive::public_keys(&self.writer, request.get_ref())?))
    }

    async fn verify_signature_version2(
        &self,
        request: Request<VerifySignatureVersion2Request>,
    ) -> Result<Response<VerifySignatureVersion2Response>, Status> {
        if !self.accepts_version_2 {
            return Err(Error::SignatureVersion2Off.into());
        }
        Ok(Response::new(derive::version_2(&self.writer, request.get_ref())?))
    }

    async fn report_use(
        &self,
        request: Request<ReportUseRequest>,
    ) -> Result<Response<ReportUseResponse>, Status> {
        Ok(Response::new(report::uses(&self.writer, request.into_inner()).await?))
    }

    async fn report_lockout(
        &self,
        request: Request<ReportLockoutRequest>,
    ) -> Result<Response<ReportLockoutResponse>, Status> {
        Ok(Response::new(report::lockouts(&self.writer, request.into_inner()).await?))
    }
}

/// One watcher.
struct Feed {
    writer: Arc<Writer>,
    messages: mpsc::Sender<Result<WatchCredentialsResponse, Status>>,
}

impl Feed {
    async fn run(&self) -> Result<(), Error> {
        let (position, mut changes) = self.writer.watch_changes();
        let mut lockouts = self.writer.lockouts.watch();
        let mut last_day = today(&self.writer) + 1;
        self.snapshot().await?;
        let complete = SnapshotComplete {
            position: self.writer.told(position),
            log_id: self.writer.log.log_id().as_bytes().to_vec(),
        };
        self.send(Message::SnapshotComplete(complete)).await?;
        self.all_lockouts().await?;
        let mut sent = position;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.recv() => sent = self.change(change).await?,
                lockout = lockouts.recv() => self.lockout(lockout).await?,
                _ = heartbeat.tick() => {
                    let tomorrow = today(&self.writer) + 1;
                    // More than one after the clock has jumped, or the machine slept.
                    for day in (last_day + 1).max(tomorrow.saturating_sub(2))..=tomorrow {
                        self.date_keys(day).await?;
                        last_day = day;
                    }
                    self.heartbeat(&mut changes, &mut sent).await?;
                }
            }
        }
    }

    /// Sends every user and access key, a piece at a time, each with what its account asks for.
    async fn snapshot(&self) -> Result<(), Error> {
        let ids = self.writer.model().user_ids();
        for ids in ids.chunks(USERS_PER_MESSAGE) {
            let entries = self.entries(ids);
            let mut records = CredentialRecords {
                accounts: self.account_records(&entries),
                ..Default::default()
            };
            for entry in &entries {
                records.users.extend(self.user_record(entry));
                for key in &entry.user.access_keys {
                    records.access_keys.extend(access_key_record(&self.writer, entry, key)?);
                }
            }
            self.send(Message::Snapshot(records)).await?;
        }
        Ok(())
    }

    async fn change(&self, change: Result<Change, RecvError>) -> Result<Position, Error> {
        let Change { position, effect } = change.map_err(|_| Error::WatchEnded)?;
        let mut change =
            CredentialChange { position: self.writer.told(position), ..Default::default() };
        let mut records = CredentialRecords::default();
        match effect {
            Effect::None | Effect::Bucket(_) => {}
            Effect::Account(id) => {
                records.accounts.push(account_record(&self.writer.model(), id));
            }
            Effect::User(id) => match self.entry(id) {
                Some(entry) => records.users.extend(self.user_record(&entry)),
                None => change.deleted_user_ids.push(id.0.as_bytes().to_vec()),
            },
            Effect::UserDeleted(id) => change.deleted_user_ids.push(id.0.as_bytes().to_vec()),
            Effect::AccessKey(id) => {
                // The state of now, which may be of a later change already: that one is sent too.
                let holder = {
                    let model = self.writer.model();
                    model.access_key(&id).map(|(holder, _)| holder.clone())
                };
                match holder
                    .as_ref()
                    .and_then(|holder| Some((holder, holder.user.access_key(&id)?)))
                {
                    Some((holder, key)) => match access_key_record(&self.writer, holder, key)? {
                        Some(record) => records.access_keys.push(record),
                        // What cannot be told is not to be believed as it was before.
                        None => change.deleted_access_key_ids.push(id.to_string()),
                    },
                    None => change.deleted_access_key_ids.push(id.to_string()),
                }
            }
            Effect::AccessKeyDeleted(id) => change.deleted_access_key_ids.push(id.to_string()),
        }
        change.records = Some(records);
        self.send(Message::Change(change)).await?;
        Ok(position)
    }

    /// Tells that nothing has changed beyond what was sent: first sends what has.
    async fn heartbeat(
        &self,
        changes: &mut broadcast::Receiver<Change>,
        sent: &mut Position,
    ) -> Result<(), Error> {
        while !changes.is_empty() {
            *sent = self.change(changes.recv().await).await?;
        }
        let time = Some(proto_timestamp(self.writer.now()));
        self.send(Message::Heartbeat(Heartbeat { position: self.writer.told(*sent), time })).await
    }

    /// Sends the date keys of a day that has come near.
    async fn date_keys(&self, day: u32) -> Result<(), Error> {
        let ids = self.writer.model().user_ids();
        for ids in ids.chunks(USERS_PER_MESSAGE) {
            let entries = self.entries(ids);
            let mut date_keys = vec![];
            for entry in &entries {
                for key in &entry.user.access_keys {
                    date_keys.extend(
                        unless_shut(date_key_records(
                            &self.writer,
                            entry,
                            key,
                            Spelling::Aws4,
                            day,
                        ))?
                        .unwrap_or_default(),
                    );
                }
            }
            self.send(Message::DateKeys(DateKeyRecords { date_keys })).await?;
        }
        Ok(())
    }

    /// Tells who is locked out from now on; all anew if some were missed.
    async fn lockout(&self, lockout: Result<LockoutRecord, RecvError>) -> Result<(), Error> {
        match lockout {
            Ok(lockout) => {
                let lockouts = vec![lockout];
                self.send(Message::Lockouts(LockoutRecords { lockouts })).await
            }
            Err(RecvError::Lagged(_)) => self.all_lockouts().await,
            Err(RecvError::Closed) => Err(Error::WatchEnded),
        }
    }

    async fn all_lockouts(&self) -> Result<(), Error> {
        let in_force = self.writer.lockouts.in_force(self.writer.now().timestamp_millis());
        for lockouts in in_force.chunks(REPORT_LOCKOUTS_MAX) {
            let lockouts = lockouts.to_vec();
            self.send(Message::Lockouts(LockoutRecords { lockouts })).await?;
        }
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        let response = WatchCredentialsResponse { message: Some(message) };
        self.messages.send(Ok(response)).await.map_err(|_| Error::WatchEnded)
    }

    /// Those of the users that are still there.
    fn entries(&self, ids: &[UserId]) -> Vec<Arc<UserEntry>> {
        let model = self.writer.model();
        ids.iter().filter_map(|id| model.user(*id).map(Arc::clone)).collect()
    }

    fn entry(&self, id: UserId) -> Option<Arc<UserEntry>> {
        self.writer.model().user(id).map(Arc::clone)
    }

    /// The accounts of these users, each once.
    fn account_records(&self, entries: &[Arc<UserEntry>]) -> Vec<AccountRecord> {
        let ids: BTreeSet<_> = entries.iter().map(|entry| entry.account).collect();
        let model = self.writer.model();
        ids.into_iter().map(|id| account_record(&model, id)).collect()
    }

    fn user_record(&self, entry: &UserEntry) -> Option<UserRecord> {
        let model = self.writer.model();
        let account = model.account(entry.account)?;
        Some(UserRecord {
            user_id: entry.id.0.as_bytes().to_vec(),
            account_id: entry.account.0.as_bytes().to_vec(),
            account_number: account.account.number.to_string(),
            user_name: entry.user.name.to_string(),
            root: entry.user.root,
            locked: entry.user.state == UserState::Locked,
        })
    }
}

fn account_record(model: &Model, id: AccountId) -> AccountRecord {
    let lockout_mode = proto_lockout(model.settings(id).lockout).into();
    AccountRecord { account_id: id.0.as_bytes().to_vec(), lockout_mode }
}

/// The record of an access key with the date keys of yesterday, today and tomorrow. None if it was
/// deleted while it was read, which another change tells, or cannot be opened.
fn access_key_record(
    writer: &Writer,
    holder: &UserEntry,
    key: &AccessKey,
) -> Result<Option<AccessKeyRecord>, Error> {
    let now = writer.now();
    let today = today(writer);
    let mut secrets = vec![];
    for secret in key.valid_secrets(now) {
        let days = [today.saturating_sub(1), today, today + 1];
        let Some(date_keys) =
            unless_shut(date_keys(writer, holder, key, secret, Spelling::Aws4, &days))?
        else {
            return Ok(None);
        };
        secrets.push(SecretRecord {
            generation: secret.generation,
            expire_time_ms: secret.expires_at.map(|end| end.timestamp_millis()),
            date_keys,
        });
    }
    Ok(Some(AccessKeyRecord {
        access_key_id: key.id.to_string(),
        user_id: holder.id.0.as_bytes().to_vec(),
        active: key.state == domain::AccessKeyState::Active,
        expire_time_ms: key.expires_at.map(|end| end.timestamp_millis()),
        not_before_time_ms: key.not_before.map(|start| start.timestamp_millis()),
        secrets,
    }))
}

fn date_key_records(
    writer: &Writer,
    holder: &UserEntry,
    key: &AccessKey,
    spelling: Spelling,
    day: u32,
) -> Result<Vec<DateKeyRecord>, Error> {
    let mut records = vec![];
    for secret in key.valid_secrets(writer.now()) {
        for date_key in date_keys(writer, holder, key, secret, spelling, &[day])? {
            records.push(DateKeyRecord {
                access_key_id: key.id.to_string(),
                generation: secret.generation,
                date_key: Some(date_key),
            });
        }
    }
    Ok(records)
}

fn date_keys(
    writer: &Writer,
    holder: &UserEntry,
    key: &AccessKey,
    secret: &Secret,
    spelling: Spelling,
    days: &[u32],
) -> Result<Vec<DateKey>, Error> {
    let of =
        SecretOf { account: holder.account, access_key: &key.id, generation: secret.generation };
    let secret = writer.vault.open(of, &secret.sealed)?;
    let derive = |day: &u32| {
        let date = sigv4::Date::from_unix_seconds(i64::from(*day) * DAY_SECONDS);
        let key = sigv4::DateKey::derive_spelled(spelling, secret.expose(), &date);
        DateKey { day: *day, key: key.expose().to_vec() }
    };
    Ok(days.iter().map(derive).collect())
}

/// Nothing, where a secret cannot be opened: the key was deleted meanwhile, or its record is damaged,
/// which was logged where it was found. One bad key must not keep all others from being told.
fn unless_shut<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::SecretShredded | Error::Internal) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Days since 1970.
fn today(writer: &Writer) -> u32 {
    u32::try_from(writer.now().timestamp().div_euclid(DAY_SECONDS)).unwrap_or_default()
}

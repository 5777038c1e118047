//! AccessKeyService: the access keys of users, and their secrets.

use std::sync::Arc;

use api::identity::v1::access_key_service_server::AccessKeyService;
use api::identity::v1::{
    AccessKey, AccessKeyState, CreateAccessKeyRequest, CreateAccessKeyResponse,
    DeleteAccessKeyRequest, DeleteAccessKeyResponse, EndGracePeriodRequest, EndGracePeriodResponse,
    GetAccessKeyRequest, GetAccessKeyResponse, ListAccessKeysRequest, ListAccessKeysResponse,
    PurgeAccessKeyRequest, PurgeAccessKeyResponse, ReplaceAccessKeyRequest,
    ReplaceAccessKeyResponse, RotateSecretAccessKeyRequest, RotateSecretAccessKeyResponse,
    UndeleteAccessKeyRequest, UndeleteAccessKeyResponse, UpdateAccessKeyRequest,
    UpdateAccessKeyResponse,
};
use domain::{
    AccessKeyChanges, AccessKeyId, Expiry, Label, NewAccessKey, SecretAccessKey, Slot, TimeToLive,
    Timestamp, UserId, user,
};
use tonic::{Request, Response, Status};

use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::UserEntry;
use crate::turn::Intent;
use crate::vault::Prepared;
use crate::vault::SecretOf;
use crate::writer::{Begun, Fresh, Outcome, Writer};
use crate::{answer, history, render, resource};

mod list;

pub(crate) struct AccessKeys(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl AccessKeyService for AccessKeys {
    async fn create_access_key(
        &self,
        request: Request<CreateAccessKeyRequest>,
    ) -> Result<Response<CreateAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(created.await?))
    }

    async fn get_access_key(
        &self,
        request: Request<GetAccessKeyRequest>,
    ) -> Result<Response<GetAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let read_time = history::read_time(&self.0, request.read_time)?;
        let is_now = read_time.is_none();
        let access_key = match read_time {
            None => {
                let model = self.0.model();
                let (holder, id) = resource::access_key(&model, &call, "name", &request.name)?;
                call.reads_user(holder.account, holder.id)?;
                shown(holder, &id, self.0.now())
            }
            Some(at) => {
                let (account, user, id) =
                    resource::access_key_ever(&self.0.model(), &call, "name", &request.name)?;
                call.reads_user(account, user)?;
                let holder = history::user_at(&self.0, user, at).await?;
                holder.and_then(|holder| shown(&holder, &id, at))
            }
        };
        let mut access_key = access_key.ok_or(Error::NoSuchAccessKey)?;
        if is_now {
            self.0.uses.tell(&mut access_key);
        }
        Ok(Response::new(GetAccessKeyResponse { access_key: Some(access_key) }))
    }

    async fn list_access_keys(
        &self,
        request: Request<ListAccessKeysRequest>,
    ) -> Result<Response<ListAccessKeysResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let listed = match history::read_time(&self.0, request.read_time)? {
            None => {
                let mut listed = list::now(&self.0, &call, &request)?;
                listed.access_keys.iter_mut().for_each(|key| self.0.uses.tell(key));
                listed
            }
            Some(at) => list::at(&self.0, &call, &request, at).await?,
        };
        Ok(Response::new(listed))
    }

    async fn update_access_key(
        &self,
        request: Request<UpdateAccessKeyRequest>,
    ) -> Result<Response<UpdateAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let asked = request.access_key.ok_or_else(|| Error::invalid("access_key", "is missing"))?;
        let paths = request.update_mask.unwrap_or_default().paths;
        let changes = changes(&asked, &paths, request.lifetime_days_max)?;
        let named = Named { field: "access_key.name", name: asked.name, etag: asked.etag };
        let intent = match changes.state {
            Some(domain::AccessKeyState::Inactive) => Intent::EndAccessKey,
            Some(domain::AccessKeyState::Active) | None => Intent::Change,
        };
        let command = |id| user::Command::UpdateAccessKey { id, changes };
        let (access_key, position) = self.change(call, key, intent, named, command).await?;
        Ok(Response::new(UpdateAccessKeyResponse { access_key: Some(access_key), position }))
    }

    async fn rotate_secret_access_key(
        &self,
        request: Request<RotateSecretAccessKeyRequest>,
    ) -> Result<Response<RotateSecretAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let rotated = rotate(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(rotated.await?))
    }

    async fn end_grace_period(
        &self,
        request: Request<EndGracePeriodRequest>,
    ) -> Result<Response<EndGracePeriodResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let named = Named { field: "name", name: request.name, etag: request.etag };
        let command = |id| user::Command::EndGracePeriod { id };
        let (access_key, position) =
            self.change(call, key, Intent::EndAccessKey, named, command).await?;
        Ok(Response::new(EndGracePeriodResponse { access_key: Some(access_key), position }))
    }

    async fn replace_access_key(
        &self,
        request: Request<ReplaceAccessKeyRequest>,
    ) -> Result<Response<ReplaceAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let replaced = replace(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(replaced.await?))
    }

    async fn delete_access_key(
        &self,
        request: Request<DeleteAccessKeyRequest>,
    ) -> Result<Response<DeleteAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let deleted = delete(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(deleted.await?))
    }

    async fn undelete_access_key(
        &self,
        request: Request<UndeleteAccessKeyRequest>,
    ) -> Result<Response<UndeleteAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let named = Named { field: "name", name: request.name, etag: request.etag };
        let command = |id| user::Command::UndeleteAccessKey { id };
        let (access_key, position) = self.change(call, key, Intent::Change, named, command).await?;
        Ok(Response::new(UndeleteAccessKeyResponse { access_key: Some(access_key), position }))
    }

    async fn purge_access_key(
        &self,
        request: Request<PurgeAccessKeyRequest>,
    ) -> Result<Response<PurgeAccessKeyResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let mut request = request.into_inner();
        let writer = &self.0;
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let outcome = match writer.begin(key).await? {
            Begun::Recorded(outcome) => outcome,
            Begun::Fresh(fresh) => {
                let target = Target::of(writer, &call, "name", &request.name, request.etag)?;
                let command = |id| user::Command::PurgeAccessKey { id };
                let purged =
                    change(writer, &call, fresh, Intent::EndAccessKey, &target, command).await?;
                purged.ok_or(Error::Internal)?
            }
        };
        Ok(Response::new(PurgeAccessKeyResponse { position: writer.told(outcome.last) }))
    }
}

/// The access key that a request means to change.
#[derive(Clone)]
struct Target {
    holder: UserId,
    id: AccessKeyId,
    etag: String,
}

impl Target {
    /// Finds it, if the caller may change it.
    fn of(
        writer: &Writer,
        call: &Call,
        field: &'static str,
        name: &str,
        etag: String,
    ) -> Result<Self, Error> {
        let model = writer.model();
        let (holder, id) = resource::access_key(&model, call, field, name)?;
        call.manages_access_keys(holder.account, holder.id)?;
        Ok(Self { holder: holder.id, id, etag })
    }

    /// Whether it is still as the client saw it.
    fn check_etag(&self, holder: &UserEntry) -> Result<(), Error> {
        let deleted = || holder.user.deleted_access_key(&self.id).map(|key| &key.access_key);
        let key = holder.user.access_key(&self.id).or_else(deleted);
        let key = key.ok_or(Error::NoSuchAccessKey)?;
        if self.etag.is_empty() || render::access_key_etag(holder, key) == self.etag {
            return Ok(());
        }
        Err(Error::EtagMismatch)
    }
}

/// The access key that a request names to be changed.
struct Named {
    field: &'static str,
    name: String,
    etag: String,
}

impl AccessKeys {
    /// Changes an access key and shows it, with the position at which it is so.
    async fn change(
        &self,
        call: Call,
        key: CommandKey,
        intent: Intent,
        named: Named,
        command: impl FnOnce(AccessKeyId) -> user::Command + Send + 'static,
    ) -> Result<(AccessKey, u64), Error> {
        let writer = &self.0;
        // First of all: the access key may be gone by now, or its user have another name.
        let fresh = match writer.begin(key).await? {
            Begun::Fresh(fresh) => fresh,
            Begun::Recorded(outcome) => {
                let access_key = answer::changed_access_key(writer, outcome).await?;
                return Ok((access_key, writer.told(outcome.last)));
            }
        };
        let Named { field, name, etag } = named;
        let target = Target::of(writer, &call, field, &name, etag)?;
        match change(writer, &call, fresh, intent, &target, command).await? {
            Some(outcome) => {
                let Target { holder, id, .. } = &target;
                let shown = answer::access_key_after(writer, *holder, id, outcome).await?;
                Ok((shown, writer.told(outcome.last)))
            }
            None => {
                let model = writer.model();
                let (holder, key) = model.access_key(&target.id).ok_or(Error::NoSuchAccessKey)?;
                let shown = render::access_key(holder, key, writer.now());
                Ok((shown, writer.told(model.position())))
            }
        }
    }
}

/// Changes an access key if its etag is still true.
async fn change(
    writer: &Arc<Writer>,
    call: &Call,
    fresh: Fresh,
    intent: Intent,
    target: &Target,
    command: impl FnOnce(AccessKeyId) -> user::Command + Send + 'static,
) -> Result<Option<Outcome>, Error> {
    let holder = target.holder;
    let target = target.clone();
    let changed = writer.change_user(call, fresh, intent, holder, move |holder| {
        target.check_etag(holder)?;
        Ok(command(target.id))
    });
    changed.await
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    mut request: CreateAccessKeyRequest,
) -> Result<CreateAccessKeyResponse, Error> {
    let secret = Brought::take(&mut request.secret_access_key);
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let asked = request.access_key.unwrap_or_default();
    let new = New::of(&asked, secret, request.lifetime_days_max)?;
    let secret = new.secret_digest();
    let (take_slot, keep_expiry) = (request.take_slot, expiry(&asked)?.is_none());
    if take_slot && new.spec.slot.is_none() {
        return Err(Error::invalid("access_key.slot", "must be 1 or 2 if it is to be taken"));
    }
    let comment = comment(request.user_comment.as_deref())?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let holder = {
                let model = writer.model();
                let holder = resource::user(&model, &call, "parent", &request.parent)?;
                call.manages_access_keys(holder.account, holder.id)?;
                if comment.is_some() {
                    call.manages_account(holder.account)?;
                }
                holder.id
            };
            let New { spec, brought } = new;
            let created = writer.change_user_with_access_key(
                &call,
                fresh,
                Intent::Change,
                holder,
                brought,
                move |_, prepared| {
                    let access_key = spec.clone().with(prepared);
                    let command = match take_slot {
                        true => user::Command::TakeSlot { access_key, keep_expiry },
                        false => user::Command::CreateAccessKey(access_key),
                    };
                    Ok(with_comment(comment.clone(), command))
                },
            );
            created.await?.ok_or(Error::Internal)?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    secret.check(&answer.secret_access_key)?;
    Ok(CreateAccessKeyResponse {
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: writer.told(outcome.last),
    })
}

async fn replace(
    writer: Arc<Writer>,
    call: Call,
    mut request: ReplaceAccessKeyRequest,
) -> Result<ReplaceAccessKeyResponse, Error> {
    let secret = Brought::take(&mut request.secret_access_key);
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let asked = request.access_key.unwrap_or_default();
    let new = New::of(&asked, secret, request.lifetime_days_max)?;
    let secret = new.secret_digest();
    let grace_period_seconds = request.grace_period_seconds;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let target = Target::of(&writer, &call, "name", &request.name, request.etag)?;
            let New { spec, brought } = new;
            let replaced = writer.change_user_with_access_key(
                &call,
                fresh,
                Intent::Change,
                target.holder,
                brought,
                move |holder, prepared| {
                    target.check_etag(holder)?;
                    Ok(user::Command::ReplaceAccessKey {
                        id: target.id.clone(),
                        replacement: spec.clone().with(prepared),
                        grace_period_seconds,
                    })
                },
            );
            replaced.await?.ok_or(Error::Internal)?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    secret.check(&answer.secret_access_key)?;
    Ok(ReplaceAccessKeyResponse {
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: writer.told(outcome.last),
    })
}

async fn rotate(
    writer: Arc<Writer>,
    call: Call,
    mut request: RotateSecretAccessKeyRequest,
) -> Result<RotateSecretAccessKeyResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let expiry = expiry(&request.access_key.unwrap_or_default())?;
    let lifetime_seconds_max = lifetime_seconds_max(request.lifetime_days_max);
    let grace_period_seconds = request.grace_period_seconds;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let target = Target::of(&writer, &call, "name", &request.name, request.etag)?;
            let sealing = Arc::clone(&writer);
            // At the user's turn, so that the generation it is sealed for is the next.
            let rotated =
                writer.change_user(&call, fresh, Intent::Change, target.holder, move |holder| {
                    target.check_etag(holder)?;
                    let access_key =
                        holder.user.access_key(&target.id).ok_or(Error::NoSuchAccessKey)?;
                    let generation = access_key.generation() + 1;
                    let id = target.id.clone();
                    let of = SecretOf { account: holder.account, access_key: &id, generation };
                    let secret = sealing.vault.make_secret(of)?;
                    Ok(user::Command::RotateSecretAccessKey {
                        id,
                        secret,
                        grace_period_seconds,
                        expiry,
                        lifetime_seconds_max,
                    })
                });
            rotated.await?.ok_or(Error::Internal)?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    Ok(RotateSecretAccessKeyResponse {
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: writer.told(outcome.last),
    })
}

async fn delete(
    writer: Arc<Writer>,
    call: Call,
    mut request: DeleteAccessKeyRequest,
) -> Result<DeleteAccessKeyResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let comment = comment(request.user_comment.as_deref())?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let target = Target::of(&writer, &call, "name", &request.name, request.etag)?;
            if comment.is_some() {
                let account = writer.model().user(target.holder).map(|holder| holder.account);
                call.manages_account(account.ok_or(Error::NoSuchUser)?)?;
            }
            let deleted = if request.replace_last {
                let deleted = writer.change_user_with_access_key(
                    &call,
                    fresh,
                    Intent::EndAccessKey,
                    target.holder,
                    None,
                    move |holder, prepared| {
                        target.check_etag(holder)?;
                        let replacement = Some(Spec::default().with(prepared));
                        let id = target.id.clone();
                        let command = user::Command::DeleteAccessKey { id, replacement };
                        Ok(with_comment(comment.clone(), command))
                    },
                );
                deleted.await?
            } else {
                let command = |id| {
                    let command = user::Command::DeleteAccessKey { id, replacement: None };
                    with_comment(comment, command)
                };
                change(&writer, &call, fresh, Intent::EndAccessKey, &target, command).await?
            };
            deleted.ok_or(Error::Internal)?
        }
    };
    let position = writer.told(outcome.last);
    Ok(match answer::with_secret_if_any(&writer, outcome).await? {
        None => DeleteAccessKeyResponse { position, ..Default::default() },
        Some(answer) => DeleteAccessKeyResponse {
            position,
            replacement: Some(answer.access_key),
            replacement_secret_access_key: answer.secret_access_key,
        },
    })
}

/// The secret that a client brings, taken out of its request: a digest of the request stands in the
/// log, and would let a weak secret be guessed.
pub(crate) struct Brought(Option<SecretAccessKey>, bool);

impl Brought {
    pub(crate) fn take(field: &mut String) -> Self {
        let text = zeroize::Zeroizing::new(std::mem::take(field));
        Self(SecretAccessKey::parse(&text).ok(), !text.is_empty())
    }

    pub(crate) fn is_given(&self) -> bool {
        self.1
    }
}

/// What is known of the secret that a request brought, for when the request comes again.
pub(crate) struct SecretDigest(Option<domain::TokenHash>);

impl SecretDigest {
    fn of(secret: &str) -> domain::TokenHash {
        use sha2::{Digest, Sha256};
        domain::TokenHash(Sha256::digest(secret).into())
    }

    /// Refuses a request that came again with another secret.
    pub(crate) fn check(&self, recorded: &str) -> Result<(), Error> {
        match &self.0 {
            Some(brought) if *brought != Self::of(recorded) => Err(Error::RequestIdReused),
            Some(_) | None => Ok(()),
        }
    }
}

/// What a request asks of a new access key, all but its id and secret.
#[derive(Clone)]
pub(crate) struct Spec {
    label: Label,
    slot: Option<Slot>,
    state: domain::AccessKeyState,
    not_before: Option<Timestamp>,
    expiry: Expiry,
    lifetime_seconds_max: Option<u64>,
    imported: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            label: Label::default(),
            slot: None,
            state: domain::AccessKeyState::Active,
            not_before: None,
            expiry: Expiry::Never,
            lifetime_seconds_max: None,
            imported: false,
        }
    }
}

impl Spec {
    pub(crate) fn with(self, Prepared { id, secret }: Prepared) -> NewAccessKey {
        let Self { label, slot, state, not_before, expiry, lifetime_seconds_max, imported } = self;
        NewAccessKey {
            id,
            secret,
            imported,
            label,
            slot,
            state,
            not_before,
            expiry,
            lifetime_seconds_max,
        }
    }
}

/// What a request asks of a new access key.
pub(crate) struct New {
    pub(crate) spec: Spec,
    pub(crate) brought: Option<(AccessKeyId, SecretAccessKey)>,
}

impl New {
    pub(crate) fn of(
        asked: &AccessKey,
        secret: Brought,
        lifetime_days_max: u32,
    ) -> Result<Self, Error> {
        let brought = match (asked.access_key_id.as_str(), secret) {
            ("", Brought(_, false)) => None,
            ("", Brought(_, true)) => {
                return Err(Error::invalid(
                    "access_key.access_key_id",
                    "must be given with secret_access_key, or neither",
                ));
            }
            (_, Brought(_, false)) => {
                return Err(Error::invalid(
                    "secret_access_key",
                    "must be given with access_key.access_key_id, or neither",
                ));
            }
            (_, Brought(None, true)) => {
                return Err(Error::invalid(
                    "secret_access_key",
                    "must be 40 to 128 visible ASCII characters",
                ));
            }
            (id, Brought(Some(secret), true)) => {
                let id = AccessKeyId::parse(id).map_err(|error| {
                    Error::invalid("access_key.access_key_id", error.to_string())
                })?;
                Some((id, secret))
            }
        };
        let state = match asked.state {
            0 => domain::AccessKeyState::Active,
            state => settable_state(state)?,
        };
        let spec = Spec {
            label: label(asked)?,
            slot: slot(asked.slot)?,
            state,
            not_before: instant("access_key.not_before_time", asked.not_before_time.as_ref())?,
            expiry: expiry(asked)?.unwrap_or(Expiry::Never),
            lifetime_seconds_max: lifetime_seconds_max(lifetime_days_max),
            imported: brought.is_some(),
        };
        Ok(Self { spec, brought })
    }

    pub(crate) fn secret_digest(&self) -> SecretDigest {
        SecretDigest(self.brought.as_ref().map(|(_, secret)| SecretDigest::of(secret.expose())))
    }
}

/// The comment that the user is to have with what is done to its access key.
fn comment(asked: Option<&str>) -> Result<Option<Label>, Error> {
    let comment = asked.map(Label::parse).transpose();
    comment.map_err(|error| Error::invalid("user_comment", error.to_string()))
}

fn with_comment(comment: Option<Label>, command: user::Command) -> user::Command {
    match comment {
        Some(comment) => user::Command::WithComment(comment, Box::new(command)),
        None => command,
    }
}

fn changes(
    asked: &AccessKey,
    paths: &[String],
    lifetime_days_max: u32,
) -> Result<AccessKeyChanges, Error> {
    let mut changes = AccessKeyChanges {
        lifetime_seconds_max: lifetime_seconds_max(lifetime_days_max),
        ..AccessKeyChanges::default()
    };
    let mut expiries = 0;
    for path in paths {
        match path.as_str() {
            "state" => changes.state = Some(settable_state(asked.state)?),
            "label" => changes.label = Some(label(asked)?),
            "slot" => changes.slot = Some(slot(asked.slot)?),
            "expire_time" | "time_to_live" | "expiration_date" => {
                expiries += 1;
                changes.expiry = Some(expiry(&only(path, asked))?.unwrap_or(Expiry::Never));
            }
            _ => return Err(mask_error()),
        }
    }
    if paths.is_empty() || expiries > 1 { Err(mask_error()) } else { Ok(changes) }
}

/// The one form of the expiry that a mask names: what was read of an access key and is sent back has
/// others still.
fn only(path: &str, asked: &AccessKey) -> AccessKey {
    let text = |of: &str, text: &str| if path == of { text.to_owned() } else { String::new() };
    AccessKey {
        expire_time: asked.expire_time.filter(|_| path == "expire_time"),
        time_to_live: text("time_to_live", &asked.time_to_live),
        expiration_date: text("expiration_date", &asked.expiration_date),
        ..AccessKey::default()
    }
}

fn mask_error() -> Error {
    Error::invalid(
        "update_mask",
        "must name state, label, slot or one of expire_time, time_to_live and expiration_date",
    )
}

fn shown(holder: &UserEntry, id: &AccessKeyId, now: Timestamp) -> Option<AccessKey> {
    let present = holder.user.access_key(id).map(|key| render::access_key(holder, key, now));
    present.or_else(|| {
        // It is gone at that instant, whether or not it has been purged by now.
        let deleted = holder.user.deleted_access_key(id).filter(|key| now < key.purge_at)?;
        Some(render::deleted_access_key(holder, deleted, now))
    })
}

fn label(asked: &AccessKey) -> Result<Label, Error> {
    Label::parse(&asked.label)
        .map_err(|error| Error::invalid("access_key.label", error.to_string()))
}

fn slot(number: u32) -> Result<Option<Slot>, Error> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Slot::One)),
        2 => Ok(Some(Slot::Two)),
        _ => Err(Error::invalid("access_key.slot", "must be 0, 1 or 2")),
    }
}

fn settable_state(state: i32) -> Result<domain::AccessKeyState, Error> {
    match AccessKeyState::try_from(state) {
        Ok(AccessKeyState::Active) => Ok(domain::AccessKeyState::Active),
        Ok(AccessKeyState::Inactive) => Ok(domain::AccessKeyState::Inactive),
        Ok(
            AccessKeyState::Unspecified
            | AccessKeyState::Expired
            | AccessKeyState::Deleted
            | AccessKeyState::NotYetValid,
        )
        | Err(_) => Err(Error::invalid("access_key.state", "must be ACTIVE or INACTIVE")),
    }
}

fn lifetime_seconds_max(days: u32) -> Option<u64> {
    (days > 0).then(|| u64::from(days) * 86_400)
}

/// When an access key is to end, in whichever form that was given; none if in none.
fn expiry(asked: &AccessKey) -> Result<Option<Expiry>, Error> {
    let time = instant("access_key.expire_time", asked.expire_time.as_ref())?;
    let (ttl, date) = (asked.time_to_live.as_str(), asked.expiration_date.as_str());
    match (time, ttl, date) {
        (None, "", "") => Ok(None),
        (Some(time), "", "") => Ok(Some(Expiry::At(time))),
        (None, ttl, "") => match TimeToLive::parse(ttl) {
            Ok(ttl) => Ok(Some(Expiry::After(ttl))),
            Err(error) => Err(Error::invalid("access_key.time_to_live", error.to_string())),
        },
        (None, "", date) => match domain::parse_instant(date) {
            Ok(time) => Ok(Some(Expiry::At(time))),
            Err(error) => Err(Error::invalid("access_key.expiration_date", error.to_string())),
        },
        _ => Err(Error::invalid(
            "access_key",
            "at most one of expire_time, time_to_live and expiration_date may be given",
        )),
    }
}

/// An instant to the millisecond, between the years 1970 and 9999.
pub(crate) fn instant(
    field: &'static str,
    time: Option<&prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Error> {
    const SECONDS_MAX: i64 = 253_402_300_799;
    let Some(time) = time else { return Ok(None) };
    let invalid = || Error::invalid(field, "must be a time between the years 1970 and 9999");
    if !(0..=SECONDS_MAX).contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return Err(invalid());
    }
    let ms = time.seconds * 1000 + i64::from(time.nanos / 1_000_000);
    Timestamp::from_timestamp_millis(ms).map(Some).ok_or_else(invalid)
}

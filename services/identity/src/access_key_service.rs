//! AccessKeyService: the access keys of users, and their secrets.

use std::ops::Bound;
use std::sync::Arc;

use api::identity::v1::access_key_service_server::AccessKeyService;
use api::identity::v1::{
    AccessKey, AccessKeyState, CreateAccessKeyRequest, CreateAccessKeyResponse,
    DeleteAccessKeyRequest, DeleteAccessKeyResponse, EndGracePeriodRequest, EndGracePeriodResponse,
    GetAccessKeyRequest, GetAccessKeyResponse, ListAccessKeysRequest, ListAccessKeysResponse,
    RotateSecretAccessKeyRequest, RotateSecretAccessKeyResponse, UpdateAccessKeyRequest,
    UpdateAccessKeyResponse,
};
use domain::{AccessKeyId, Timestamp, UserId, user};
use tonic::{Request, Response, Status};

use crate::call::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::UserEntry;
use crate::vault::SecretOf;
use crate::writer::{Outcome, Writer};
use crate::{answer, page, render, resource};

pub(crate) struct AccessKeys(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl AccessKeyService for AccessKeys {
    async fn create_access_key(
        &self,
        request: Request<CreateAccessKeyRequest>,
    ) -> Result<Response<CreateAccessKeyResponse>, Status> {
        let call = Call::of(&request)?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(answer::whole(created).await?))
    }

    async fn get_access_key(
        &self,
        request: Request<GetAccessKeyRequest>,
    ) -> Result<Response<GetAccessKeyResponse>, Status> {
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let (_, id) = resource::access_key(&model, "name", &request.name)?;
        let (holder, key) = model.access_key(&id).ok_or(Error::NoSuchAccessKey)?;
        let access_key = Some(render::access_key(holder, key, self.0.now()));
        Ok(Response::new(GetAccessKeyResponse { access_key }))
    }

    async fn list_access_keys(
        &self,
        request: Request<ListAccessKeysRequest>,
    ) -> Result<Response<ListAccessKeysResponse>, Status> {
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        Ok(Response::new(list(&self.0, &request)?))
    }

    async fn update_access_key(
        &self,
        request: Request<UpdateAccessKeyRequest>,
    ) -> Result<Response<UpdateAccessKeyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = CommandKey::new("UpdateAccessKey", call.principal(), "", &request)?;
        let asked = request.access_key.ok_or_else(|| Error::invalid("access_key", "is missing"))?;
        let (mut state, mut expires_at) = (None, None);
        let paths = request.update_mask.unwrap_or_default().paths;
        for path in &paths {
            match path.as_str() {
                "state" => state = Some(settable_state(asked.state)?),
                "expire_time" => expires_at = Some(expiry(asked.expire_time)?),
                _ => return Err(mask_error().into()),
            }
        }
        if paths.is_empty() {
            return Err(mask_error().into());
        }
        let target = self.target("access_key.name", &asked.name, asked.etag)?;
        let (access_key, position) = self
            .change(call, key, target, move |_, id| {
                Ok(user::Command::UpdateAccessKey { id, state, expires_at })
            })
            .await?;
        Ok(Response::new(UpdateAccessKeyResponse { access_key: Some(access_key), position }))
    }

    async fn rotate_secret_access_key(
        &self,
        request: Request<RotateSecretAccessKeyRequest>,
    ) -> Result<Response<RotateSecretAccessKeyResponse>, Status> {
        let call = Call::of(&request)?;
        let rotated = rotate(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(answer::whole(rotated).await?))
    }

    async fn end_grace_period(
        &self,
        request: Request<EndGracePeriodRequest>,
    ) -> Result<Response<EndGracePeriodResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = CommandKey::new("EndGracePeriod", call.principal(), "", &request)?;
        let target = self.target("name", &request.name, request.etag)?;
        let (access_key, position) = self
            .change(call, key, target, |_, id| Ok(user::Command::EndGracePeriod { id }))
            .await?;
        Ok(Response::new(EndGracePeriodResponse { access_key: Some(access_key), position }))
    }

    async fn delete_access_key(
        &self,
        request: Request<DeleteAccessKeyRequest>,
    ) -> Result<Response<DeleteAccessKeyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = CommandKey::new("DeleteAccessKey", call.principal(), "", &request)?;
        let target = self.target("name", &request.name, request.etag)?;
        let writer = Arc::clone(&self.0);
        let deleted = answer::whole(async move {
            let delete = |_: &Writer, id| Ok(user::Command::DeleteAccessKey { id });
            change(&writer, &call, key, &target, delete).await?.ok_or(Error::Internal)
        });
        Ok(Response::new(DeleteAccessKeyResponse { position: deleted.await?.last.0 }))
    }
}

/// The access key that a request means to change.
struct Target {
    holder: UserId,
    id: AccessKeyId,
    etag: String,
}

impl AccessKeys {
    fn target(&self, field: &'static str, name: &str, etag: String) -> Result<Target, Error> {
        let model = self.0.model();
        let (holder, id) = resource::access_key(&model, field, name)?;
        Ok(Target { holder: holder.id, id, etag })
    }

    /// Changes an access key and shows it, with the position at which it is so.
    async fn change(
        &self,
        call: Call,
        key: CommandKey,
        target: Target,
        command: impl FnOnce(&Writer, AccessKeyId) -> Result<user::Command, Error> + Send + 'static,
    ) -> Result<(AccessKey, u64), Error> {
        let writer = Arc::clone(&self.0);
        answer::whole(async move {
            let outcome = change(&writer, &call, key, &target, command).await?;
            let model = writer.model();
            let position = outcome.map_or(model.position(), |outcome| outcome.last);
            let (holder, key) = model.access_key(&target.id).ok_or(Error::NoSuchAccessKey)?;
            Ok((render::access_key(holder, key, writer.now()), position.0))
        })
        .await
    }
}

/// Changes an access key if its etag is still true.
async fn change(
    writer: &Writer,
    call: &Call,
    key: CommandKey,
    target: &Target,
    command: impl FnOnce(&Writer, AccessKeyId) -> Result<user::Command, Error> + Send,
) -> Result<Option<Outcome>, Error> {
    let decide = |holder: &UserEntry| {
        let access_key = holder.user.access_key(&target.id).ok_or(Error::NoSuchAccessKey)?;
        let etag = &target.etag;
        if !etag.is_empty() && render::access_key_etag(holder, access_key) != *etag {
            return Err(Error::EtagMismatch);
        }
        command(writer, target.id.clone())
    };
    writer.change_user(call, key, target.holder, decide).await
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    request: CreateAccessKeyRequest,
) -> Result<CreateAccessKeyResponse, Error> {
    let key = CommandKey::new("CreateAccessKey", call.principal(), &request.request_id, &request)?;
    let asked = request.access_key.unwrap_or_default();
    let expires_at = expiry(asked.expire_time)?;
    let state = match asked.state {
        0 => domain::AccessKeyState::Active,
        state => settable_state(state)?,
    };
    let outcome = match writer.repeated(key)? {
        Some(outcome) => outcome,
        None => {
            let user = resource::user(&writer.model(), "parent", &request.parent)?.id;
            writer.create_access_key(&call, key, user, expires_at, state).await?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    Ok(CreateAccessKeyResponse {
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: outcome.last.0,
    })
}

async fn rotate(
    writer: Arc<Writer>,
    call: Call,
    request: RotateSecretAccessKeyRequest,
) -> Result<RotateSecretAccessKeyResponse, Error> {
    let key =
        CommandKey::new("RotateSecretAccessKey", call.principal(), &request.request_id, &request)?;
    let outcome = match writer.repeated(key)? {
        Some(outcome) => outcome,
        None => {
            let target = {
                let model = writer.model();
                let (holder, id) = resource::access_key(&model, "name", &request.name)?;
                Target { holder: holder.id, id, etag: request.etag }
            };
            let grace_period_seconds = request.grace_period_seconds;
            // Under the user's lock, so that the generation it is sealed for is the next.
            let rotated = change(&writer, &call, key, &target, |writer, id| {
                let (account, generation) = {
                    let model = writer.model();
                    let (holder, key) = model.access_key(&id).ok_or(Error::NoSuchAccessKey)?;
                    (holder.account, key.generation() + 1)
                };
                let of = SecretOf { account, access_key: &id, generation };
                let secret = writer.vault.make_secret(of)?;
                Ok(user::Command::RotateSecretAccessKey { id, secret, grace_period_seconds })
            });
            rotated.await?.ok_or(Error::Internal)?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    Ok(RotateSecretAccessKeyResponse {
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: outcome.last.0,
    })
}

/// Access keys by user name, then oldest first. A cursor is the place of the last one in that
/// order: folded user name, creation, id.
fn list(writer: &Writer, request: &ListAccessKeysRequest) -> Result<ListAccessKeysResponse, Error> {
    let size = page::size(request.page_size)?;
    let model = writer.model();
    let (account, user) = resource::user_or_all(&model, "parent", &request.parent)?;
    let list = match user {
        Some(user) => format!("access-keys/{account}/{user}"),
        None => format!("access-keys/{account}"),
    };
    let after = page::cursor(&list, &request.page_token)?;
    let from = match after.as_deref().and_then(|cursor| cursor.split('/').next()) {
        Some(name) => Bound::Included(name.to_owned()),
        None => Bound::Unbounded,
    };
    let now = writer.now();
    let mut found = vec![];
    let holders: Box<dyn Iterator<Item = &UserEntry>> = match user {
        Some(user) => Box::new(model.user(user).into_iter()),
        None => Box::new(model.users_from(account, from)),
    };
    for holder in holders {
        let name = holder.user.name.folded();
        // Fixed width, so that the cursors of one user compare as their keys do.
        let place = |key: &domain::AccessKey| {
            format!("{name}/{:015}/{}", key.created_at.timestamp_millis(), key.id)
        };
        let mut keys: Vec<_> =
            holder.user.access_keys.iter().map(|key| (place(key), key)).collect();
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        let seen = after.as_deref().filter(|after| after.split('/').next() == Some(name.as_str()));
        keys.retain(|(place, _)| seen.is_none_or(|seen| place.as_str() > seen));
        for (place, key) in keys {
            if found.len() == size {
                let last = found.last().map(|(place, _): &(String, _)| page::token(&list, place));
                return Ok(ListAccessKeysResponse {
                    access_keys: found.into_iter().map(|(_, key)| key).collect(),
                    next_page_token: last.unwrap_or_default(),
                });
            }
            found.push((place, render::access_key(holder, key, now)));
        }
    }
    Ok(ListAccessKeysResponse {
        access_keys: found.into_iter().map(|(_, key)| key).collect(),
        next_page_token: String::new(),
    })
}

fn mask_error() -> Error {
    Error::invalid("update_mask", "must name state or expire_time, and nothing else")
}

fn settable_state(state: i32) -> Result<domain::AccessKeyState, Error> {
    match AccessKeyState::try_from(state) {
        Ok(AccessKeyState::Active) => Ok(domain::AccessKeyState::Active),
        Ok(AccessKeyState::Inactive) => Ok(domain::AccessKeyState::Inactive),
        Ok(AccessKeyState::Unspecified | AccessKeyState::Expired) | Err(_) => {
            Err(Error::invalid("access_key.state", "must be ACTIVE or INACTIVE"))
        }
    }
}

/// An expiry to the millisecond, before the year 10000.
fn expiry(time: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Error> {
    const SECONDS_MAX: i64 = 253_402_300_799;
    let Some(time) = time else { return Ok(None) };
    let invalid = || Error::invalid("access_key.expire_time", "must be a time before year 10000");
    if !(0..=SECONDS_MAX).contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return Err(invalid());
    }
    let ms = time.seconds * 1000 + i64::from(time.nanos / 1_000_000);
    Timestamp::from_timestamp_millis(ms).map(Some).ok_or_else(invalid)
}

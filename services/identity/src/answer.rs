//! Answers to writes, made from what the log recorded: a request that is sent again gets the same,
//! whatever has happened since.

use std::sync::Arc;

use api::identity::v1 as proto;
use domain::{
    AccessKeyId, AdminTokenEvent, AdminTokenId, Event, User, UserEvent, UserId, account, bucket,
};

use crate::error::Error;
use crate::stream::Stream;
use crate::vault::SecretOf;
use crate::writer::{Outcome, Writer};
use crate::{history, render};

/// Runs a write whose turn has come to its end, also when its client goes away: what follows an
/// append, such as the destruction of a data key, must not be left out.
pub(crate) async fn whole<T: Send + 'static>(
    write: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(write).await.unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a write panicked");
        Err(Error::Internal)
    })
}

/// What is told of a write that made a secret.
pub(crate) struct WithSecret {
    pub(crate) access_key: proto::AccessKey,
    pub(crate) secret_access_key: String,
}

/// Reads back the secret that a command recorded. That it opens is so seen before it is told.
///
/// # Errors
/// [`Error::RequestIdReused`] if the command recorded none; [`Error::SecretShredded`] if the access
/// key has been deleted since.
pub(crate) async fn with_secret(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<WithSecret, Error> {
    // Without a secret, the id was used for another kind of request.
    with_secret_if_any(writer, outcome).await?.ok_or(Error::RequestIdReused)
}

/// Reads back the secret that a command recorded, if it did.
///
/// # Errors
/// [`Error::SecretShredded`] if the access key has been deleted since.
pub(crate) async fn with_secret_if_any(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<Option<WithSecret>, Error> {
    for (account, stream, event) in writer.recorded(outcome).await? {
        let (id, generation, sealed) = match event {
            Event::User(UserEvent::AccessKeyCreated { id, secret, .. }) => (id, 1, secret),
            Event::User(UserEvent::SecretAccessKeyRotated { id, generation, secret, .. }) => {
                (id, generation, secret)
            }
            Event::User(_) | Event::Account(_) | Event::Bucket(_) | Event::AdminToken(_) => {
                continue;
            }
        };
        let Stream::User(user) = stream else { return Err(Error::Internal) };
        let of = SecretOf { account, access_key: &id, generation };
        // An access key that is deleted and can be undeleted has its data key still.
        if writer.model().access_key(&id).is_none() {
            return Err(Error::SecretShredded);
        }
        let secret = writer.vault.open(of, &sealed)?;
        let secret_access_key =
            std::str::from_utf8(secret.expose()).map_err(|_| Error::Internal)?.to_owned();
        let access_key = access_key_after(writer, user, &id, outcome).await?;
        return Ok(Some(WithSecret { access_key, secret_access_key }));
    }
    Ok(None)
}

/// An access key as it was right after a command on it.
pub(crate) async fn access_key_after(
    writer: &Writer,
    user: UserId,
    id: &AccessKeyId,
    outcome: Outcome,
) -> Result<proto::AccessKey, Error> {
    let holder = history::user_after(writer, user, outcome).await?;
    let key = holder.user.access_key(id).ok_or(Error::NoSuchAccessKey)?;
    Ok(render::access_key(&holder, key, outcome.time()))
}

/// Reads back the access key that a command changed.
pub(crate) async fn changed_access_key(
    writer: &Writer,
    outcome: Outcome,
) -> Result<proto::AccessKey, Error> {
    for (_, stream, event) in writer.recorded(outcome).await? {
        if let (Stream::User(user), Event::User(event)) = (stream, event)
            && let Some(id) = event.access_key_id()
        {
            return access_key_after(writer, user, id, outcome).await;
        }
    }
    Err(Error::RequestIdReused)
}

fn shown(writer: &Writer, user: &crate::model::UserEntry) -> proto::User {
    render::user(&writer.model(), user)
}

/// Reads back the user that a command changed.
pub(crate) async fn changed_user(writer: &Writer, outcome: Outcome) -> Result<proto::User, Error> {
    for (_, stream, _) in writer.recorded(outcome).await? {
        if let Stream::User(id) = stream {
            return Ok(shown(writer, &*history::user_after(writer, id, outcome).await?));
        }
    }
    Err(Error::RequestIdReused)
}

/// Reads back the user that a command made.
pub(crate) async fn created_user(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<proto::User, Error> {
    for (_, stream, event) in writer.recorded(outcome).await? {
        if let (Stream::User(id), Event::User(UserEvent::Created { .. })) = (stream, event) {
            return Ok(shown(writer, &*history::user_after(writer, id, outcome).await?));
        }
    }
    Err(Error::RequestIdReused)
}

/// Reads back the bucket that a command made an account's.
pub(crate) async fn changed_bucket(
    writer: &Writer,
    outcome: Outcome,
) -> Result<proto::Bucket, Error> {
    for (_, stream, event) in writer.recorded(outcome).await? {
        if let (Stream::Buckets(account), Event::Bucket(event)) = (stream, event)
            && let Some(bucket) = bucket::evolve(None, account, &event, outcome.time())
        {
            return Ok(render::bucket(event.name(), &bucket));
        }
    }
    Err(Error::RequestIdReused)
}

/// Reads back which admin token a command made.
pub(crate) async fn created_admin_token(
    writer: &Writer,
    outcome: Outcome,
) -> Result<AdminTokenId, Error> {
    for (_, stream, event) in writer.recorded(outcome).await? {
        if let (Stream::AdminToken(id), Event::AdminToken(AdminTokenEvent::Created { .. })) =
            (stream, event)
        {
            return Ok(id);
        }
    }
    Err(Error::RequestIdReused)
}

/// What is told of an account that a command made: it and its root user, as they were then.
pub(crate) async fn created_account(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<(proto::Account, proto::User), Error> {
    let at = outcome.time();
    let (mut made, mut root): (_, Option<(UserId, User)>) = (None, None);
    for (_, stream, event) in writer.recorded(outcome).await? {
        match (stream, event) {
            (Stream::Account(id), Event::Account(event)) => {
                let state = made.take().map(|(_, account)| account);
                made = account::evolve(state, &event, at).map(|account| (id, account));
            }
            (Stream::User(id), Event::User(event)) => {
                let state = root.take().map(|(_, user)| user);
                root = domain::user::evolve(state, &event, at).map(|user| (id, user));
            }
            (
                Stream::Account(_) | Stream::User(_) | Stream::Buckets(_) | Stream::AdminToken(_),
                _,
            ) => {}
        }
    }
    let ((id, account), (user_id, user)) = made.zip(root).ok_or(Error::RequestIdReused)?;
    Ok((render::account(id, &account), render::user_of((id, &account), user_id, &user)))
}

//! Answers to writes, made from what the log recorded: a request that is sent again gets the same.

use std::sync::Arc;

use api::identity::v1 as proto;
use domain::{AccountId, Event, UserEvent, UserId};

use crate::error::Error;
use crate::render;
use crate::stream::Stream;
use crate::vault::SecretOf;
use crate::writer::{Outcome, Writer};

/// Runs a write to its end also when its client goes away: what follows an append, such as the
/// destruction of a data key, must not be left out.
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
    pub(crate) account: AccountId,
    pub(crate) user: UserId,
    pub(crate) access_key: proto::AccessKey,
    pub(crate) secret_access_key: String,
}

/// Reads back the secret that a command recorded. That it opens is so seen before it is told.
///
/// # Errors
/// [`Error::SecretShredded`] if the access key has been deleted since.
pub(crate) async fn with_secret(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<WithSecret, Error> {
    for (account, stream, event) in writer.recorded(outcome).await? {
        let (id, generation, sealed) = match event {
            Event::User(UserEvent::AccessKeyCreated { id, secret, .. }) => (id, 1, secret),
            Event::User(UserEvent::SecretAccessKeyRotated { id, generation, secret, .. }) => {
                (id, generation, secret)
            }
            Event::User(_) | Event::Account(_) => continue,
        };
        let Stream::User(user) = stream else { return Err(Error::Internal) };
        let access_key = {
            let model = writer.model();
            let (holder, key) = model.access_key(&id).ok_or(Error::SecretShredded)?;
            render::access_key(holder, key, writer.now())
        };
        let secret =
            writer.vault.open(SecretOf { account, access_key: &id, generation }, &sealed)?;
        let secret_access_key =
            std::str::from_utf8(secret.expose()).map_err(|_| Error::Internal)?.to_owned();
        return Ok(WithSecret { account, user, access_key, secret_access_key });
    }
    // The command recorded no secret: its id was used for another kind of request.
    Err(Error::RequestIdReused)
}

/// Reads back the user that a command made.
pub(crate) async fn created_user(
    writer: &Arc<Writer>,
    outcome: Outcome,
) -> Result<proto::User, Error> {
    for (_, stream, event) in writer.recorded(outcome).await? {
        if let (Stream::User(id), Event::User(UserEvent::Created { .. })) = (stream, event) {
            let model = writer.model();
            return model.user(id).map(render::user).ok_or(Error::NoSuchUser);
        }
    }
    Err(Error::RequestIdReused)
}

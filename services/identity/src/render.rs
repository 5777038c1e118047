//! What clients are shown: domain state as messages.

use api::event::v1 as event;
use api::identity::v1 as proto;
use domain::{AccessKey, AccessKeyState, AccountId, Timestamp, UserState};
use event_store::Recorded;
use event_store::payload::proto_timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::model::{AccountEntry, UserEntry, time};
use crate::stream::Stream;

pub(crate) fn account(entry: &AccountEntry) -> proto::Account {
    let mut account = proto::Account {
        name: account_name(entry.id),
        account_id: entry.id.to_string(),
        account_number: entry.account.number.to_string(),
        display_name: entry.account.display_name.to_string(),
        create_time: Some(proto_timestamp(entry.account.created_at)),
        etag: String::new(),
    };
    account.etag = etag(&account);
    account
}

pub(crate) fn user(entry: &UserEntry) -> proto::User {
    let user = &entry.user;
    let state = match user.state {
        UserState::Active => proto::UserState::Active,
        UserState::Locked => proto::UserState::Locked,
    };
    let mut shown = proto::User {
        name: user_name(entry),
        user_id: entry.id.to_string(),
        user_name: user.name.to_string(),
        label: user.label.to_string(),
        state: state.into(),
        root: user.root,
        create_time: Some(proto_timestamp(user.created_at)),
        update_time: Some(proto_timestamp(user.modified_at)),
        etag: String::new(),
    };
    shown.etag = etag(&shown);
    shown
}

/// The access key as it is at `now`.
pub(crate) fn access_key(holder: &UserEntry, key: &AccessKey, now: Timestamp) -> proto::AccessKey {
    let mut shown = access_key_at(holder, key, now);
    shown.etag = access_key_etag(holder, key);
    shown
}

/// Changes when the access key is changed, not when it expires or a grace period ends by itself.
pub(crate) fn access_key_etag(holder: &UserEntry, key: &AccessKey) -> String {
    etag(&access_key_at(holder, key, Timestamp::MIN_UTC))
}

fn access_key_at(holder: &UserEntry, key: &AccessKey, now: Timestamp) -> proto::AccessKey {
    let state = match key.state {
        AccessKeyState::Active | AccessKeyState::Inactive if key.is_expired(now) => {
            proto::AccessKeyState::Expired
        }
        AccessKeyState::Active => proto::AccessKeyState::Active,
        AccessKeyState::Inactive => proto::AccessKeyState::Inactive,
    };
    let secrets = key.valid_secrets(now).map(|secret| proto::SecretGeneration {
        generation: secret.generation,
        create_time: Some(proto_timestamp(secret.created_at)),
        expire_time: secret.expires_at.map(proto_timestamp),
    });
    proto::AccessKey {
        name: format!("{}/accessKeys/{}", user_name(holder), key.id),
        access_key_id: key.id.to_string(),
        state: state.into(),
        expire_time: key.expires_at.map(proto_timestamp),
        secrets: secrets.collect(),
        create_time: Some(proto_timestamp(key.created_at)),
        update_time: Some(proto_timestamp(key.modified_at)),
        etag: String::new(),
    }
}

pub(crate) fn event(recorded: &Recorded) -> Result<event::Event, Error> {
    let payload = event::Payload::decode(recorded.payload.clone())
        .map_err(|_| Error::LogCorrupt { position: recorded.position.0 })?;
    let account = account_name(AccountId(recorded.account));
    let user = match Stream::parse(recorded.stream.as_str()) {
        Some(Stream::User(id)) => format!("{account}/users/{id}"),
        Some(Stream::Account(_)) | None => String::new(),
    };
    let actor = &recorded.actor;
    Ok(event::Event {
        position: recorded.position.0,
        time: Some(proto_timestamp(time(recorded.time_ms))),
        account,
        user,
        stream_revision: recorded.revision.0,
        command_id: recorded.command_id.to_string(),
        actor: Some(event::Actor {
            principal: actor.principal.as_str().to_owned(),
            facade: actor.facade.as_str().to_owned(),
            source_address: actor.source_address.as_str().to_owned(),
            request_id: actor.request_id.as_str().to_owned(),
        }),
        payload: Some(payload),
        hash: recorded.hash.0.to_vec().into(),
        previous_hash: recorded.prev_hash.0.to_vec().into(),
    })
}

pub(crate) fn account_name(id: AccountId) -> String {
    format!("accounts/{id}")
}

fn user_name(entry: &UserEntry) -> String {
    format!("accounts/{}/users/{}", entry.account, entry.id)
}

/// A weak etag: 64 bits of a digest of what is shown.
fn etag(shown: &impl Message) -> String {
    let digest: [u8; 32] = Sha256::digest(shown.encode_to_vec()).into();
    hex::encode(&digest[..8])
}

//! What clients are shown: domain state as messages.

use api::event::v1 as event;
use api::identity::v1 as proto;
use domain::{
    AccessKey, AccessKeyState, Account, AccountId, Bucket, BucketName, DeletedAccessKey, Spelling,
    Timestamp, User, UserId, UserState,
};
use event_store::Recorded;
use event_store::payload::{proto_settings, proto_tag, proto_timestamp, slot_number};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::model::{AdminTokenEntry, Model, UserEntry, time};
use crate::stream::Stream;
use crate::writer::Writer;

pub(crate) fn account(id: AccountId, account: &Account) -> proto::Account {
    let mut shown = proto::Account {
        name: account_name(id),
        account_id: id.to_string(),
        account_number: account.number.to_string(),
        display_name: account.display_name.to_string(),
        create_time: Some(proto_timestamp(account.created_at)),
        etag: String::new(),
        settings: Some(proto_settings(&account.settings)),
        update_time: Some(proto_timestamp(account.modified_at)),
    };
    shown.etag = etag(&shown);
    shown
}

/// A user, named in full as its account spells it today.
pub(crate) fn user(model: &Model, entry: &UserEntry) -> proto::User {
    let arn = model.account(entry.account).map(|of| arn(&of.account, &entry.user));
    let arn = arn.unwrap_or_default();
    proto::User { arn, ..nameless(entry.account, entry.id, &entry.user) }
}

/// The same for what is not in the model, of an account that may not be either.
pub(crate) fn user_of(
    (account_id, account): (AccountId, &Account),
    id: UserId,
    user: &User,
) -> proto::User {
    proto::User { arn: arn(account, user), ..nameless(account_id, id, user) }
}

/// By which it is told whether a user is still the one that was seen.
pub(crate) fn user_etag(entry: &UserEntry) -> String {
    nameless(entry.account, entry.id, &entry.user).etag
}

/// A user's name in full, as its account spells it.
fn arn(account: &Account, user: &User) -> String {
    let of = match account.settings.spelling {
        Spelling::Aws => "arn:aws:iam",
        Spelling::Outscale => "orn:ows:idauth",
    };
    let number = account.number;
    if user.root {
        return format!("{of}::{number}:root");
    }
    format!("{of}::{number}:user{}{}", user.path, user.name)
}

fn nameless(account: AccountId, id: UserId, user: &User) -> proto::User {
    let state = match user.state {
        UserState::Active => proto::UserState::Active,
        UserState::Locked => proto::UserState::Locked,
    };
    let mut shown = proto::User {
        name: user_name(account, id),
        user_id: id.to_string(),
        user_name: user.name.to_string(),
        label: user.label.to_string(),
        state: state.into(),
        root: user.root,
        create_time: Some(proto_timestamp(user.created_at)),
        update_time: Some(proto_timestamp(user.modified_at)),
        etag: String::new(),
        comment: user.comment.to_string(),
        path: user.path.to_string(),
        email: user.email.to_string(),
        tags: user.tags.iter().map(proto_tag).collect(),
        password_set_time: user
            .password
            .as_ref()
            .filter(|password| password.sealed.is_some())
            .map(|password| proto_timestamp(password.changed_at)),
        arn: String::new(),
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

/// An access key that can be undeleted.
pub(crate) fn deleted_access_key(
    holder: &UserEntry,
    deleted: &DeletedAccessKey,
    now: Timestamp,
) -> proto::AccessKey {
    proto::AccessKey {
        state: proto::AccessKeyState::Deleted.into(),
        delete_time: Some(proto_timestamp(deleted.deleted_at)),
        purge_time: Some(proto_timestamp(deleted.purge_at)),
        ..access_key(holder, &deleted.access_key, now)
    }
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
        AccessKeyState::Active if key.not_before.is_some_and(|start| now < start) => {
            proto::AccessKeyState::NotYetValid
        }
        AccessKeyState::Active => proto::AccessKeyState::Active,
        AccessKeyState::Inactive => proto::AccessKeyState::Inactive,
    };
    // A secret ends with its access key.
    let ends_at = |own: Timestamp| key.expires_at.map_or(own, |end| end.min(own));
    let secrets = key.valid_secrets(now).map(|secret| proto::SecretGeneration {
        generation: secret.generation,
        create_time: Some(proto_timestamp(secret.created_at)),
        expire_time: secret.expires_at.map(ends_at).map(proto_timestamp),
        // No part of what an etag is of: told where it is asked for.
        last_use: None,
    });
    proto::AccessKey {
        name: format!("{}/accessKeys/{}", user_name(holder.account, holder.id), key.id),
        access_key_id: key.id.to_string(),
        state: state.into(),
        expire_time: key.expires_at.map(proto_timestamp),
        secrets: secrets.collect(),
        create_time: Some(proto_timestamp(key.created_at)),
        update_time: Some(proto_timestamp(key.modified_at)),
        etag: String::new(),
        label: key.label.to_string(),
        slot: slot_number(key.slot),
        not_before_time: key.not_before.map(proto_timestamp),
        time_to_live: key
            .time_to_live
            .as_ref()
            .map(|time_to_live| time_to_live.as_str().to_owned())
            .unwrap_or_default(),
        expiration_date: String::new(),
        imported: key.imported,
        delete_time: None,
        purge_time: None,
        last_use: None,
    }
}

pub(crate) fn admin_token(entry: &AdminTokenEntry) -> proto::AdminToken {
    let token = &entry.token;
    proto::AdminToken {
        name: format!("adminTokens/{}", entry.id),
        display_name: token.name.to_string(),
        account: token.account.map(account_name).unwrap_or_default(),
        read_only: token.read_only,
        expire_time: token.expires_at.map(proto_timestamp),
        create_time: Some(proto_timestamp(token.created_at)),
    }
}

pub(crate) fn bucket(name: &BucketName, bucket: &Bucket) -> proto::Bucket {
    proto::Bucket {
        name: format!("buckets/{name}"),
        bucket_name: name.to_string(),
        account: account_name(bucket.account),
        region: bucket.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        create_time: Some(proto_timestamp(bucket.created_at)),
    }
}

pub(crate) fn event(writer: &Writer, recorded: &Recorded) -> Result<event::Event, Error> {
    let payload = event::Payload::decode(recorded.payload.clone())
        .map_err(|_| Error::LogCorrupt { position: recorded.position.0 })?;
    let (account, user, admin_token) = match Stream::parse(recorded.stream.as_str()) {
        Some(Stream::User(id)) => {
            let account = AccountId(recorded.account);
            (account_name(account), user_name(account, id), String::new())
        }
        Some(Stream::Account(id) | Stream::Buckets(id)) => {
            (account_name(id), String::new(), String::new())
        }
        Some(Stream::AdminToken(id)) => (String::new(), String::new(), format!("adminTokens/{id}")),
        None => return Err(Error::LogCorrupt { position: recorded.position.0 }),
    };
    let actor = &recorded.actor;
    Ok(event::Event {
        position: writer.told(recorded.position),
        time: Some(proto_timestamp(time(recorded.time_ms))),
        account,
        user,
        admin_token,
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

fn user_name(account: AccountId, id: UserId) -> String {
    format!("accounts/{account}/users/{id}")
}

/// A weak etag: 64 bits of a digest of what is shown.
fn etag(shown: &impl Message) -> String {
    let digest: [u8; 32] = Sha256::digest(shown.encode_to_vec()).into();
    hex::encode(&digest[..8])
}

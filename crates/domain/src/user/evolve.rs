//! What events make of users and their access keys.

use super::{Password, User, UserState};
use crate::access_key::Announced;
use crate::{
    AccessKey, AccessKeyId, AccessKeyState, DeletedAccessKey, SealedSecret, Secret, Tags,
    TimeToLive, Timestamp, UserEvent,
};

/// Applies one event, recorded at `at`. Total: what is in the log has happened and cannot be
/// refused; an event that does not fit the state leaves it as it is.
pub fn evolve(user: Option<User>, event: &UserEvent, at: Timestamp) -> Option<User> {
    let Some(mut user) = user else {
        let UserEvent::Created { name, root, label, comment, path, email } = event else {
            return None;
        };
        return Some(User {
            name: name.clone(),
            root: *root,
            label: label.clone(),
            comment: comment.clone(),
            path: path.clone(),
            email: email.clone(),
            tags: Tags::default(),
            state: UserState::Active,
            access_keys: vec![],
            deleted_access_keys: vec![],
            created_at: at,
            modified_at: at,
            password: None,
        });
    };
    match event {
        UserEvent::Created { .. } => return Some(user),
        UserEvent::Deleted => return None,
        UserEvent::Renamed { name } => user.name = name.clone(),
        UserEvent::LabelChanged { label } => user.label = label.clone(),
        UserEvent::CommentChanged { comment } => user.comment = comment.clone(),
        UserEvent::PathChanged { path } => user.path = path.clone(),
        UserEvent::EmailChanged { email } => user.email = email.clone(),
        UserEvent::TagsChanged(change) => user.tags.apply(change),
        UserEvent::Locked => user.state = UserState::Locked,
        UserEvent::Unlocked => user.state = UserState::Active,
        UserEvent::AccessKeyCreated {
            id,
            secret,
            imported,
            label,
            slot,
            not_before,
            expires_at,
            time_to_live,
        } => {
            if user.access_key(id).is_none() && user.deleted_access_key(id).is_none() {
                let key = AccessKey {
                    id: id.clone(),
                    imported: *imported,
                    label: label.clone(),
                    slot: *slot,
                    state: AccessKeyState::Active,
                    not_before: *not_before,
                    expires_at: *expires_at,
                    time_to_live: time_to_live.clone(),
                    secrets: vec![new_secret(1, secret, at)],
                    created_at: at,
                    modified_at: at,
                    announced: Announced {
                        expiry_set_at: at,
                        expiry_notice_seconds: vec![],
                        rotation_due_generation: 0,
                    },
                };
                insert(&mut user, key);
            }
        }
        UserEvent::AccessKeyLabelChanged { id, label } => {
            change(&mut user, id, at, |key| key.label = label.clone());
        }
        UserEvent::AccessKeySlotChanged { id, slot } => {
            change(&mut user, id, at, |key| key.slot = *slot);
        }
        UserEvent::AccessKeyActivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Active);
        }
        UserEvent::AccessKeyDeactivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Inactive);
        }
        UserEvent::AccessKeyExpiryChanged { id, expires_at, time_to_live } => {
            change(&mut user, id, at, |key| {
                set_expiry(key, *expires_at, time_to_live.as_ref(), at);
            });
        }
        UserEvent::SecretAccessKeyRotated { id, generation, secret, previous_expires_at } => {
            change(&mut user, id, at, |key| {
                key.secrets.truncate(1);
                for previous in &mut key.secrets {
                    previous.expires_at = Some(*previous_expires_at);
                }
                key.secrets.retain(|_| at < *previous_expires_at);
                key.secrets.insert(0, new_secret(*generation, secret, at));
            });
        }
        UserEvent::GracePeriodEnded { id } => {
            change(&mut user, id, at, |key| key.secrets.truncate(1));
        }
        UserEvent::AccessKeyExpiring { id, notice_seconds, .. } => {
            announce(&mut user, id, |told| told.expiry_notice_seconds.push(*notice_seconds));
        }
        UserEvent::AccessKeyRotationDue { id, generation, .. } => {
            announce(&mut user, id, |told| told.rotation_due_generation = *generation);
        }
        UserEvent::AccessKeyDeleted { id, purge_at } => {
            if let Some(index) = user.access_keys.iter().position(|key| key.id == *id) {
                let access_key = user.access_keys.remove(index);
                user.deleted_access_keys.extend(purge_at.map(|purge_at| DeletedAccessKey {
                    access_key,
                    deleted_at: at,
                    purge_at,
                }));
            }
        }
        UserEvent::AccessKeyUndeleted { id } => {
            let deleted = &mut user.deleted_access_keys;
            if let Some(index) = deleted.iter().position(|deleted| deleted.access_key.id == *id) {
                let mut key = deleted.remove(index).access_key;
                key.modified_at = at;
                insert(&mut user, key);
            }
        }
        UserEvent::AccessKeyPurged { id } => {
            user.deleted_access_keys.retain(|deleted| deleted.access_key.id != *id);
        }
        UserEvent::PasswordSet { generation, sealed } => {
            let (generation, sealed) = (*generation, Some(sealed.clone()));
            user.password = Some(Box::new(Password { generation, sealed, changed_at: at }));
        }
        UserEvent::PasswordRemoved { .. } => {
            if let Some(password) = &mut user.password {
                password.sealed = None;
                password.changed_at = at;
            }
        }
        UserEvent::AccessKeyLockedOut { .. } | UserEvent::Unchanged { .. } => return Some(user),
    }
    if event.access_key_id().is_none() {
        user.modified_at = at;
    }
    Some(user)
}

/// Puts an access key in its place, also among those of the same instant: oldest first, then by id.
fn insert(user: &mut User, key: AccessKey) {
    let place = user
        .access_keys
        .partition_point(|other| (other.created_at, &other.id) < (key.created_at, &key.id));
    // Most users have one: the room for four that a vector takes at first would be most of it all.
    user.access_keys.reserve_exact(1);
    user.access_keys.insert(place, key);
}

fn new_secret(generation: u32, sealed: &SealedSecret, at: Timestamp) -> Secret {
    Secret { generation, sealed: sealed.clone(), created_at: at, expires_at: None }
}

fn set_expiry(
    key: &mut AccessKey,
    expires_at: Option<Timestamp>,
    time_to_live: Option<&TimeToLive>,
    at: Timestamp,
) {
    key.expires_at = expires_at;
    key.time_to_live = time_to_live.cloned();
    key.announced.expiry_set_at = at;
    key.announced.expiry_notice_seconds.clear();
}

fn change(user: &mut User, id: &AccessKeyId, at: Timestamp, apply: impl FnOnce(&mut AccessKey)) {
    if let Some(key) = user.access_keys.iter_mut().find(|key| key.id == *id) {
        apply(key);
        key.modified_at = at;
    }
}

/// To be told of is no change of an access key.
fn announce(user: &mut User, id: &AccessKeyId, apply: impl FnOnce(&mut Announced)) {
    if let Some(key) = user.access_keys.iter_mut().find(|key| key.id == *id) {
        apply(&mut key.announced);
    }
}

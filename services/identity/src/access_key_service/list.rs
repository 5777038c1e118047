//! Lists of access keys: as they are, and as they were.

use std::ops::Bound;

use api::identity::v1::{AccessKey, ListAccessKeysRequest, ListAccessKeysResponse};
use chrono::TimeDelta;
use domain::{Timestamp, UserId};

use crate::caller::Call;
use crate::error::Error;
use crate::model::UserEntry;
use crate::writer::Writer;
use crate::{history, page, render, resource};

/// The most users that one page looks at. A page of a sparse filter ends there, with a token.
const USERS_LOOKED_AT_MAX: usize = 10_000;

/// Access keys by user name, then oldest first. A cursor is the place of the last one in that
/// order: folded user name, creation, id.
pub(super) fn now(
    writer: &Writer,
    call: &Call,
    request: &ListAccessKeysRequest,
) -> Result<ListAccessKeysResponse, Error> {
    let size = page::size(request.page_size)?;
    let now = writer.now();
    let model = writer.model();
    let (account, user) = resource::user_or_all(&model, call, "parent", &request.parent)?;
    match user {
        Some(user) => call.reads_user(account, user)?,
        None => call.reads_account(account)?,
    }
    let list = name_of_list(request, &format!("{account}/{user:?}"));
    let after = page::cursor(&list, &request.page_token)?;
    let from = match after.as_deref().and_then(|cursor| cursor.split('/').next()) {
        Some(name) => Bound::Included(name.to_owned()),
        None => Bound::Unbounded,
    };
    let holders: Box<dyn Iterator<Item = _>> = match user {
        Some(user) => Box::new(model.user(user).into_iter()),
        None => Box::new(model.users_from(account, from)),
    };
    let mut found: Vec<(String, AccessKey)> = vec![];
    for (looked_at, holder) in holders.enumerate() {
        let name = holder.user.name.folded();
        if looked_at == USERS_LOOKED_AT_MAX {
            // As if it were the first in the order of this user's access keys, before any.
            return Ok(page_of(&list, found, Some(format!("{name}/"))));
        }
        let seen = after.as_deref().filter(|after| after.split('/').next() == Some(name.as_str()));
        for (place, key) in shown(request, holder, now) {
            let place = format!("{name}/{place}");
            if seen.is_some_and(|seen| place.as_str() <= seen) {
                continue;
            }
            if found.len() == size {
                let last = found.last().map(|(place, _)| place.clone());
                return Ok(page_of(&list, found, last));
            }
            found.push((place, key));
        }
    }
    Ok(page_of(&list, found, None))
}

/// Stands after every place in the order of a user's access keys.
const AFTER_ALL: &str = "~";

/// Access keys as they were at an instant, users oldest first, those deleted since among them. A
/// cursor is the id of a user and the place of the last one of its access keys.
pub(super) async fn at(
    writer: &Writer,
    call: &Call,
    request: &ListAccessKeysRequest,
    at: Timestamp,
) -> Result<ListAccessKeysResponse, Error> {
    let size = page::size(request.page_size)?;
    let (account, user) =
        resource::user_or_all_ever(&writer.model(), call, "parent", &request.parent)?;
    match user {
        Some(user) => call.reads_user(account, user)?,
        None => call.reads_account(account)?,
    }
    let list = name_of_list(request, &format!("{account}/{user:?}@{}", at.timestamp_millis()));
    let after = match page::cursor(&list, &request.page_token)? {
        None => None,
        Some(cursor) => {
            let (id, place) = cursor.split_once('/').ok_or(Error::InvalidPageToken)?;
            Some((UserId::parse(id).ok_or(Error::InvalidPageToken)?, place.to_owned()))
        }
    };
    let from = after.as_ref().map_or(Bound::Unbounded, |(id, _)| Bound::Included(*id));
    // Beside the user that the cursor names, one for each access key, and one to tell of more.
    let looked_at_max = size + 1;
    let ids = match user {
        Some(user) => vec![user],
        None => history::users_ever(writer, account, from, looked_at_max + 1),
    };
    let mut found: Vec<(String, AccessKey)> = vec![];
    for (looked_at, id) in ids.iter().enumerate() {
        if looked_at == looked_at_max {
            let last = ids[looked_at - 1];
            return Ok(page_of(&list, found, Some(format!("{last}/{AFTER_ALL}"))));
        }
        let Some(holder) = history::user_at(writer, *id, at).await? else { continue };
        let seen = after.as_ref().filter(|(user, _)| user == id).map(|(_, place)| place);
        for (place, key) in shown(request, &holder, at) {
            if seen.is_some_and(|seen| place <= *seen) {
                continue;
            }
            if found.len() == size {
                let last = found.last().map(|(place, _)| place.clone());
                return Ok(page_of(&list, found, last));
            }
            found.push((format!("{id}/{place}"), key));
        }
    }
    Ok(page_of(&list, found, None))
}

fn page_of(
    list: &str,
    found: Vec<(String, AccessKey)>,
    last: Option<String>,
) -> ListAccessKeysResponse {
    ListAccessKeysResponse {
        access_keys: found.into_iter().map(|(_, key)| key).collect(),
        next_page_token: last.map(|last| page::token(list, &last)).unwrap_or_default(),
    }
}

fn name_of_list(request: &ListAccessKeysRequest, of: &str) -> String {
    format!("access-keys/{of}/{}/{}", request.older_than_days, request.show_deleted)
}

/// The access keys of a user that a request asks for, oldest first, each with its place.
fn shown(
    request: &ListAccessKeysRequest,
    holder: &UserEntry,
    now: Timestamp,
) -> Vec<(String, AccessKey)> {
    let age = TimeDelta::days(i64::from(request.older_than_days));
    let newest = now.checked_sub_signed(age).unwrap_or(Timestamp::MIN_UTC);
    let old_enough = |key: &&domain::AccessKey| {
        key.secrets.first().is_none_or(|secret| secret.created_at <= newest)
    };
    // Fixed width, so that places compare as the keys do.
    let place =
        |key: &domain::AccessKey| format!("{:015}/{}", key.created_at.timestamp_millis(), key.id);
    let present = holder.user.access_keys.iter().filter(old_enough);
    let present = present.map(|key| (place(key), render::access_key(holder, key, now)));
    let deleted = holder.user.deleted_access_keys.iter().filter(|deleted| {
        request.show_deleted && now < deleted.purge_at && old_enough(&&deleted.access_key)
    });
    let deleted = deleted.map(|deleted| {
        (place(&deleted.access_key), render::deleted_access_key(holder, deleted, now))
    });
    let mut all: Vec<_> = present.chain(deleted).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

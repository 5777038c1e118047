//! Resource names: `accounts/{account}/users/{user}/accessKeys/{id}`, as requests spell them.

use std::sync::Arc;

use domain::{AccessKeyId, AccountId, AccountNumber, AdminTokenId, BucketName, UserId, UserName};

use crate::caller::Call;
use crate::error::Error;
use crate::model::{Model, UserEntry};

/// Stands for any account or user in the name of an access key.
const ANY: &str = "-";

/// Finds the account that `name` names, `accounts/{account}`.
///
/// Whoever has to do with one account only is refused any other, whether it is there or not.
pub(crate) fn account(
    model: &Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<AccountId, Error> {
    let [account] = segments(field, name, ["accounts"])?;
    find_account(model, call, field, account)
}

/// Finds the account that `name` names, or `None` for `accounts/-`, all of them.
pub(crate) fn account_or_all(
    model: &Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<Option<AccountId>, Error> {
    let [account] = segments(field, name, ["accounts"])?;
    if account == ANY {
        return Ok(None);
    }
    find_account(model, call, field, account).map(Some)
}

/// Reads `buckets/{bucket}`.
pub(crate) fn bucket(field: &'static str, name: &str) -> Result<BucketName, Error> {
    let [bucket] = segments(field, name, ["buckets"])?;
    BucketName::parse(bucket).map_err(|error| Error::invalid(field, format!("bucket name {error}")))
}

/// Finds the user that `name` names, `accounts/{account}/users/{user}`.
pub(crate) fn user<'a>(
    model: &'a Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<&'a Arc<UserEntry>, Error> {
    let [account, user] = segments(field, name, ["accounts", "users"])?;
    let account = find_account(model, call, field, account)?;
    find_user(model, call, field, account, user)
}

/// Finds the user that `parent` names, or `None` for `accounts/{account}/users/-`, all of them.
pub(crate) fn user_or_all(
    model: &Model,
    call: &Call,
    field: &'static str,
    parent: &str,
) -> Result<(AccountId, Option<UserId>), Error> {
    let [account, user] = segments(field, parent, ["accounts", "users"])?;
    let account = find_account(model, call, field, account)?;
    if user == ANY {
        return Ok((account, None));
    }
    Ok((account, Some(find_user(model, call, field, account, user)?.id)))
}

/// Finds who holds the access key that `name` names, or can have it undeleted, and its id. It must
/// be held by whom the name says, or the name say `-`.
///
/// Whoever has to do with itself only is refused what it never held, whether it is there or not.
pub(crate) fn access_key<'a>(
    model: &'a Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<(&'a Arc<UserEntry>, AccessKeyId), Error> {
    let [account, user, id] = segments(field, name, ["accounts", "users", "accessKeys"])?;
    let id = access_key_id(field, id)?;
    if account != ANY {
        find_account(model, call, field, account)?;
    }
    own_access_key(model, call, field, user, &id)?;
    let holder = model.holder(&id).ok_or(Error::NoSuchAccessKey)?;
    if call.account().is_some_and(|own| own != holder.account) {
        return Err(Error::NoSuchAccessKey);
    }
    if account != ANY && find_account(model, call, field, account)? != holder.account {
        return Err(Error::NoSuchAccessKey);
    }
    if user != ANY && find_user(model, call, field, holder.account, user)?.id != holder.id {
        return Err(Error::NoSuchAccessKey);
    }
    Ok((holder, id))
}

/// Reads `accounts/{account}/users/{user}` of what may be gone: by UUIDs, or as it is now.
pub(crate) fn user_ever(
    model: &Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<(AccountId, UserId), Error> {
    match user_or_all_ever(model, call, field, name)? {
        (account, Some(user)) => Ok((account, user)),
        (_, None) => Err(Error::invalid(field, "must name one user")),
    }
}

/// Reads `accounts/{account}/users/{user}` or `accounts/{account}/users/-` of what may be gone.
pub(crate) fn user_or_all_ever(
    model: &Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<(AccountId, Option<UserId>), Error> {
    let [account, user] = segments(field, name, ["accounts", "users"])?;
    let account = account_ever(model, call, field, account)?;
    if user == ANY {
        model.past(account).ok_or(Error::NoSuchAccount)?;
        return Ok((account, None));
    }
    let user = match UserId::parse(user) {
        Some(id) if call.only_user().is_none_or(|own| own == id) => Some(id),
        Some(_) => return Err(Error::NotAllowed),
        None => Some(find_user(model, call, field, account, user)?.id),
    };
    let of_account =
        |user: &UserId| model.user_past(*user).is_some_and(|(holder, _)| holder == account);
    user.filter(of_account).map(|user| (account, Some(user))).ok_or(Error::NoSuchUser)
}

/// Reads `accounts/{account}/users/{user}/accessKeys/{id}` of an access key that may be gone, as may
/// its user: who held it is known for ever, so that account and user may be `-`.
pub(crate) fn access_key_ever(
    model: &Model,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<(AccountId, UserId, AccessKeyId), Error> {
    let [account, user, id] = segments(field, name, ["accounts", "users", "accessKeys"])?;
    let id = access_key_id(field, id)?;
    if account == ANY || user == ANY {
        let account = match account {
            ANY => call.account(),
            account => Some(account_ever(model, call, field, account)?),
        };
        own_access_key(model, call, field, user, &id)?;
        let (of, holder) = model.holder_ever(&id).ok_or(Error::NoSuchAccessKey)?;
        if account.is_some_and(|account| account != of) {
            return Err(Error::NoSuchAccessKey);
        }
        let by_user = user == ANY
            || match UserId::parse(user) {
                Some(user) => user == holder,
                None => find_user(model, call, field, of, user)?.id == holder,
            };
        return if by_user { Ok((of, holder, id)) } else { Err(Error::NoSuchAccessKey) };
    }
    let parent = format!("accounts/{account}/users/{user}");
    let (account, user) = user_ever(model, call, field, &parent)?;
    Ok((account, user, id))
}

/// Refuses whoever has to do with itself only what it names of others: another user, or, where it
/// names none, an access key that it never held.
fn own_access_key(
    model: &Model,
    call: &Call,
    field: &'static str,
    user: &str,
    id: &AccessKeyId,
) -> Result<(), Error> {
    let (Some(account), Some(own)) = (call.account(), call.only_user()) else { return Ok(()) };
    if user != ANY {
        return find_user(model, call, field, account, user).map(drop);
    }
    match model.holder_ever(id) {
        Some((_, holder)) if holder == own => Ok(()),
        Some(_) | None => Err(Error::NotAllowed),
    }
}

/// Reads `adminTokens/{uuid}`.
pub(crate) fn admin_token(field: &'static str, name: &str) -> Result<AdminTokenId, Error> {
    let [token] = segments(field, name, ["adminTokens"])?;
    AdminTokenId::parse(token).ok_or_else(|| Error::invalid(field, "must be adminTokens/{uuid}"))
}

fn access_key_id(field: &'static str, id: &str) -> Result<AccessKeyId, Error> {
    AccessKeyId::parse(id).map_err(|error| Error::invalid(field, format!("access key ID {error}")))
}

/// Reads `accounts/{uuid}`: for filters, which may name what is gone.
pub(crate) fn account_id(field: &'static str, name: &str) -> Result<AccountId, Error> {
    let [account] = segments(field, name, ["accounts"])?;
    AccountId::parse(account).ok_or_else(|| Error::invalid(field, "must be accounts/{uuid}"))
}

/// Reads `accounts/{uuid}/users/{uuid}`: for filters, which may name what is gone.
pub(crate) fn user_id(field: &'static str, name: &str) -> Result<(AccountId, UserId), Error> {
    let [account, user] = segments(field, name, ["accounts", "users"])?;
    AccountId::parse(account)
        .zip(UserId::parse(user))
        .ok_or_else(|| Error::invalid(field, "must be accounts/{uuid}/users/{uuid}"))
}

fn segments<'a, const N: usize>(
    field: &'static str,
    name: &'a str,
    collections: [&str; N],
) -> Result<[&'a str; N], Error> {
    let malformed = || {
        let form: Vec<_> = collections.iter().map(|name| format!("{name}/*")).collect();
        Error::invalid(field, format!("must be {}", form.join("/")))
    };
    let mut found = [""; N];
    let mut parts = name.split('/');
    for (segment, collection) in found.iter_mut().zip(collections) {
        if parts.next() != Some(collection) {
            return Err(malformed());
        }
        *segment = parts.next().filter(|part| !part.is_empty()).ok_or_else(malformed)?;
    }
    match parts.next() {
        None => Ok(found),
        Some(_) => Err(malformed()),
    }
}

/// Finds an account that may be gone: by UUID, or as it is now.
fn account_ever(
    model: &Model,
    call: &Call,
    field: &'static str,
    text: &str,
) -> Result<AccountId, Error> {
    match AccountId::parse(text) {
        Some(id) if call.account().is_none_or(|own| own == id) => Ok(id),
        Some(_) => Err(Error::NotAllowed),
        None => find_account(model, call, field, text),
    }
}

fn find_account(
    model: &Model,
    call: &Call,
    field: &'static str,
    text: &str,
) -> Result<AccountId, Error> {
    let id = match (AccountId::parse(text), AccountNumber::parse(text)) {
        (Some(id), _) => Some(id).filter(|id| model.account(*id).is_some()),
        (None, Some(number)) => model.account_by_number(number),
        (None, None) => {
            return Err(Error::invalid(field, "an account is named by UUID or 12 digits"));
        }
    };
    match call.account() {
        Some(own) if id != Some(own) => Err(Error::NotAllowed),
        Some(_) | None => id.ok_or(Error::NoSuchAccount),
    }
}

/// Whoever has to do with itself only is refused any other user, whether it is there or not.
fn find_user<'a>(
    model: &'a Model,
    call: &Call,
    field: &'static str,
    account: AccountId,
    text: &str,
) -> Result<&'a Arc<UserEntry>, Error> {
    let id = match UserId::parse(text) {
        Some(id) => Some(id),
        None => {
            let name = UserName::parse(text)
                .map_err(|error| Error::invalid(field, format!("user name {error}")))?;
            model.user_by_name(account, &name)
        }
    };
    if call.only_user().is_some_and(|own| id != Some(own)) {
        return Err(Error::NotAllowed);
    }
    id.and_then(|id| model.user(id))
        .filter(|entry| entry.account == account)
        .ok_or(Error::NoSuchUser)
}

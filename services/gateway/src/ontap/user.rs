//! S3 users: made, shown, changed, deleted; one, or all that a query matches.

use api::identity::v1::{
    AccessKey, Account, CreateAccessKeyRequest, CreateUserRequest, DeleteAccessKeyRequest,
    DeleteUserRequest, GetUserRequest, ListAccessKeysRequest, UpdateUserRequest, User,
};
use http::StatusCode;
use prost_types::FieldMask;
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::body::UserBody;
use super::change::{Change, FIRST_SLOT};
use super::collection::Source;
use super::error::{OntapError, To};
use super::select::{Fields, Select, Shown, timeout};
use super::{Call, Reply, render};

pub(super) const USER: Fields = Fields {
    keys: &["svm.uuid", "svm.name", "name"],
    others: &[
        "svm",
        "comment",
        "access_key",
        "key_expiry_time",
        "key_time_to_live",
        "keys",
        "keys.id",
        "keys.access_key",
        "keys.expiry_time",
        "keys.time_to_live",
    ],
};

/// The longest time to live, in days (ONTAP error 92406083).
const LIFETIME_DAYS_MAX: u32 = 1095;
/// Users that one change of a collection may change.
const CHANGED_MAX: usize = 1000;

impl Call<'_> {
    pub(super) async fn list_users(&self, svm: Uuid) -> Result<Reply, OntapError> {
        let select = Select::parse(&self.query, &USER)?;
        let account = self.account(svm).await?;
        self.list(&Source::Users(Box::new(account)), &select).await
    }

    pub(super) async fn get_user(&self, svm: Uuid, name: &str) -> Result<Reply, OntapError> {
        let shown = Shown::of_one(&self.query, &USER)?;
        let account = self.account(svm).await?;
        match self.find_user(&account, name).await?.pop() {
            Some(record) => Ok(shown.show(record).into()),
            None => Err(OntapError::no_entry("name")),
        }
    }

    /// The user of this name, in any case, or nothing.
    pub(super) async fn find_user(
        &self,
        account: &Account,
        name: &str,
    ) -> Result<Vec<Value>, OntapError> {
        if check_name(name).is_err() {
            return Ok(vec![]);
        }
        match self.user(account, name).await {
            Ok(user) => {
                let keys = self.keys(&user).await?;
                Ok(vec![render::user(account, &user, &keys)])
            }
            Err(error) if error.status == StatusCode::NOT_FOUND => Ok(vec![]),
            Err(error) => Err(error),
        }
    }

    async fn user(&self, account: &Account, name: &str) -> Result<User, OntapError> {
        let request = GetUserRequest { name: resource(account, name)?, ..Default::default() };
        let answer = self.identity.get_user(&self.acting, request).await;
        answer.map_err(self.refused(To::Other))?.user.ok_or_else(OntapError::internal)
    }

    async fn keys(&self, user: &User) -> Result<Vec<AccessKey>, OntapError> {
        let request = ListAccessKeysRequest { parent: user.name.clone(), ..Default::default() };
        let answer = self.identity.list_access_keys(&self.acting, request).await;
        Ok(answer.map_err(self.refused(To::Other))?.access_keys)
    }

    pub(super) async fn create_user(&self, svm: Uuid) -> Result<Reply, OntapError> {
        self.query.only(&["return_records", "return_timeout"])?;
        timeout(&self.query)?;
        self.query.truth("return_records", true)?;
        let body = UserBody::parse(&self.body, true)?;
        let name = body
            .name
            .ok_or_else(|| OntapError::invalid("Field \"name\" is required.", Some("name")))?;
        check_name(&name)?;
        let account = self.account(svm).await?;
        let svm_is = |said: Option<&String>, is: &str| said.is_none_or(|said| said.as_str() == is);
        if !svm_is(body.svm_uuid.as_ref(), &account.account_id)
            || !svm_is(body.svm_name.as_ref(), &account.display_name)
        {
            return Err(OntapError::invalid(
                "The body names another SVM than the URL.",
                Some("svm"),
            ));
        }
        let (access_key, secret) = new_key(FIRST_SLOT, body.key_time_to_live, body.pair);
        let user = User {
            user_name: name.clone(),
            comment: body.comment.unwrap_or_default(),
            ..Default::default()
        };
        let request = CreateUserRequest {
            parent: account.name.clone(),
            user: Some(user),
            request_id: self.idempotency_id_for(&name),
            access_key: Some(access_key),
            secret_access_key: secret.to_string(),
            lifetime_days_max: LIFETIME_DAYS_MAX,
        };
        let made = self.identity.create_user(&self.acting, request).await;
        let made = made.map_err(|status| self.key_refused(&account, To::CreateUser, status))?;
        let key = made.access_key.ok_or_else(OntapError::internal)?;
        let secret = Zeroizing::new(made.secret_access_key);
        let record = render::made_key(&account, &name, &key, &secret);
        Ok(Reply {
            status: StatusCode::CREATED,
            document: json!({ "num_records": 1, "records": [record] }),
            location: Some(render::user_path(&account, &name)),
        })
    }

    pub(super) async fn patch_user(&self, svm: Uuid, name: &str) -> Result<Reply, OntapError> {
        self.query.only(&["regenerate_keys", "delete_keys", "return_records", "return_timeout"])?;
        timeout(&self.query)?;
        self.query.truth("return_records", true)?;
        let body = UserBody::parse(&self.body, false)?;
        let change = self.change(&body)?;
        let account = self.account(svm).await?;
        Ok(match self.patch(&account, name, &change, &body).await? {
            Some(record) => json!({ "num_records": 1, "records": [record] }).into(),
            None => json!({}).into(),
        })
    }

    pub(super) async fn patch_users(&self, svm: Uuid) -> Result<Reply, OntapError> {
        let body = UserBody::parse(&self.body, false)?;
        let change = self.change(&body)?;
        let query = self.query.without(&["regenerate_keys", "delete_keys"]);
        let select = Select::parse(&query, &USER)?;
        let account = self.account(svm).await?;
        let source = Source::Users(Box::new(account.clone()));
        let names = names(&self.matching(&source, &select, CHANGED_MAX).await?);
        if body.pair.is_some() && names.len() > 1 {
            let message = "One access key cannot be given to more than one user.";
            return Err(OntapError::bad("2", message).at("access_key"));
        }
        let mut records = vec![];
        for name in &names {
            records.extend(self.patch(&account, name, &change, &body).await?);
        }
        let mut document = json!({ "num_records": names.len() });
        if !records.is_empty() {
            document["records"] = json!(records);
        }
        Ok(document.into())
    }

    fn change(&self, body: &UserBody) -> Result<Change, OntapError> {
        let regenerate = self.query.truth("regenerate_keys", false)?;
        Change::of(regenerate, self.query.truth("delete_keys", false)?, body)
    }

    /// Changes a user, all that is asked in one step; gives what is told of a key that was made.
    async fn patch(
        &self,
        account: &Account,
        name: &str,
        change: &Change,
        body: &UserBody,
    ) -> Result<Option<Value>, OntapError> {
        let comment = body.comment.clone();
        match change {
            Change::Regenerate(slot) => {
                let (access_key, secret) =
                    new_key(*slot, body.key_time_to_live.clone(), body.pair.clone());
                let request = CreateAccessKeyRequest {
                    parent: resource(account, name)?,
                    access_key: Some(access_key),
                    request_id: self.idempotency_id_for(name),
                    secret_access_key: secret.to_string(),
                    lifetime_days_max: LIFETIME_DAYS_MAX,
                    take_slot: true,
                    user_comment: comment,
                };
                let made = self.identity.create_access_key(&self.acting, request).await;
                let made =
                    made.map_err(|status| self.key_refused(account, To::RegenerateKeys, status))?;
                let key = made.access_key.ok_or_else(OntapError::internal)?;
                let secret = Zeroizing::new(made.secret_access_key);
                Ok(Some(render::made_key(account, name, &key, &secret)))
            }
            Change::DeleteKey(slot) => {
                let user = self.user(account, name).await?;
                let keys = self.keys(&user).await?;
                let Some(key) = keys.into_iter().find(|key| key.slot == *slot) else {
                    // There is none: as it is to be.
                    return self.comment(account, name, comment).await.map(|()| None);
                };
                let request = DeleteAccessKeyRequest {
                    name: key.name,
                    user_comment: comment,
                    ..Default::default()
                };
                let deleted = self.identity.delete_access_key(&self.acting, request).await;
                deleted.map_err(self.refused(To::Other))?;
                Ok(None)
            }
            Change::Comment => self.comment(account, name, comment).await.map(|()| None),
        }
    }

    /// Gives a user a comment, if one is given; it must be there in any case.
    async fn comment(
        &self,
        account: &Account,
        name: &str,
        comment: Option<String>,
    ) -> Result<(), OntapError> {
        let Some(comment) = comment else { return self.user(account, name).await.map(drop) };
        let request = UpdateUserRequest {
            user: Some(User { name: resource(account, name)?, comment, ..Default::default() }),
            update_mask: Some(FieldMask { paths: vec!["comment".to_owned()] }),
            ..Default::default()
        };
        let updated = self.identity.update_user(&self.acting, request).await;
        updated.map_err(self.refused(To::Other))?;
        Ok(())
    }

    pub(super) async fn delete_user(&self, svm: Uuid, name: &str) -> Result<Reply, OntapError> {
        self.query.only(&["return_records", "return_timeout"])?;
        timeout(&self.query)?;
        self.query.truth("return_records", true)?;
        let account = self.account(svm).await?;
        self.delete(&account, name).await?;
        Ok(json!({}).into())
    }

    pub(super) async fn delete_users(&self, svm: Uuid) -> Result<Reply, OntapError> {
        let select = Select::parse(&self.query, &USER)?;
        if !super::body::object(&self.body)?.is_empty() {
            let message = "The body must be empty: what is deleted is said by the query.";
            return Err(OntapError::bad("2", message));
        }
        let account = self.account(svm).await?;
        let source = Source::Users(Box::new(account.clone()));
        let names = names(&self.matching(&source, &select, CHANGED_MAX).await?);
        for name in &names {
            self.delete(&account, name).await?;
        }
        Ok(json!({ "num_records": names.len() }).into())
    }

    /// Deletes a user with all its keys, as ONTAP does.
    async fn delete(&self, account: &Account, name: &str) -> Result<(), OntapError> {
        let request = DeleteUserRequest {
            name: resource(account, name)?,
            force: true,
            request_id: self.idempotency_id_for(name),
            ..Default::default()
        };
        let deleted = self.identity.delete_user(&self.acting, request).await;
        deleted.map_err(self.refused(To::Other))?;
        Ok(())
    }

    /// What is said against an access key. A lifetime is too long for the service, or for anybody.
    fn key_refused(&self, account: &Account, to: To, status: Status) -> OntapError {
        let too_long = api::reason(&status) == Some(api::error::v1::Reason::LifetimeTooLong);
        let max = account.settings.clone().unwrap_or_default().access_key_lifetime_seconds_max;
        if too_long && (1..=u64::from(LIFETIME_DAYS_MAX) * 86_400).contains(&max) {
            return OntapError::too_long_for_service();
        }
        self.refused(to)(status)
    }
}

/// Identity's name of a user.
///
/// # Errors
/// That there is none, of a name that no user has.
fn resource(account: &Account, name: &str) -> Result<String, OntapError> {
    check_name(name).map_err(|_| OntapError::no_entry("name"))?;
    Ok(format!("{}/users/{name}", account.name))
}

/// Whether a name may be one: what identity takes for more than a name, such as a UUID, is none here.
fn check_name(name: &str) -> Result<(), OntapError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(1..=64).contains(&name.chars().count()) {
        return Err(OntapError::name_length());
    }
    if !name.bytes().all(is_name) || name.parse::<Uuid>().is_ok() {
        return Err(OntapError::name_characters());
    }
    Ok(())
}

/// What identity is asked for a key of this slot, and its secret if that is brought.
fn new_key(
    slot: u32,
    time_to_live: Option<String>,
    pair: Option<(String, Zeroizing<String>)>,
) -> (AccessKey, Zeroizing<String>) {
    let (access_key_id, secret) = pair.unwrap_or_default();
    let time_to_live = time_to_live.unwrap_or_default();
    (AccessKey { access_key_id, time_to_live, slot, ..Default::default() }, secret)
}

fn names(records: &[Value]) -> Vec<String> {
    records.iter().filter_map(|record| record["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_or_what_is_wrong_with_it() {
        let check = |name: &str, expected| {
            assert_eq!(check_name(name).map_err(|error| error.code), expected, "{name}");
        };
        check("user-3@domain1.com", Ok(()));
        check("a+=,.@-_Z9", Ok(()));
        check(&"a".repeat(64), Ok(()));
        check(&"a".repeat(65), Err("92405788"));
        check("", Err("92405788"));
        check("a b", Err("92405787"));
        check("é", Err("92405787"));
        check("a/b", Err("92405787"));
        check("02c9e252-41be-11e9-81d5-00a0986138f7", Err("92405787"));
    }
}

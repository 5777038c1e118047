//! Actions on users, and on the account as a whole.

use api::identity::v1::{
    CreateUserRequest, DeleteUserRequest, GetAccountRequest, GetUserRequest, ListAccessKeysRequest,
    ListUsersRequest, UpdateUserRequest, User,
};
use prost_types::FieldMask;
use tonic::Status;

use super::error::{IamError, Named};
use super::listing::{Page, invalid};
use super::tag::TAGS_MAX;
use super::{Call, render};
use crate::xml::Document;

/// As many users as identity gives in one page.
const PAGE_SIZE: i32 = 1000;
/// Access keys that a user may have, where its account sets no other number.
const ACCESS_KEYS_MAX: u32 = 10;

impl Call<'_> {
    /// Identity's name of the user that the form names, or else of the caller.
    pub(super) fn user_resource(&self) -> String {
        match self.form.get("UserName") {
            Some(name) => self.user_named(name),
            None => self.user_named(&self.principal.user_id),
        }
    }

    pub(super) fn user_named(&self, name: &str) -> String {
        format!("{}/users/{name}", self.account())
    }

    /// The user's name as the form spells it, for messages.
    pub(super) fn named(&self) -> Named<'_> {
        let caller = &self.principal.user_name;
        Named {
            user: self.form.get("UserName").unwrap_or(caller),
            access_key: self.form.get("AccessKeyId").unwrap_or_default(),
            caller: &self.principal.arn,
            action: self.form.get("Action").unwrap_or_default(),
        }
    }

    pub(super) fn refused(&self) -> impl Fn(Status) -> IamError + '_ {
        |status| IamError::of_status(&status, &self.named())
    }

    /// The user that the form names, or else the caller.
    pub(super) async fn user(&self) -> Result<User, IamError> {
        self.check_user_name("UserName")?;
        let request = GetUserRequest { name: self.user_resource(), ..Default::default() };
        let refused = self.refused();
        let answer = self.identity.get_user(&self.acting, request).await.map_err(&refused)?;
        answer.user.ok_or_else(IamError::internal)
    }

    /// Whether a name may be one: what identity takes for more than a name, such as a UUID, is none here.
    pub(super) fn check_user_name(&self, field: &'static str) -> Result<(), IamError> {
        let Some(name) = self.form.get(field) else { return Ok(()) };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !(1..=64).contains(&name.len()) {
            let constraint = "Member must have length from 1 to 64";
            return Err(invalid(field, name, constraint));
        }
        if !name.bytes().all(is_name) {
            return Err(IamError::validation(
                "The specified value for userName is invalid. It must contain only alphanumeric \
                 characters and/or the following: +=,.@_-",
            ));
        }
        if name.parse::<uuid::Uuid>().is_ok() {
            return Err(IamError::no_such_entity(format!(
                "The user with name {name} cannot be found."
            )));
        }
        Ok(())
    }

    pub(super) async fn create_user(&self, document: &mut Document) -> Result<(), IamError> {
        let user_name = self.form.required("UserName")?.to_owned();
        self.check_user_name("UserName")?;
        if self.form.get("PermissionsBoundary").is_some() {
            let message = "Permissions boundaries are not offered.";
            return Err(IamError::new(http::StatusCode::BAD_REQUEST, "InvalidInput", message));
        }
        let request = CreateUserRequest {
            parent: self.account(),
            user: Some(User {
                user_name,
                path: self.form.get("Path").unwrap_or_default().to_owned(),
                tags: self.tags()?,
                ..Default::default()
            }),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let refused = self.refused();
        let answer = self.identity.create_user(&self.acting, request).await.map_err(&refused)?;
        let user = answer.user.ok_or_else(IamError::internal)?;
        document.open("User");
        render::user(document, &self.principal, &user, true);
        document.close();
        Ok(())
    }

    pub(super) async fn get_user(&self, document: &mut Document) -> Result<(), IamError> {
        let user = self.user().await?;
        document.open("User");
        render::user(document, &self.principal, &user, true);
        document.close();
        Ok(())
    }

    pub(super) async fn list_users(&self, document: &mut Document) -> Result<(), IamError> {
        let asked = self.page()?;
        let request = ListUsersRequest {
            parent: self.account(),
            page_size: asked.page_size,
            page_token: asked.page_token,
            path_prefix: self.form.get("PathPrefix").unwrap_or_default().to_owned(),
            ..Default::default()
        };
        let refused = self.refused();
        let answer = self.identity.list_users(&self.acting, request).await.map_err(&refused)?;
        document.open("Users");
        // As AWS does, which does not count the root user among an account's users.
        for user in answer.users.iter().filter(|user| !user.root) {
            document.open("member");
            render::user(document, &self.principal, user, false);
            document.close();
        }
        document.close();
        render::page(document, &Page { next_page_token: answer.next_page_token });
        Ok(())
    }

    pub(super) async fn update_user(&self) -> Result<(), IamError> {
        self.form.required("UserName")?;
        self.check_user_name("UserName")?;
        self.check_user_name("NewUserName")?;
        let (name, path) = (self.form.get("NewUserName"), self.form.get("NewPath"));
        let paths = [name.map(|_| "user_name"), path.map(|_| "path")];
        let paths: Vec<String> = paths.into_iter().flatten().map(str::to_owned).collect();
        if paths.is_empty() {
            return self.user().await.map(drop);
        }
        let request = UpdateUserRequest {
            user: Some(User {
                name: self.user_resource(),
                user_name: name.unwrap_or_default().to_owned(),
                path: path.unwrap_or_default().to_owned(),
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths }),
            request_id: self.idempotency_id.clone(),
        };
        let named = self.named();
        let refused = |status: Status| {
            // What is taken is the new name.
            let taken = api::reason(&status) == Some(api::error::v1::Reason::UserNameTaken);
            let user = if taken { name.unwrap_or(named.user) } else { named.user };
            IamError::of_status(&status, &Named { user, ..named })
        };
        self.identity.update_user(&self.acting, request).await.map_err(&refused)?;
        Ok(())
    }

    pub(super) async fn delete_user(&self) -> Result<(), IamError> {
        self.form.required("UserName")?;
        self.check_user_name("UserName")?;
        let request = DeleteUserRequest {
            name: self.user_resource(),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        let refused = self.refused();
        self.identity.delete_user(&self.acting, request).await.map_err(&refused)?;
        Ok(())
    }

    pub(super) async fn get_account_summary(
        &self,
        document: &mut Document,
    ) -> Result<(), IamError> {
        let refused = self.refused();
        let request = GetAccountRequest { name: self.account(), ..Default::default() };
        let answer = self.identity.get_account(&self.acting, request).await.map_err(&refused)?;
        let account = answer.account.ok_or_else(IamError::internal)?;
        let quota = account.settings.unwrap_or_default().access_keys_per_user_max;
        let root = self.root().await?;
        let request =
            ListAccessKeysRequest { parent: root.name, page_size: 1, ..Default::default() };
        let keys = self.identity.list_access_keys(&self.acting, request).await.map_err(&refused)?;
        let has_keys = !keys.access_keys.is_empty();
        document.open("SummaryMap");
        for (key, value) in [
            ("AccessKeysPerUserQuota", if quota == 0 { ACCESS_KEYS_MAX } else { quota }),
            ("AccountAccessKeysPresent", u32::from(has_keys)),
            ("AccountMFAEnabled", 0),
            ("AccountSigningCertificatesPresent", 0),
            ("Groups", 0),
            ("MFADevices", 0),
            ("Policies", 0),
            ("Roles", 0),
            ("TagsPerUserQuota", TAGS_MAX),
            ("Users", self.count_users().await?),
        ] {
            document.open("entry");
            document.text("key", key);
            document.text("value", &value.to_string());
            document.close();
        }
        document.close();
        Ok(())
    }

    /// The account's root user, whom only itself may see.
    async fn root(&self) -> Result<User, IamError> {
        let refused = self.refused();
        let name = self.user_named(&self.principal.user_id);
        let request = GetUserRequest { name, ..Default::default() };
        let answer = self.identity.get_user(&self.acting, request).await.map_err(&refused)?;
        answer.user.ok_or_else(IamError::internal)
    }

    /// All users of the account but the root user, a page at a time.
    pub(super) async fn each_page_of_users(
        &self,
        mut each: impl FnMut(Vec<User>) -> Result<(), IamError>,
    ) -> Result<(), IamError> {
        let refused = self.refused();
        let mut page_token = String::new();
        loop {
            let request = ListUsersRequest {
                parent: self.account(),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let answer = self.identity.list_users(&self.acting, request).await.map_err(&refused)?;
            each(answer.users)?;
            if answer.next_page_token.is_empty() {
                return Ok(());
            }
            page_token = answer.next_page_token;
        }
    }

    async fn count_users(&self) -> Result<u32, IamError> {
        let mut count = 0_u32;
        self.each_page_of_users(|users| {
            let users = users.iter().filter(|user| !user.root).count();
            count = count.saturating_add(u32::try_from(users).unwrap_or(u32::MAX));
            Ok(())
        })
        .await?;
        Ok(count)
    }
}

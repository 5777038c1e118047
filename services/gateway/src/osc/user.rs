//! Calls on users.

use api::identity::v1::{
    CreateUserRequest, DeleteUserRequest, ListUsersRequest, UpdateUserRequest, User,
};
use prost_types::FieldMask;
use serde_json::Value;

use super::Answer;
use super::call::{Call, check_user_name};
use super::error::OscError;
use super::render;

/// As many users as identity gives in one page.
const PAGE_SIZE: i32 = 1000;
/// Users in an answer when the request does not say, and at most.
const RESULTS_DEFAULT: u64 = 100;
const RESULTS_MAX: u64 = 1000;
/// The last user that an answer may begin with: each before it is read, too.
const FIRST_ITEM_MAX: u64 = 100_000;
/// The most users that a filter may name: each is asked for.
const USER_IDS_MAX: usize = 100;

/// What part of all users is asked for.
struct Window {
    first: usize,
    size: usize,
    /// More was asked for than there is in an answer.
    truncated: bool,
}

impl Call<'_> {
    pub(super) async fn create_user(&self) -> Result<Answer, OscError> {
        let user_name = self.parameters.required("UserName")?;
        check_user_name("UserName", user_name)?;
        let user = User {
            user_name: user_name.to_owned(),
            path: self.parameters.text("Path")?.unwrap_or_default().to_owned(),
            email: self.parameters.text("UserEmail")?.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        if self.dry_run {
            return self.may_manage_users().await;
        }
        let request = CreateUserRequest {
            parent: self.account(),
            user: Some(user),
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        of_user(self.identity.create_user(&self.acting, request).await?.user.as_ref())
    }

    pub(super) async fn read_users(&self) -> Result<Answer, OscError> {
        let window = self.window()?;
        let filters = self.parameters.within("Filters", &["UserIds"])?;
        let users = match filters.texts("UserIds")? {
            Some(ids) => self.users_of(&ids, &window).await?,
            None => self.users_in(&window).await?,
        };
        if self.dry_run {
            return Ok(Answer::new());
        }
        let has_more = users.len() > window.size;
        let users: Vec<Value> = users.iter().take(window.size).map(render::user).collect();
        let members: [(&str, Value); 4] = [
            ("Users", users.into()),
            ("HasMoreItems", has_more.into()),
            ("MaxResultsLimit", RESULTS_MAX.into()),
            ("MaxResultsTruncated", window.truncated.into()),
        ];
        Ok(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(super) async fn update_user(&self) -> Result<Answer, OscError> {
        let user_name = self.parameters.required("UserName")?;
        check_user_name("UserName", user_name)?;
        let name = self.user_named(user_name);
        let mut after = User { name: name.clone(), ..Default::default() };
        let mut paths = vec![];
        for (parameter, path) in
            [("NewUserName", "user_name"), ("NewPath", "path"), ("NewUserEmail", "email")]
        {
            let Some(text) = self.parameters.text(parameter)? else { continue };
            let field = match path {
                "user_name" => {
                    check_user_name(parameter, text)?;
                    &mut after.user_name
                }
                "path" => &mut after.path,
                _ => &mut after.email,
            };
            text.clone_into(field);
            paths.push(path.to_owned());
        }
        if self.dry_run {
            self.may_manage_users().await?;
            return self.user(name).await.map(|_| Answer::new());
        }
        if paths.is_empty() {
            return of_user(Some(&self.user(name).await?));
        }
        let request = UpdateUserRequest {
            user: Some(after),
            update_mask: Some(FieldMask { paths }),
            request_id: self.idempotency_id.clone(),
        };
        of_user(self.identity.update_user(&self.acting, request).await?.user.as_ref())
    }

    pub(super) async fn delete_user(&self) -> Result<Answer, OscError> {
        let user_name = self.parameters.required("UserName")?;
        check_user_name("UserName", user_name)?;
        let name = self.user_named(user_name);
        if self.dry_run {
            self.may_manage_users().await?;
            return self.user(name).await.map(|_| Answer::new());
        }
        let request = DeleteUserRequest {
            name,
            request_id: self.idempotency_id.clone(),
            ..Default::default()
        };
        self.identity.delete_user(&self.acting, request).await?;
        Ok(Answer::new())
    }

    /// Whether the caller may change users: whoever may list an account's users may.
    async fn may_manage_users(&self) -> Result<Answer, OscError> {
        let request =
            ListUsersRequest { parent: self.account(), page_size: 1, ..Default::default() };
        self.identity.list_users(&self.acting, request).await?;
        Ok(Answer::new())
    }

    fn window(&self) -> Result<Window, OscError> {
        let first = self.parameters.number("FirstItem", FIRST_ITEM_MAX)?.unwrap_or_default();
        let asked = self.parameters.number("ResultsPerPage", u64::MAX)?.unwrap_or(RESULTS_DEFAULT);
        if asked == 0 {
            return Err(OscError::value("ResultsPerPage", "must be at least 1"));
        }
        let size = asked.min(RESULTS_MAX);
        let number = |number| usize::try_from(number).map_err(|_| OscError::internal());
        Ok(Window { first: number(first)?, size: number(size)?, truncated: asked > size })
    }

    /// The users of the account in the window, and one more if there is. Not the root user, which OUTSCALE
    /// does not count among an account's users.
    async fn users_in(&self, window: &Window) -> Result<Vec<User>, OscError> {
        let (mut users, mut before) = (vec![], window.first);
        let mut page_token = String::new();
        loop {
            let request = ListUsersRequest {
                parent: self.account(),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let answer = self.identity.list_users(&self.acting, request).await?;
            for user in answer.users.into_iter().filter(|user| !user.root) {
                if before > 0 {
                    before -= 1;
                } else if users.len() <= window.size {
                    users.push(user);
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || users.len() > window.size {
                return Ok(users);
            }
        }
    }

    /// Those of the named users that there are, in the window, and one more if there is.
    async fn users_of(&self, ids: &[&str], window: &Window) -> Result<Vec<User>, OscError> {
        if ids.len() > USER_IDS_MAX {
            let why = "must name at most 100 users";
            return Err(OscError::value("Filters.UserIds", why));
        }
        self.may_manage_users().await?;
        let mut found: Vec<User> = vec![];
        for uuid in ids.iter().filter_map(|id| render::uuid_of(id)) {
            match self.user(self.user_named(&uuid)).await {
                Ok(user) if user.root || found.iter().any(|known| known.name == user.name) => {}
                Ok(user) => found.push(user),
                Err(error) if error == OscError::no_such_user() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found.into_iter().skip(window.first).take(window.size.saturating_add(1)).collect())
    }
}

fn of_user(user: Option<&User>) -> Result<Answer, OscError> {
    let user = user.map(render::user).ok_or_else(OscError::internal)?;
    Ok(Answer::from_iter([("User".to_owned(), user)]))
}

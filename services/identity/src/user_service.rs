//! UserService: the users of an account.

use std::ops::Bound;
use std::sync::Arc;

use api::identity::v1::user_service_server::UserService;
use api::identity::v1::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, LockUserRequest, LockUserResponse,
    RemovePasswordRequest, RemovePasswordResponse, SetPasswordRequest, SetPasswordResponse,
    UnlockUserRequest, UnlockUserResponse, UpdateUserRequest, UpdateUserResponse, User,
};
use domain::{Email, Label, Tag, Tags, Timestamp, UserId, UserName, UserPath, user};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::access_key_service::{Brought, New};
use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::UserEntry;
use crate::password::Passwords;
use crate::turn::Intent;
use crate::writer::{Begun, Writer};
use crate::{answer, history, page, render, resource};

/// The most users that one page looks at. A page of a sparse filter ends there, with a token.
const USERS_LOOKED_AT_MAX: usize = 10_000;

pub(crate) struct Users {
    pub(crate) writer: Arc<Writer>,
    pub(crate) passwords: Arc<Passwords>,
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let created = create(Arc::clone(&self.writer), call, request.into_inner());
        Ok(Response::new(created.await?))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        self.writer.applied(request.min_position).await?;
        let user = match history::read_time(&self.writer, request.read_time)? {
            None => {
                let model = self.writer.model();
                let entry = resource::user(&model, &call, "name", &request.name)?;
                call.reads_user(entry.account, entry.id)?;
                render::user(&model, entry)
            }
            Some(at) => {
                let (account, id) =
                    resource::user_ever(&self.writer.model(), &call, "name", &request.name)?;
                call.reads_user(account, id)?;
                let entry =
                    history::user_at(&self.writer, id, at).await?.ok_or(Error::NoSuchUser)?;
                render::user(&self.writer.model(), &entry)
            }
        };
        Ok(Response::new(GetUserResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        self.writer.applied(request.min_position).await?;
        let listed = match history::read_time(&self.writer, request.read_time)? {
            None => {
                let mut listed = list(&self.writer, &call, &request)?;
                listed.access_keys.iter_mut().for_each(|key| self.writer.uses.tell(key));
                listed
            }
            Some(at) => list_at(&self.writer, &call, &request, at).await?,
        };
        Ok(Response::new(listed))
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let mut request = request.into_inner();
        let asked = request.user.clone().ok_or_else(|| Error::invalid("user", "is missing"))?;
        let changes = changes(&asked, request.update_mask.clone().unwrap_or_default().paths)?;
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let target = Target { field: "user.name", name: asked.name, etag: asked.etag };
        let (user, position) =
            self.change(call, key, target, user::Command::Update(changes)).await?;
        Ok(Response::new(UpdateUserResponse { user: Some(user), position }))
    }

    async fn lock_user(
        &self,
        request: Request<LockUserRequest>,
    ) -> Result<Response<LockUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let target = Target { field: "name", name: request.name, etag: request.etag };
        let (user, position) = self.change(call, key, target, user::Command::Lock).await?;
        Ok(Response::new(LockUserResponse { user: Some(user), position }))
    }

    async fn unlock_user(
        &self,
        request: Request<UnlockUserRequest>,
    ) -> Result<Response<UnlockUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let target = Target { field: "name", name: request.name, etag: request.etag };
        let (user, position) = self.change(call, key, target, user::Command::Unlock).await?;
        Ok(Response::new(UnlockUserResponse { user: Some(user), position }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let outcome = match self.writer.begin(key).await? {
            Begun::Recorded(outcome) => outcome,
            Begun::Fresh(fresh) => {
                let id = manageable(&self.writer, &call, "name", &request.name)?;
                let DeleteUserRequest { etag, force, .. } = request;
                let deleted =
                    self.writer.change_user(&call, fresh, Intent::EndCaller, id, move |entry| {
                        check_etag(entry, &etag)?;
                        Ok(user::Command::Delete { force })
                    });
                deleted.await?.ok_or(Error::Internal)?
            }
        };
        Ok(Response::new(DeleteUserResponse { position: self.writer.told(outcome.last) }))
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let SetPasswordRequest { name, password, etag } = request.into_inner();
        let password = Zeroizing::new(password);
        let id = self.passworded(&call, &name)?;
        let hash = self.passwords.hash(password).await?;
        let Begun::Fresh(fresh) = self.writer.begin(CommandKey::once()).await? else {
            return Err(Error::Internal.into());
        };
        let check = move |entry: &UserEntry| check_etag(entry, &etag);
        let outcome = self.writer.set_password(&call, fresh, id, check, hash).await?;
        let outcome = outcome.ok_or(Error::Internal)?;
        let entry = history::user_after(&self.writer, id, outcome).await?;
        let position = self.writer.told(outcome.last);
        Ok(Response::new(SetPasswordResponse {
            user: Some(render::user(&self.writer.model(), &entry)),
            position,
        }))
    }

    async fn remove_password(
        &self,
        request: Request<RemovePasswordRequest>,
    ) -> Result<Response<RemovePasswordResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let mut request = request.into_inner();
        let key = CommandKey::new(&call.principal(), &mut request)?;
        let may_change = |name: &str| self.passworded(&call, name);
        let target = Target { field: "name", name: request.name, etag: request.etag };
        let (user, position) =
            self.change_by(&call, key, target, user::Command::RemovePassword, may_change).await?;
        Ok(Response::new(RemovePasswordResponse { user: Some(user), position }))
    }
}

/// The user that a request means to change.
struct Target {
    field: &'static str,
    name: String,
    etag: String,
}

impl Users {
    /// Changes a user and shows it, with the position at which it is so.
    async fn change(
        &self,
        call: Call,
        key: CommandKey,
        target: Target,
        command: user::Command,
    ) -> Result<(User, u64), Error> {
        let field = target.field;
        let may_change = |name: &str| manageable(&self.writer, &call, field, name);
        self.change_by(&call, key, target, command, may_change).await
    }

    /// Does so where `may_change` finds the user that the caller may change.
    async fn change_by(
        &self,
        call: &Call,
        key: CommandKey,
        target: Target,
        command: user::Command,
        may_change: impl Fn(&str) -> Result<UserId, Error>,
    ) -> Result<(User, u64), Error> {
        let Target { name, etag, .. } = target;
        let writer = &self.writer;
        // First of all: the user may have another name by now, or be gone.
        let fresh = match writer.begin(key).await? {
            Begun::Fresh(fresh) => fresh,
            Begun::Recorded(outcome) => {
                let user = answer::changed_user(writer, outcome).await?;
                return Ok((user, writer.told(outcome.last)));
            }
        };
        let id = may_change(&name)?;
        let locks = matches!(command, user::Command::Lock);
        let intent = if locks { Intent::EndCaller } else { Intent::Change };
        let changed = writer.change_user(call, fresh, intent, id, move |entry| {
            check_etag(entry, &etag)?;
            Ok(command)
        });
        match changed.await? {
            Some(outcome) => {
                let entry = history::user_after(writer, id, outcome).await?;
                Ok((render::user(&writer.model(), &entry), writer.told(outcome.last)))
            }
            None => {
                let model = writer.model();
                let entry = model.user(id).ok_or(Error::NoSuchUser)?;
                Ok((render::user(&model, entry), writer.told(model.position())))
            }
        }
    }
}

impl Users {
    /// The user of this name, if the caller may set its password: who may make it access keys, and so the
    /// user itself.
    fn passworded(&self, call: &Call, name: &str) -> Result<UserId, Error> {
        let model = self.writer.model();
        let entry = resource::user(&model, call, "name", name)?;
        call.manages_access_keys(entry.account, entry.id)?;
        Ok(entry.id)
    }
}

/// The user of this name, if the caller may change it.
fn manageable(
    writer: &Writer,
    call: &Call,
    field: &'static str,
    name: &str,
) -> Result<UserId, Error> {
    let model = writer.model();
    let entry = resource::user(&model, call, field, name)?;
    call.manages_account(entry.account)?;
    Ok(entry.id)
}

fn check_etag(entry: &UserEntry, etag: &str) -> Result<(), Error> {
    if etag.is_empty() || render::user_etag(entry) == etag {
        return Ok(());
    }
    Err(Error::EtagMismatch)
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    mut request: CreateUserRequest,
) -> Result<CreateUserResponse, Error> {
    let secret = Brought::take(&mut request.secret_access_key);
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let asked = request.user.ok_or_else(|| Error::invalid("user", "is missing"))?;
    let access_key = match request.access_key {
        Some(asked) => Some(New::of(&asked, secret, request.lifetime_days_max)?),
        None if secret.is_given() => {
            return Err(Error::invalid("secret_access_key", "was given without access_key"));
        }
        None => None,
    };
    let secret = access_key.as_ref().map(New::secret_digest);
    let new = user::NewUser {
        name: user_name(&asked)?,
        root: false,
        label: label("user.label", &asked.label)?,
        comment: label("user.comment", &asked.comment)?,
        path: path(&asked)?,
        email: email(&asked)?,
        tags: tags(&asked)?,
    };
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let account = resource::account(&writer.model(), &call, "parent", &request.parent)?;
            call.manages_account(account)?;
            match access_key {
                None => {
                    let command = user::Command::Create(new);
                    writer.create_user(&call, fresh, account, command).await?
                }
                Some(New { spec, brought }) => {
                    let command = move |prepared| {
                        let access_key = spec.clone().with(prepared);
                        user::Command::CreateWithAccessKey(new.clone(), access_key)
                    };
                    let created =
                        writer.create_user_with_access_key(&call, fresh, account, brought, command);
                    created.await?
                }
            }
        }
    };
    let user = Some(answer::created_user(&writer, outcome).await?);
    let position = writer.told(outcome.last);
    let Some(secret) = secret else {
        return Ok(CreateUserResponse { user, position, ..Default::default() });
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    secret.check(&answer.secret_access_key)?;
    Ok(CreateUserResponse {
        user,
        position,
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
    })
}

/// Users as they are now, by name. A cursor is the folded name of the last one.
fn list(
    writer: &Writer,
    call: &Call,
    request: &ListUsersRequest,
) -> Result<ListUsersResponse, Error> {
    let size = page::size(request.page_size)?;
    let model = writer.model();
    let account = resource::account(&model, call, "parent", &request.parent)?;
    call.reads_account(account)?;
    let prefix = path_prefix(request)?;
    let list = format!("users/{account}{prefix}");
    let from = match page::cursor(&list, &request.page_token)? {
        None => Bound::Unbounded,
        Some(name) => Bound::Excluded(name),
    };
    let now = writer.now();
    let (mut users, mut access_keys) = (vec![], vec![]);
    let mut last = None;
    for (looked_at, entry) in model.users_from(account, from).enumerate() {
        if users.len() == size || looked_at == USERS_LOOKED_AT_MAX {
            let next_page_token = last.map(|name: String| page::token(&list, &name));
            let next_page_token = next_page_token.unwrap_or_default();
            return Ok(ListUsersResponse { users, next_page_token, access_keys });
        }
        if entry.user.path.as_str().starts_with(prefix) {
            users.push(render::user(&model, entry));
            if request.show_access_keys {
                let keys = entry.user.access_keys.iter();
                access_keys.extend(keys.map(|key| render::access_key(entry, key, now)));
            }
        }
        last = Some(entry.user.name.folded());
    }
    Ok(ListUsersResponse { users, next_page_token: String::new(), access_keys })
}

/// What the paths of listed users begin with.
fn path_prefix(request: &ListUsersRequest) -> Result<&str, Error> {
    let prefix = request.path_prefix.as_str();
    let visible = prefix.bytes().all(|byte| byte.is_ascii_graphic());
    if prefix.len() > 512 || !visible || !(prefix.is_empty() || prefix.starts_with('/')) {
        let form = "must be up to 512 visible ASCII characters that begin with a slash";
        return Err(Error::invalid("path_prefix", form));
    }
    Ok(prefix)
}

/// Users as they were at an instant, oldest first. A cursor is the id of the last one looked at.
async fn list_at(
    writer: &Writer,
    call: &Call,
    request: &ListUsersRequest,
    at: Timestamp,
) -> Result<ListUsersResponse, Error> {
    if request.show_access_keys {
        return Err(Error::invalid("show_access_keys", "must not be given with read_time"));
    }
    let size = page::size(request.page_size)?;
    let parent = format!("{}/users/-", request.parent);
    let (account, _) = resource::user_or_all_ever(&writer.model(), call, "parent", &parent)?;
    call.reads_account(account)?;
    let prefix = path_prefix(request)?;
    let list = format!("users/{account}{prefix}@{}", at.timestamp_millis());
    let from = match page::cursor(&list, &request.page_token)? {
        None => Bound::Unbounded,
        Some(id) => Bound::Excluded(UserId::parse(&id).ok_or(Error::InvalidPageToken)?),
    };
    let ids = history::users_ever(writer, account, from, size + 1);
    let mut users = vec![];
    for id in ids.iter().take(size) {
        let entry = history::user_at(writer, *id, at).await?;
        let entry = entry.filter(|entry| entry.user.path.as_str().starts_with(prefix));
        users.extend(entry.as_ref().map(|entry| render::user(&writer.model(), entry)));
    }
    let next_page_token = match ids.get(size.saturating_sub(1)) {
        Some(last) if ids.len() > size => page::token(&list, &last.to_string()),
        Some(_) | None => String::new(),
    };
    Ok(ListUsersResponse { users, next_page_token, access_keys: vec![] })
}

fn changes(asked: &User, paths: Vec<String>) -> Result<user::UserChanges, Error> {
    let mut changes = user::UserChanges::default();
    for path_name in &paths {
        match path_name.as_str() {
            "user_name" => changes.name = Some(user_name(asked)?),
            "label" => changes.label = Some(label("user.label", &asked.label)?),
            "comment" => changes.comment = Some(label("user.comment", &asked.comment)?),
            "path" => changes.path = Some(path(asked)?),
            "email" => changes.email = Some(email(asked)?),
            "tags" => changes.tags = Some(tags(asked)?),
            _ => return Err(mask_error()),
        }
    }
    if paths.is_empty() { Err(mask_error()) } else { Ok(changes) }
}

fn mask_error() -> Error {
    Error::invalid(
        "update_mask",
        "must name user_name, label, comment, path, email or tags, and nothing else",
    )
}

fn user_name(asked: &User) -> Result<UserName, Error> {
    UserName::parse(&asked.user_name)
        .map_err(|error| Error::invalid("user.user_name", error.to_string()))
}

fn label(field: &'static str, text: &str) -> Result<Label, Error> {
    Label::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

fn path(asked: &User) -> Result<UserPath, Error> {
    if asked.path.is_empty() {
        return Ok(UserPath::default());
    }
    UserPath::parse(&asked.path).map_err(|error| Error::invalid("user.path", error.to_string()))
}

fn email(asked: &User) -> Result<Email, Error> {
    Email::parse(&asked.email).map_err(|error| Error::invalid("user.email", error.to_string()))
}

fn tags(asked: &User) -> Result<Tags, Error> {
    let tags: Result<Vec<_>, _> =
        asked.tags.iter().map(|tag| Tag::parse(&tag.key, &tag.value)).collect();
    tags.and_then(Tags::new).map_err(|error| Error::invalid("user.tags", error.to_string()))
}

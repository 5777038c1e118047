//! UserService: the users of an account.

use std::ops::Bound;
use std::sync::Arc;

use api::identity::v1::user_service_server::UserService;
use api::identity::v1::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, LockUserRequest, LockUserResponse,
    UnlockUserRequest, UnlockUserResponse, UpdateUserRequest, UpdateUserResponse, User,
};
use domain::{Label, UserName, user};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::call::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::UserEntry;
use crate::writer::Writer;
use crate::{answer, page, render, resource};

pub(crate) struct Users(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let call = Call::of(&request)?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(answer::whole(created).await?))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let entry = resource::user(&model, "name", &request.name)?;
        Ok(Response::new(GetUserResponse { user: Some(render::user(entry)) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let account = resource::account(&model, "parent", &request.parent)?;
        let list = format!("users/{account}");
        let from = match page::cursor(&list, &request.page_token)? {
            None => Bound::Unbounded,
            Some(name) => Bound::Excluded(name),
        };
        let mut found: Vec<&UserEntry> = model.users_from(account, from).take(size + 1).collect();
        let more = found.len() > size;
        found.truncate(size);
        let next_page_token = match found.last() {
            Some(last) if more => page::token(&list, &last.user.name.folded()),
            Some(_) | None => String::new(),
        };
        let users = found.into_iter().map(render::user).collect();
        Ok(Response::new(ListUsersResponse { users, next_page_token }))
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let asked = request.user.clone().ok_or_else(|| Error::invalid("user", "is missing"))?;
        let paths = request.update_mask.clone().unwrap_or_default().paths;
        if paths.is_empty() || paths.iter().any(|path| path != "label") {
            return Err(Error::invalid("update_mask", "must name label, and nothing else").into());
        }
        let label = Label::parse(&asked.label)
            .map_err(|error| Error::invalid("user.label", error.to_string()))?;
        let changed = self.change(
            "UpdateUser",
            call,
            Target { field: "user.name", name: asked.name, etag: asked.etag },
            &request,
            user::Command::ChangeLabel { label },
        );
        let (user, position) = changed.await?;
        Ok(Response::new(UpdateUserResponse { user: Some(user), position }))
    }

    async fn lock_user(
        &self,
        request: Request<LockUserRequest>,
    ) -> Result<Response<LockUserResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let target =
            Target { field: "name", name: request.name.clone(), etag: request.etag.clone() };
        let changed = self.change("LockUser", call, target, &request, user::Command::Lock);
        let (user, position) = changed.await?;
        Ok(Response::new(LockUserResponse { user: Some(user), position }))
    }

    async fn unlock_user(
        &self,
        request: Request<UnlockUserRequest>,
    ) -> Result<Response<UnlockUserResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let target =
            Target { field: "name", name: request.name.clone(), etag: request.etag.clone() };
        let changed = self.change("UnlockUser", call, target, &request, user::Command::Unlock);
        let (user, position) = changed.await?;
        Ok(Response::new(UnlockUserResponse { user: Some(user), position }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = CommandKey::new("DeleteUser", call.principal(), "", &request)?;
        let id = resource::user(&self.0.model(), "name", &request.name)?.id;
        let writer = Arc::clone(&self.0);
        let deleted = answer::whole(async move {
            let deleted = writer.change_user(&call, key, id, |entry| {
                check_etag(entry, &request.etag)?;
                Ok(user::Command::Delete { force: request.force })
            });
            deleted.await?.ok_or(Error::Internal)
        });
        Ok(Response::new(DeleteUserResponse { position: deleted.await?.last.0 }))
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
        rpc: &'static str,
        call: Call,
        target: Target,
        request: &impl Message,
        command: user::Command,
    ) -> Result<(User, u64), Error> {
        let key = CommandKey::new(rpc, call.principal(), "", request)?;
        let id = resource::user(&self.0.model(), target.field, &target.name)?.id;
        let writer = Arc::clone(&self.0);
        answer::whole(async move {
            let changed = writer.change_user(&call, key, id, |entry| {
                check_etag(entry, &target.etag)?;
                Ok(command)
            });
            let outcome = changed.await?;
            let model = writer.model();
            let position = outcome.map_or(model.position(), |outcome| outcome.last);
            let entry = model.user(id).ok_or(Error::NoSuchUser)?;
            Ok((render::user(entry), position.0))
        })
        .await
    }
}

fn check_etag(entry: &UserEntry, etag: &str) -> Result<(), Error> {
    if etag.is_empty() || render::user(entry).etag == etag {
        return Ok(());
    }
    Err(Error::EtagMismatch)
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    request: CreateUserRequest,
) -> Result<CreateUserResponse, Error> {
    let key = CommandKey::new("CreateUser", call.principal(), &request.request_id, &request)?;
    let asked = request.user.ok_or_else(|| Error::invalid("user", "is missing"))?;
    let name = UserName::parse(&asked.user_name)
        .map_err(|error| Error::invalid("user.user_name", error.to_string()))?;
    let label = Label::parse(&asked.label)
        .map_err(|error| Error::invalid("user.label", error.to_string()))?;
    let outcome = match writer.repeated(key)? {
        Some(outcome) => outcome,
        None => {
            let account = resource::account(&writer.model(), "parent", &request.parent)?;
            let command = user::Command::Create { name, root: false, label };
            writer.create_user(&call, key, account, command).await?
        }
    };
    let user = answer::created_user(&writer, outcome).await?;
    Ok(CreateUserResponse { user: Some(user), position: outcome.last.0 })
}

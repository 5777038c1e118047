//! `claviger user`.

use std::path::Path;

use api::event::v1::Tag;
use api::identity::v1::{
    CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse,
    LockUserRequest, RemovePasswordRequest, SetPasswordRequest, UnlockUserRequest,
    UpdateUserRequest, User, UserState,
};
use prost_types::{FieldMask, Timestamp};
use zeroize::Zeroizing;

use super::{Client, PAGE_SIZE, all, call, instant, with_client};
use crate::cli::{UserArgs, UserChanges, UserCommand};
use crate::config::secret;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

/// Holds the password that a user is to have.
const PASSWORD_VARIABLE: &str = "CLAVIGER_PASSWORD";

/// Does what was asked for.
pub(crate) async fn run(args: UserArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: UserCommand) -> Outcome {
    let output = client.output;
    let mut users = client.users();
    match command {
        UserCommand::Create { name, label, comment, path, email, tags, retry } => {
            let user =
                User { user_name: name, label, comment, path, email, tags, ..Default::default() };
            let request = CreateUserRequest {
                parent: client.account().await?,
                user: Some(user),
                request_id: retry.request_id(),
                ..Default::default()
            };
            let answer = users.create_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.CreateUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Get { user, at } => {
            let name = client.user(&user).await?;
            let request = GetUserRequest { name, read_time: at, ..Default::default() };
            let answer = users.get_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetUserResponse", &answer, || {
                details(&answer.user.clone().unwrap_or_default())
            })
        }
        UserCommand::List { at } => list(client, at).await,
        UserCommand::Update { user, changes, change } => {
            let (changed, paths) = changed(changes);
            let user = User { name: client.user(&user).await?, etag: change.etag(), ..changed };
            let request = UpdateUserRequest {
                user: Some(user),
                update_mask: Some(FieldMask { paths }),
                request_id: change.request_id(),
            };
            let answer = users.update_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UpdateUserResponse", &answer, || {
                details(&answer.user.clone().unwrap_or_default())
            })
        }
        UserCommand::Lock { user, change } => {
            let request = LockUserRequest {
                name: client.user(&user).await?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = users.lock_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.LockUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Unlock { user, change } => {
            let request = UnlockUserRequest {
                name: client.user(&user).await?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = users.unlock_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UnlockUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::SetPassword { user, password_file, etag } => {
            let password = password(password_file.as_deref())?;
            let request = SetPasswordRequest {
                name: client.user(&user).await?,
                // The message is no safer than this copy.
                password: password.to_string(),
                etag: etag.unwrap_or_default(),
            };
            let answer = users.set_password(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.SetPasswordResponse", &answer, || {
                details(&answer.user.clone().unwrap_or_default())
            })
        }
        UserCommand::RemovePassword { user, change } => {
            let request = RemovePasswordRequest {
                name: client.user(&user).await?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = users.remove_password(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.RemovePasswordResponse", &answer, || {
                details(&answer.user.clone().unwrap_or_default())
            })
        }
        UserCommand::Delete { user, force, change } => {
            let request = DeleteUserRequest {
                name: client.user(&user).await?,
                force,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = users.delete_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.DeleteUserResponse", &answer, || {
                Table::of_pairs(&[("deleted", &user)])
            })
        }
    }
}

fn password(file: Option<&Path>) -> Outcome<Zeroizing<String>> {
    let found = secret::find(PASSWORD_VARIABLE, file, None)
        .map_err(|error| Failure::usage(format!("{error:#}")))?;
    found.ok_or_else(|| {
        Failure::usage(format!("no password: give --password-file, or set {PASSWORD_VARIABLE}"))
    })
}

/// What is changed, and the paths of an update mask that names it.
fn changed(changes: UserChanges) -> (User, Vec<String>) {
    let UserChanges { name, label, comment, path, email, tags, clear_tags } = changes;
    let given = [
        ("user_name", name.is_some()),
        ("label", label.is_some()),
        ("comment", comment.is_some()),
        ("path", path.is_some()),
        ("email", email.is_some()),
        ("tags", clear_tags || !tags.is_empty()),
    ];
    let paths = given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned());
    let user = User {
        user_name: name.unwrap_or_default(),
        label: label.unwrap_or_default(),
        comment: comment.unwrap_or_default(),
        path: path.unwrap_or_default(),
        email: email.unwrap_or_default(),
        tags,
        ..Default::default()
    };
    (user, paths.collect())
}

async fn list(client: &Client, read_time: Option<Timestamp>) -> Outcome {
    let parent = client.account().await?;
    let users = all(async |page_token| {
        let request = ListUsersRequest {
            parent: parent.clone(),
            page_size: PAGE_SIZE,
            page_token,
            read_time,
            ..Default::default()
        };
        let page = client.users().list_users(call(request)).await?.into_inner();
        Ok((page.users, page.next_page_token))
    });
    let answer = ListUsersResponse { users: users.await?, ..Default::default() };
    client.output.show("claviger.identity.v1.ListUsersResponse", &answer, || table(&answer.users))
}

fn table(users: &[User]) -> Table<5> {
    let row = |user: &User| {
        [
            user.user_name.clone(),
            state(user).to_owned(),
            user.user_id.clone(),
            instant(user.create_time.as_ref()),
            user.label.clone(),
        ]
    };
    Table::new(["NAME", "STATE", "ID", "CREATED", "LABEL"], users.iter().map(row).collect())
}

/// One user, a line for each of its fields.
fn details(user: &User) -> Table<2> {
    let tag = |Tag { key, value }: &Tag| format!("{key}={value}");
    let tags: Vec<_> = user.tags.iter().map(tag).collect();
    let password = user.password_set_time.as_ref();
    let password = password.map_or("none".to_owned(), |at| format!("of {}", instant(Some(at))));
    Table::of_pairs(&[
        ("name", &user.user_name),
        ("state", state(user)),
        ("id", &user.user_id),
        ("created", &instant(user.create_time.as_ref())),
        ("changed", &instant(user.update_time.as_ref())),
        ("label", &user.label),
        ("comment", &user.comment),
        ("path", &user.path),
        ("email", &user.email),
        ("tags", &tags.join(", ")),
        ("password", &password),
        ("etag", &user.etag),
    ])
}

fn state(user: &User) -> &'static str {
    match user.state() {
        UserState::Unspecified => "",
        UserState::Active => "ACTIVE",
        UserState::Locked => "LOCKED",
    }
}

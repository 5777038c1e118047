//! `claviger user`.

use api::identity::v1::{
    CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse,
    LockUserRequest, UnlockUserRequest, UpdateUserRequest, User, UserState,
};
use prost_types::FieldMask;

use super::{Client, PAGE_SIZE, call, instant, with_client};
use crate::cli::{UserArgs, UserCommand};
use crate::exit::Outcome;
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: UserArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: UserCommand) -> Outcome {
    let output = client.output;
    let mut users = client.users();
    match command {
        UserCommand::Create { name, label, retry } => {
            let request = CreateUserRequest {
                parent: client.account().await?,
                user: Some(User { user_name: name, label, ..Default::default() }),
                request_id: retry.request_id(),
            };
            let answer = users.create_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.CreateUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Get { user } => {
            let name = client.user(&user).await?;
            let request = GetUserRequest { name, ..Default::default() };
            let answer = users.get_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::List => list(client).await,
        UserCommand::Label { user, label } => {
            let user = User { name: client.user(&user).await?, label, ..Default::default() };
            let update_mask = Some(FieldMask { paths: vec!["label".to_owned()] });
            let request = UpdateUserRequest { user: Some(user), update_mask, ..Default::default() };
            let answer = users.update_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UpdateUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Lock { user } => {
            let name = client.user(&user).await?;
            let request = LockUserRequest { name, ..Default::default() };
            let answer = users.lock_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.LockUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Unlock { user } => {
            let name = client.user(&user).await?;
            let request = UnlockUserRequest { name, ..Default::default() };
            let answer = users.unlock_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UnlockUserResponse", &answer, || {
                table(answer.user.as_slice())
            })
        }
        UserCommand::Delete { user, force } => {
            let name = client.user(&user).await?;
            let request = DeleteUserRequest { name, force, ..Default::default() };
            let answer = users.delete_user(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.DeleteUserResponse", &answer, || {
                Table::of_pairs(&[("deleted", &user)])
            })
        }
    }
}

async fn list(client: &Client) -> Outcome {
    let mut request = ListUsersRequest {
        parent: client.account().await?,
        page_size: PAGE_SIZE,
        ..Default::default()
    };
    let mut users = vec![];
    loop {
        let page = client.users().list_users(call(request.clone())).await?.into_inner();
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let answer = ListUsersResponse { users, ..Default::default() };
    client.output.show("claviger.identity.v1.ListUsersResponse", &answer, || table(&answer.users))
}

fn table(users: &[User]) -> Table<5> {
    let row = |user: &User| {
        let state = match user.state() {
            UserState::Unspecified => "",
            UserState::Active => "ACTIVE",
            UserState::Locked => "LOCKED",
        };
        [
            user.user_name.clone(),
            state.to_owned(),
            user.user_id.clone(),
            instant(user.create_time.as_ref()),
            user.label.clone(),
        ]
    };
    Table::new(["NAME", "STATE", "ID", "CREATED", "LABEL"], users.iter().map(row).collect())
}

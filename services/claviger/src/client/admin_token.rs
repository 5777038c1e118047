//! `claviger admin-token`.

use api::identity::v1::{
    AdminToken, CreateAdminTokenRequest, ListAdminTokensRequest, ListAdminTokensResponse,
    RevokeAdminTokenRequest,
};
use uuid::Uuid;

use super::{Client, PAGE_SIZE, account_name, all, call, instant, last_part, with_client};
use crate::cli::{AdminTokenArgs, AdminTokenCommand};
use crate::exit::{Failure, Outcome};
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: AdminTokenArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: AdminTokenCommand) -> Outcome {
    let output = client.output;
    let mut tokens = client.admin_tokens();
    match command {
        AdminTokenCommand::Create { name, read_only, expires_at, retry } => {
            let admin_token = AdminToken {
                display_name: name,
                account: client.account.as_deref().map(account_name).unwrap_or_default(),
                read_only,
                expire_time: expires_at,
                ..Default::default()
            };
            let request = CreateAdminTokenRequest {
                admin_token: Some(admin_token),
                request_id: retry.request_id(),
            };
            let answer = tokens.create_admin_token(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.CreateAdminTokenResponse", &answer, || {
                let made = answer.admin_token.clone().unwrap_or_default();
                Table::of_pairs(&[
                    ("name", &made.display_name),
                    ("id", last_part(&made.name)),
                    ("account", account(&made)),
                    ("may", may(&made)),
                    ("expires", &instant(made.expire_time.as_ref())),
                    ("token", &answer.token),
                ])
            })
        }
        AdminTokenCommand::List => {
            let answer =
                ListAdminTokensResponse { admin_tokens: list(client).await?, ..Default::default() };
            output.show("claviger.identity.v1.ListAdminTokensResponse", &answer, || {
                table(&answer.admin_tokens)
            })
        }
        AdminTokenCommand::Revoke { token, retry } => {
            let name = named(client, &token).await?;
            let request = RevokeAdminTokenRequest { name, request_id: retry.request_id() };
            let answer = tokens.revoke_admin_token(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.RevokeAdminTokenResponse", &answer, || {
                Table::of_pairs(&[("revoked", &token)])
            })
        }
    }
}

async fn list(client: &Client) -> Outcome<Vec<AdminToken>> {
    let tokens = all(async |page_token| {
        let request =
            ListAdminTokensRequest { page_size: PAGE_SIZE, page_token, ..Default::default() };
        let page = client.admin_tokens().list_admin_tokens(call(request)).await?.into_inner();
        Ok((page.admin_tokens, page.next_page_token))
    });
    tokens.await
}

/// The resource name of a token that is given by its UUID or its name, which are told apart: no name
/// has the form of a UUID.
async fn named(client: &Client, token: &str) -> Outcome<String> {
    let token = token.strip_prefix("adminTokens/").unwrap_or(token);
    if token.parse::<Uuid>().is_ok() {
        return Ok(format!("adminTokens/{token}"));
    }
    let found = list(client).await?;
    let found = found.into_iter().find(|one| one.display_name.eq_ignore_ascii_case(token));
    found.map(|one| one.name).ok_or_else(|| Failure::not_found("no admin token has this name"))
}

fn table(tokens: &[AdminToken]) -> Table<6> {
    let row = |token: &AdminToken| {
        [
            token.display_name.clone(),
            last_part(&token.name).to_owned(),
            account(token).to_owned(),
            may(token).to_owned(),
            instant(token.expire_time.as_ref()),
            instant(token.create_time.as_ref()),
        ]
    };
    let headings = ["NAME", "ID", "ACCOUNT", "MAY", "EXPIRES", "CREATED"];
    Table::new(headings, tokens.iter().map(row).collect())
}

/// The account that a token is good for.
fn account(token: &AdminToken) -> &str {
    match last_part(&token.account) {
        "" => "all",
        account => account,
    }
}

fn may(token: &AdminToken) -> &'static str {
    if token.read_only { "read" } else { "read, write" }
}

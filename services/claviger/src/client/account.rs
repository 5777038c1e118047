//! `claviger account`.

use api::identity::v1::{
    Account, CreateAccountRequest, CreateAccountResponse, GetAccountRequest, ListAccountsRequest,
    ListAccountsResponse,
};

use super::credential::{self, Credential};
use super::{Client, PAGE_SIZE, account_name, call, instant, with_client};
use crate::cli::{AccountArgs, AccountCommand};
use crate::exit::Outcome;
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: AccountArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| match args.command {
        AccountCommand::Create { name, credential, retry } => {
            let account = Account { display_name: name, ..Default::default() };
            let request =
                CreateAccountRequest { account: Some(account), request_id: retry.request_id() };
            let answer = client.accounts().create_account(call(request)).await?.into_inner();
            show_created(client, &answer, &credential)
        }
        AccountCommand::Get { id } => {
            let name = match id {
                Some(id) => account_name(&id),
                None => client.account().await?,
            };
            let request = GetAccountRequest { name, ..Default::default() };
            let answer = client.accounts().get_account(call(request)).await?.into_inner();
            client.output.show("claviger.identity.v1.GetAccountResponse", &answer, || {
                table(answer.account.as_slice())
            })
        }
        AccountCommand::List => list(client).await,
    })
    .await
}

async fn list(client: &Client) -> Outcome {
    let mut request = ListAccountsRequest { page_size: PAGE_SIZE, ..Default::default() };
    let mut accounts = vec![];
    loop {
        let page = client.accounts().list_accounts(call(request.clone())).await?.into_inner();
        accounts.extend(page.accounts);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let answer = ListAccountsResponse { accounts, ..Default::default() };
    client
        .output
        .show("claviger.identity.v1.ListAccountsResponse", &answer, || table(&answer.accounts))
}

fn show_created(
    client: &Client,
    answer: &CreateAccountResponse,
    args: &crate::cli::CredentialArgs,
) -> Outcome {
    let account = answer.account.clone().unwrap_or_default();
    let user = answer.root_user.clone().unwrap_or_default();
    let key = answer.access_key.clone().unwrap_or_default();
    let credential = Credential {
        access_key_id: &key.access_key_id,
        secret_access_key: &answer.secret_access_key,
    };
    let full_name = "claviger.identity.v1.CreateAccountResponse";
    credential::show(client.output, args, &credential, full_name, answer, || {
        Table::of_pairs(&[
            ("account", &account.display_name),
            ("account number", &account.account_number),
            ("account id", &account.account_id),
            ("root user", &user.user_name),
            ("access key id", credential.access_key_id),
            ("secret access key", credential.secret_access_key),
        ])
    })
}

fn table(accounts: &[Account]) -> Table<4> {
    let row = |account: &Account| {
        [
            account.display_name.clone(),
            account.account_number.clone(),
            account.account_id.clone(),
            instant(account.create_time.as_ref()),
        ]
    };
    Table::new(["NAME", "NUMBER", "ID", "CREATED"], accounts.iter().map(row).collect())
}

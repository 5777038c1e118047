//! AccountService: accounts, each made with its root user and that user's first access key.

use std::sync::Arc;

use api::identity::v1::account_service_server::AccountService;
use api::identity::v1::{
    Account, CreateAccountRequest, CreateAccountResponse, GetAccountRequest, GetAccountResponse,
    ListAccountsRequest, ListAccountsResponse,
};
use domain::{AccountId, AccountNumber, DisplayName, Label, UserName, account, user};
use tonic::{Request, Response, Status};

use crate::call::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::writer::Writer;
use crate::{answer, page, render, resource};

/// Name of the list, which its page tokens are bound to.
const LIST: &str = "accounts";

pub(crate) struct Accounts(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(answer::whole(created).await?))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let id = resource::account(&model, "name", &request.name)?;
        let entry = model.account(id).ok_or(Error::NoSuchAccount)?;
        Ok(Response::new(GetAccountResponse { account: Some(render::account(entry)) }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = match page::cursor(LIST, &request.page_token)? {
            None => None,
            Some(id) => Some(AccountId::parse(&id).ok_or(Error::InvalidPageToken)?),
        };
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let mut accounts: Vec<Account> =
            model.accounts_after(after).take(size + 1).map(render::account).collect();
        let next_page_token = if accounts.len() > size {
            accounts.truncate(size);
            accounts.last().map(|last| page::token(LIST, &last.account_id)).unwrap_or_default()
        } else {
            String::new()
        };
        Ok(Response::new(ListAccountsResponse { accounts, next_page_token }))
    }
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    request: CreateAccountRequest,
) -> Result<CreateAccountResponse, Error> {
    let key = CommandKey::new("CreateAccount", call.principal(), &request.request_id, &request)?;
    let asked = request.account.unwrap_or_default();
    let display_name = DisplayName::parse(&asked.display_name)
        .map_err(|error| Error::invalid("account.display_name", error.to_string()))?;
    let outcome = match writer.repeated(key)? {
        Some(outcome) => outcome,
        None => {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|_| Error::Internal)?;
            let number = AccountNumber::from_random(u64::from_be_bytes(random));
            let fixed = |_| Error::Internal;
            let root = user::Command::Create {
                name: UserName::parse(domain::ROOT_USER_NAME).map_err(fixed)?,
                root: true,
                label: Label::parse(domain::ROOT_USER_LABEL).map_err(fixed)?,
            };
            let command = account::Command::Create { number, display_name };
            writer.create_account(&call, key, command, root).await?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    let model = writer.model();
    let account = model.account(answer.account).ok_or(Error::NoSuchAccount)?;
    let root_user = model.user(answer.user).ok_or(Error::NoSuchUser)?;
    Ok(CreateAccountResponse {
        account: Some(render::account(account)),
        root_user: Some(render::user(root_user)),
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: outcome.last.0,
    })
}

//! AccountService: accounts, each made with its root user and that user's first access key.

use std::sync::Arc;

use api::identity::v1::account_service_server::AccountService;
use api::identity::v1::{
    Account, CreateAccountRequest, CreateAccountResponse, DeleteAccountRequest,
    DeleteAccountResponse, GetAccountRequest, GetAccountResponse, ListAccountsRequest,
    ListAccountsResponse, UpdateAccountRequest, UpdateAccountResponse,
};
use domain::{
    AccountId, AccountNumber, AccountSettings, DisplayName, Expiry, Label, NewAccessKey, UserName,
    account, user,
};
use event_store::payload;
use tonic::{Request, Response, Status};

use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::{AccountEntry, Model};
use crate::turn::Intent;
use crate::writer::{Begun, Outcome, Writer};
use crate::{answer, history, page, render, resource};

/// Name of the list, which its page tokens are bound to.
const LIST: &str = "accounts";

pub(crate) struct Accounts(pub(crate) Arc<Writer>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        call.manages_all()?;
        let created = create(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(created.await?))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let request = request.into_inner();
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        let id = resource::account(&model, &call, "name", &request.name)?;
        call.reads_account(id)?;
        Ok(Response::new(GetAccountResponse { account: Some(shown(&model, id)?) }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = match page::cursor(LIST, &request.page_token)? {
            None => None,
            Some(id) => Some(AccountId::parse(&id).ok_or(Error::InvalidPageToken)?),
        };
        self.0.applied(request.min_position).await?;
        let model = self.0.model();
        if let Some(own) = call.account() {
            call.reads_account(own)?;
            let own = model.account(own).filter(|entry| after.is_none_or(|after| after < entry.id));
            let accounts = own.into_iter().map(render_entry).collect();
            let next_page_token = String::new();
            return Ok(Response::new(ListAccountsResponse { accounts, next_page_token }));
        }
        call.reads_all()?;
        let mut accounts: Vec<Account> =
            model.accounts_after(after).take(size + 1).map(render_entry).collect();
        let next_page_token = if accounts.len() > size {
            accounts.truncate(size);
            accounts.last().map(|last| page::token(LIST, &last.account_id)).unwrap_or_default()
        } else {
            String::new()
        };
        Ok(Response::new(ListAccountsResponse { accounts, next_page_token }))
    }

    async fn update_account(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Result<Response<UpdateAccountResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        let updated = update(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(updated.await?))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let call = Call::of(&self.0, &request)?;
        call.manages_all()?;
        let deleted = delete(Arc::clone(&self.0), call, request.into_inner());
        Ok(Response::new(deleted.await?))
    }
}

async fn create(
    writer: Arc<Writer>,
    call: Call,
    mut request: CreateAccountRequest,
) -> Result<CreateAccountResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let asked = request.account.unwrap_or_default();
    let display_name = display_name(&asked.display_name)?;
    let settings = settings(&asked.settings.unwrap_or_default())?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|_| Error::Internal)?;
            let number = AccountNumber::from_random(u64::from_be_bytes(random));
            let fixed = |_| Error::Internal;
            let root = user::Command::Create(user::NewUser {
                name: UserName::parse(domain::ROOT_USER_NAME).map_err(fixed)?,
                root: true,
                label: Label::parse(domain::ROOT_USER_LABEL).map_err(fixed)?,
                comment: Label::default(),
                path: Default::default(),
                email: Default::default(),
                tags: Default::default(),
            });
            let command = account::Command::Create { number, display_name, settings };
            let created =
                writer.create_account(&call, fresh, command, root, |prepared, settings| {
                    user::Command::CreateAccessKey(NewAccessKey {
                        id: prepared.id,
                        secret: prepared.secret,
                        imported: false,
                        label: Label::default(),
                        slot: None,
                        state: domain::AccessKeyState::Active,
                        not_before: None,
                        expiry: settings.longest_expiry().unwrap_or(Expiry::Never),
                        lifetime_seconds_max: None,
                    })
                });
            created.await?
        }
    };
    let answer = answer::with_secret(&writer, outcome).await?;
    let (account, root_user) = answer::created_account(&writer, outcome).await?;
    Ok(CreateAccountResponse {
        account: Some(account),
        root_user: Some(root_user),
        access_key: Some(answer.access_key),
        secret_access_key: answer.secret_access_key,
        position: writer.told(outcome.last),
    })
}

async fn update(
    writer: Arc<Writer>,
    call: Call,
    mut request: UpdateAccountRequest,
) -> Result<UpdateAccountResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let fresh = match writer.begin(key).await? {
        Begun::Fresh(fresh) => fresh,
        Begun::Recorded(outcome) => return updated(&writer, outcome).await,
    };
    let asked = request.account.ok_or_else(|| Error::invalid("account", "is missing"))?;
    let paths = request.update_mask.unwrap_or_default().paths;
    let id = resource::account(&writer.model(), &call, "account.name", &asked.name)?;
    call.manages_account(id)?;
    if paths.is_empty() {
        return Err(mask_error());
    }
    let changed = writer.change_account(&call, fresh, Intent::Change, id, move |model, now| {
        let entry = model.account(id).ok_or(Error::NoSuchAccount)?;
        check_etag(entry, &asked.etag)?;
        let given = asked.settings.clone().unwrap_or_default();
        let mut after = payload::proto_settings(&entry.account.settings);
        let mut name = None;
        for path in &paths {
            match path.as_str() {
                "display_name" => name = Some(display_name(&asked.display_name)?),
                "settings" => after = given.clone(),
                "settings.access_keys_per_user_max" => {
                    after.access_keys_per_user_max = given.access_keys_per_user_max;
                }
                "settings.access_key_lifetime_seconds_max" => {
                    after.access_key_lifetime_seconds_max = given.access_key_lifetime_seconds_max;
                }
                "settings.default_grace_period_seconds" => {
                    after.default_grace_period_seconds = given.default_grace_period_seconds;
                }
                "settings.lockout_mode" => after.lockout_mode = given.lockout_mode,
                "settings.retention_seconds" => after.retention_seconds = given.retention_seconds,
                "settings.expiry_notice_seconds" => {
                    after.expiry_notice_seconds.clone_from(&given.expiry_notice_seconds);
                }
                "settings.spelling" => after.spelling = given.spelling,
                "settings.buckets_max" => after.buckets_max = given.buckets_max,
                "settings.rotation_due_days" => after.rotation_due_days = given.rotation_due_days,
                _ => return Err(mask_error()),
            }
        }
        let users = model.users_from(id, std::ops::Bound::Unbounded);
        let keys = users.flat_map(|entry| &entry.user.access_keys);
        Ok(account::Command::Update {
            display_name: name,
            settings: Some(settings(&after)?),
            longest_lived: account::longest_lived(keys, now).cloned(),
        })
    });
    if let Some(outcome) = changed.await? {
        return updated(&writer, outcome).await;
    }
    let model = writer.model();
    let position = writer.told(model.position());
    Ok(UpdateAccountResponse { account: Some(shown(&model, id)?), position })
}

/// What is told of an account that a command changed: how it was then.
async fn updated(writer: &Writer, outcome: Outcome) -> Result<UpdateAccountResponse, Error> {
    let (id, account) = history::account_after(writer, outcome).await?;
    let account = Some(render::account(id, &account));
    Ok(UpdateAccountResponse { account, position: writer.told(outcome.last) })
}

async fn delete(
    writer: Arc<Writer>,
    call: Call,
    mut request: DeleteAccountRequest,
) -> Result<DeleteAccountResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let fresh = match writer.begin(key).await? {
        Begun::Fresh(fresh) => fresh,
        Begun::Recorded(outcome) => {
            return Ok(DeleteAccountResponse { position: writer.told(outcome.last) });
        }
    };
    let id = resource::account(&writer.model(), &call, "name", &request.name)?;
    let deleted = writer.delete_account(&call, fresh, id, request.force, move |entry| {
        check_etag(entry, &request.etag)
    });
    let outcome = deleted.await?;
    Ok(DeleteAccountResponse { position: writer.told(outcome.last) })
}

fn render_entry(entry: &AccountEntry) -> Account {
    render::account(entry.id, &entry.account)
}

fn shown(model: &Model, id: AccountId) -> Result<Account, Error> {
    model.account(id).map(render_entry).ok_or(Error::NoSuchAccount)
}

fn check_etag(entry: &AccountEntry, etag: &str) -> Result<(), Error> {
    if etag.is_empty() || render_entry(entry).etag == etag {
        return Ok(());
    }
    Err(Error::EtagMismatch)
}

fn display_name(text: &str) -> Result<DisplayName, Error> {
    DisplayName::parse(text)
        .map_err(|error| Error::invalid("account.display_name", error.to_string()))
}

fn settings(asked: &api::event::v1::AccountSettings) -> Result<AccountSettings, Error> {
    payload::settings(asked).map_err(|error| Error::invalid("account.settings", error.to_string()))
}

fn mask_error() -> Error {
    Error::invalid("update_mask", "must name display_name, settings or fields of settings")
}

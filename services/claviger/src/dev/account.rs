//! The account that `claviger dev` makes at its first start, once.

use anyhow::{Context, anyhow, bail};
use api::error::v1::Reason;
use api::identity::v1 as proto;
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use chrono::{TimeDelta, Utc};
use rpc::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use super::files::DataDir;
use super::state::{Account, Hidden, State};

const NAME: &str = "dev";
/// The server knows a request id for a day; a margin keeps a slow start on the safe side.
const REQUEST_ID_GOOD_FOR: TimeDelta = TimeDelta::hours(23);

/// The account, made now if it has not been before. A crash at any point leaves one account, and
/// the next start tells its access key.
///
/// # Errors
/// If identity refuses, or what it answered cannot be kept.
pub(super) async fn ensure(
    channel: Channel,
    dir: &DataDir,
    state: &mut State,
) -> anyhow::Result<Account> {
    if let Some(account) = &state.account {
        return Ok(account.clone());
    }
    if Utc::now() - state.chosen_at > REQUEST_ID_GOOD_FOR {
        // Whether the request was sent then is not known. If it was, there is an account.
        if let Some(account) = first_account(channel.clone()).await? {
            return keep(adopt(channel, account).await?, dir, state);
        }
        state.request_id = Uuid::new_v4();
        state.chosen_at = Utc::now();
        state.save(dir)?;
    }
    let account = match create(channel.clone(), state.request_id).await {
        Err(status) if is_answered_before(&status) => {
            let account = first_account(channel.clone()).await?;
            adopt(channel, account.context("there is no account")?).await?
        }
        created => created.map_err(|status| said("cannot make the account", &status))??,
    };
    keep(account, dir, state)
}

fn keep(account: Account, dir: &DataDir, state: &mut State) -> anyhow::Result<Account> {
    state.account = Some(account.clone());
    state.save(dir)?;
    Ok(account)
}

/// Whether the secret that is kept is the newest of its access key.
///
/// # Errors
/// If identity does not answer.
pub(super) async fn secret_is_valid(channel: Channel, account: &Account) -> anyhow::Result<bool> {
    let name = format!("accounts/-/users/-/accessKeys/{}", account.access_key_id);
    let request = proto::GetAccessKeyRequest { name, ..Default::default() };
    match AccessKeyServiceClient::new(channel).get_access_key(request).await {
        Ok(answer) => {
            let key = answer.into_inner().access_key.unwrap_or_default();
            Ok(generation(&key) == Some(account.generation))
        }
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(said("cannot look up the root access key", &status)),
    }
}

/// Whether the request made the account before, and the secret cannot be told again.
fn is_answered_before(status: &Status) -> bool {
    let gone = [Reason::SecretShredded, Reason::NoSuchAccessKey, Reason::RequestIdReused];
    api::reason(status).is_some_and(|reason| gone.contains(&reason))
}

async fn create(channel: Channel, request_id: Uuid) -> Result<anyhow::Result<Account>, Status> {
    let request = proto::CreateAccountRequest {
        account: Some(proto::Account { display_name: NAME.to_owned(), ..Default::default() }),
        request_id: request_id.to_string(),
    };
    let answer = AccountServiceClient::new(channel).create_account(request).await?.into_inner();
    let account = answer.account.unwrap_or_default();
    let key = answer.access_key.unwrap_or_default();
    Ok(known(account, &key, answer.secret_access_key))
}

async fn first_account(channel: Channel) -> anyhow::Result<Option<proto::Account>> {
    let request = proto::ListAccountsRequest { page_size: 1, ..Default::default() };
    let answer = AccountServiceClient::new(channel).list_accounts(request).await;
    let page = answer.map_err(|status| said("cannot list accounts", &status))?.into_inner();
    Ok(page.accounts.into_iter().next())
}

/// Takes over an account that is there, and gives its root user's access key a new secret.
async fn adopt(channel: Channel, account: proto::Account) -> anyhow::Result<Account> {
    let root = root_user(channel.clone(), &account.name).await?.name;
    let mut keys = AccessKeyServiceClient::new(channel);
    let request = proto::ListAccessKeysRequest { parent: root.clone(), ..Default::default() };
    let listed = keys.list_access_keys(request).await;
    let listed = listed.map_err(|status| said("cannot list access keys", &status))?.into_inner();
    let (key, secret) = match listed.access_keys.into_iter().next() {
        Some(key) => {
            let request =
                proto::RotateSecretAccessKeyRequest { name: key.name, ..Default::default() };
            let rotated = keys.rotate_secret_access_key(request).await;
            let rotated =
                rotated.map_err(|status| said("cannot rotate the secret", &status))?.into_inner();
            (rotated.access_key, rotated.secret_access_key)
        }
        None => {
            let request = proto::CreateAccessKeyRequest { parent: root, ..Default::default() };
            let created = keys.create_access_key(request).await;
            let created =
                created.map_err(|status| said("cannot make an access key", &status))?.into_inner();
            (created.access_key, created.secret_access_key)
        }
    };
    known(account, &key.unwrap_or_default(), secret)
}

/// An account's root user.
pub(super) async fn root_user(channel: Channel, account: &str) -> anyhow::Result<proto::User> {
    let mut users = UserServiceClient::new(channel);
    let mut request = proto::ListUsersRequest { parent: account.to_owned(), ..Default::default() };
    loop {
        let page = users.list_users(request.clone()).await;
        let page = page.map_err(|status| said("cannot list users", &status))?.into_inner();
        if let Some(root) = page.users.into_iter().find(|user| user.root) {
            return Ok(root);
        }
        if page.next_page_token.is_empty() {
            bail!("the account has no root user");
        }
        request.page_token = page.next_page_token;
    }
}

fn known(
    account: proto::Account,
    key: &proto::AccessKey,
    secret: String,
) -> anyhow::Result<Account> {
    let Some(generation) = generation(key) else { bail!("identity told no secret generation") };
    Ok(Account {
        id: account.account_id.parse().context("identity told no account id")?,
        number: account.account_number,
        name: account.display_name,
        access_key_id: key.access_key_id.clone(),
        secret_access_key: Hidden::new(secret),
        generation,
    })
}

fn generation(key: &proto::AccessKey) -> Option<u32> {
    key.secrets.first().map(|secret| secret.generation)
}

fn said(what: &str, status: &Status) -> anyhow::Error {
    anyhow!("{what}: {} ({:?})", status.message(), status.code())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event_store::SystemClock;
    use rpc::Known;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Identity as `claviger dev` starts it, and a channel to it.
    async fn identity(dir: &DataDir, state: &State) -> Channel {
        let admin_token = state.admin_token.token().expect("a token");
        let service_token = rpc::Token::generate().expect("randomness");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri = format!("http://{}", listener.local_addr().expect("bound"));
        let channel = rpc::channel(&uri, &admin_token).expect("a URI");
        let config = identity::Config {
            data_dir: dir.root().to_owned(),
            keyring: dir.keyring().expect("a key"),
            callers: identity::Callers {
                operators: Known::by_token(admin_token),
                auths: Known::by_token(service_token),
                gateways: Known::default(),
            },
            tls: None,
            accepts_signature_v2: false,
        };
        let ready = telemetry::Readiness::default().register("identity");
        let never = CancellationToken::new();
        tokio::spawn(identity::serve(config, Arc::new(SystemClock), listener, ready, never));
        channel
    }

    async fn accounts(channel: &Channel) -> usize {
        let request = proto::ListAccountsRequest::default();
        let mut client = AccountServiceClient::new(channel.clone());
        client.list_accounts(request).await.expect("listed").into_inner().accounts.len()
    }

    #[tokio::test]
    async fn a_crash_at_any_point_leaves_one_account_and_its_access_key_known() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        let mut state = State::load(&dir).expect("begun");
        let channel = identity(&dir, &state).await;
        let first = ensure(channel.clone(), &dir, &mut state).await.expect("made");
        assert!(secret_is_valid(channel.clone(), &first).await.expect("told"));
        assert_eq!(State::load(&dir).expect("kept").account.expect("kept").id, first.id);

        // Crashed before the answer was kept: the same request gets the same answer.
        state.account = None;
        let again = ensure(channel.clone(), &dir, &mut state).await.expect("known again");
        assert_eq!(again.access_key_id, first.access_key_id);
        assert_eq!(again.secret_access_key, first.secret_access_key);

        // And then left alone until the request id was forgotten.
        state.account = None;
        state.chosen_at -= TimeDelta::days(2);
        let later = ensure(channel.clone(), &dir, &mut state).await.expect("adopted");
        assert_eq!((later.id, &later.access_key_id), (first.id, &first.access_key_id));
        assert_ne!(later.secret_access_key, first.secret_access_key);
        assert!(secret_is_valid(channel.clone(), &later).await.expect("told"));
        assert!(!secret_is_valid(channel.clone(), &first).await.expect("told"));

        // The operator has deleted the access key meanwhile.
        let name = format!("accounts/-/users/-/accessKeys/{}", first.access_key_id);
        let request = proto::DeleteAccessKeyRequest { name, ..Default::default() };
        let mut keys = AccessKeyServiceClient::new(channel.clone());
        keys.delete_access_key(request).await.expect("deleted");
        assert!(!secret_is_valid(channel.clone(), &later).await.expect("told"));
        state.account = None;
        state.chosen_at = Utc::now();
        let other = ensure(channel.clone(), &dir, &mut state).await.expect("adopted");
        assert_eq!(other.id, first.id);
        assert_ne!(other.access_key_id, first.access_key_id);
        assert_eq!(accounts(&channel).await, 1);
    }

    #[tokio::test]
    async fn a_request_that_was_never_sent_is_sent_later() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(home.path()).expect("new");
        let mut state = State::load(&dir).expect("begun");
        state.chosen_at -= TimeDelta::days(2);
        let channel = identity(&dir, &state).await;
        ensure(channel.clone(), &dir, &mut state).await.expect("made");
        assert!(Utc::now() - state.chosen_at < TimeDelta::hours(1));
        assert_eq!(accounts(&channel).await, 1);
    }
}

//! The client nouns, thin over gRPC.

pub(crate) mod account;
pub(crate) mod admin_token;
pub(crate) mod bucket;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod key;
pub(crate) mod keystore;
pub(crate) mod log;
pub(crate) mod user;
pub(crate) mod verify;

mod credential;
mod files;

use std::time::Duration;

use anyhow::Context;
use api::identity::v1::ListAccountsRequest;
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::admin_token_service_client::AdminTokenServiceClient;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::keystore_service_client::KeystoreServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use prost_types::Timestamp;
use rpc::{Channel, ClientTls, Target, Token};
use tonic::Request;

use crate::cli::{CallerArgs, Connection};
use crate::config::secret;
use crate::config::tls::Tls;
use crate::exit::{Failure, Outcome};
use crate::output::Format;

const TOKEN_VARIABLE: &str = "CLAVIGER_TOKEN";
/// How long an answer may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How many resources are asked for at once.
const PAGE_SIZE: i32 = 1000;

/// A server to ask, and how to print what it answers.
pub(crate) struct Client {
    channel: Channel,
    account: Option<String>,
    output: Format,
}

/// Does `work` with a client for `connection`.
async fn with_client(
    connection: Connection,
    work: impl AsyncFnOnce(&Client) -> Outcome,
) -> Outcome {
    let endpoint = connection.endpoint.clone();
    let client = Client::new(connection)?;
    work(&client).await.map_err(|failure| failure.at(&endpoint))
}

impl Client {
    fn new(connection: Connection) -> Outcome<Self> {
        let Connection { endpoint, caller, account, output } = connection;
        Ok(Self { channel: channel(endpoint, caller)?, account, output })
    }

    fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    fn keys(&self) -> AccessKeyServiceClient<Channel> {
        AccessKeyServiceClient::new(self.channel.clone())
    }

    fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    fn buckets(&self) -> BucketServiceClient<Channel> {
        BucketServiceClient::new(self.channel.clone())
    }

    fn keystore(&self) -> KeystoreServiceClient<Channel> {
        KeystoreServiceClient::new(self.channel.clone())
    }

    fn admin_tokens(&self) -> AdminTokenServiceClient<Channel> {
        AdminTokenServiceClient::new(self.channel.clone())
    }

    /// The resource name of the account that was given, or of the only one there is.
    async fn account(&self) -> Outcome<String> {
        if let Some(account) = &self.account {
            return Ok(account_name(account));
        }
        let request = ListAccountsRequest { page_size: 2, ..Default::default() };
        let answer = self.accounts().list_accounts(call(request)).await?.into_inner();
        match answer.accounts.as_slice() {
            [] => Err(Failure::not_found("there is no account yet: make one by `account create`")),
            [account] => Ok(account.name.clone()),
            _ => Err(Failure::usage("there are several accounts: say which by --account")),
        }
    }

    /// The resource name of a user of the account.
    async fn user(&self, user: &str) -> Outcome<String> {
        if user.contains('/') {
            return Err(Failure::usage("a user is named by its name or UUID, without a `/`"));
        }
        Ok(format!("{}/users/{user}", self.account().await?))
    }
}

/// A channel to a server, as someone whom it may know.
fn channel(endpoint: String, caller: CallerArgs) -> Outcome<Channel> {
    let wrong = |error: anyhow::Error| Failure::usage(format!("{error:#}"));
    let tls = Tls {
        prefix: "--tls-",
        certificate_file: caller.tls_certificate_file,
        key_file: caller.tls_key_file,
        ca_file: caller.tls_ca_file,
        server_name: caller.tls_server_name,
        require_client_certificate: false,
    };
    let tls = match (Target::is_https(&endpoint), tls.is_set()) {
        (true, _) => Some(tls.client().map_err(wrong)?),
        (false, false) => None,
        // Nor would the token be sent in the clear by whoever means to use TLS.
        (false, true) => {
            let message = "TLS is set, but the endpoint does not begin with https://";
            return Err(Failure::usage(format!("{endpoint}: {message}")));
        }
    };
    let found = secret::find(TOKEN_VARIABLE, caller.token_file.as_deref(), None).map_err(wrong)?;
    let token = found.map(|text| Token::parse(&text)).transpose();
    let token = token.map_err(|error| Failure::usage(error.to_string()))?;
    if token.is_none() && !tls.as_ref().is_some_and(ClientTls::has_certificate) {
        let message = format!(
            "no token: set {TOKEN_VARIABLE}, or give --token-file or --tls-certificate-file"
        );
        return Err(Failure::usage(message));
    }
    let target = Target { uri: endpoint, token, tls };
    let channel = target.channel().with_context(|| format!("endpoint {}", target.uri));
    let channel = channel.map_err(wrong)?;
    Ok(channel)
}

/// All items of a list, page by page. `page` gives the page that a token names, and the token of the
/// next.
async fn all<T>(mut page: impl AsyncFnMut(String) -> Outcome<(Vec<T>, String)>) -> Outcome<Vec<T>> {
    let (mut items, mut token) = (vec![], String::new());
    loop {
        let (more, next) = page(token).await?;
        items.extend(more);
        if next.is_empty() {
            return Ok(items);
        }
        token = next;
    }
}

/// The resource name of an account, which may be given as such.
fn account_name(account: &str) -> String {
    format!("accounts/{}", account.strip_prefix("accounts/").unwrap_or(account))
}

/// The resource name of an access key, whoever holds it.
fn key_name(id: &str) -> Outcome<String> {
    if id.contains('/') {
        return Err(Failure::usage("an access key is named by its id, without a `/`"));
    }
    Ok(format!("accounts/-/users/-/accessKeys/{id}"))
}

/// A request that waits so long and no longer.
fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// An instant in a column; nothing if there is none.
fn instant(time: Option<&Timestamp>) -> String {
    time.map(ToString::to_string).unwrap_or_default()
}

/// The last part of a resource name.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

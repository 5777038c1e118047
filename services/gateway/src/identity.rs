//! Asking identity on behalf of whoever asks the gateway.

mod raw;
mod refused;

pub(crate) use self::refused::Refused;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use api::auth::v1::Principal;
use api::error::v1::Reason;
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::authentication_service_client::AuthenticationServiceClient;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::{
    ClaimBucketRequest, ClaimBucketResponse, CreateAccessKeyRequest, CreateAccessKeyResponse,
    CreateUserRequest, CreateUserResponse, DeleteAccessKeyRequest, DeleteAccessKeyResponse,
    DeleteUserRequest, DeleteUserResponse, GetAccessKeyRequest, GetAccessKeyResponse,
    GetAccountRequest, GetAccountResponse, GetBucketRequest, GetBucketResponse, GetUserRequest,
    GetUserResponse, ListAccessKeysRequest, ListAccessKeysResponse, ListAccountsRequest,
    ListAccountsResponse, ListBucketsRequest, ListBucketsResponse, ListEventsRequest,
    ListEventsResponse, ListUsersRequest, ListUsersResponse, ReleaseBucketRequest,
    ReleaseBucketResponse, UpdateAccessKeyRequest, UpdateAccessKeyResponse, UpdateAccountRequest,
    UpdateAccountResponse, UpdateUserRequest, UpdateUserResponse, VerifyPasswordRequest,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Status};
use zeroize::Zeroizing;

/// How long identity may take for one call: a write waits for its disk.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Identity's services.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    channel: rpc::Channel,
}

impl Identity {
    pub(crate) fn new(channel: rpc::Channel) -> Self {
        Self { channel }
    }

    /// For what the gateway asks by itself, and for nobody.
    pub(crate) fn channel(&self) -> rpc::Channel {
        self.channel.clone()
    }
}

impl Identity {
    /// Whose login and password these are.
    ///
    /// # Errors
    /// `WRONG_PASSWORD`, `TOO_MANY_WRONG_PASSWORDS`, or what keeps identity from telling.
    pub(crate) async fn verify_password(
        &self,
        origin: &Origin,
        login: String,
        password: &Zeroizing<String>,
    ) -> Result<Principal, Status> {
        let message = VerifyPasswordRequest { login, password: password.to_string() };
        let mut client = AuthenticationServiceClient::new(self.channel.clone());
        let answer = client.verify_password(origin.of(message)?).await?.into_inner();
        answer.principal.ok_or_else(|| Status::internal("nobody's password"))
    }
}

/// Calls on behalf of somebody, each by its name.
macro_rules! calls {
    ($($client:ident: $($call:ident($request:ident) -> $response:ident),+;)+) => {
        impl Identity {
            $($(
                pub(crate) async fn $call(
                    &self,
                    acting: &Acting,
                    request: $request,
                ) -> Result<$response, Status> {
                    let mut client = $client::new(self.channel.clone());
                    Ok(client.$call(acting.call(request)?).await?.into_inner())
                }
            )+)+
        }
    };
}

calls! {
    AccountServiceClient:
        get_account(GetAccountRequest) -> GetAccountResponse,
        list_accounts(ListAccountsRequest) -> ListAccountsResponse,
        update_account(UpdateAccountRequest) -> UpdateAccountResponse;
    BucketServiceClient:
        claim_bucket(ClaimBucketRequest) -> ClaimBucketResponse,
        release_bucket(ReleaseBucketRequest) -> ReleaseBucketResponse,
        get_bucket(GetBucketRequest) -> GetBucketResponse,
        list_buckets(ListBucketsRequest) -> ListBucketsResponse;
    EventServiceClient:
        list_events(ListEventsRequest) -> ListEventsResponse;
    UserServiceClient:
        create_user(CreateUserRequest) -> CreateUserResponse,
        get_user(GetUserRequest) -> GetUserResponse,
        list_users(ListUsersRequest) -> ListUsersResponse,
        update_user(UpdateUserRequest) -> UpdateUserResponse,
        delete_user(DeleteUserRequest) -> DeleteUserResponse;
    AccessKeyServiceClient:
        create_access_key(CreateAccessKeyRequest) -> CreateAccessKeyResponse,
        get_access_key(GetAccessKeyRequest) -> GetAccessKeyResponse,
        list_access_keys(ListAccessKeysRequest) -> ListAccessKeysResponse,
        update_access_key(UpdateAccessKeyRequest) -> UpdateAccessKeyResponse,
        delete_access_key(DeleteAccessKeyRequest) -> DeleteAccessKeyResponse;
}

/// On whose behalf a call is made.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) who: Who,
    pub(crate) origin: Origin,
}

/// Where a client's request came in.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The dialect that is spoken, such as `iam`.
    pub(crate) facade: &'static str,
    pub(crate) client: IpAddr,
    /// As the client is told.
    pub(crate) request_id: String,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A user, as auth says of a signature or identity of a password: never as the client does.
    User(Principal),
    /// Whoever holds this admin token; what it is worth, identity says with each call
    /// (`UNKNOWN_ADMIN_TOKEN`).
    Token(AdminToken),
}

/// An admin token. Never printed, and zeroed on drop.
#[derive(Clone)]
pub(crate) struct AdminToken(pub(crate) Zeroizing<String>);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl Acting {
    /// A call on behalf of whoever asks.
    ///
    /// # Errors
    /// INTERNAL if what auth says of a user cannot be said to identity; UNKNOWN_ADMIN_TOKEN for a token of
    /// a form that none has.
    fn call<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = self.origin.of(message)?;
        let metadata = request.metadata_mut();
        match &self.who {
            Who::User(principal) => {
                metadata.insert("claviger-acting-user", ascii(&principal.user_id)?);
            }
            Who::Token(token) => {
                let unknown = |_| {
                    let reason = Reason::UnknownAdminToken;
                    api::status(Code::Unauthenticated, reason, "the admin token is not known")
                };
                let mut value: MetadataValue<Ascii> = token.0.parse().map_err(unknown)?;
                value.set_sensitive(true);
                metadata.insert("claviger-acting-token", value);
            }
        }
        Ok(request)
    }

    /// The user who asks, if it is one.
    pub(crate) fn user(&self) -> Option<&Principal> {
        match &self.who {
            Who::User(principal) => Some(principal),
            Who::Token(_) => None,
        }
    }
}

impl Origin {
    /// A call that tells so.
    fn of<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        request.set_timeout(CALL_TIMEOUT);
        let metadata = request.metadata_mut();
        metadata.insert("claviger-facade", ascii(self.facade)?);
        metadata.insert("claviger-source-address", ascii(&self.client.to_string())?);
        metadata.insert("x-request-id", ascii(&self.request_id)?);
        Ok(request)
    }
}

fn ascii(text: &str) -> Result<MetadataValue<Ascii>, Status> {
    text.parse().map_err(|_| Status::internal("a name that is no name"))
}

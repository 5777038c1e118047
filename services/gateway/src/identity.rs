//! Asking identity on behalf of a user whose signature auth has verified.

use std::net::IpAddr;
use std::time::Duration;

use api::auth::v1::Principal;
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::{
    CreateAccessKeyRequest, CreateAccessKeyResponse, CreateUserRequest, CreateUserResponse,
    DeleteAccessKeyRequest, DeleteAccessKeyResponse, DeleteUserRequest, DeleteUserResponse,
    GetAccessKeyRequest, GetAccessKeyResponse, GetAccountRequest, GetAccountResponse,
    GetUserRequest, GetUserResponse, ListAccessKeysRequest, ListAccessKeysResponse,
    ListUsersRequest, ListUsersResponse, UpdateAccessKeyRequest, UpdateAccessKeyResponse,
    UpdateUserRequest, UpdateUserResponse,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

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
}

/// Calls on behalf of a user, each by its name.
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
        get_account(GetAccountRequest) -> GetAccountResponse;
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

/// A user whose request this is, as auth says: never as the client does.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) principal: Principal,
    /// The dialect that the user speaks, such as `iam`.
    pub(crate) facade: &'static str,
    pub(crate) client: IpAddr,
    /// As the client is told.
    pub(crate) request_id: String,
}

impl Acting {
    /// A call on behalf of the user.
    ///
    /// # Errors
    /// INTERNAL if what auth says of it cannot be said to identity.
    fn call<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        request.set_timeout(CALL_TIMEOUT);
        for (name, value) in [
            ("claviger-acting-user", &self.principal.user_id),
            ("claviger-facade", &self.facade.to_owned()),
            ("claviger-source-address", &self.client.to_string()),
            ("x-request-id", &self.request_id),
        ] {
            let value: MetadataValue<Ascii> =
                value.parse().map_err(|_| Status::internal("a name that is no name"))?;
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }

    /// Its account, as identity names it.
    pub(crate) fn account(&self) -> String {
        format!("accounts/{}", self.principal.account_id)
    }
}

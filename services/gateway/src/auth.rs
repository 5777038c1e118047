//! Who signed a request, and by which key: asked of auth, in this process or in others.

mod link;
mod replica;

use std::fmt;
use std::sync::Arc;

use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use tonic::Status;

pub(crate) use self::link::Link;

/// What is asked of auth, wherever it is: the calls of AuthService that have these names.
#[tonic::async_trait]
pub trait Verify: fmt::Debug + Send + Sync {
    /// Who signed a request.
    async fn verify_signature(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status>;

    /// Who signed a string to sign, which somebody else made of a request.
    async fn verify_string_to_sign(
        &self,
        request: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status>;

    /// The key by which the chunks of an upload are signed.
    async fn get_signing_key(
        &self,
        request: GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status>;
}

/// Where auth is.
#[derive(Clone, Debug)]
pub enum Auth {
    /// In other processes. Each address of each target's host is a replica, and any of them may answer.
    Remote(Vec<rpc::Target>),
    /// In this one.
    InProcess(Arc<dyn Verify>),
}

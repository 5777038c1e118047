//! `authenticator.v1.AuthenticatorService`: what builds of Ceph's RGW with a hand-off ask; `first` is what they asked
//! before.
//!
//! RGW makes the string to sign itself, so that a question becomes a `VerifyStringToSignRequest` and is answered by
//! what answers that. What RGW shows of the request beside it is checked here.

mod claim;
mod first;
mod refusal;
mod verified;

use std::collections::HashMap;
use std::sync::Arc;

use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::{GetSigningKeyRequest, Verified, VerifyStringToSignRequest};
use api::authenticator::v1::authenticator_service_server::AuthenticatorService;
use api::authenticator::v1::{
    AssumeRoleRequest, AssumeRoleResponse, AuthenticatePresignedUrlRequest,
    AuthenticatePresignedUrlResponse, AuthenticateRestRequest, AuthenticateRestResponse,
    GetSigningKeyRequest as KeyRequest, GetSigningKeyResponse as KeyResponse,
};
use rpc::Role;
use sigv4::EXPIRES_SECONDS_MAX;
use tonic::{Request, Response, Status};

use self::claim::Claimed;
use self::refusal::About;
use self::verified::Verifieds;
use crate::answer::Verdict;
use crate::clock::Clock;
use crate::handle::Handle;
use crate::service::require;
use crate::status::Error;

/// The names of the services, as health and reflection tell them.
pub(crate) const SERVICES: [&str; 2] =
    ["authenticator.v1.AuthenticatorService", "rgw.auth.v1.AuthService"];

/// Both services. Clones are the same.
#[derive(Clone)]
pub(crate) struct Service {
    handle: Handle,
    /// The region that is served: RGW tells none.
    region: Option<Arc<str>>,
    verifieds: Arc<Verifieds>,
}

impl Service {
    pub(crate) fn new(handle: Handle, region: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let verifieds = Arc::new(Verifieds::new(clock));
        Self { handle, region: region.map(Arc::from), verifieds }
    }

    /// The question whether this signature of this string is right.
    fn question(
        &self,
        claimed: &Claimed<'_>,
        string_to_sign: &str,
        expires_seconds: Option<u32>,
    ) -> Result<VerifyStringToSignRequest, Error> {
        let description = "must be told to auth: RGW does not say it";
        let region = self.region.as_deref();
        let region = region.ok_or(Error::Invalid { field: "region", description })?;
        // For none, which is the client's mistake, the verdict says so.
        let string_to_sign = if string_to_sign.is_empty() { "\n" } else { string_to_sign };
        Ok(VerifyStringToSignRequest {
            access_key_id: claimed.access_key_id.to_owned(),
            string_to_sign: string_to_sign.as_bytes().to_vec(),
            signature: claimed.signature.to_owned(),
            region: region.to_owned(),
            expires_seconds,
            ..VerifyStringToSignRequest::default()
        })
    }

    async fn verdict(&self, question: &VerifyStringToSignRequest) -> Result<Verdict, Error> {
        Ok(self.handle.verdict(question).await?.answer)
    }

    /// Who signed, or why the request is to be refused.
    async fn authenticate(
        &self,
        claimed: Result<Claimed<'_>, sigv4::Denial>,
        string_to_sign: &str,
        expires_seconds: Option<u32>,
        about: &About<'_>,
    ) -> Result<(Verified, VerifyStringToSignRequest), Status> {
        let claimed = claimed.map_err(|denial| about.refuse(&crate::answer::denied(denial)))?;
        let question = self.question(&claimed, string_to_sign, expires_seconds);
        let question = question.map_err(|error| about.no_verdict(error))?;
        match self.verdict(&question).await {
            Ok(Verdict::Verified(verified)) => Ok((verified, question)),
            Ok(Verdict::Denied(denied)) => Err(about.refuse(&denied)),
            Err(error) => Err(about.no_verdict(error)),
        }
    }
}

/// For how long it may be that a request was signed, if RGW has looked at that already. It does for presigned URLs
/// alone, and none of those is good for longer.
fn expires_seconds(is_checked: bool) -> Option<u32> {
    is_checked.then_some(EXPIRES_SECONDS_MAX)
}

/// Who RGW is to act for: the account, to which buckets belong.
fn user_of(verified: Verified) -> (String, String, String) {
    let principal = verified.principal.unwrap_or_default();
    let account_arn = format!("arn:aws:iam::{}:root", principal.account_number);
    (principal.account_id, principal.arn, account_arn)
}

#[tonic::async_trait]
impl AuthenticatorService for Service {
    async fn authenticate_rest(
        &self,
        request: Request<AuthenticateRestRequest>,
    ) -> Result<Response<AuthenticateRestResponse>, Status> {
        let request = request.into_inner();
        let resource = request.bucket_name.as_ref().map(|bucket| {
            let key = request.object_key.as_deref().unwrap_or_default();
            format!("/{bucket}/{}", key.trim_start_matches('/'))
        });
        let about = About { transaction: request.transaction_id.as_deref(), resource };
        let header = request.authorization_header.as_deref().unwrap_or_default();
        let string_to_sign = request.string_to_sign.as_deref().unwrap_or_default();
        let expires = expires_seconds(request.skip_timestamp_validation());
        let claimed = Claimed::of_header(header)
            .and_then(|claimed| claimed.of_scope_in(string_to_sign))
            .and_then(|claimed| claimed.covers(&request.x_amz_headers, expires.is_some()));
        let (verified, question) =
            self.authenticate(claimed, string_to_sign, expires, &about).await?;
        if expires.is_none() {
            self.verifieds.keep(header, question);
        }
        let (canonical_user_id, user_arn, account_arn) = user_of(verified);
        Ok(Response::new(AuthenticateRestResponse {
            canonical_user_id,
            user_arn,
            account_arn,
            ..AuthenticateRestResponse::default()
        }))
    }

    async fn authenticate_presigned_url(
        &self,
        request: Request<AuthenticatePresignedUrlRequest>,
    ) -> Result<Response<AuthenticatePresignedUrlResponse>, Status> {
        let request = request.into_inner();
        let about = About { transaction: request.transaction_id.as_deref(), resource: None };
        let url = claim::Presigned::parse(&request.url);
        let checked = expires_seconds(request.skip_timestamp_validation());
        let expires = checked.or(url.as_ref().ok().map(claim::Presigned::expires_seconds));
        let claimed = url.as_ref().map_err(Clone::clone).and_then(|url| {
            url.claimed()?
                .of_scope_in(&request.string_to_sign)?
                .covers(&request.x_amz_headers, true)
        });
        let (verified, _) =
            self.authenticate(claimed, &request.string_to_sign, expires, &about).await?;
        let (canonical_user_id, user_arn, account_arn) = user_of(verified);
        Ok(Response::new(AuthenticatePresignedUrlResponse {
            canonical_user_id,
            user_arn,
            account_arn,
            ..AuthenticatePresignedUrlResponse::default()
        }))
    }

    async fn get_signing_key(
        &self,
        request: Request<KeyRequest>,
    ) -> Result<Response<KeyResponse>, Status> {
        require(&request, Role::Service)?;
        let request = request.into_inner();
        let about = About { transaction: request.transaction_id.as_deref(), resource: None };
        let header = &request.authorization_header;
        if let Err(denial) = Claimed::of_header(header) {
            return Err(about.refuse(&crate::answer::denied(denial)));
        }
        let Some(proof) = self.verifieds.of(header) else {
            return Err(about.not_verified());
        };
        let request = GetSigningKeyRequest { proof: Some(proof) };
        let given = self.handle.get_signing_key(&request).await;
        match given.map_err(|status| about.with_details(&status))?.result {
            Some(Given::SigningKey(key)) => Ok(Response::new(KeyResponse { signing_key: key.key })),
            Some(Given::Denied(denied)) => Err(about.refuse(&denied)),
            None => Err(about.not_verified()),
        }
    }

    async fn assume_role(
        &self,
        request: Request<AssumeRoleRequest>,
    ) -> Result<Response<AssumeRoleResponse>, Status> {
        let transaction = request.get_ref().transaction_id.as_deref();
        Err(About { transaction, resource: None }.not_implemented())
    }
}

/// The session token among these, which nobody has here.
fn has_session_token(headers: &HashMap<String, String>) -> bool {
    headers.keys().any(|name| name.eq_ignore_ascii_case("x-amz-security-token"))
}

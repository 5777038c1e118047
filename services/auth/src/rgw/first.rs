//! `rgw.auth.v1.AuthService`: what builds of RGW asked before. A denial is an answer.

use api::rgw::auth::v1::auth_service_server::AuthService;
use api::rgw::auth::v1::{AuthCode, AuthRequest, AuthResponse, StatusRequest, StatusResponse};
use sigv4::{Denial, ErrorCode};
use tonic::{Request, Response, Status};

use super::claim::Claimed;
use super::{Service, user_of};
use crate::answer::Verdict;

#[tonic::async_trait]
impl AuthService for Service {
    async fn auth(&self, request: Request<AuthRequest>) -> Result<Response<AuthResponse>, Status> {
        let request = request.into_inner();
        let headers = request.param.map(|param| param.http_headers).unwrap_or_default();
        let claimed = Claimed::of_header(&request.authorization_header)
            .and_then(|claimed| claimed.of_scope_in(&request.string_to_sign))
            .and_then(|claimed| claimed.covers(&headers, false))
            .and_then(|claimed| {
                if !request.authorization_token_header.is_empty() {
                    return Err(Denial::invalid_token());
                }
                if request.access_key_id != claimed.access_key_id {
                    let message = "The access key ID is not that of the Authorization header.";
                    return Err(Denial::new(ErrorCode::InvalidRequest, message));
                }
                Ok(claimed)
            });
        let verdict = match claimed {
            Ok(claimed) => {
                let question = self.question(&claimed, &request.string_to_sign, None)?;
                self.verdict(&question).await?
            }
            Err(denial) => denial.into(),
        };
        Ok(Response::new(match verdict {
            Verdict::Verified(verified) => AuthResponse {
                uid: user_of(verified).0,
                message: String::new(),
                code: AuthCode::Ok.into(),
            },
            Verdict::Denied(denied) => AuthResponse {
                uid: String::new(),
                code: code(&denied.code, denied.http_status).into(),
                message: denied.message,
            },
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { server_description: "claviger auth".into() }))
    }
}

/// How RGW is told an error of S3: it knows two by name, and takes all others for AccessDenied.
fn code(code: &str, http_status: u32) -> AuthCode {
    match (code, http_status) {
        ("SignatureDoesNotMatch", _) => AuthCode::Unauthorized,
        ("InvalidAccessKeyId", _) => AuthCode::Notfound,
        (_, 400) => AuthCode::BadRequest,
        (_, _) => AuthCode::Forbidden,
    }
}

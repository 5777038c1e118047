//! AuthenticationService: what people show to a gateway instead of a signature.

use std::sync::Arc;

use api::auth::v1::Principal;
use api::identity::v1::authentication_service_server::AuthenticationService;
use api::identity::v1::{VerifyPasswordRequest, VerifyPasswordResponse};
use rpc::AuditTrail;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::caller::{self, Origin};
use crate::error::Error;
use crate::password::Passwords;
use crate::writer::Writer;

pub(crate) struct Authentication {
    pub(crate) writer: Arc<Writer>,
    pub(crate) passwords: Arc<Passwords>,
}

#[tonic::async_trait]
impl AuthenticationService for Authentication {
    async fn verify_password(
        &self,
        request: Request<VerifyPasswordRequest>,
    ) -> Result<Response<VerifyPasswordResponse>, Status> {
        let trail = request.extensions().get::<AuditTrail>().cloned().unwrap_or_default();
        let from = Origin::of(request.metadata(), &trail)?.address;
        let VerifyPasswordRequest { login, password } = request.into_inner();
        let password = Zeroizing::new(password);
        let entry = self.passwords.verify(&login, password, from).await?;
        let model = self.writer.model();
        let account = model.account(entry.account).ok_or(Error::WrongPassword)?;
        let number = account.account.number;
        let arn = caller::arn(number, &entry);
        trail.set_caller(arn.clone());
        let principal = Principal {
            account_id: entry.account.to_string(),
            account_number: number.to_string(),
            user_id: entry.id.to_string(),
            user_name: entry.user.name.to_string(),
            root: entry.user.root,
            arn,
        };
        Ok(Response::new(VerifyPasswordResponse { principal: Some(principal) }))
    }
}

//! AuthService: from the calls to the verdicts and back.

use api::auth::v1::auth_service_server::AuthService;
use api::auth::v1::verification_result::Result as Told;
use api::auth::v1::{
    BatchVerifySignaturesRequest, BatchVerifySignaturesResponse, ExplainSignatureRequest,
    ExplainSignatureResponse, GetSigningKeyRequest, GetSigningKeyResponse,
    StreamVerifySignaturesRequest, VerificationResult, VerifySignatureRequest,
    VerifySignatureResponse, VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use api::error::v1::Reason;
use futures::future::join_all;
use rpc::{Caller, Role};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::answer;
use crate::explain::{self, Explain};
use crate::handle::Handle;
use crate::stream::Answers;

/// A batch holds this many requests at most.
const BATCH_MAX: usize = 256;

/// The service.
pub(crate) struct Service {
    handle: Handle,
    shutdown: CancellationToken,
}

impl Service {
    pub(crate) fn new(handle: Handle, shutdown: CancellationToken) -> Self {
        Self { handle, shutdown }
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    type StreamVerifySignaturesStream = Answers;

    async fn verify_signature(
        &self,
        request: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        Ok(Response::new(self.handle.verify_signature(request.get_ref()).await?))
    }

    async fn batch_verify_signatures(
        &self,
        request: Request<BatchVerifySignaturesRequest>,
    ) -> Result<Response<BatchVerifySignaturesResponse>, Status> {
        let requests = &request.get_ref().requests;
        if !(1..=BATCH_MAX).contains(&requests.len()) {
            return Err(api::invalid_field("requests", "must be 1 to 256"));
        }
        let result = async |request| VerificationResult {
            result: Some(match self.handle.verdict(request).await {
                Ok(reached) => Told::Response(answer::signature(reached)),
                Err(error) => Told::Error(answer::rpc_status(&error.into())),
            }),
        };
        let results = join_all(requests.iter().map(result)).await;
        Ok(Response::new(BatchVerifySignaturesResponse { results }))
    }

    async fn stream_verify_signatures(
        &self,
        request: Request<Streaming<StreamVerifySignaturesRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let Handle { verifier, metrics } = self.handle.clone();
        let shutdown = self.shutdown.clone();
        Ok(Response::new(Answers::new(request.into_inner(), verifier, metrics, shutdown)))
    }

    async fn verify_string_to_sign(
        &self,
        request: Request<VerifyStringToSignRequest>,
    ) -> Result<Response<VerifyStringToSignResponse>, Status> {
        Ok(Response::new(self.handle.verify_string_to_sign(request.get_ref()).await?))
    }

    async fn get_signing_key(
        &self,
        request: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResponse>, Status> {
        require(&request, Role::Service)?;
        Ok(Response::new(self.handle.get_signing_key(request.get_ref()).await?))
    }

    async fn explain_signature(
        &self,
        request: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        require(&request, Role::Operator)?;
        let Some(request) = &request.get_ref().request else {
            return Err(api::invalid_field("request", "must be given"));
        };
        let reached = self.handle.verifier.answer(&Explain(request)).await?;
        Ok(Response::new(explain::told(reached)))
    }
}

/// Refuses callers of another role.
pub(crate) fn require<T>(request: &Request<T>, role: Role) -> Result<(), Status> {
    if request.extensions().get::<Caller>().is_some_and(|caller| caller.role == role) {
        return Ok(());
    }
    let (code, reason) = (Code::PermissionDenied, Reason::CallerNotAllowed);
    Err(api::status(code, reason, "the caller may not make this call"))
}

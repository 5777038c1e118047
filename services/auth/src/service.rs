//! AuthService: from the calls to the verdicts and back.

use std::sync::Arc;

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
use crate::explain::Explain;
use crate::metrics::Metrics;
use crate::signing_key::SigningKeyOf;
use crate::status::Error;
use crate::stream::Answers;
use crate::verifier::{Question, Reached, Verifier};

/// A batch holds this many requests at most.
const BATCH_MAX: usize = 256;

/// The service.
pub(crate) struct Service {
    verifier: Arc<Verifier>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

impl Service {
    pub(crate) fn new(
        verifier: Arc<Verifier>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { verifier, metrics, shutdown }
    }

    async fn verdict<Q>(&self, question: &Q) -> Result<Reached<answer::Verdict>, Error>
    where
        Q: Question<Answer = answer::Verdict>,
    {
        let reached = self.verifier.answer(question).await;
        self.metrics.count(&reached);
        reached
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    type StreamVerifySignaturesStream = Answers;

    async fn verify_signature(
        &self,
        request: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        let reached = self.verdict(request.get_ref()).await?;
        Ok(Response::new(answer::signature(reached)))
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
            result: Some(match self.verdict(request).await {
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
        let (verifier, metrics) = (Arc::clone(&self.verifier), Arc::clone(&self.metrics));
        let shutdown = self.shutdown.clone();
        Ok(Response::new(Answers::new(request.into_inner(), verifier, metrics, shutdown)))
    }

    async fn verify_string_to_sign(
        &self,
        request: Request<VerifyStringToSignRequest>,
    ) -> Result<Response<VerifyStringToSignResponse>, Status> {
        let reached = self.verdict(request.get_ref()).await?;
        Ok(Response::new(answer::string_to_sign(reached)))
    }

    async fn get_signing_key(
        &self,
        request: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResponse>, Status> {
        require(&request, Role::Service)?;
        let Some(proof) = &request.get_ref().proof else {
            return Err(api::invalid_field("proof", "must be given"));
        };
        let Reached { answer, position, staleness_ms } =
            self.verifier.answer(&SigningKeyOf(proof)).await?;
        let result = Some(answer.0);
        Ok(Response::new(GetSigningKeyResponse { result, position, staleness_ms }))
    }

    async fn explain_signature(
        &self,
        request: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        require(&request, Role::Operator)?;
        let Some(request) = &request.get_ref().request else {
            return Err(api::invalid_field("request", "must be given"));
        };
        let reached = self.verifier.answer(&Explain(request)).await?;
        Ok(Response::new(answer::explanation(reached)))
    }
}

/// Refuses callers of another role.
fn require<T>(request: &Request<T>, role: Role) -> Result<(), Status> {
    if request.extensions().get::<Caller>().is_some_and(|caller| caller.role == role) {
        return Ok(());
    }
    let (code, reason) = (Code::PermissionDenied, Reason::CallerNotAllowed);
    Err(api::status(code, reason, "the caller may not make this call"))
}

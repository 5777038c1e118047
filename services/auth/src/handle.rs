//! What a server answers, for whoever is in the same process.

use std::fmt;
use std::sync::Arc;

use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use tonic::Status;

use crate::answer::{self, Reached, Verdict};
use crate::metrics::Metrics;
use crate::signing_key::SigningKeyOf;
use crate::status::Error;
use crate::verifier::{Question, Verifier};

/// Answers what AuthService answers, without gRPC. Clones are the same.
#[derive(Clone)]
pub struct Handle {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handle {
    pub(crate) fn new(verifier: Arc<Verifier>, metrics: Arc<Metrics>) -> Self {
        Self { verifier, metrics }
    }

    /// As AuthService's VerifySignature.
    ///
    /// # Errors
    /// As there.
    pub async fn verify_signature(
        &self,
        request: &VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        Ok(answer::signature(self.verdict(request).await?))
    }

    /// As AuthService's VerifyStringToSign.
    ///
    /// # Errors
    /// As there.
    pub async fn verify_string_to_sign(
        &self,
        request: &VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        Ok(answer::string_to_sign(self.verdict(request).await?))
    }

    /// As AuthService's GetSigningKey. Whoever holds this is trusted as a service is.
    ///
    /// # Errors
    /// As there.
    pub async fn get_signing_key(
        &self,
        request: &GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status> {
        let Some(proof) = &request.proof else {
            return Err(api::invalid_field("proof", "must be given"));
        };
        let Reached { answer, position, staleness_ms } =
            self.verifier.answer(&SigningKeyOf(proof)).await?;
        Ok(GetSigningKeyResponse { result: Some(answer.0), position, staleness_ms })
    }

    pub(crate) async fn verdict(
        &self,
        question: &impl Question<Verdict>,
    ) -> Result<Reached<Verdict>, Error> {
        let reached = self.verifier.answer(question).await;
        self.metrics.count(&reached);
        reached
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

//! Asking auth about requests that others received, and not this gateway.
//!
//! They do not say from where a client called: where an account counts failures by source address, these lock nobody
//! out. Theirs would be one address for all clients, by which anybody could lock out everybody.

use api::auth::v1::verify_signature_request::Request as Form;
use api::auth::v1::verify_string_to_sign_response::Verdict;
use api::auth::v1::{Verified, VerifySignatureRequest, VerifyStringToSignRequest};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::error_xml::S3Error;
use super::verify::{Verifier, checked_head, denial, no_answer, within};
use crate::request::Scope;

/// The service that is asked about by the string to sign alone.
const S3: &str = "s3";

/// The signature of a string to sign.
#[derive(Clone, Debug)]
pub(crate) struct SignedText {
    pub(crate) access_key_id: String,
    pub(crate) string_to_sign: Vec<u8>,
    pub(crate) signature: String,
    /// How long ago it may have been signed, if that is not the time that a request may take.
    pub(crate) expires_seconds: Option<u32>,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Relayed {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// For what it says that it was signed.
    pub(crate) scope: Scope,
    /// Of its body, for other services than S3.
    pub(crate) body_sha256: Option<[u8; 32]>,
    /// What may have been signed for the host, for other services than S3.
    pub(crate) hosts: Vec<String>,
}

impl Verifier {
    /// Who signed a string to sign, for S3 in the region that is served.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) async fn verify_text(&self, text: SignedText) -> Result<Verified, S3Error> {
        let SignedText { access_key_id, string_to_sign, signature, expires_seconds } = text;
        let asked = self.auth.verify_string_to_sign(VerifyStringToSignRequest {
            access_key_id,
            string_to_sign,
            signature,
            region: self.region.clone(),
            service: S3.to_owned(),
            expires_seconds,
            ..Default::default()
        });
        match within(self.timeout, asked).await?.verdict {
            Some(Verdict::Verified(verified)) => Ok(verified),
            Some(Verdict::Denied(denied)) => Err(denial(denied)),
            None => Err(no_answer()),
        }
    }

    /// Who signed a request: for S3 in the region that is served, for any other service in the one that it says.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) async fn verify_relayed(&self, request: Relayed) -> Result<Verified, S3Error> {
        let Relayed { method, target, headers, scope, body_sha256, hosts } = request;
        let head = checked_head(&method, &target, &headers)?;
        let region = if scope.service == S3 { self.region.clone() } else { scope.region };
        self.ask_of(VerifySignatureRequest {
            request: Some(Form::RawHead(head.into())),
            region,
            service: scope.service,
            body_sha256: body_sha256.map(Into::into).unwrap_or_default(),
            host_candidates: hosts,
            ..Default::default()
        })
        .await
    }
}

//! Verified by auth, which has the keys.

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::explain_signature_response::Verdict;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::{ExplainSignatureRequest, VerifySignatureRequest};
use sha2::{Digest, Sha256};
use sigv4::Head;
use sigv4::explain::explain;

use super::Asked;
use super::report::Report;
use super::request::Request;
use crate::cli::VerifyArgs;
use crate::client::{call, channel};
use crate::exit::{Failure, Outcome};

/// Asks auth to explain a request.
pub(super) async fn verify(
    args: &VerifyArgs,
    request: &Request,
    head: &Head<'_>,
    asked: &Asked,
) -> Outcome<Report> {
    let endpoint = args.endpoint.clone().unwrap_or_default();
    let is_s3 = asked.service == "s3";
    let body_sha256 = if is_s3 { vec![] } else { Sha256::digest(&request.body).to_vec() };
    let message = ExplainSignatureRequest {
        request: Some(VerifySignatureRequest {
            request: Some(RequestForm::RawHead(request.head.clone().into())),
            region: asked.region.clone(),
            service: asked.service.clone(),
            body_sha256,
            accepts_osc4: !is_s3,
            accepts_sigv4a: true,
            ..Default::default()
        }),
    };
    let mut auth = AuthServiceClient::new(channel(endpoint.clone(), args.caller.clone())?);
    let answer = auth.explain_signature(call(message)).await;
    let answer = answer.map_err(|status| Failure::from(status).at(&endpoint))?;
    let answer = answer.into_inner();
    let denied = match answer.verdict {
        Some(Verdict::Verified(_)) => None,
        Some(Verdict::Denied(denied)) => Some((denied.code, denied.message)),
        None => {
            let message = format!("{endpoint}: the server gave no verdict");
            return Err(Failure::failed(message));
        }
    };
    // What needs no key, where the server says nothing: it stops where it denies a request.
    let own = explain(head, &asked.expected(), asked.known_body_sha256(), |_| false);
    let mut report = Report::of(own);
    if !answer.canonical_request.is_empty() {
        report.canonical_request =
            Some(String::from_utf8_lossy(&answer.canonical_request).into_owned());
        report.string_to_sign = Some(answer.string_to_sign);
    }
    if denied.is_none() {
        report.hints.clear();
    } else if !answer.hints.is_empty() {
        report.hints = answer.hints;
    }
    Ok(report.judged(denied).with_body(head, asked))
}

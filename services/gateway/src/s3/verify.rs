//! Asking auth who signed a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::auth::v1::verify_signature_request::Request as Form;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{self as auth, Denied, VerifySignatureRequest};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use sha2::{Digest, Sha256};
use sigv4::PayloadMode;
use tonic::{Code, Status};
use uuid::Uuid;

use super::error_xml::S3Error;
use super::payload::Hash;
use super::target::Target;
use crate::auth::Verify;
use crate::request::Scope;
use crate::upstream::Identity;

/// Auth takes no larger head.
const HEAD_BYTES_MAX: usize = 65_535;

/// Asks auth.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pub(super) auth: Arc<dyn Verify>,
    pub(super) region: String,
    accepts_sigv4a: bool,
    pub(super) timeout: Duration,
}

/// A request whose signature is right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verified {
    pub(crate) account_id: Uuid,
    pub(crate) user_id: String,
    pub(crate) access_key_id: String,
    /// Lower-case names.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) payload: Payload,
    /// Whether it was by Signature Version 2.
    pub(crate) is_version_2: bool,
    /// When it was signed, by its own word; seconds since 1970.
    pub(crate) sign_time: i64,
}

impl Verified {
    /// Whom an upstream is told of.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            account_id: self.account_id.to_string(),
            user_id: self.user_id.clone(),
            access_key_id: self.access_key_id.clone(),
        }
    }
}

/// What the signature says of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    /// It must have this SHA-256.
    Signed(Hash),
    /// Nothing.
    Unsigned,
    /// It comes in chunks (`aws-chunked`), in one of the three ways.
    Chunked(PayloadMode),
}

impl Verifier {
    pub(crate) fn new(auth: Arc<dyn Verify>, region: String, timeout: Duration) -> Self {
        Self { auth, region, accepts_sigv4a: false, timeout }
    }

    /// Accepts requests that are signed by Signature Version 4A too, if so.
    pub(crate) fn accept_sigv4a(self, accepts_sigv4a: bool) -> Self {
        Self { accepts_sigv4a, ..self }
    }

    /// Who signed the request of this head, which came from `client`.
    ///
    /// # Errors
    /// Auth's denial; `ServiceUnavailable` if no verdict was reached, `InternalError` if none ever
    /// will be; `RequestHeaderSectionTooLarge`.
    pub(crate) async fn verify(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &Target,
    ) -> Result<Verified, S3Error> {
        let asked = VerifySignatureRequest {
            region: self.region.clone(),
            service: "s3".to_owned(),
            accepts_sigv4a: self.accepts_sigv4a,
            host_bucket: target.host_bucket.clone().unwrap_or_default(),
            ..Default::default()
        };
        let verified = self.ask(client, head, &target.sent, asked).await?;
        read(verified).ok_or_else(no_answer)
    }

    /// Who signed a form, and what its policy allows.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub(crate) async fn verify_form(
        &self,
        client: IpAddr,
        form: auth::PostForm,
    ) -> Result<(Verified, auth::FormTerms), S3Error> {
        let verified = self.ask_of(VerifySignatureRequest {
            request: Some(Form::PostForm(form)),
            region: self.region.clone(),
            service: "s3".to_owned(),
            source_address: client.to_string(),
            ..Default::default()
        });
        let mut verified = verified.await?;
        let terms = verified.form.take().ok_or_else(no_answer)?;
        Ok((read(verified).ok_or_else(no_answer)?, terms))
    }

    /// Who signed the request of this head for another service than S3, with this body.
    ///
    /// # Errors
    /// As [`Self::verify`]: each dialect has its own words for S3's codes.
    pub(crate) async fn verify_for(
        &self,
        client: IpAddr,
        head: &Parts,
        region: String,
        service: String,
        body: &[u8],
    ) -> Result<auth::Verified, S3Error> {
        let target = head.uri.path_and_query().ok_or_else(S3Error::invalid_uri)?;
        let body_sha256 = Sha256::digest(body).to_vec();
        let asked = VerifySignatureRequest { region, service, body_sha256, ..Default::default() };
        self.ask(client, head, target, asked).await
    }

    /// Who signed a call of OUTSCALE's API, in its own spelling of a signature or in AWS's, with this body
    /// and for this target, whatever was sent; `hosts` are what may have been signed for the host in place
    /// of what was sent.
    ///
    /// # Errors
    /// As [`Self::verify_for`].
    pub(crate) async fn verify_call(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &PathAndQuery,
        scope: Scope,
        hosts: Vec<String>,
        body: &[u8],
    ) -> Result<auth::Verified, S3Error> {
        let Scope { region, service } = scope;
        let asked = VerifySignatureRequest {
            region,
            service,
            body_sha256: Sha256::digest(body).to_vec(),
            host_candidates: hosts,
            accepts_osc4: true,
            ..Default::default()
        };
        self.ask(client, head, target, asked).await
    }

    async fn ask(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &PathAndQuery,
        asked: VerifySignatureRequest,
    ) -> Result<auth::Verified, S3Error> {
        let raw_head = checked_head(&head.method, target, &head.headers)?;
        self.ask_of(VerifySignatureRequest {
            request: Some(Form::RawHead(raw_head.into())),
            source_address: client.to_string(),
            ..asked
        })
        .await
    }

    pub(super) async fn ask_of(
        &self,
        asked: VerifySignatureRequest,
    ) -> Result<auth::Verified, S3Error> {
        match within(self.timeout, self.auth.verify_signature(asked)).await?.verdict {
            Some(Verdict::Verified(verified)) => Ok(verified),
            Some(Verdict::Denied(denied)) => Err(denial(denied)),
            None => Err(no_answer()),
        }
    }
}

/// The answer to a call, if it comes in time.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, S3Error> {
    let answer = tokio::time::timeout(limit, call).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no verdict in time")));
    answer.map_err(|status| no_verdict(&status))
}

/// Auth answered, and did not say what it must.
pub(super) fn no_answer() -> S3Error {
    tracing::error!("auth's answer cannot be read");
    S3Error::internal()
}

/// The head, if it is not longer than auth takes.
pub(super) fn checked_head(
    method: &Method,
    target: &PathAndQuery,
    headers: &HeaderMap,
) -> Result<Vec<u8>, S3Error> {
    let raw_head = raw_head(method, target, headers);
    if raw_head.len() > HEAD_BYTES_MAX {
        let message = "Your request header section exceeds the maximum allowed length.";
        let code = "RequestHeaderSectionTooLarge";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, code, message)
            .with("MaxSizeAllowed", HEAD_BYTES_MAX.to_string()));
    }
    Ok(raw_head)
}

/// The head as it stood on the wire, but for the case of names and the order of different names,
/// which no signature depends on.
pub(super) fn raw_head(method: &Method, target: &PathAndQuery, headers: &HeaderMap) -> Vec<u8> {
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let request_line = method.as_str().len() + target.as_str().len() + 12;
    let mut head = Vec::with_capacity(request_line + lines.sum::<usize>() + 2);
    let mut line = |parts: [&[u8]; 4]| parts.iter().for_each(|part| head.extend_from_slice(part));
    line([method.as_str().as_bytes(), b" ", target.as_str().as_bytes(), b" HTTP/1.1\r\n"]);
    for (name, value) in headers {
        line([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    head.extend(b"\r\n");
    head
}

/// Everything that is needed of it, or nothing: what cannot be read allows nothing.
fn read(verified: auth::Verified) -> Option<Verified> {
    let payload = match verified.payload_mode() {
        auth::PayloadMode::Unspecified => return None,
        auth::PayloadMode::Sha256 => {
            Payload::Signed(Hash(verified.payload_sha256.as_slice().try_into().ok()?))
        }
        auth::PayloadMode::Unsigned => Payload::Unsigned,
        auth::PayloadMode::StreamingSigned => Payload::Chunked(PayloadMode::SignedChunks),
        auth::PayloadMode::StreamingSignedTrailer => {
            Payload::Chunked(PayloadMode::SignedChunksTrailer)
        }
        auth::PayloadMode::StreamingUnsignedTrailer => {
            Payload::Chunked(PayloadMode::UnsignedChunksTrailer)
        }
    };
    let is_version_2 = verified.algorithm() == auth::SignatureAlgorithm::AwsHmacSha1;
    let principal = verified.principal?;
    Some(Verified {
        account_id: principal.account_id.parse().ok()?,
        user_id: principal.user_id,
        access_key_id: verified.access_key_id,
        signed_headers: verified.signed_headers,
        payload,
        is_version_2,
        sign_time: verified.sign_time.map_or(0, |time| time.seconds),
    })
}

pub(super) fn denial(denied: Denied) -> S3Error {
    let status = u16::try_from(denied.http_status).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    // A denial is never a success, whatever its number says.
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    let status = status.unwrap_or(StatusCode::FORBIDDEN);
    let details = denied.details.into_iter();
    let error = S3Error::new(status, denied.code, denied.message).after(denied.retry_after_seconds);
    details.fold(error, |error, detail| error.with(detail.name, detail.value))
}

/// No verdict was reached: that is nobody's fault, or ours, but never the client's.
fn no_verdict(status: &Status) -> S3Error {
    match status.code() {
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => {
            tracing::error!(code = ?status.code(), message = status.message(), "auth refuses us");
            S3Error::internal()
        }
        // Unknown is how tonic names a connection that broke.
        Code::Unknown
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Unavailable => {
            tracing::warn!(code = ?status.code(), message = status.message(), "no verdict");
            S3Error::unavailable()
        }
        // Auth has too much to do, and warns of it itself: a line for each request would be one more load.
        Code::ResourceExhausted => {
            tracing::debug!(message = status.message(), "no verdict");
            S3Error::slow_down()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_head_is_rebuilt() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("s3"));
        headers.append("x-amz-meta-a", HeaderValue::from_static("1  2"));
        headers.append("x-amz-meta-a", HeaderValue::from_bytes(b"\xff").expect("opaque"));
        let target = PathAndQuery::from_static("//b/k%2f?a=+");
        let mut expected = b"PUT //b/k%2f?a=+ HTTP/1.1\r\nhost: s3\r\n".to_vec();
        expected.extend(b"x-amz-meta-a: 1  2\r\nx-amz-meta-a: \xff\r\n\r\n");
        assert_eq!(raw_head(&Method::PUT, &target, &headers), expected);
    }

    #[test]
    fn what_cannot_be_read_allows_nothing() {
        let principal = auth::Principal {
            account_id: Uuid::nil().to_string(),
            user_id: "u".to_owned(),
            ..auth::Principal::default()
        };
        let right = auth::Verified {
            principal: Some(principal.clone()),
            payload_mode: auth::PayloadMode::Sha256.into(),
            payload_sha256: vec![7; 32],
            ..auth::Verified::default()
        };
        let payload = |verified| read(verified).map(|verified| verified.payload);
        assert_eq!(payload(right.clone()), Some(Payload::Signed(Hash([7; 32]))));
        for wrong in [
            auth::Verified { payload_mode: 0, ..right.clone() },
            auth::Verified { payload_mode: 99, ..right.clone() },
            auth::Verified { payload_sha256: vec![7; 31], ..right.clone() },
            auth::Verified { principal: None, ..right.clone() },
            auth::Verified {
                principal: Some(auth::Principal { account_id: "x".to_owned(), ..principal }),
                ..right
            },
        ] {
            assert_eq!(payload(wrong), None);
        }
    }

    #[test]
    fn a_denial_is_never_a_success() {
        for (given, expected) in [(403, 403), (400, 400), (200, 403), (0, 403), (70_000, 403)] {
            let denied = Denied { code: "X".to_owned(), http_status: given, ..Denied::default() };
            let expected = StatusCode::from_u16(expected).expect("a status");
            assert_eq!(denial(denied), S3Error::new(expected, "X", ""));
        }
    }

    #[test]
    fn a_denial_tells_how_long_to_wait() {
        for (seconds, expected) in [(0, None), (60, Some(60))] {
            let denied = Denied { retry_after_seconds: seconds, ..Denied::default() };
            assert_eq!(denial(denied).retry_after(), expected);
        }
    }
}

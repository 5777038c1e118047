//! `VerifySignatureRequest`: checked, and decided on one state of the read model.

use std::net::IpAddr;

use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::{Verified, VerifySignatureRequest};
use read_model::Table;
use sigv4::{Date, Denial, ErrorCode, Expected, HEAD_BYTES_MAX, Head, HeadError, Scope};

use crate::answer::{Facts, Tell, Verdict};
use crate::authority;
use crate::outcome::{self, Client, Failure, Outcome};
use crate::post_form;
use crate::status::Error;
use crate::verifier::{Accepted, Look, NoVerdict, Question};
use crate::verify::{Claim, Now, verify};
use crate::version_2;

pub(crate) const S3: &str = "s3";
/// Each is as much work as a whole verification.
const HOST_CANDIDATES_MAX: usize = 2;
const HOST_BYTES_MAX: usize = 255;

impl<V: Tell> Question<Verdict<V>> for VerifySignatureRequest {
    fn min_position(&self) -> u64 {
        self.min_position
    }

    fn check(&self, accepted: Accepted) -> Result<(), Error> {
        check(self, accepted)
    }

    fn decide(&self, look: Look<'_>) -> Result<Verdict<V>, NoVerdict> {
        let Look { table, kept, now, .. } = look;
        if let Some(RequestForm::PostForm(form)) = &self.request {
            return Ok(post_form::decide(self, form, table, kept, now)?.told());
        }
        let address = source_address(&self.source_address);
        let Decided { verdict, failure } = for_each_host(self, now, |head, expected, host| {
            let client = Client { kept, address, user_agent: user_agent(head), now };
            match version_2::signed(self, head, expected, look) {
                Some(signed) => {
                    let decided = version_2::decide(signed, &self.region, look, client)?;
                    let Decided { verdict, failure } = decided;
                    Ok(Decided { verdict: verdict.of_host(host).told(), failure })
                }
                None => decide_head(table, head, expected, host, client),
            }
        })?;
        if let Some(failure) = failure {
            failure.count(&kept.lockouts, now);
        }
        Ok(verdict)
    }
}

/// What can be said of a head, for one of the hosts that may have been signed.
pub(crate) trait Judgement: From<Denial> {
    /// The S3 error code of a refusal.
    fn denial_code(&self) -> Option<&str>;
}

/// A verdict, and the failed authentication that it may stand for.
pub(crate) struct Decided<V = Verified> {
    pub(crate) verdict: Verdict<V>,
    pub(crate) failure: Option<Failure>,
}

impl<V> From<Denial> for Decided<V> {
    fn from(denial: Denial) -> Self {
        Self { verdict: denial.into(), failure: None }
    }
}

impl<V> Judgement for Decided<V> {
    fn denial_code(&self) -> Option<&str> {
        self.verdict.denial_code()
    }
}

/// A name of a service as callers give it; empty means `s3`.
pub(crate) fn service(given: &str) -> &str {
    if given.is_empty() { S3 } else { given }
}

/// Where a client called from, if the caller says so.
pub(crate) fn source_address(given: &str) -> Option<IpAddr> {
    given.parse().ok()
}

/// Checks the address that a client is said to have called from; it need not be given.
pub(crate) fn check_source_address(given: &str) -> Result<(), Error> {
    if given.is_empty() || source_address(given).is_some() {
        return Ok(());
    }
    Err(Error::Invalid { field: "source_address", description: "must be an IP address" })
}

/// Checks region and service as a caller says it serves them.
pub(crate) fn check_scope(region: &str, service: &str) -> Result<(), Error> {
    let invalid = |field, description| Err(Error::Invalid { field, description });
    let epoch = Date::from_unix_seconds(0);
    if Scope::new(epoch, "any", service).is_none() {
        return invalid("service", "must be up to 32 graphic ASCII characters other than '/'");
    }
    if Scope::new(epoch, region, S3).is_none() {
        return invalid("region", "must be 1 to 64 graphic ASCII characters other than '/'");
    }
    Ok(())
}

/// Checks what the caller itself says, not the client it asks for.
pub(crate) fn check(request: &VerifySignatureRequest, accepted: Accepted) -> Result<(), Error> {
    let invalid = |field, description| Err(Error::Invalid { field, description });
    let service = service(&request.service);
    check_scope(&request.region, service)?;
    match (service, request.body_sha256.len()) {
        (S3, 0) => {}
        (S3, _) => return invalid("body_sha256", "must not be given for s3"),
        (_, 32) => {}
        (_, _) => return invalid("body_sha256", "must be 32 bytes for services other than s3"),
    }
    let hosts = &request.host_candidates;
    if service == S3 && request.accepts_osc4 {
        return invalid("service", "must not be s3 with accepts_osc4");
    }
    if service == S3 && !hosts.is_empty() && !accepted.s3_host_candidates {
        return invalid("service", "must not be s3 with host_candidates, unless auth is told so");
    }
    let bucket = &request.host_bucket;
    if bucket.len() > HOST_BYTES_MAX || (service != S3 && !bucket.is_empty()) {
        return invalid("host_bucket", "must have at most 255 bytes, and none for other services");
    }
    let is_host = |host: &String| {
        (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic())
    };
    if hosts.len() > HOST_CANDIDATES_MAX || !hosts.iter().all(is_host) {
        return invalid("host_candidates", "must be at most 2 hosts of up to 255 bytes");
    }
    check_source_address(&request.source_address)?;
    match &request.request {
        Some(RequestForm::RawHead(_) | RequestForm::Head(_)) => Ok(()),
        Some(RequestForm::PostForm(_)) if service != S3 => {
            invalid("post_form", "must not be given for services other than s3")
        }
        Some(RequestForm::PostForm(form)) => post_form::check(form),
        None => invalid("request", "must be given"),
    }
}

/// Judges the head of a request as it was sent, and then with each of the hosts that may have been signed in
/// place of its own, until one is right.
pub(crate) fn for_each_host<J: Judgement>(
    request: &VerifySignatureRequest,
    now: Now,
    mut judge: impl FnMut(&Head<'_>, &Expected<'_>, &str) -> Result<J, NoVerdict>,
) -> Result<J, NoVerdict> {
    let mut buffer = vec![]; // stays empty, and so off the heap, for a raw head
    let rewritten;
    let (field, head) = match &request.request {
        Some(RequestForm::RawHead(raw)) => match Head::parse(raw) {
            // As it is to HTTP/1, in which it means nothing.
            Err(HeadError::Malformed) if raw.len() <= HEAD_BYTES_MAX => {
                match authority::rewrite(raw) {
                    Some(Ok(head)) => {
                        rewritten = head;
                        ("raw_head", Head::parse(&rewritten))
                    }
                    Some(Err(denial)) => return Ok(J::from(denial)),
                    None => ("raw_head", Err(HeadError::Malformed)),
                }
            }
            head => ("raw_head", head),
        },
        Some(RequestForm::Head(parts)) => {
            let headers = match authority::fields(parts) {
                Ok(headers) => headers,
                Err(denial) => return Ok(J::from(denial)),
            };
            let target = parts.target.as_bytes();
            ("head", Head::from_parts(&mut buffer, &parts.method, target, headers))
        }
        Some(RequestForm::PostForm(_)) => ("post_form", Err(HeadError::Malformed)),
        None => ("request", Err(HeadError::Malformed)),
    };
    let head = match &head {
        Ok(head) => head,
        // No HTTP server would have let it through: the caller made it.
        Err(HeadError::Malformed) => {
            let description = "is not the head of an HTTP request";
            return Err(Error::Invalid { field, description }.into());
        }
        Err(error) => return Ok(J::from(Denial::from(*error))),
    };
    let (region, now_seconds) = (request.region.as_str(), now.unix_ms.div_euclid(1000));
    let mut body_sha256 = [0; 64];
    let (accepts_osc4, accepts_sigv4a) = (request.accepts_osc4, request.accepts_sigv4a);
    let expected = match service(&request.service) {
        S3 => Expected { accepts_sigv4a, ..Expected::s3(region, now_seconds) },
        service => {
            if hex::encode_to_slice(&request.body_sha256, &mut body_sha256).is_err() {
                let description = "must be 32 bytes for services other than s3";
                return Err(Error::Invalid { field: "body_sha256", description }.into());
            }
            let expected = Expected::service(region, service, now_seconds, &body_sha256);
            Expected { accepts_osc4, accepts_sigv4a, ..expected }
        }
    };
    let judgement = judge(head, &expected, "")?;
    if request.host_candidates.is_empty() || !may_be_of_another_host(judgement.denial_code()) {
        return Ok(judgement);
    }
    for host in &request.host_candidates {
        let mut buffer = vec![];
        let Ok(head) = with_host(head, host, &mut buffer) else { continue };
        let of_host = judge(&head, &expected, host)?;
        if of_host.denial_code().is_none() {
            return Ok(of_host);
        }
    }
    Ok(judgement)
}

/// Whether it may be for the host alone that a request was denied. For a key that nobody has, too, which so
/// takes as long as any.
fn may_be_of_another_host(denial_code: Option<&str>) -> bool {
    let codes = [ErrorCode::SignatureDoesNotMatch, ErrorCode::InvalidAccessKeyId];
    codes.iter().any(|code| denial_code == Some(code.as_str()))
}

/// The same head with another host.
fn with_host<'b>(
    head: &Head<'_>,
    host: &str,
    buffer: &'b mut Vec<u8>,
) -> Result<Head<'b>, HeadError> {
    let method = std::str::from_utf8(head.method()).map_err(|_| HeadError::Malformed)?;
    let mut target = head.path().to_vec();
    if !head.query().is_empty() {
        target.push(b'?');
        target.extend(head.query());
    }
    let headers = head.headers().map(|(name, value)| {
        let is_host = name.eq_ignore_ascii_case(b"host");
        (name, if is_host { host.as_bytes() } else { value })
    });
    Head::from_parts(buffer, method, &target, headers)
}

fn decide_head<V: Tell>(
    table: &Table,
    head: &Head<'_>,
    expected: &Expected<'_>,
    host: &str,
    client: Client<'_>,
) -> Result<Decided<V>, NoVerdict> {
    // Looked at where it was made: moving it takes a part of the time.
    let authenticated = sigv4::authenticate(head, expected);
    let signed = match &authenticated {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.clone().into()),
    };
    let string_to_sign = signed.string_to_sign();
    let claim = Claim::of(signed, &string_to_sign);
    let judged = verify(table, signed, &claim, client.now);
    Ok(match outcome::settle(&claim, judged, client)? {
        Outcome::Verified { profile, generation } => {
            let facts = Facts::of(signed, &profile, generation, host);
            Decided { verdict: Verdict::Verified(V::tell(&facts)), failure: None }
        }
        Outcome::Denied(denied, failure) => Decided { verdict: Verdict::Denied(denied), failure },
    })
}

/// What the client says that it is; empty if it does not.
fn user_agent<'a>(head: &Head<'a>) -> &'a [u8] {
    let mut headers = head.headers();
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(b"user-agent"));
    found.map_or(&[], |(_, value)| value)
}

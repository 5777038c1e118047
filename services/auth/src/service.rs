//! `VerifySignature`: from the call to the verdict and back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::auth::v1::auth_service_server::AuthService;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::verify_signature_response;
use api::auth::v1::{VerifySignatureRequest, VerifySignatureResponse};
use read_model::{NotApplied, ReadModel, Table, position};
use sigv4::{Date, ErrorCode, Expected, Head, HeadError, Scope};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::answer;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::older_days::{Fetched, OlderDays};
use crate::outcome::{self, Client, Decided, Kept};
use crate::status::Error;
use crate::verify::{NeededDay, Now};

/// How long `min_position` is waited for. A caller's shorter deadline ends the call before.
const MIN_POSITION_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often a verdict is tried again because the key changed while its date keys were fetched.
const ATTEMPTS_MAX: usize = 3;

/// The service.
pub(crate) struct Service {
    model: Arc<ReadModel>,
    older_days: OlderDays,
    clock: Arc<dyn Clock>,
    hard_staleness: Duration,
    kept: Kept,
    metrics: Arc<Metrics>,
}

/// Why one look at the request and the read model gave no verdict.
enum NoVerdict {
    /// There is none to be had.
    Error(Error),
    /// There is one once these are fetched.
    NeedsDateKeys(NeededDay),
}

impl From<NotApplied> for NoVerdict {
    fn from(reason: NotApplied) -> Self {
        Self::Error(reason.into())
    }
}

impl From<NeededDay> for NoVerdict {
    fn from(day: NeededDay) -> Self {
        Self::NeedsDateKeys(day)
    }
}

impl From<Error> for NoVerdict {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        model: Arc<ReadModel>,
        older_days: OlderDays,
        kept: Kept,
        metrics: Arc<Metrics>,
    ) -> Self {
        let clock = Arc::clone(&config.clock);
        Self { model, older_days, clock, hard_staleness: config.hard_staleness, kept, metrics }
    }

    async fn answer(
        &self,
        request: &VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Error> {
        check(request)?;
        if self.model.position().is_none() {
            return Err(Error::Empty);
        }
        let deadline = Instant::now() + MIN_POSITION_WAIT_MAX;
        self.model.wait_for(request.min_position, deadline).await?;
        for _ in 0..ATTEMPTS_MAX {
            // Nothing of this look is held while waiting: afterwards all is checked again.
            let day = match self.look(request) {
                Ok(answer) => return Ok(answer),
                Err(NoVerdict::Error(error)) => return Err(error),
                Err(NoVerdict::NeedsDateKeys(day)) => day,
            };
            match self.older_days.fetch(&self.model, &day).await {
                Fetched::Kept => {}
                Fetched::NoSuchAccessKey => {
                    let position = self.model.position();
                    position::applied(position, request.min_position)?;
                    let denial = sigv4::Denial::invalid_access_key_id(&day.access_key_id);
                    return Ok(VerifySignatureResponse {
                        verdict: Some(answer::denied(denial)),
                        position: position.unwrap_or_default(),
                        staleness_ms: self.staleness_ms(self.now()),
                    });
                }
                Fetched::Unavailable => return Err(Error::NoDateKeys),
            }
        }
        Err(Error::NoDateKeys)
    }

    /// Looks once, without waiting.
    fn look(&self, request: &VerifySignatureRequest) -> Result<VerifySignatureResponse, NoVerdict> {
        let table = self.model.table();
        let table = table.as_ref().ok_or(Error::Empty)?;
        let now = self.now();
        if self.model.staleness(now.monotonic) > self.hard_staleness {
            return Err(Error::Stale.into());
        }
        let position = table.position(); // before the look, so that it holds for it
        // Another table may have taken the place of the one that was waited for.
        position::applied(Some(position), request.min_position)?;
        let verdict = Some(decide(table, &self.kept, request, now)?);
        Ok(VerifySignatureResponse { verdict, position, staleness_ms: self.staleness_ms(now) })
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.clock.unix_ms(), monotonic: self.clock.monotonic() }
    }

    fn staleness_ms(&self, now: Now) -> u64 {
        let staleness = self.model.staleness(now.monotonic);
        u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    async fn verify_signature(
        &self,
        request: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        let answer = self.answer(request.get_ref()).await;
        self.metrics.count(&answer);
        Ok(Response::new(answer?))
    }
}

const S3: &str = "s3";
/// Each is as much work as a whole verification.
const HOST_CANDIDATES_MAX: usize = 2;
const HOST_BYTES_MAX: usize = 255;

/// The service that the caller is.
fn service(request: &VerifySignatureRequest) -> &str {
    if request.service.is_empty() { S3 } else { &request.service }
}

/// Where the client called from, if the caller says so.
fn source_address(request: &VerifySignatureRequest) -> Option<IpAddr> {
    request.source_address.parse().ok()
}

/// Checks what the caller itself says, not the client it asks for.
fn check(request: &VerifySignatureRequest) -> Result<(), Error> {
    let invalid = |field, description| Err(Error::Invalid { field, description });
    let epoch = Date::from_unix_seconds(0);
    if Scope::new(epoch, "any", service(request)).is_none() {
        return invalid("service", "must be up to 32 graphic ASCII characters other than '/'");
    }
    match (service(request), request.body_sha256.len()) {
        (S3, 0) => {}
        (S3, _) => return invalid("body_sha256", "must not be given for s3"),
        (_, 32) => {}
        (_, _) => return invalid("body_sha256", "must be 32 bytes for services other than s3"),
    }
    let hosts = &request.host_candidates;
    if service(request) == S3 && (request.accepts_osc4 || !hosts.is_empty()) {
        return invalid("service", "must not be s3 with host_candidates or accepts_osc4");
    }
    let is_host = |host: &String| {
        (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic())
    };
    if hosts.len() > HOST_CANDIDATES_MAX || !hosts.iter().all(is_host) {
        return invalid("host_candidates", "must be at most 2 hosts of up to 255 bytes");
    }
    if Scope::new(epoch, &request.region, S3).is_none() {
        return invalid("region", "must be 1 to 64 graphic ASCII characters other than '/'");
    }
    if !request.source_address.is_empty() && source_address(request).is_none() {
        return invalid("source_address", "must be an IP address");
    }
    if request.request.is_none() {
        return invalid("request", "must be given");
    }
    Ok(())
}

fn decide(
    table: &Table,
    kept: &Kept,
    request: &VerifySignatureRequest,
    now: Now,
) -> Result<verify_signature_response::Verdict, NoVerdict> {
    let mut buffer = vec![]; // stays empty, and so off the heap, for a raw head
    let (field, head) = match &request.request {
        Some(RequestForm::RawHead(raw)) => ("raw_head", Head::parse(raw)),
        Some(RequestForm::Head(parts)) => {
            let headers = parts.headers.iter();
            let headers = headers.map(|field| (field.name.as_bytes(), field.value.as_bytes()));
            let target = parts.target.as_bytes();
            ("head", Head::from_parts(&mut buffer, &parts.method, target, headers))
        }
        None => ("request", Err(HeadError::Malformed)),
    };
    let head = match head {
        Ok(head) => head,
        // No HTTP server would have let it through: the caller made it.
        Err(HeadError::Malformed) => {
            let description = "is not the head of an HTTP request";
            return Err(Error::Invalid { field, description }.into());
        }
        Err(error) => return Ok(answer::denied(error.into())),
    };
    let (region, now_seconds) = (request.region.as_str(), now.unix_ms.div_euclid(1000));
    let mut body_sha256 = [0; 64];
    let expected = match service(request) {
        S3 => Expected::s3(region, now_seconds),
        service => {
            if hex::encode_to_slice(&request.body_sha256, &mut body_sha256).is_err() {
                let description = "must be 32 bytes for services other than s3";
                return Err(Error::Invalid { field: "body_sha256", description }.into());
            }
            let expected = Expected::service(region, service, now_seconds, &body_sha256);
            Expected { accepts_osc4: request.accepts_osc4, ..expected }
        }
    };
    let client = Client { kept, address: source_address(request), now };
    let Decided { verdict, failure } = outcome::of(table, &head, &expected, client)?;
    let hosts: &[String] = match may_be_of_another_host(&verdict) {
        true => &request.host_candidates,
        false => &[],
    };
    for host in hosts {
        let mut buffer = vec![];
        let Ok(head) = with_host(&head, host, &mut buffer) else { continue };
        let Decided { mut verdict, .. } = outcome::of(table, &head, &expected, client)?;
        if let verify_signature_response::Verdict::Verified(verified) = &mut verdict {
            verified.host_candidate.clone_from(host);
            return Ok(verdict);
        }
    }
    if let Some(failure) = failure {
        failure.count(&kept.lockouts, now);
    }
    Ok(verdict)
}

/// Whether it may be for the host alone that a request was denied. For a key that nobody has, too, which so
/// takes as long as any.
fn may_be_of_another_host(verdict: &verify_signature_response::Verdict) -> bool {
    let codes = [ErrorCode::SignatureDoesNotMatch, ErrorCode::InvalidAccessKeyId];
    match verdict {
        verify_signature_response::Verdict::Verified(_) => false,
        verify_signature_response::Verdict::Denied(denied) => {
            codes.iter().any(|code| code.as_str() == denied.code)
        }
    }
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

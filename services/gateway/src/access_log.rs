//! One line for each request, once it has ended.

mod server_format;

use std::io::Write;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use self::server_format::Answer;
pub(crate) use self::server_format::Request as ServerRequest;
use crate::body::{BoxBody, BoxError, Count};
use crate::metrics::{Ended, Metrics};
use crate::s3::Operation;

/// As long as access key IDs get.
const CLAIMED_BYTES_MAX: usize = 128;

/// What is known of a request; written when dropped.
///
/// Who, what, how much, how long, and with what end; in JSON never a path, a query or a header. No secret and
/// no signature, in whatever form.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) request_id: String,
    pub(crate) account_id: String,
    pub(crate) user_id: String,
    pub(crate) access_key_id: String,
    /// What a request that was denied gave as its access key ID: anybody may write it.
    claimed_access_key_id: String,
    /// S3's code, if the request was refused.
    pub(crate) code: String,
    /// Why, if the gateway did.
    pub(crate) why: String,
    /// What is known of S3 requests only.
    pub(crate) s3: Option<Box<S3Entry>>,
    pub(crate) bytes_in: Count,
    /// The request's place among those under way, given back when it ends.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    client: IpAddr,
    method: Method,
    status: Option<StatusCode>,
    bytes_out: Count,
    whole: bool,
    started: Instant,
    first_byte: Option<Duration>,
}

/// What there is to know of an S3 request.
#[derive(Debug)]
pub(crate) struct S3Entry {
    pub(crate) operation: Operation,
    /// Its bucket, if that is a valid name.
    pub(crate) bucket: String,
    /// The account whose bucket it is, by UUID.
    pub(crate) bucket_owner: String,
    /// Where it went.
    pub(crate) upstream: String,
    /// Which gateway answered.
    pub(crate) host_id: String,
    pub(crate) is_anonymous: bool,
    /// How large the object is that was read or written.
    pub(crate) object_bytes: Option<u64>,
    pub(crate) metrics: Metrics,
    /// If the line is to be in S3's format, and not in JSON.
    pub(crate) server_format: Option<ServerRequest>,
}

impl S3Entry {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            operation: Operation::UNKNOWN,
            bucket: String::new(),
            bucket_owner: String::new(),
            upstream: String::new(),
            host_id: String::new(),
            is_anonymous: false,
            object_bytes: None,
            metrics,
            server_format: None,
        }
    }
}

impl Entry {
    pub(crate) fn new(request_id: String, client: IpAddr, method: Method) -> Self {
        Self {
            request_id,
            account_id: String::new(),
            user_id: String::new(),
            access_key_id: String::new(),
            claimed_access_key_id: String::new(),
            code: String::new(),
            why: String::new(),
            s3: None,
            bytes_in: Count::default(),
            place: None,
            client,
            method,
            status: None,
            bytes_out: Count::default(),
            whole: false,
            started: Instant::now(),
            first_byte: None,
        }
    }

    /// Notes the access key ID of a request that was denied, of letters and digits as they all are.
    pub(crate) fn claim(&mut self, access_key_id: &str) {
        let harmless = access_key_id.chars().filter(char::is_ascii_alphanumeric);
        self.claimed_access_key_id = harmless.take(CLAIMED_BYTES_MAX).collect();
    }

    /// The response, whose end ends the entry.
    pub(crate) fn attach(mut self, response: Response<BoxBody>) -> Response<Logged> {
        self.status = Some(response.status());
        self.first_byte = Some(self.started.elapsed());
        // Nobody asks for a body that is not sent.
        self.whole = self.method == Method::HEAD || response.body().is_end_stream();
        response.map(|inner| Logged { inner, entry: self })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let status = self.status.map(|status| status.as_u16());
        if let Some(s3) = &self.s3 {
            s3.metrics.record(Ended {
                operation: s3.operation,
                status,
                requester: match (s3.is_anonymous, self.access_key_id.is_empty()) {
                    (true, _) => "anonymous",
                    (false, false) => "user",
                    (false, true) => "none",
                },
                duration,
                first_byte: self.first_byte,
                bytes_in: self.bytes_in.bytes(),
                bytes_out: self.bytes_out.bytes(),
            });
            if let Some(request) = &s3.server_format {
                let mut line = request.line(Answer {
                    bucket_owner: &s3.bucket_owner,
                    bucket: &s3.bucket,
                    client: self.client,
                    requester: &self.user_id,
                    request_id: &self.request_id,
                    host_id: &s3.host_id,
                    operation: s3.operation,
                    status,
                    code: &self.code,
                    bytes_out: self.bytes_out.bytes(),
                    object_bytes: s3.object_bytes,
                    total: duration,
                    turn_around: self.first_byte,
                });
                line.push('\n');
                // Whoever reads it may have gone away.
                let _ = std::io::stdout().lock().write_all(line.as_bytes());
                return;
            }
        }
        let s3 = self.s3.as_deref();
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            client = %self.client,
            method = self.method.as_str(),
            operation = s3.map(|s3| s3.operation.name),
            bucket = s3.map(|s3| s3.bucket.as_str()).filter(|bucket| !bucket.is_empty()),
            status,
            code = self.code,
            why = self.why,
            account = self.account_id,
            user = self.user_id,
            access_key_id = self.access_key_id,
            claimed_access_key_id = self.claimed_access_key_id,
            anonymous = s3.map(|s3| s3.is_anonymous).filter(|is_anonymous| *is_anonymous),
            upstream = s3.map(|s3| s3.upstream.as_str()).filter(|name| !name.is_empty()),
            bytes_in = self.bytes_in.bytes(),
            bytes_out = self.bytes_out.bytes(),
            first_byte_ms = self.first_byte.map(milliseconds),
            duration_ms = milliseconds(duration),
            whole = self.whole,
        );
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A response's body; its entry is written when it ends.
#[derive(Debug)]
pub(crate) struct Logged {
    inner: BoxBody,
    entry: Entry,
}

impl Body for Logged {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            this.entry.bytes_out.add(frame.data_ref().map_or(0, Bytes::len));
        }
        this.entry.whole = frame.is_none() || this.inner.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

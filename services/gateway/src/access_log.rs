//! One line for each request, once it has ended.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::body::{BoxBody, BoxError, Count};

/// As long as access key IDs get.
const CLAIMED_BYTES_MAX: usize = 128;

/// What is known of a request; written when dropped.
///
/// Never a path, a query, a header or a signature: who, how much, how long, and with what end.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) request_id: String,
    pub(crate) account_id: String,
    pub(crate) user_id: String,
    pub(crate) access_key_id: String,
    /// What a request that was denied gave as its access key ID: anybody may write it.
    claimed_access_key_id: String,
    /// S3's code, if the gateway refused the request.
    pub(crate) code: String,
    pub(crate) bytes_in: Count,
    /// The request's place among those under way, given back when it ends.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    client: IpAddr,
    method: Method,
    status: Option<StatusCode>,
    bytes_out: Count,
    whole: bool,
    started: Instant,
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
            bytes_in: Count::default(),
            place: None,
            client,
            method,
            status: None,
            bytes_out: Count::default(),
            whole: false,
            started: Instant::now(),
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
        // Nobody asks for a body that is not sent.
        self.whole = self.method == Method::HEAD || response.body().is_end_stream();
        response.map(|inner| Logged { inner, entry: self })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            client = %self.client,
            method = self.method.as_str(),
            status = self.status.map(|status| status.as_u16()),
            code = self.code,
            account = self.account_id,
            user = self.user_id,
            access_key_id = self.access_key_id,
            claimed_access_key_id = self.claimed_access_key_id,
            bytes_in = self.bytes_in.bytes(),
            bytes_out = self.bytes_out.bytes(),
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            whole = self.whole,
        );
    }
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

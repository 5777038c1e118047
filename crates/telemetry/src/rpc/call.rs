//! One RPC from its first byte to its status, on either side.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::HeaderMap;
use opentelemetry::metrics::{BoundHistogram, Histogram};
use opentelemetry::{ContextGuard, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use opentelemetry_semantic_conventions::metric::{
    RPC_CLIENT_CALL_DURATION, RPC_SERVER_CALL_DURATION,
};
use tonic::{Code, Status};

use crate::body::{Call, End};
use crate::context::Trace;

/// The method of a call that is none of ours: what a stranger sends never makes a label.
pub(crate) const OTHER: &str = "_OTHER";

/// Methods that come with every server.
const STANDARD_METHODS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

const CODES: usize = 17;

/// Which side of a call this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The durations of the calls that one side makes or answers, by method and status.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    side: Side,
    histogram: Histogram<f64>,
    by_name: HashMap<Box<str>, usize>,
    methods: Vec<Method>, // the last one is `OTHER`
}

#[derive(Debug)]
struct Method {
    name: Box<str>,
    /// Attributes are looked up once for a method and a status, not once a call.
    by_code: [OnceLock<BoundHistogram<f64>>; CODES],
}

/// One call under way.
#[derive(Debug)]
pub struct RpcCall {
    calls: Calls,
    method: usize,
    started: Instant,
    trace: Trace,
    ended: bool,
}

impl Calls {
    pub(crate) fn new(side: Side, known: impl IntoIterator<Item: Into<String>>) -> Calls {
        let name = match side {
            Side::Client => RPC_CLIENT_CALL_DURATION,
            Side::Server => RPC_SERVER_CALL_DURATION,
        };
        let histogram = crate::meter().f64_histogram(name).with_unit("s").build();
        let known = known.into_iter().map(Into::into);
        let mut names: Vec<String> =
            STANDARD_METHODS.iter().map(|name| (*name).to_owned()).chain(known).collect();
        names.sort_unstable();
        names.dedup();
        names.push(OTHER.to_owned());
        let by_name =
            names.iter().enumerate().map(|(at, name)| (Box::from(name.as_str()), at)).collect();
        let method = |name: String| Method { name: name.into(), by_code: Default::default() };
        let methods = names.into_iter().map(method).collect();
        Calls(Arc::new(Inner { side, histogram, by_name, methods }))
    }

    /// The index of the method that a request's path, such as `/pkg.Service/Method`, names.
    pub(crate) fn method(&self, path: &str) -> usize {
        let name = path.strip_prefix('/').unwrap_or(path);
        self.0.by_name.get(name).copied().unwrap_or(self.0.methods.len() - 1)
    }

    pub(crate) fn name(&self, method: usize) -> &str {
        &self.0.methods[method].name
    }

    pub(crate) fn start(&self, method: usize, trace: Trace) -> RpcCall {
        RpcCall { calls: self.clone(), method, started: Instant::now(), trace, ended: false }
    }

    fn record(&self, method: usize, code: Code, seconds: f64) {
        let Method { name, by_code } = &self.0.methods[method];
        let bind = || {
            let mut attributes = vec![
                KeyValue::new(RPC_SYSTEM_NAME, "grpc"),
                KeyValue::new(RPC_METHOD, name.to_string()),
                KeyValue::new(RPC_RESPONSE_STATUS_CODE, code_name(code)),
            ];
            if is_error(self.0.side, code) {
                attributes.push(KeyValue::new(ERROR_TYPE, code_name(code)));
            }
            self.0.histogram.bind(&attributes)
        };
        by_code[code as usize].get_or_init(bind).record(seconds);
    }
}

impl RpcCall {
    /// Takes note of a status that came in the head of a response, in place of a body.
    pub(crate) fn end_if_in_head(&mut self, headers: &HeaderMap) {
        if headers.contains_key(Status::GRPC_STATUS) {
            self.end_with(code_in(headers));
        }
    }

    pub(crate) fn end_with(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let duration = self.started.elapsed();
        self.calls.record(self.method, code, duration.as_secs_f64());
        let span = &self.trace.span;
        let side = self.calls.0.side;
        if !span.is_disabled() {
            span.record("rpc.response.status_code", code_name(code));
            if is_error(side, code) {
                span.record("error.type", code_name(code));
                span.record("otel.status_code", "ERROR");
            }
        }
        let _entered = span.enter();
        let method = self.calls.name(self.method);
        if side == Side::Server && is_fault(code) {
            tracing::error!(rpc.method = method, code = code_name(code), ?duration, "rpc failed");
        } else {
            tracing::debug!(
                ?side,
                rpc.method = method,
                code = code_name(code),
                ?duration,
                "rpc ended"
            );
        }
    }
}

impl Call for RpcCall {
    type Entered<'a> = (tracing::span::Entered<'a>, Option<ContextGuard>);

    fn enter(&self) -> Self::Entered<'_> {
        self.trace.enter()
    }

    fn end(&mut self, end: End<'_>) {
        self.end_with(match end {
            End::Whole(Some(trailers)) => code_in(trailers),
            // gRPC over HTTP2, "Responses": a response always has a status.
            End::Whole(None) | End::Broken => Code::Unknown,
        });
    }
}

impl Drop for RpcCall {
    fn drop(&mut self) {
        self.end_with(Code::Cancelled);
    }
}

fn code_in(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()))
}

/// Whether a status counts as an error on `side`: a client's own mistake is no error of the server.
///
/// Source: OpenTelemetry semantic conventions for gRPC, "gRPC status".
fn is_error(side: Side, code: Code) -> bool {
    match code {
        Code::Ok => false,
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => side == Side::Client,
    }
}

/// Whether a status tells of a mistake in the server itself, for somebody to look at.
fn is_fault(code: Code) -> bool {
    matches!(code, Code::Unknown | Code::Internal | Code::DataLoss)
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::HashSet<_> =
            (0..CODES as i32).map(|code| code_name(Code::from_i32(code))).collect();
        assert_eq!(names.len(), CODES);
        assert_eq!(Code::Unauthenticated as usize, CODES - 1);
    }

    #[test]
    fn a_method_that_is_not_known_has_no_name() {
        let calls = Calls::new(Side::Server, ["pkg.Service/Method"]);
        let name = |path| calls.name(calls.method(path));
        assert_eq!(name("/pkg.Service/Method"), "pkg.Service/Method");
        assert_eq!(name("/grpc.health.v1.Health/Check"), "grpc.health.v1.Health/Check");
        assert_eq!(name("/AKIAIOSFODNN7EXAMPLE/x"), OTHER);
        assert_eq!(name(""), OTHER);
    }
}

//! What is counted of S3 requests.

use std::sync::Arc;
use std::time::Duration;

use telemetry::KeyValue;
use telemetry::metrics::{Counter, Histogram};

use crate::s3::Operation;

/// The status of a request whose client went away before there was an answer, as web servers have it.
const CLIENT_GONE: u16 = 499;

/// The instruments. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    requests: Counter<u64>,
    durations: Histogram<f64>,
    first_bytes: Histogram<f64>,
    received: Counter<u64>,
    sent: Counter<u64>,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) operation: Operation,
    /// None if there was no answer.
    pub(crate) status: Option<u16>,
    /// `user`, `anonymous`, or `none` of what was not verified.
    pub(crate) requester: &'static str,
    pub(crate) duration: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = telemetry::meter();
        Self(Arc::new(Instruments {
            requests: meter
                .u64_counter("claviger.gateway.requests")
                .with_description("S3 requests that have ended.")
                .build(),
            durations: meter
                .f64_histogram("claviger.gateway.request.duration")
                .with_description("How long S3 requests took, to the last byte of the answer.")
                .with_unit("s")
                .build(),
            first_bytes: meter
                .f64_histogram("claviger.gateway.request.first_byte")
                .with_description("How long it took until answers to S3 requests began.")
                .with_unit("s")
                .build(),
            received: meter
                .u64_counter("claviger.gateway.received")
                .with_description("Bytes of bodies of S3 requests.")
                .with_unit("By")
                .build(),
            sent: meter
                .u64_counter("claviger.gateway.sent")
                .with_description("Bytes of bodies of answers to S3 requests.")
                .with_unit("By")
                .build(),
        }))
    }

    pub(crate) fn record(&self, ended: Ended) {
        let Instruments { requests, durations, first_bytes, received, sent } = &*self.0;
        let operation = KeyValue::new("operation", ended.operation.name);
        let status = KeyValue::new("status", i64::from(ended.status.unwrap_or(CLIENT_GONE)));
        let requester = KeyValue::new("requester", ended.requester);
        requests.add(1, &[operation.clone(), status, requester]);
        let by_operation = [operation];
        durations.record(ended.duration.as_secs_f64(), &by_operation);
        if let Some(first_byte) = ended.first_byte {
            first_bytes.record(first_byte.as_secs_f64(), &by_operation);
        }
        received.add(ended.bytes_in, &by_operation);
        sent.add(ended.bytes_out, &by_operation);
    }
}

//! The layers at work: what they leave in the metrics and in the traces.
//!
//! Subscriber and meter provider are one for the process, so each test looks only at calls that no other makes.

mod http;
mod rpc;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use prometheus::{Registry, TextEncoder};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What the process has measured and traced.
struct Observed {
    registry: Registry,
    spans: InMemorySpanExporter,
}

/// Starts telemetry as `init` does, with a memory in place of a collector.
fn observed() -> &'static Observed {
    static OBSERVED: OnceLock<Observed> = OnceLock::new();
    OBSERVED.get_or_init(|| {
        let registry = Registry::new();
        let meters = crate::metric::provider(Resource::builder_empty().build(), &registry).unwrap();
        opentelemetry::global::set_meter_provider(meters.build());
        let spans = InMemorySpanExporter::default();
        let tracers = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        tracing_subscriber::registry().with(crate::process::trace_layer(&tracers)).init();
        Observed { registry, spans }
    })
}

impl Observed {
    fn scrape(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    /// The number in the one line that begins with `name` and holds each of `labels` and no further ones.
    fn number(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut wanted: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        wanted.sort_unstable();
        self.scrape().lines().find_map(|line| {
            let (found, rest) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
            let mut found: Vec<&str> = found.split(',').collect();
            found.sort_unstable();
            (found == wanted).then(|| rest.parse().unwrap())
        })
    }

    /// Waits for a span that `wanted` picks: a server ends its span just after the client has its answer.
    async fn span(&self, wanted: impl Fn(&SpanData) -> bool) -> SpanData {
        let found = || self.spans.get_finished_spans().unwrap().into_iter().find(&wanted);
        until(found, || format!("{:#?}", self.spans.get_finished_spans())).await
    }

    /// Waits until a count is there.
    async fn counted(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        until(|| self.number(name, labels), || format!("{labels:?}\n{}", self.scrape())).await
    }
}

async fn until<T>(found: impl Fn() -> Option<T>, report: impl Fn() -> String) -> T {
    for _ in 0..500 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not seen in time: {}", report());
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
    Some(found.value.to_string())
}

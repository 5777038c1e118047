//! What a process does once: start telemetry, and flush it at the end.

use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_semantic_conventions::attribute::SERVICE_VERSION;
use prometheus::Registry;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::otlp::{self, Signals};
use crate::{log, metric};

/// How long [`Telemetry::shutdown`] waits for a collector.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Telemetry of this process, running.
#[derive(Debug)]
#[must_use = "what is not shut down is not flushed"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    registry: Registry,
}

/// Starts logs, metrics and traces for the whole process; call it once, first, inside the tokio runtime.
///
/// Logs go to stderr: text on a terminal, else JSON, or as `CLAVIGER_LOG_FORMAT` (`text`, `json`) says, without
/// colour if `NO_COLOR` is set, filtered by `RUST_LOG` (default `info`; a release build has nothing below `debug`).
/// Traces and metrics are pushed over OTLP, by gRPC, only if `OTEL_EXPORTER_OTLP_ENDPOINT` or its kin ask for it. `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES` go before `service_name`; a sampler is set by `OTEL_TRACES_SAMPLER`.
///
/// # Errors
/// A variable cannot be read, or telemetry has already been started. A collector that is away is no error.
pub fn init(service_name: &'static str) -> anyhow::Result<Telemetry> {
    let env = |name: &str| std::env::var(name).ok();
    let Signals { traces, metrics } = otlp::signals(env)?;
    let resource = resource(service_name, env("OTEL_SERVICE_NAME"));
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());

    let registry = Registry::new();
    let mut meters = metric::provider(resource.clone(), &registry)?;
    if metrics {
        let exporter = opentelemetry_otlp::MetricExporter::builder().with_tonic().build();
        meters = meters.with_periodic_exporter(exporter.context("cannot push metrics")?);
    }
    let tracers = if traces {
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build();
        let exporter = exporter.context("cannot push traces")?;
        Some(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter))
    } else {
        None
    };
    let tracers = tracers.map(|builder| builder.build());

    tracing_subscriber::registry()
        .with(log::layer()?)
        .with(tracers.as_ref().map(trace_layer))
        .try_init()
        .context("telemetry has already been started")?;
    let telemetry = Telemetry { traces: tracers, metrics: meters.build(), registry };
    opentelemetry::global::set_meter_provider(telemetry.metrics.clone());
    Ok(telemetry)
}

impl Telemetry {
    /// The metrics of this process, as [`admin::serve`](crate::admin::serve) shows them.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Pushes what is still held back, for at most a few seconds. The last thing that a process does.
    pub async fn shutdown(self) {
        let Telemetry { traces, metrics, .. } = self;
        // The exporters wait for answers that this runtime receives, so they wait on a thread of their own.
        let flush = tokio::task::spawn_blocking(move || {
            let traces = traces.map(|traces| traces.shutdown_with_timeout(FLUSH_TIMEOUT));
            let metrics = metrics.shutdown_with_timeout(FLUSH_TIMEOUT);
            traces.into_iter().chain([metrics]).filter_map(Result::err).for_each(|error| {
                tracing::warn!(%error, "some telemetry was not pushed");
            });
        });
        if tokio::time::timeout(2 * FLUSH_TIMEOUT, flush).await.is_err() {
            tracing::warn!("telemetry was not flushed in time");
        }
    }
}

fn resource(service_name: &'static str, asked_name: Option<String>) -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(service_name)
        .with_attribute(KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match asked_name.filter(|name| !name.is_empty()) {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

/// The layer that turns spans into traces; its filter is apart from the log's.
pub(crate) fn trace_layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("claviger"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(FilterFn::new(is_traced).with_max_level_hint(LevelFilter::DEBUG))
}

fn is_traced(metadata: &Metadata<'_>) -> bool {
    // What OpenTelemetry says about its own work would make it work more.
    if metadata.target().starts_with("opentelemetry") {
        return false;
    }
    // The spans of our layers are at DEBUG, so that they cost nothing when only logs are on.
    let ours = metadata.is_span() && metadata.target().starts_with("telemetry::");
    *metadata.level() <= if ours { Level::DEBUG } else { Level::INFO }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    #[test]
    fn the_service_name_may_be_set_from_outside() {
        let name = |asked: Option<&str>| {
            let resource = resource("claviger-auth", asked.map(str::to_owned));
            resource.get(&Key::new("service.name")).map(|value| value.to_string())
        };
        assert_eq!(name(None).as_deref(), Some("claviger-auth"));
        assert_eq!(name(Some("")).as_deref(), Some("claviger-auth"));
        assert_eq!(name(Some("keys")).as_deref(), Some("keys"));
    }
}

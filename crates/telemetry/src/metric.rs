//! One meter provider with two readers: `/metrics` always, OTLP when asked for.

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, MeterProviderBuilder, SdkMeterProvider, Stream,
};
use prometheus::Registry;

/// Upper bounds of the buckets of every histogram in seconds. OpenTelemetry's own default is for milliseconds.
const SECONDS_BUCKETS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// The meter for this product's own instruments; each shows up on `/metrics` and over OTLP.
///
/// Ask for it after [`init`](crate::init): instruments made before measure nothing. A histogram with the unit `s`
/// gets buckets from 50 µs to 10 s by itself. Never put an access key, a user or a path into an attribute.
pub fn meter() -> Meter {
    opentelemetry::global::meter("claviger")
}

/// A provider that fills `registry`, still open for further readers.
///
/// # Errors
/// `registry` already has a provider.
pub(crate) fn provider(
    resource: Resource,
    registry: &Registry,
) -> anyhow::Result<MeterProviderBuilder> {
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false) // every instrument is of one scope: the label would say nothing
        .build()?;
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_view(buckets_of_seconds)
        .with_reader(reader))
}

fn buckets_of_seconds(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instrument.unit() != "s" {
        return None;
    }
    let buckets = SECONDS_BUCKETS.to_vec();
    let aggregation =
        Aggregation::ExplicitBucketHistogram { boundaries: buckets, record_min_max: false };
    Stream::builder().with_aggregation(aggregation).build().ok()
}

//! What identity tells of itself, beside how long its calls take.

use std::sync::{Arc, Weak};

use crate::writer::Writer;

/// Tells of the log, of access keys and of those who follow, for as long as the writer is there.
pub(crate) fn register(writer: &Arc<Writer>) {
    gauge(
        writer,
        "claviger.identity.log.position",
        "Place in the log up to which everything is recorded and applied.",
        |writer| writer.model().position().0,
    );
    gauge(writer, "claviger.identity.access_keys", "Access keys there are.", |writer| {
        writer.model().access_key_count() as u64
    });
    gauge(
        writer,
        "claviger.identity.feed.watchers",
        "Watchers of the credential feed.",
        |writer| writer.watchers() as u64,
    );
}

fn gauge(
    writer: &Arc<Writer>,
    name: &'static str,
    description: &'static str,
    value: impl Fn(&Writer) -> u64 + Send + Sync + 'static,
) {
    let writer: Weak<Writer> = Arc::downgrade(writer);
    telemetry::meter()
        .u64_observable_gauge(name)
        .with_description(description)
        .with_callback(move |observer| {
            if let Some(writer) = writer.upgrade() {
                observer.observe(value(&writer), &[]);
            }
        })
        .build();
}

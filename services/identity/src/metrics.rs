//! What identity tells of itself, beside how long its calls take.

use std::sync::{Arc, Weak};

use sealing::Keystore;

use crate::writer::Writer;

/// Tells of the log, of access keys and of those who follow, for as long as the writer is there.
pub(crate) fn register(writer: &Arc<Writer>, keystore: &Arc<Keystore>) {
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
        "claviger.identity.clock.behind",
        "Milliseconds by which the clock is behind what the log has recorded.",
        Writer::clock_behind_ms,
    );
    gauge(
        writer,
        "claviger.identity.feed.watchers",
        "Watchers of the credential feed.",
        |writer| (Arc::strong_count(&writer.feed_watchers) - 1) as u64,
    );
    gauge(
        writer,
        "claviger.identity.buckets.watchers",
        "Watchers of whose all buckets are.",
        |writer| (Arc::strong_count(&writer.bucket_watchers) - 1) as u64,
    );
    gauge(
        keystore,
        "claviger.identity.keystore.data_keys_to_rewrap",
        "Data keys that are wrapped with an older key-encryption key.",
        |keystore| keystore.remaining() as u64,
    );
    gauge(
        keystore,
        "claviger.identity.keystore.damaged_slots",
        "Slots of the keystore that cannot be read.",
        |keystore| keystore.damaged() as u64,
    );
}

fn gauge<T: Send + Sync + 'static>(
    of: &Arc<T>,
    name: &'static str,
    description: &'static str,
    value: impl Fn(&T) -> u64 + Send + Sync + 'static,
) {
    let of: Weak<T> = Arc::downgrade(of);
    telemetry::meter()
        .u64_observable_gauge(name)
        .with_description(description)
        .with_callback(move |observer| {
            if let Some(of) = of.upgrade() {
                observer.observe(value(&of), &[]);
            }
        })
        .build();
}

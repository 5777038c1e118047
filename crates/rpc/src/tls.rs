//! TLS by rustls, with certificates that are read again when their files have changed.
//!
//! There is no resumption, on neither side: a session that goes on from an earlier one stands for a
//! certificate that may have ended since. Connections live long, so that it would save nothing.

mod client;
mod files;
mod https;
mod reloading;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use opentelemetry::KeyValue;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

pub(crate) use client::connector;
pub use client::{ClientTls, ClientTlsFiles};
pub use https::{Agreed, ClientStream, HttpsClient, HttpsServer, ServerStream};
use reloading::Reloading;
pub use server::{ServerTls, ServerTlsFiles};

/// The one protocol within TLS: gRPC is HTTP/2 (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A certificate chain and the key to it, each in a PEM file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The certificate, and after it those that lead to an authority.
    pub chain: PathBuf,
    /// The key, which only its owner may read.
    pub key: PathBuf,
}

/// What there is to connect with.
struct Loaded<C> {
    config: Arc<C>,
    /// When the certificate ends, in seconds since 1970; none if there is none.
    expires: Option<u64>,
}

/// Tells in a metric when the certificate ends that a server or a client shows, for as long as it
/// does: whoever renews certificates wants to know if they come to nothing.
fn tell_expiry<C: Send + Sync + 'static>(of: &Arc<Reloading<Loaded<C>>>, shown_by: &'static str) {
    let of = Arc::downgrade(of);
    telemetry::meter()
        .u64_observable_gauge("claviger.rpc.certificate.expiry")
        .with_description("When the certificate ends that is shown, in seconds since 1970.")
        .with_unit("s")
        .with_callback(move |observer| {
            let expires = of.upgrade().and_then(|of| of.look_again().expires);
            if let Some(expires) = expires {
                observer.observe(expires, &[KeyValue::new("shown_by", shown_by)]);
            }
        })
        .build();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;

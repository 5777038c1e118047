//! TLS by rustls, with certificates that are read again when their files have changed.
//!
//! There is no resumption, on neither side: a session that goes on from an earlier one stands for a
//! certificate that may have ended since. Connections live long, so that it would save nothing.

mod client;
mod files;
mod reloading;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

pub(crate) use client::connector;
pub use client::{ClientTls, ClientTlsFiles};
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;

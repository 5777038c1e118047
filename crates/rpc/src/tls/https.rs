//! TLS of HTTP that is not gRPC: of servers that anybody may connect to, and of clients of servers that
//! are not ours. By the same versions, suites and rules as gRPC's, and read anew in the same way.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ProtocolVersion, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::reloading::Reloading;
use super::{CertificateFiles, Loaded, VERSIONS, client, files, provider, server, tell_expiry};

/// A server's end of a connection.
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;
/// A client's end of a connection.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// What a server speaks within TLS, which it likes better first.
const SERVED: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What a client speaks.
const SPOKEN: &[u8] = b"http/1.1";

/// TLS of an HTTP server, read anew when its files change. Clones are the same.
///
/// Clients are asked for no certificate. They may speak HTTP/2 or HTTP/1.1, and tell which.
#[derive(Clone)]
pub struct HttpsServer(Arc<Reloading<Loaded<ServerConfig>>>);

/// What was agreed upon with a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreed {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// By OpenSSL's name, such as `ECDHE-RSA-AES128-GCM-SHA256` or `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
}

impl fmt::Debug for HttpsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpsServer")
    }
}

impl HttpsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, if certificate and key do not belong together, or if others than its
    /// owner may read the key.
    pub fn load(certificate: CertificateFiles) -> anyhow::Result<Self> {
        let paths = vec![certificate.chain.clone(), certificate.key.clone()];
        let reloading = Reloading::new(paths, move || {
            let (mut config, expires) = server::config_without_clients(&certificate)?;
            config.alpn_protocols = SERVED.map(<[u8]>::to_vec).into();
            Ok(Loaded { config: Arc::new(config), expires })
        })?;
        Ok(Self(reloading))
    }

    /// Tells in a metric when the certificate ends, which `shown_by` names. Once telemetry runs: before, it
    /// tells nobody.
    pub fn tell_expiry(&self, shown_by: &'static str) {
        tell_expiry(&self.0, shown_by);
    }

    /// Makes TLS of a connection. How long that takes is up to the client.
    ///
    /// # Errors
    /// If there is no agreement, or the client goes away.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<ServerStream> {
        let config = Arc::clone(&self.0.current().await.config);
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Agreed {
    /// On this connection; none before the handshake is done.
    pub fn on(stream: &ServerStream) -> Option<Self> {
        let session = stream.get_ref().1;
        let version = session.protocol_version()?;
        let versions =
            [(ProtocolVersion::TLSv1_2, "TLSv1.2"), (ProtocolVersion::TLSv1_3, "TLSv1.3")];
        let (_, version) = versions.into_iter().find(|(known, _)| *known == version)?;
        let suite = session.negotiated_cipher_suite()?.suite();
        Some(Self { version, cipher_suite: openssl_name(suite)? })
    }
}

/// As logs of S3 name it; none of a suite that [`provider`] does not have.
fn openssl_name(suite: CipherSuite) -> Option<&'static str> {
    const NAMES: [(CipherSuite, &str); 9] = [
        (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
        (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
        (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
        (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"),
        (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"),
    ];
    NAMES.iter().find(|(known, _)| *known == suite).map(|(_, name)| *name)
}

/// TLS of an HTTP/1.1 client, read anew when its file changes. Clones are the same.
#[derive(Clone)]
pub struct HttpsClient(Arc<Reloading<Loaded<ClientConfig>>>);

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpsClient")
    }
}

impl HttpsClient {
    /// Reads the authorities, in PEM, whose word is taken for who a server is; those of the system
    /// if none are given.
    ///
    /// # Errors
    /// If the file cannot be read, or there are no authorities.
    pub fn load(authorities: Option<PathBuf>) -> anyhow::Result<Self> {
        let paths = authorities.iter().cloned().collect();
        let reloading = Reloading::new(paths, move || {
            let roots = match &authorities {
                Some(path) => files::authorities(path)?,
                None => client::system_authorities()?,
            };
            let mut config = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(VERSIONS)?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![SPOKEN.to_vec()];
            config.resumption = Resumption::disabled();
            Ok(Loaded { config: Arc::new(config), expires: None })
        })?;
        Ok(Self(reloading))
    }

    /// Makes TLS of a connection to this host, as it stands in a URI.
    ///
    /// # Errors
    /// If the server's certificate is not for the host, or of no authority that is believed; if
    /// there is no agreement, or the server goes away.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<ClientStream> {
        let host = server_name(host)?;
        let config = Arc::clone(&self.0.current().await.config);
        TlsConnector::from(config).connect(host, stream).await
    }
}

/// What a certificate must be for.
pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    // An IPv6 address stands in brackets in a URI, and nowhere else.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_that_may_be_agreed_upon_has_a_name() {
        for suite in &provider().cipher_suites {
            assert!(openssl_name(suite.suite()).is_some(), "{suite:?}");
        }
    }
}

//! TLS of servers.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::reloading::Reloading;
use super::{ALPN, CertificateFiles, Loaded, VERSIONS, files, provider, tell_expiry};
use crate::CertifiedName;

/// What a server's TLS is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerTlsFiles {
    /// The server's own certificate.
    pub certificate: CertificateFiles,
    /// The authorities, in PEM, whose word is taken for who a client is. If not given, clients are
    /// not asked for a certificate.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients without a certificate are refused; or else they must show a token.
    pub require_client_certificate: bool,
}

/// TLS of a server, read anew when its files change. Clones are the same.
#[derive(Clone)]
pub struct ServerTls(Arc<Reloading<Loaded<ServerConfig>>>);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, if certificate and key do not belong together, or if others than its
    /// owner may read the key.
    pub fn load(of: ServerTlsFiles) -> anyhow::Result<Self> {
        anyhow::ensure!(
            of.client_authorities.is_some() || !of.require_client_certificate,
            "client certificates cannot be required without the authorities that make them"
        );
        let mut paths = vec![of.certificate.chain.clone(), of.certificate.key.clone()];
        paths.extend(of.client_authorities.clone());
        Ok(Self(Reloading::new(paths, move || config(&of))?))
    }

    /// Tells in a metric when the certificate ends.
    pub(crate) fn tell_expiry(&self) {
        tell_expiry(&self.0, "server");
    }

    /// Makes TLS of a connection, and tells who the client is by its certificate: nobody in
    /// particular, or none if it showed no certificate.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Vec<CertifiedName>>)> {
        let config = Arc::clone(&self.0.current().await.config);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("the client does not say that it speaks HTTP/2"));
        }
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let names = leaf.map(|leaf| CertifiedName::all_of(leaf));
        Ok((stream, names))
    }
}

fn config(of: &ServerTlsFiles) -> anyhow::Result<Loaded<ServerConfig>> {
    let key = files::certified_key(&of.certificate)?;
    let expires = files::expires(&key);
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
    let builder = match &of.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = files::authorities(path)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier = match of.require_client_certificate {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    without_resumption(&mut config);
    Ok(Loaded { config: Arc::new(config), expires })
}

/// TLS of a server that asks nobody for a certificate, of no protocol yet; and when its own ends.
pub(super) fn config_without_clients(
    certificate: &CertificateFiles,
) -> anyhow::Result<(ServerConfig, Option<u64>)> {
    let key = files::certified_key(certificate)?;
    let expires = files::expires(&key);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    without_resumption(&mut config);
    Ok((config, expires))
}

fn without_resumption(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
}

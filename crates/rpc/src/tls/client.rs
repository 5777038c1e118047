//! TLS of channels.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{BoxError, Service, ServiceExt};

use super::https::server_name;
use super::reloading::Reloading;
use super::{ALPN, CertificateFiles, Loaded, VERSIONS, files, provider, tell_expiry};
use crate::CertifiedName;

/// How long a server's first word is waited for. HTTP/2 has it speak at once, which not all that stand
/// before servers do.
const FIRST_WORD_MAX: Duration = Duration::from_millis(500);

/// What a client's TLS is made of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientTlsFiles {
    /// The authorities, in PEM, whose word is taken for who a server is; those of the system if not
    /// given.
    pub authorities: Option<PathBuf>,
    /// What the client shows of itself if the server asks.
    pub certificate: Option<CertificateFiles>,
    /// Whom the server's certificate must stand for, instead of the host in the URI.
    pub server_name: Option<CertifiedName>,
}

/// TLS of a client, read anew when its files change. Clones are the same.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<Reloading<Loaded<ClientConfig>>>,
    has_certificate: bool,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("has_certificate", &self.has_certificate).finish()
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, if certificate and key do not belong together, if others than its
    /// owner may read the key, or if no authorities are given and the system has none.
    pub fn load(of: ClientTlsFiles) -> anyhow::Result<Self> {
        let mut paths: Vec<_> = of.authorities.iter().cloned().collect();
        if let Some(certificate) = &of.certificate {
            paths.extend([certificate.chain.clone(), certificate.key.clone()]);
        }
        let has_certificate = of.certificate.is_some();
        let config = Reloading::new(paths, move || config(&of))?;
        Ok(Self { config, has_certificate })
    }

    /// Whether the server is told by a certificate who calls.
    pub fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    /// Makes TLS of a connection to a host.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let host = server_name(host)?;
        let config = Arc::clone(&self.config.current().await.config);
        let mut stream = TlsConnector::from(config).connect(host, stream).await?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("the server does not say that it speaks HTTP/2"));
        }
        if self.has_certificate && session.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            // The server has yet to look at the certificate (RFC 8446, section 4.4.2.4). If it does
            // not like it, it says so before anything else, and only here is it heard.
            let first = tokio::time::timeout(FIRST_WORD_MAX, stream.fill_buf()).await;
            match first {
                Ok(Ok([])) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        Ok(stream)
    }
}

type Encrypted = TokioIo<TlsStream<TcpStream>>;
type Connecting = BoxFuture<'static, Result<Encrypted, BoxError>>;

/// Connects by TCP and then by TLS, whatever the scheme of the URI says.
pub(crate) fn connector(
    tls: ClientTls,
) -> impl Service<Uri, Response = Encrypted, Error = BoxError, Future = Connecting> + Send + 'static
{
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tell_expiry(&tls.config, "client");
    tower::service_fn(move |uri: Uri| {
        let (tcp, tls) = (tcp.clone(), tls.clone());
        let connecting: Connecting = Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let stream = tcp.oneshot(uri).await?.into_inner();
            Ok(TokioIo::new(tls.connect(&host, stream).await?))
        });
        connecting
    })
}

fn config(of: &ClientTlsFiles) -> anyhow::Result<Loaded<ClientConfig>> {
    let roots = match &of.authorities {
        Some(path) => files::authorities(path)?,
        None => system_authorities()?,
    };
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
    let builder = match &of.server_name {
        None => builder.with_root_certificates(roots),
        Some(name) => {
            let verifier = NamedServer::new(roots, name.clone())?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut expires = None;
    let mut config = match &of.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = files::certified_key(certificate)?;
            expires = files::expires(&key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Loaded { config: Arc::new(config), expires })
}

pub(super) fn system_authorities() -> anyhow::Result<Arc<RootCertStore>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems have some that are of no use any more.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    ensure!(added > 0, "no CA file is given, and the system has no authorities");
    Ok(Arc::new(roots))
}

/// Believes a server whose certificate stands for one name, whatever host it is reached by: SPIFFE
/// certificates name workloads, not hosts.
#[derive(Debug)]
struct NamedServer {
    name: CertifiedName,
    roots: Arc<RootCertStore>,
    /// Does all but look at the name.
    standard: Arc<WebPkiServerVerifier>,
}

impl NamedServer {
    fn new(roots: Arc<RootCertStore>, name: CertifiedName) -> anyhow::Result<Self> {
        let standard = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let standard = standard.build().context("authorities of servers")?;
        Ok(Self { name, roots, standard })
    }
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            provider().signature_verification_algorithms.all,
        )?;
        if CertifiedName::all_of(end_entity).contains(&self.name) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.standard.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.standard.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.standard.supported_verify_schemes()
    }
}

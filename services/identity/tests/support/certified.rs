//! Certificates, and those who are known by them.

use std::path::PathBuf;

use rpc::{CertificateFiles, CertifiedName, ClientTls, ClientTlsFiles, ServerTls, ServerTlsFiles};
use test_pki::{Authority, Files};

/// Whose certificates are operators'.
pub const OPERATORS: &[&str] = &[
    "spiffe://example.org/operator/ann",
    "spiffe://example.org/operator/bob",
    "dns:ops.example.org",
];
/// Whose certificates are auth's.
pub const AUTHS: &[&str] = &["spiffe://example.org/auth"];
/// Whose certificates are gateways'.
pub const GATEWAYS: &[&str] = &["spiffe://example.org/gateway"];

/// An authority, and what it has made.
pub struct Certified {
    pub authority: Authority,
    pub dir: tempfile::TempDir,
    ca: PathBuf,
    server: CertificateFiles,
}

impl Certified {
    pub fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a directory"));
        let ca = authority.write(dir.path(), "ca");
        let server = files(authority.issue(&["127.0.0.1"]).write(dir.path(), "identity"));
        Self { authority, dir, ca, server }
    }

    /// TLS of identity.
    pub fn server(&self) -> ServerTls {
        let files = ServerTlsFiles {
            certificate: self.server.clone(),
            client_authorities: Some(self.ca.clone()),
            require_client_certificate: false,
        };
        ServerTls::load(files).expect("loads")
    }

    /// TLS of a client that shows a certificate, or none.
    pub fn client(&self, certificate: Option<Files>) -> ClientTls {
        let files = ClientTlsFiles {
            authorities: Some(self.ca.clone()),
            certificate: certificate.map(files),
            server_name: None,
        };
        ClientTls::load(files).expect("loads")
    }
}

fn files(Files { chain, key }: Files) -> CertificateFiles {
    CertificateFiles { chain, key }
}

pub fn names(list: &[&str]) -> Vec<CertifiedName> {
    list.iter().map(|name| CertifiedName::parse(name).expect("a name")).collect()
}

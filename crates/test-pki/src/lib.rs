//! Certificate authorities for tests, and certificates that they make. A dev-dependency only.
//!
//! What goes wrong here is a test that cannot be run: it panics.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// How many authorities there are: no two of a test have the same name.
static MADE: AtomicU32 = AtomicU32::new(0);

/// An authority that makes certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// When a certificate ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Long after every test.
    Late,
    /// Long before.
    Past,
}

/// A certificate and the key to it, in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// Files of a certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub chain: PathBuf,
    /// The key, readable by its owner only.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody believes yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, by which it is believed.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its own certificate to `{name}.pem` in a folder.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(format!("{name}.pem"));
        replace(&path, &self.pem, 0o644);
        path
    }

    /// A certificate for servers and clients. A name with a scheme is a URI, one of digits and dots
    /// an address, any other a host.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, End::Late)
    }

    /// A certificate that ends then.
    pub fn issue_until(&self, names: &[&str], end: End) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        if end == End::Past {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 2);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes it to `{name}.pem` and `{name}.key` in a folder, in place of what was there.
    pub fn write(&self, folder: &Path, name: &str) -> Files {
        let files = Files {
            chain: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        replace(&files.chain, &self.chain, 0o644);
        replace(&files.key, &self.key, 0o600);
        files
    }
}

/// Puts a whole file in the place of another, as tools do that renew certificates.
pub fn replace(path: &Path, text: &str, mode: u32) {
    let write = || {
        let new = path.with_extension("new");
        fs::write(&new, text)?;
        fs::set_permissions(&new, Permissions::from_mode(mode))?;
        fs::rename(&new, path)?;
        io::Result::Ok(())
    };
    write().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn san(name: &str) -> SanType {
    if name.contains("://") {
        return SanType::URI(name.try_into().expect("ASCII"));
    }
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().expect("ASCII")),
    }
}

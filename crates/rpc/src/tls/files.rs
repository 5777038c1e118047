//! Certificates, keys and authorities, as they stand in PEM files.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{CertificateFiles, provider};

/// More than any file of a system's authorities has.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a certificate with its key.
///
/// # Errors
/// If one cannot be read, if they do not belong together, or if others may read the key.
pub(super) fn certified_key(files: &CertificateFiles) -> anyhow::Result<CertifiedKey> {
    let chain = certificates(&files.chain)?;
    let key = key(&files.key)?;
    CertifiedKey::from_der(chain, key, &provider()).with_context(|| {
        format!("certificate {} with key {}", files.chain.display(), files.key.display())
    })
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn expires(key: &CertifiedKey) -> Option<u64> {
    let (_, leaf) = X509Certificate::from_der(key.end_entity_cert().ok()?).ok()?;
    u64::try_from(leaf.validity().not_after.timestamp()).ok()
}

/// Reads the authorities that are believed.
///
/// # Errors
/// If there is none, or one cannot be used.
pub(super) fn authorities(path: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).with_context(|| format!("CA file {}", path.display()))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || {
        let bytes = read(&File::open(path)?)?;
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>()?;
        ensure!(!certificates.is_empty(), "it holds no certificate in PEM");
        anyhow::Ok(certificates)
    };
    read().with_context(|| format!("certificate file {}", path.display()))
}

fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let read = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        ensure!(mode & 0o077 == 0, "others may read it (mode {mode:o}): chmod 600 it");
        // What is wrong with it is not told in the parser's words: they might quote it.
        PrivateKeyDer::from_pem_slice(&read(&file)?)
            .map_err(|_| anyhow::anyhow!("it holds no key in PEM, or an encrypted one"))
    };
    read().with_context(|| format!("key file {}", path.display()))
}

fn read(file: &File) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len();
    ensure!(length <= FILE_BYTES_MAX, "it is larger than 4 MiB");
    // Room for all at once: what a growing vector leaves behind is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length)? + 1));
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

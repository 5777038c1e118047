//! TLS as it is set: the same names in the tables of all servers.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use rpc::{
    CertificateFiles, CertifiedName, ClientTls, ClientTlsFiles, HttpsServer, ServerTls,
    ServerTlsFiles,
};
use serde::{Deserialize, Serialize};

/// TLS of identity's gRPC port.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS")]
pub(crate) struct IdentityTls {
    /// Its certificate in PEM, and after it those that lead to an authority; read anew when it
    /// changes, as all these files are. Without it gRPC is served in the clear
    #[arg(id = "tls_certificate_file", long = "tls-certificate-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_IDENTITY__TLS__CERTIFICATE_FILE")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(id = "tls_key_file", long = "tls-key-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_IDENTITY__TLS__KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Authorities in PEM that make the certificates of callers. Without it none is asked for
    #[arg(id = "tls_ca_file", long = "tls-ca-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_IDENTITY__TLS__CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Refuse clients without a certificate, also those with a token [default: false]
    #[arg(id = "tls_require_client_certificate", long = "tls-require-client-certificate")]
    #[arg(env = "CLAVIGER_IDENTITY__TLS__REQUIRE_CLIENT_CERTIFICATE", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) require_client_certificate: Option<bool>,
}

/// TLS of auth: of its gRPC port, and as a client of identity.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS")]
pub(crate) struct AuthTls {
    /// Its certificate in PEM, and after it those that lead to an authority; read anew when it
    /// changes, as all these files are. It is shown to callers and to identity; without it gRPC is
    /// served in the clear
    #[arg(id = "tls_certificate_file", long = "tls-certificate-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_AUTH__TLS__CERTIFICATE_FILE")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(id = "tls_key_file", long = "tls-key-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_AUTH__TLS__KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Authorities in PEM that make the certificates of callers and of identity. Without it callers
    /// are asked for none, and identity's is made by an authority of the system
    #[arg(id = "tls_ca_file", long = "tls-ca-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_AUTH__TLS__CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Whom identity's certificate must name, spiffe://... or dns:HOST [default: the host of its URI]
    #[arg(id = "tls_server_name", long = "tls-server-name", value_name = "NAME")]
    #[arg(env = "CLAVIGER_AUTH__TLS__SERVER_NAME")]
    pub(crate) server_name: Option<String>,
    /// Refuse callers without a certificate, also those with a token [default: false]
    #[arg(id = "tls_require_client_certificate", long = "tls-require-client-certificate")]
    #[arg(env = "CLAVIGER_AUTH__TLS__REQUIRE_CLIENT_CERTIFICATE", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) require_client_certificate: Option<bool>,
}

/// TLS of the gateway as a client of auth and identity.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS to auth and identity")]
pub(crate) struct GatewayTls {
    /// Its certificate in PEM, which is shown to both, and after it those that lead to an authority;
    /// read anew when it changes, as all these files are
    #[arg(id = "tls_certificate_file", long = "tls-certificate-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__TLS__CERTIFICATE_FILE")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(id = "tls_key_file", long = "tls-key-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__TLS__KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Authorities in PEM that make their certificates [default: those of the system]
    #[arg(id = "tls_ca_file", long = "tls-ca-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__TLS__CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Whom auth's certificate must name, spiffe://... or dns:HOST [default: the host of its URI]
    #[arg(id = "tls_server_name", long = "tls-server-name", value_name = "NAME")]
    #[arg(env = "CLAVIGER_GATEWAY__TLS__SERVER_NAME")]
    pub(crate) server_name: Option<String>,
}

/// TLS of the gateway's S3 port.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS of the S3 port")]
pub(crate) struct S3Tls {
    /// Its certificate in PEM, for all names that it is reached by, and after it those that lead to an
    /// authority; read anew when it changes, as the key is. Without it S3 is served in the clear
    #[arg(id = "s3_tls_certificate_file", long = "s3-tls-certificate-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__S3_TLS__CERTIFICATE_FILE")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(id = "s3_tls_key_file", long = "s3-tls-key-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__S3_TLS__KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// TLS of the gateway's management port.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS of the management port")]
pub(crate) struct RestTls {
    /// As that of the S3 port; may be the same file
    #[arg(id = "rest_tls_certificate_file", long = "rest-tls-certificate-file")]
    #[arg(env = "CLAVIGER_GATEWAY__REST_TLS__CERTIFICATE_FILE", value_name = "FILE")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(id = "rest_tls_key_file", long = "rest-tls-key-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__REST_TLS__KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// What is set of TLS, wherever it is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// What stands before the names of settings: `identity.tls.` in a file, `--tls-` of a client.
    pub(crate) prefix: &'static str,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    pub(crate) require_client_certificate: bool,
}

impl From<&IdentityTls> for Tls {
    fn from(set: &IdentityTls) -> Self {
        let IdentityTls { certificate_file, key_file, ca_file, require_client_certificate } =
            set.clone();
        let require_client_certificate = require_client_certificate.unwrap_or_default();
        Self {
            prefix: "identity.tls.",
            certificate_file,
            key_file,
            ca_file,
            server_name: None,
            require_client_certificate,
        }
    }
}

impl From<&AuthTls> for Tls {
    fn from(set: &AuthTls) -> Self {
        let AuthTls { certificate_file, key_file, ca_file, server_name, .. } = set.clone();
        let require_client_certificate = set.require_client_certificate.unwrap_or_default();
        Self {
            prefix: "auth.tls.",
            certificate_file,
            key_file,
            ca_file,
            server_name,
            require_client_certificate,
        }
    }
}

impl From<&GatewayTls> for Tls {
    fn from(set: &GatewayTls) -> Self {
        let GatewayTls { certificate_file, key_file, ca_file, server_name } = set.clone();
        Self {
            prefix: "gateway.tls.",
            certificate_file,
            key_file,
            ca_file,
            server_name,
            require_client_certificate: false,
        }
    }
}

impl From<&S3Tls> for Tls {
    fn from(set: &S3Tls) -> Self {
        let S3Tls { certificate_file, key_file } = set.clone();
        Self { prefix: "gateway.s3_tls.", certificate_file, key_file, ..Self::default() }
    }
}

impl From<&RestTls> for Tls {
    fn from(set: &RestTls) -> Self {
        let RestTls { certificate_file, key_file } = set.clone();
        Self { prefix: "gateway.rest_tls.", certificate_file, key_file, ..Self::default() }
    }
}

impl Tls {
    /// Whether anything is set.
    pub(crate) fn is_set(&self) -> bool {
        self.certificate_file.is_some()
            || self.key_file.is_some()
            || self.ca_file.is_some()
            || self.server_name.is_some()
    }

    /// TLS of a server; none if it has no certificate.
    ///
    /// # Errors
    /// If what is set cannot be, or if a file is of no use.
    pub(crate) fn server(&self) -> anyhow::Result<Option<ServerTls>> {
        let Self { prefix, require_client_certificate, .. } = self;
        let require_client_certificate = *require_client_certificate;
        let certificate = self.certificate()?;
        if require_client_certificate {
            ensure!(
                self.ca_file.is_some() && certificate.is_some(),
                "{prefix}require_client_certificate needs {prefix}certificate_file and \
                 {prefix}ca_file"
            );
        }
        let Some(certificate) = certificate else { return Ok(None) };
        let client_authorities = self.ca_file.clone();
        let files = ServerTlsFiles { certificate, client_authorities, require_client_certificate };
        Ok(Some(ServerTls::load(files)?))
    }

    /// TLS of a server of HTTP; none if it has no certificate.
    ///
    /// # Errors
    /// If what is set cannot be, or if a file is of no use.
    pub(crate) fn https_server(&self) -> anyhow::Result<Option<HttpsServer>> {
        self.certificate()?.map(HttpsServer::load).transpose()
    }

    /// TLS of a client.
    ///
    /// # Errors
    /// If what is set cannot be, or if a file is of no use.
    pub(crate) fn client(&self) -> anyhow::Result<ClientTls> {
        let server_name = self.server_name.as_deref().map(|name| {
            let key = self.name("server_name");
            CertifiedName::parse(name).with_context(|| format!("{key}: {name}"))
        });
        ClientTls::load(ClientTlsFiles {
            authorities: self.ca_file.clone(),
            certificate: self.certificate()?,
            server_name: server_name.transpose()?,
        })
    }

    fn certificate(&self) -> anyhow::Result<Option<CertificateFiles>> {
        match (self.certificate_file.clone(), self.key_file.clone()) {
            (Some(chain), Some(key)) => Ok(Some(CertificateFiles { chain, key })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => bail!(
                "{} and {} go together: give both or neither",
                self.name("certificate_file"),
                self.name("key_file")
            ),
        }
    }

    /// A setting as it is spelled where it is set.
    pub(crate) fn name(&self, key: &str) -> String {
        let key = if self.prefix.starts_with('-') { key.replace('_', "-") } else { key.to_owned() };
        format!("{}{key}", self.prefix)
    }

    /// Reads a list of those who are known by certificates, which must then be asked for.
    ///
    /// # Errors
    /// If a name is of another form, or certificates are not asked for.
    pub(crate) fn names(
        &self,
        key: &str,
        list: Option<&[String]>,
    ) -> anyhow::Result<Vec<CertifiedName>> {
        let list = list.unwrap_or_default();
        ensure!(
            list.is_empty() || self.certificate_file.is_some() && self.ca_file.is_some(),
            "{key} needs {} and {}: clients are asked for no certificate without",
            self.name("certificate_file"),
            self.name("ca_file")
        );
        let parse =
            |name: &String| CertifiedName::parse(name).with_context(|| format!("{key}: {name}"));
        list.iter().map(parse).collect()
    }
}

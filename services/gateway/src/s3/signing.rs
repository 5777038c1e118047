//! Signing requests to the upstream with the upstream's own credential.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::error_xml::S3Error;
use super::headers;
use super::target::Target;
use crate::config::UpstreamKey;

/// Signs with the upstream's credential.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    authority: Authority,
    host: HeaderValue,
}

impl Signer {
    /// # Errors
    /// If the upstream's host cannot be written into a header.
    pub(crate) fn new(key: &UpstreamKey, authority: Authority) -> anyhow::Result<Self> {
        let (id, secret) = (&key.access_key_id, key.secret_access_key.as_str());
        Ok(Self {
            credentials: Credentials::new(id, secret, None, None, "claviger"),
            region: key.region.clone(),
            host: HeaderValue::from_str(authority.as_str())?,
            authority,
        })
    }

    /// Whose signatures it makes.
    pub(crate) fn access_key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// Adds `Host` and a signature to the headers of a request.
    ///
    /// Where the hash of `body` is known the upstream is told it, and so checks once more what it receives.
    ///
    /// # Errors
    /// `InvalidRequest` if a header to be signed is not UTF-8, which cannot be signed.
    pub(crate) fn sign(
        &self,
        method: &Method,
        target: &Target,
        headers: &mut HeaderMap,
        body: SignableBody<'_>,
    ) -> Result<(), S3Error> {
        let names: Vec<HeaderName> = headers.keys().filter(|name| signs(name)).cloned().collect();
        for name in &names {
            if let Some(value) = headers::joined(headers, name) {
                headers.insert(name, value);
            }
        }
        headers.insert(HOST, self.host.clone());
        let instructions = {
            let mut signed = vec![];
            for name in names.iter().chain([&HOST]) {
                let value = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
                let value = std::str::from_utf8(value)
                    .map_err(|_| S3Error::invalid_request("A header value is not UTF-8."))?;
                signed.push((name.as_str(), value));
            }
            self.instructions(method, target, signed, body).map_err(|error| {
                tracing::error!(error = &*error, "cannot sign for the upstream");
                S3Error::internal()
            })?
        };
        for (name, value) in instructions {
            headers.insert(name, value);
        }
        Ok(())
    }

    fn instructions(
        &self,
        method: &Method,
        target: &Target,
        signed: Vec<(&str, &str)>,
        body: SignableBody<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, crate::body::BoxError> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        // The signer takes the path as it is; the upstream will work out the canonical one.
        let mut uri = format!("http://{}{}", self.authority, target.canonical_path());
        if let Some(query) = target.onward.query() {
            uri.push('?');
            uri.push_str(query);
        }
        let request = SignableRequest::new(method.as_str(), uri, signed.into_iter(), body)?;
        let (instructions, _signature) = sign(request, &params)?.into_parts();
        let pairs = instructions
            .headers()
            .map(|(name, value)| Ok((HeaderName::try_from(name)?, HeaderValue::from_str(value)?)));
        pairs.collect()
    }
}

/// Whether the upstream must be able to rely on this header.
fn signs(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-") || name == "content-md5" || name == CONTENT_TYPE
}

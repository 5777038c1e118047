//! By what an upstream is told who asks: the gateway's own signature, or the client's name.

use aws_sigv4::http_request::SignableBody;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::{self, Upstream};
use crate::s3::{S3Error, Signer, Target};

const ACCOUNT: HeaderName = HeaderName::from_static("x-claviger-account");
const USER: HeaderName = HeaderName::from_static("x-claviger-user");
const ACCESS_KEY_ID: HeaderName = HeaderName::from_static("x-claviger-access-key-id");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What requests to an upstream bear.
#[derive(Debug)]
pub(crate) enum Access {
    /// A signature by the gateway's own credential there.
    Signature(Box<Signer>),
    /// The client's identity, in the clear: the upstream believes it.
    IdentityHeaders { host: HeaderValue },
}

/// Whom auth verified. Nobody of an anonymous request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) account_id: String,
    pub(crate) user_id: String,
    pub(crate) access_key_id: String,
}

impl Access {
    /// # Errors
    /// If the upstream's host cannot be written into a header.
    pub(crate) fn new(upstream: &Upstream, authority: &Authority) -> anyhow::Result<Self> {
        match &upstream.access {
            config::Access::Key(key) => {
                Ok(Self::Signature(Box::new(Signer::new(key, authority.clone())?)))
            }
            config::Access::IdentityHeaders => {
                Ok(Self::IdentityHeaders { host: HeaderValue::from_str(authority.as_str())? })
            }
        }
    }

    /// The gateway's access key there, if it has one.
    pub(crate) fn access_key_id(&self) -> Option<&str> {
        match self {
            Self::Signature(signer) => Some(signer.access_key_id()),
            Self::IdentityHeaders { .. } => None,
        }
    }

    /// Adds `Host`, and by what the upstream knows who asks, to the headers of a request, among which
    /// are none of these yet.
    ///
    /// # Errors
    /// `InvalidRequest` if a header to be signed is not UTF-8, which cannot be signed.
    pub(crate) fn prove(
        &self,
        method: &Method,
        target: &Target,
        headers: &mut HeaderMap,
        body: SignableBody<'_>,
        identity: &Identity,
    ) -> Result<(), S3Error> {
        let host = match self {
            Self::Signature(signer) => return signer.sign(method, target, headers, body),
            Self::IdentityHeaders { host } => host,
        };
        headers.insert(HOST, host.clone());
        let content = if let SignableBody::Precomputed(hash) = body {
            hash
        } else if let SignableBody::StreamingUnsignedPayloadTrailer = body {
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()
        } else {
            "UNSIGNED-PAYLOAD".to_owned()
        };
        for (name, value) in [
            (ACCOUNT, &identity.account_id),
            (USER, &identity.user_id),
            (ACCESS_KEY_ID, &identity.access_key_id),
            (CONTENT_SHA256, &content),
        ] {
            // An upstream must not take an empty name for somebody's.
            if !value.is_empty() {
                let value = HeaderValue::from_str(value).map_err(|_| S3Error::internal())?;
                headers.insert(name, value);
            }
        }
        Ok(())
    }
}

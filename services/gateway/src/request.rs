//! What the dialects have in common: bodies, what a client shows of itself, ids for sending again.

pub(crate) mod cross_origin;
pub(crate) mod json;
pub(crate) mod media_type;

use std::time::Duration;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::body::BoxBody;
use crate::identity::AdminToken;

/// The largest body that is read, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("The request's body is longer than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("The request's body broke off")]
    BrokenOff,
    #[error("The request's body did not arrive in time")]
    TooSlow,
}

/// Reads a whole body, of bounded size and in bounded time.
///
/// # Errors
/// [`BodyError`].
pub(crate) fn read(body: BoxBody) -> BoxFuture<'static, Result<Bytes, BodyError>> {
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect());
    // Behind a pointer, as the compiler cannot see through what awaits it that all of it is `Send`.
    Box::pin(read.map(|read| match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::BrokenOff),
        Err(_) => Err(BodyError::TooSlow),
    }))
}

/// What a client shows of itself in `Authorization`. What it is worth, auth and identity say.
#[derive(Debug)]
pub(crate) enum Shown {
    /// There is no such header.
    Nothing,
    /// A signature, of any kind.
    Signature,
    /// A login and a password.
    Password { login: String, password: Zeroizing<String> },
    /// A bearer token.
    Token(AdminToken),
    /// Something else, or several at once.
    Unknown,
}

impl Shown {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let value = match (shown.next(), shown.next()) {
            (None, _) => return Self::Nothing,
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Self::Unknown,
        };
        let Ok(value) = value.to_str() else { return Self::Unknown };
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Self::Token(AdminToken(Zeroizing::new(rest.to_owned())));
        }
        if scheme.eq_ignore_ascii_case("Basic") {
            return decode_basic(rest).unwrap_or(Self::Unknown);
        }
        if scheme.starts_with("AWS4-") || scheme.starts_with("OSC4-") {
            return Self::Signature;
        }
        Self::Unknown
    }
}

/// Decodes either base64 alphabet, as clients differ, with padding or without.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}

/// Login and password (RFC 7617).
fn decode_basic(text: &str) -> Option<Shown> {
    let decoded = Zeroizing::new(from_base64(text)?);
    let (login, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Shown::Password { login: login.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

/// The region and service that a request says it was signed for. What they are worth, auth says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Scope {
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Of `Authorization: AWS4-HMAC-SHA256 Credential=AKIA…/20260101/us-east-1/iam/aws4_request, …`; none
    /// where that cannot be read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let credential = authorization.split_once("Credential=")?.1;
        Self::of_credential(credential.split([',', ' ']).next()?)
    }

    /// Of a credential, such as `AKIA…/20260101/us-east-1/iam/aws4_request`; none where that cannot be read.
    pub(crate) fn of_credential(credential: &str) -> Option<Self> {
        let mut parts = credential.rsplit('/').skip(1);
        let (service, region) = (parts.next()?, parts.next()?);
        parts.nth(1)?;
        Some(Self { region: region.to_owned(), service: service.to_owned() })
    }
}

/// The id under which a creation may be sent again: what the client says, or else what AWS's SDKs say,
/// which have one for each call over all its retries. Empty if neither is said.
pub(crate) fn idempotency_id(headers: &HeaderMap) -> String {
    let said = ["idempotency-key", "amz-sdk-invocation-id"];
    let said = said.into_iter().find_map(|name| headers.get(name));
    let Some(said) = said.filter(|said| !said.is_empty()) else { return String::new() };
    let uuid = said.to_str().ok().and_then(|text| text.parse::<Uuid>().ok());
    // Of any other form, it stands for a UUID of its own.
    let uuid = uuid.unwrap_or_else(|| {
        let digest: [u8; 32] = Sha256::digest(said).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    });
    uuid.to_string()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn shown(value: &str) -> Shown {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a value"));
        Shown::of(&headers)
    }

    fn check_password(value: &str, expected: Option<(&str, &str)>) {
        let found = match shown(value) {
            Shown::Password { login, password } => Some((login, password.to_string())),
            Shown::Nothing | Shown::Signature | Shown::Token(_) | Shown::Unknown => None,
        };
        let found = found.as_ref().map(|(login, password)| (login.as_str(), password.as_str()));
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn passwords_are_read_in_both_alphabets() {
        check_password("Basic YWxpY2U6cGFzcw==", Some(("alice", "pass")));
        check_password("basic YWxpY2U6cGFzcw", Some(("alice", "pass")));
        check_password("Basic YTo/Pz4+", Some(("a", "??>>")));
        check_password("Basic YTo_Pz4-", Some(("a", "??>>")));
        check_password("Basic YTpiOmM=", Some(("a", "b:c")));
        check_password("Basic YTo_Pz4/", None);
        check_password("Basic YWxpY2U=", None);
        check_password("Basic", None);
        check_password("Basic /////w==", None);
    }

    #[test]
    fn what_a_client_shows_is_told_apart() {
        assert!(matches!(Shown::of(&HeaderMap::new()), Shown::Nothing));
        assert!(matches!(shown("AWS4-HMAC-SHA256 Credential=x"), Shown::Signature));
        assert!(matches!(shown("OSC4-HMAC-SHA256 Credential=x"), Shown::Signature));
        assert!(matches!(shown("Digest x"), Shown::Unknown));
        let Shown::Token(token) = shown("bearer  abc ") else { panic!("a token") };
        assert_eq!(token.0.as_str(), "abc");
        assert_eq!(format!("{token:?}"), "redacted");
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(matches!(Shown::of(&twice), Shown::Unknown));
    }
}

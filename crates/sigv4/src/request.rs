//! Authentication of a request up to the point where a key is needed.

use std::borrow::Cow;
use std::fmt;

use crate::asymmetric::{self, AsymmetricSignature, PublicKey};
use crate::authorization::Authorization;
use crate::bytes::text;
use crate::canonical::{CanonicalRequest, Path};
use crate::credential::{AccessKeyId, CREDENTIAL_BYTES_MAX, Scope};
use crate::date::Timestamp;
use crate::denial::Denial;
use crate::expected::{Dialect, EXPIRES_SECONDS_MAX, Expected, Scheme, check_dates};
use crate::head::Head;
use crate::key::{Signature, SigningKey};
use crate::mechanism::{Authentication, Headers, Mechanism, Parameters};
use crate::payload::PayloadMode;
use crate::percent;
use crate::region_set;
use crate::signed_headers::SignedHeaders;
use crate::spelling::Spelling;
use crate::string_to_sign::StringToSign;

pub(crate) const UNSIGNED_PAYLOAD: &[u8] = b"UNSIGNED-PAYLOAD";

/// Makes every check of a request that needs no key, in the order of S3.
///
/// What is left is to find the keys of [`SignedRequest::access_key_id`] and to ask
/// [`SignedRequest::is_signed_by`]. Until that is true nothing in the answer can be believed.
///
/// # Errors
/// The [`Denial`] to answer with. Only a later date can change it, and only for a request from the future.
pub fn authenticate<'a>(
    head: &'a Head<'a>,
    expected: &Expected<'a>,
) -> Result<SignedRequest<'a>, Denial> {
    // Made in one place and finished there: moving it takes a part of the time.
    let mut request = unresolved(head, expected);
    if let Ok(made) = &mut request
        && let Err(denial) = made.signed_headers.resolve(head, made.scope.spelling())
    {
        request = Err(denial);
    }
    request
}

/// Makes all checks but those of the list of signed headers, which come last.
fn unresolved<'a>(
    head: &'a Head<'a>,
    expected: &Expected<'a>,
) -> Result<SignedRequest<'a>, Denial> {
    let headers = Headers::find(head)?;
    match Authentication::of(head, &headers)? {
        Authentication::Header(value) => from_header(head, &headers, value, expected),
        Authentication::Query(parameters) => from_query(head, &headers, &parameters, expected),
    }
}

fn from_header<'a>(
    head: &'a Head<'a>,
    headers: &Headers<'a>,
    value: &'a [u8],
    expected: &Expected<'a>,
) -> Result<SignedRequest<'a>, Denial> {
    let mechanism = Mechanism::Header;
    let authorization = Authorization::parse(value, expected)?;
    let spelling = authorization.spelling;
    let scheme = if authorization.is_asymmetric {
        Scheme::Asymmetric { region_set: headers.region_set }
    } else {
        Scheme::Symmetric(spelling)
    };
    let (access_key_id, scope) =
        expected.check_credential(authorization.credential, mechanism, scheme)?;
    let timestamp = timestamp(headers, spelling)?;
    check_dates(scope.date(), timestamp, mechanism)?;
    expected.check_skew(timestamp)?;
    let payload = match expected.dialect {
        Dialect::General { body_sha256 } => body_sha256,
        Dialect::S3 => headers.content_sha256.ok_or_else(|| {
            let message = "Missing required header for this request: x-amz-content-sha256";
            Denial::invalid_request(message)
        })?,
    };
    Ok(SignedRequest {
        head,
        path: Path::of(expected),
        mechanism,
        access_key_id,
        scope,
        timestamp,
        expires_seconds: None,
        payload_mode: payload_mode(payload, &scope)?,
        payload,
        session_token: SessionToken::find(headers.security_token, None)?,
        signed_headers: SignedHeaders::new(authorization.signed_headers, mechanism),
        signature_text: authorization.signature,
        signature: symmetric_signature(authorization.signature, &scope),
    })
}

/// When a request says that it was signed, in the header of its spelling.
pub(crate) fn timestamp(headers: &Headers<'_>, spelling: Spelling) -> Result<Timestamp, Denial> {
    let (found, missing) = match (spelling, headers.x_amz_date, headers.date) {
        (Spelling::Osc4, _, _) => (
            headers.x_osc_date.and_then(Timestamp::parse),
            "OUTSCALE authentication requires a valid x-osc-date header",
        ),
        (Spelling::Aws4, x_amz_date, date) => (
            match x_amz_date {
                Some(value) => Timestamp::parse(value),
                None => date.and_then(Timestamp::parse_http_date),
            },
            "AWS authentication requires a valid Date or x-amz-date header",
        ),
    };
    found.ok_or_else(|| Denial::access_denied(missing))
}

fn from_query<'a>(
    head: &'a Head<'a>,
    headers: &Headers<'a>,
    parameters: &Parameters<'a>,
    expected: &Expected<'a>,
) -> Result<SignedRequest<'a>, Denial> {
    let mechanism = Mechanism::Query;
    let required = |parameter: Option<&'a [u8]>| {
        parameter.filter(|value| !value.is_empty()).ok_or_else(|| {
            mechanism.malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        })
    };
    let algorithm = required(parameters.algorithm)?;
    let credential = required(parameters.credential)?;
    let signature_text = required(parameters.signature)?;
    let date = required(parameters.date)?;
    let signed_headers = required(parameters.signed_headers)?;
    let expires = required(parameters.expires)?;
    let is_asymmetric = algorithm == asymmetric::ALGORITHM.as_bytes();
    if is_asymmetric && !expected.accepts_sigv4a {
        return Err(Denial::unsupported_mechanism());
    }
    if !is_asymmetric && algorithm != Spelling::Aws4.algorithm().as_bytes() {
        return Err(mechanism.malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let mut buffer = [0; CREDENTIAL_BYTES_MAX + 1]; // one more, so that what is cut is too long anyway
    let decoded = percent::decode(credential, &mut buffer);
    let mut set_buffer = [0; region_set::BYTES_MAX + 1]; // as above
    let scheme = if is_asymmetric {
        let region_set = region_set::of_query(headers, parameters, &mut set_buffer)?;
        Scheme::Asymmetric { region_set }
    } else {
        Scheme::Symmetric(Spelling::Aws4)
    };
    let (access_key_id, scope) = expected.check_credential(decoded, mechanism, scheme)?;
    let timestamp = Timestamp::parse(date).ok_or_else(|| {
        mechanism
            .malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    check_dates(scope.date(), timestamp, mechanism)?;
    let expires_seconds = expires_seconds(expires)?;
    expected.check_expiry(timestamp, expires_seconds)?;
    let payload = match (headers.content_sha256, parameters.content_sha256) {
        (Some(header), Some(parameter)) if header != parameter => {
            return Err(Denial::invalid_request(
                "The header and the query parameter x-amz-content-sha256 are not the same.",
            ));
        }
        (header, parameter) => match expected.dialect {
            Dialect::General { body_sha256 } => body_sha256,
            Dialect::S3 => header.or(parameter).unwrap_or(UNSIGNED_PAYLOAD),
        },
    };
    Ok(SignedRequest {
        head,
        path: Path::of(expected),
        mechanism,
        access_key_id: access_key_id.out_of(credential),
        scope,
        timestamp,
        expires_seconds: Some(expires_seconds),
        payload_mode: payload_mode(payload, &scope)?,
        payload,
        session_token: SessionToken::find(headers.security_token, parameters.security_token)?,
        signed_headers: SignedHeaders::new(signed_headers, mechanism),
        signature_text,
        signature: symmetric_signature(signature_text, &scope),
    })
}

/// The signature that a signing key can verify: none that can be right if it is of Version 4A, whatever it
/// looks like.
fn symmetric_signature(text: &[u8], scope: &Scope<'_>) -> Signature {
    Signature::from_hex(if scope.is_asymmetric() { b"" } else { text })
}

/// Reads the mode, which for a signature of Version 4A is none with chunks that a signing key signs.
fn payload_mode(value: &[u8], scope: &Scope<'_>) -> Result<PayloadMode, Denial> {
    let fits = |mode: &PayloadMode| match mode {
        PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer => !scope.is_asymmetric(),
        PayloadMode::Sha256(_) | PayloadMode::Unsigned | PayloadMode::UnsignedChunksTrailer => true,
    };
    PayloadMode::parse(value).filter(fits).ok_or_else(|| {
        let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                       STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER \
                       or a valid sha256 value.";
        Denial::invalid_argument(message, "x-amz-content-sha256", text(value))
    })
}

/// Reads `X-Amz-Expires`: decimal digits, 0 to [`EXPIRES_SECONDS_MAX`].
fn expires_seconds(value: &[u8]) -> Result<u32, Denial> {
    let malformed = |what: &str| Mechanism::Query.malformed(what);
    let (is_negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed("X-Amz-Expires should be a number"));
    }
    if is_negative {
        return Err(malformed("X-Amz-Expires must be non-negative"));
    }
    let seconds = digits.iter().fold(0_u32, |value, digit| {
        value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
    });
    if seconds > EXPIRES_SECONDS_MAX {
        return Err(malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must \
             be less than 604800 seconds",
        ));
    }
    Ok(seconds)
}

/// A session token as it was sent.
#[derive(Clone, Copy)]
struct SessionToken<'a> {
    text: &'a [u8],
    /// It stood in the query, so that it is percent-encoded.
    is_encoded: bool,
}

impl<'a> SessionToken<'a> {
    /// Finds the token, which may be a header or a parameter, not both, and is graphic ASCII.
    fn find(header: Option<&'a [u8]>, parameter: Option<&'a [u8]>) -> Result<Option<Self>, Denial> {
        let token = match (header, parameter) {
            (None, None) => return Ok(None),
            (Some(text), None) => Self { text, is_encoded: false },
            (None, Some(text)) => Self { text, is_encoded: true },
            (Some(_), Some(_)) => return Err(Denial::invalid_token()),
        };
        let is_token = |byte: u8| byte.is_ascii_graphic();
        let is_valid = if token.is_encoded {
            percent::decoded(token.text).all(is_token)
        } else {
            token.text.iter().copied().all(is_token)
        };
        if is_valid { Ok(Some(token)) } else { Err(Denial::invalid_token()) }
    }

    fn decode(self) -> Cow<'a, str> {
        match std::str::from_utf8(self.text) {
            Ok(text) if !self.is_encoded || !text.contains(['%', '+']) => Cow::Borrowed(text),
            Ok(_) | Err(_) => Cow::Owned(percent::decoded(self.text).map(char::from).collect()),
        }
    }
}

/// A request that says who signed it and is fit to be verified.
///
/// Borrows the head. Allocates nothing, but for an access key ID that came percent-encoded in a query.
#[derive(Clone)]
pub struct SignedRequest<'a> {
    head: &'a Head<'a>,
    path: Path,
    mechanism: Mechanism,
    access_key_id: AccessKeyId<'a>,
    scope: Scope<'a>,
    timestamp: Timestamp,
    expires_seconds: Option<u32>,
    payload_mode: PayloadMode,
    payload: &'a [u8],
    session_token: Option<SessionToken<'a>>,
    signed_headers: SignedHeaders<'a>,
    signature_text: &'a [u8],
    signature: Signature,
}

impl<'a> SignedRequest<'a> {
    /// Who claims to have signed: 1 to 128 graphic ASCII characters without a comma.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.as_str()
    }

    /// Day, region and service of the signing key; the latter two are the expected ones.
    #[must_use]
    pub fn scope(&self) -> &Scope<'a> {
        &self.scope
    }

    /// When the request says that it was signed.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Whether the signature stands in the query: a presigned URL, which others may send for the signer.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.mechanism == Mechanism::Query
    }

    /// When a presigned URL ends, in seconds since 1970-01-01T00:00:00Z: good before, not at, this instant.
    #[must_use]
    pub fn expires_at_unix_seconds(&self) -> Option<i64> {
        self.expires_seconds.map(|seconds| self.timestamp.unix_seconds() + i64::from(seconds))
    }

    /// What whoever reads the body must hold it to.
    #[must_use]
    pub fn payload_mode(&self) -> PayloadMode {
        self.payload_mode
    }

    /// The names of the signed headers, in lower case, sorted. Other headers may be anyone's.
    pub fn signed_headers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        // Tokens, so that they are ASCII.
        self.signed_headers.names().map(|name| std::str::from_utf8(name).unwrap_or_default())
    }

    /// The session token of a temporary credential: signed with the rest, not checked here.
    ///
    /// Allocates only for a token that came percent-encoded in a query.
    #[must_use]
    pub fn session_token(&self) -> Option<Cow<'a, str>> {
        self.session_token.map(SessionToken::decode)
    }

    /// The signature that the client sent; the first one of an `aws-chunked` body builds on it. Of Version 4A
    /// it is [`SignedRequest::asymmetric_signature`], and this one matches nothing.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The text that the client must have signed. Hashes the canonical request; allocates nothing.
    #[must_use]
    pub fn string_to_sign(&self) -> StringToSign {
        StringToSign::new(self.timestamp, &self.scope, &self.canonical().sha256())
    }

    /// Whether the client's signature is that of this key, in constant time.
    ///
    /// To try several keys, make the [`SignedRequest::string_to_sign`] once and use [`SigningKey::verify`].
    #[must_use]
    pub fn is_signed_by(&self, key: &SigningKey) -> bool {
        key.verify(&self.string_to_sign(), &self.signature)
    }

    /// The signature of Version 4A that the client sent, if it is one.
    #[must_use]
    pub fn asymmetric_signature(&self) -> Option<AsymmetricSignature> {
        let is_asymmetric = self.scope.is_asymmetric();
        is_asymmetric.then(|| AsymmetricSignature::from_hex(self.signature_text))
    }

    /// Whether the client's signature is of Version 4A and one of the private key that belongs to `key`.
    #[must_use]
    pub fn is_signed_for(&self, key: &PublicKey) -> bool {
        let signature = self.asymmetric_signature();
        signature.is_some_and(|signature| key.verify(&self.string_to_sign(), &signature))
    }

    /// The canonical request, for diagnostics: allocates.
    #[must_use]
    pub fn canonical_request(&self) -> Vec<u8> {
        self.canonical().to_vec()
    }

    /// 403 `SignatureDoesNotMatch` with the six elements by which a client can find its mistake.
    ///
    /// All of them are text of the client's own; the signature that would have been right is not there.
    #[must_use]
    pub fn signature_does_not_match(&self) -> Denial {
        let string_to_sign = self.string_to_sign();
        let canonical_request = self.canonical_request();
        Denial::signature_does_not_match()
            .with("AWSAccessKeyId", self.access_key_id())
            .with("StringToSign", text(string_to_sign.as_bytes()))
            .with("SignatureProvided", text(self.signature_text))
            .with("StringToSignBytes", octets(string_to_sign.as_bytes()))
            .with("CanonicalRequest", text(&canonical_request))
            .with("CanonicalRequestBytes", octets(&canonical_request))
    }

    /// What of the body is signed.
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The same with the path written in another way.
    pub(crate) fn with_path(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// The same with something else signed of the body.
    pub(crate) fn with_payload<'b>(self, payload: &'b [u8]) -> SignedRequest<'b>
    where
        'a: 'b,
    {
        SignedRequest { payload, ..self }
    }

    fn canonical(&self) -> CanonicalRequest<'_, 'a> {
        CanonicalRequest {
            head: self.head,
            path: self.path,
            signed_headers: &self.signed_headers,
            payload: self.payload,
            presigned: self.is_presigned(),
        }
    }
}

/// Leaves out signature and session token, which are as good as a password while they last.
impl fmt::Debug for SignedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("access_key_id", &self.access_key_id())
            .field("scope", &self.scope)
            .field("timestamp", &self.timestamp)
            .field("expires_seconds", &self.expires_seconds)
            .field("payload_mode", &self.payload_mode)
            .field("head", self.head)
            .finish_non_exhaustive()
    }
}

/// Lower-case hexadecimal octets with spaces between, as S3 shows texts byte by byte.
pub(crate) fn octets(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    text
}

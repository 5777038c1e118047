//! Signature Version 2 of S3, by which old clients still sign: HMAC-SHA-1 with the secret access key itself, over
//! parts of the request.
//!
//! Neither the host nor the body is signed, nor a day or a region; who verifies needs the secret. Source: Amazon S3
//! developer guide, "Signing and authenticating REST requests" and "Query string request authentication alternative".

mod query;
mod received;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::bytes::text;
use crate::credential::AccessKeyId;
use crate::date::Timestamp;
use crate::denial::Denial;
use crate::expected::{EXPIRES_SECONDS_MAX, Expected};
use crate::head::Head;
use crate::mechanism::{Headers, Mechanism, Parameters};
use crate::payload::PayloadMode;
use crate::request::octets;
use query::{Query, unescaped};
pub use received::parse_version_2;

/// Makes every check of a request signed by Version 2 that needs no key. `bucket` is the one that the host names, if
/// it names one: it is signed before the path. `None` if the request is signed in another way, in several, or not at
/// all, which is for [`authenticate`](crate::authenticate) to judge.
///
/// # Errors
/// The [`Denial`] to answer with. Only a later date can change it, and only for a request from the future.
pub fn authenticate_version_2(
    head: &Head<'_>,
    expected: &Expected<'_>,
    bucket: Option<&str>,
) -> Option<Result<SignedVersion2, Denial>> {
    let headers = Headers::find(head).ok()?;
    let parameters = Parameters::find(head);
    let is_query = parameters.has_version_2;
    let credential = match (headers.authorization, parameters.has_version_4(), is_query) {
        (Some(value), false, false) => Some(value.strip_prefix(b"AWS ")?),
        (None, false, true) => None,
        _ => return None,
    };
    let query = match Query::read(head, is_query) {
        Ok(query) => query,
        Err(denial) => return Some(Err(denial)),
    };
    Some(match credential {
        Some(credential) => from_header(head, &headers, credential, query, expected, bucket),
        None => from_query(head, &headers, query, expected, bucket),
    })
}

fn from_header(
    head: &Head<'_>,
    headers: &Headers<'_>,
    credential: &[u8],
    query: Query<'_>,
    expected: &Expected<'_>,
    bucket: Option<&str>,
) -> Result<SignedVersion2, Denial> {
    let colon = credential.iter().rposition(|byte| *byte == b':');
    let parts = colon.and_then(|colon| {
        Some((AccessKeyId::parse(&credential[..colon])?, &credential[colon + 1..]))
    });
    let (access_key_id, signature) = parts.ok_or_else(|| {
        let message = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature";
        Denial::invalid_argument(message, "Authorization", "AWS".to_owned())
    })?;
    let (date, line) = match (headers.x_amz_date, headers.date) {
        (Some(date), _) => (Some(date), &b""[..]),
        (None, date) => (date, date.unwrap_or_default()),
    };
    let timestamp = date.and_then(Timestamp::parse_http_date).ok_or_else(|| {
        Denial::access_denied("AWS authentication requires a valid Date or x-amz-date header")
    })?;
    expected.check_skew(timestamp)?;
    finish(head, headers, query, bucket, line, access_key_id, signature, Some(timestamp))
}

fn from_query(
    head: &Head<'_>,
    headers: &Headers<'_>,
    query: Query<'_>,
    expected: &Expected<'_>,
    bucket: Option<&str>,
) -> Result<SignedVersion2, Denial> {
    let malformed = |what: &str| Mechanism::Query.malformed(what);
    let required = |value: Option<&[u8]>| {
        value.map(unescaped).filter(|value| !value.is_empty()).ok_or_else(|| {
            malformed(
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId \
                 parameters",
            )
        })
    };
    let id = required(query.access_key_id)?;
    let (signature, expires) = (required(query.signature)?, required(query.expires)?);
    let id = AccessKeyId::parse(&id).ok_or_else(|| malformed("AWSAccessKeyId is mal-formed"))?;
    check_end(&expires, expected)?;
    finish(head, headers, query, bucket, &expires, id, &signature, None)
}

/// Checks the end of a presigned URL: seconds since 1970, in decimal digits, ahead, and by a week at most.
fn check_end(expires: &[u8], expected: &Expected<'_>) -> Result<(), Denial> {
    let malformed = |what: &str| Mechanism::Query.malformed(what);
    let is_number = (1..=18).contains(&expires.len()) && expires.iter().all(u8::is_ascii_digit);
    let number = text(expires).parse::<i64>().ok().filter(|_| is_number);
    let end = number.ok_or_else(|| malformed("Expires must be a number of seconds since 1970"))?;
    let now = expected.now_unix_seconds;
    if now >= end {
        return Err(Denial::access_denied("Request has expired")
            .with("Expires", Timestamp::from_unix_seconds(end).to_extended())
            .with("ServerTime", expected.server_time()));
    }
    if end - now > i64::from(EXPIRES_SECONDS_MAX) {
        return Err(malformed("Expires must be at most a week (604800 seconds) ahead"));
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "what both ways have found out")]
fn finish(
    head: &Head<'_>,
    headers: &Headers<'_>,
    query: Query<'_>,
    bucket: Option<&str>,
    date: &[u8],
    access_key_id: AccessKeyId<'_>,
    signature: &[u8],
    timestamp: Option<Timestamp>,
) -> Result<SignedVersion2, Denial> {
    let payload_mode = match headers.content_sha256.map(PayloadMode::parse) {
        None => PayloadMode::Unsigned,
        Some(Some(mode @ (PayloadMode::Sha256(_) | PayloadMode::Unsigned))) => mode,
        Some(_) => {
            let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.";
            return Err(Denial::invalid_request(message));
        }
    };
    let mut signed_headers = Vec::new();
    let mut once = |name: &str| -> Result<&[u8], Denial> {
        let mut found =
            head.headers().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let value = found.next();
        if found.next().is_some() {
            let message = format!("The header '{name}' was given more than once.");
            return Err(Denial::invalid_request(message));
        }
        signed_headers.extend(value.map(|_| name.to_owned()));
        Ok(value.unwrap_or_default().1)
    };
    let (md5, content_type) = (once("content-md5")?, once("content-type")?);
    let mut string_to_sign = [head.method(), md5, content_type, date, b""].join(&b'\n');
    if timestamp.is_some() && headers.x_amz_date.is_none() {
        signed_headers.push("date".to_owned());
    }
    let is_amz = |name: &[u8]| name.len() > 6 && name[..6].eq_ignore_ascii_case(b"x-amz-");
    let amz = head.headers().filter(|(name, _)| is_amz(name));
    let mut amz: Vec<_> = amz.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    amz.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: values of one name stay in their order
    for same in amz.chunk_by(|(a, _), (b, _)| a == b) {
        let values: Vec<_> = same.iter().map(|(_, value)| *value).collect();
        let name = &same[0].0;
        string_to_sign.extend([name, &b":"[..], &values.join(&b','), b"\n"].concat());
        signed_headers.push(text(name));
    }
    if let Some(bucket) = bucket {
        string_to_sign.extend([b"/", bucket.as_bytes()].concat());
    }
    string_to_sign.extend(head.path());
    query.write(&mut string_to_sign);
    signed_headers.sort();
    Ok(SignedVersion2 {
        access_key_id: access_key_id.to_owned(),
        string_to_sign,
        signature_text: text(signature),
        signature: BASE64.decode(signature).ok().and_then(|bytes| bytes.try_into().ok()),
        timestamp,
        payload_mode,
        has_session_token: headers.security_token.is_some() || query.has_session_token,
        signed_headers,
    })
}

/// A request that says who signed it by Version 2 and is fit to be verified.
#[derive(Clone)]
pub struct SignedVersion2 {
    access_key_id: AccessKeyId<'static>,
    string_to_sign: Vec<u8>,
    signature_text: String,
    signature: Option<[u8; 20]>,
    timestamp: Option<Timestamp>,
    payload_mode: PayloadMode,
    has_session_token: bool,
    signed_headers: Vec<String>,
}

impl SignedVersion2 {
    /// Who claims to have signed: 1 to 128 graphic ASCII characters without a comma.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.as_str()
    }

    /// The text that the client must have signed, for [`verify_version_2`]. No longer than its head and bucket.
    #[must_use]
    pub fn string_to_sign(&self) -> &[u8] {
        &self.string_to_sign
    }

    /// The signature that the client sent; `None` if it is not the Base64 of 20 bytes, which no secret verifies.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8; 20]> {
        self.signature.as_ref()
    }

    /// When the request says that it was signed: a presigned URL does not.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// Whether the signature stands in the query: a presigned URL, which others may send for the signer.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.timestamp.is_none()
    }

    /// What whoever reads the body must hold it to.
    #[must_use]
    pub fn payload_mode(&self) -> PayloadMode {
        self.payload_mode
    }

    /// Whether there is the session token of a temporary credential: signed with the rest, not checked here.
    #[must_use]
    pub fn has_session_token(&self) -> bool {
        self.has_session_token
    }

    /// The names of the signed headers, in lower case, sorted. Not `host`: other headers may be anyone's.
    #[must_use]
    pub fn signed_headers(&self) -> &[String] {
        &self.signed_headers
    }

    /// 403 `SignatureDoesNotMatch` with the elements by which a client can find its mistake, all of them its own text.
    #[must_use]
    pub fn signature_does_not_match(&self) -> Denial {
        Denial::signature_does_not_match()
            .with("AWSAccessKeyId", self.access_key_id())
            .with("StringToSign", text(&self.string_to_sign))
            .with("SignatureProvided", self.signature_text.clone())
            .with("StringToSignBytes", octets(&self.string_to_sign))
    }
}

/// Leaves out the signature, which is as good as a password while it lasts.
impl fmt::Debug for SignedVersion2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedVersion2")
            .field("access_key_id", &self.access_key_id())
            .field("string_to_sign", &text(&self.string_to_sign))
            .finish_non_exhaustive()
    }
}

/// Whether `signature` is that of `string_to_sign` by this secret access key, in constant time.
#[must_use]
pub fn verify_version_2(secret: &[u8], string_to_sign: &[u8], signature: &[u8; 20]) -> bool {
    // A key of any length is one.
    Hmac::<Sha1>::new_from_slice(secret)
        .is_ok_and(|mac| mac.chain_update(string_to_sign).verify(signature.into()).is_ok())
}

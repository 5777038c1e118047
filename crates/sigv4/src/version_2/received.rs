//! A string to sign of Version 2 that someone else made of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{SignedVersion2, check_end};
use crate::bytes::text;
use crate::credential::AccessKeyId;
use crate::date::Timestamp;
use crate::denial::{Denial, ErrorCode};
use crate::expected::{EXPIRES_SECONDS_MAX, Expected};
use crate::payload::PayloadMode;

/// Makes every check of a string to sign of Version 2 that needs no key: its form, and its date. That it is the string
/// of the request, whose query may have parameters that are not signed, is for whoever made it to know.
///
/// A text that ends by itself, as a presigned URL does, is held to its end. Any other is held to the 15 minutes that a
/// request may take, or to `expires_seconds` (at most [`EXPIRES_SECONDS_MAX`]) in their place.
///
/// # Errors
/// The [`Denial`] to answer with. Only a later date can change it, and only for a text from the future.
pub fn parse_version_2(
    access_key_id: &str,
    string_to_sign: &[u8],
    signature: &str,
    expected: &Expected<'_>,
    expires_seconds: Option<u32>,
) -> Result<SignedVersion2, Denial> {
    let malformed = |what: &str| {
        let message = format!("The authorization header is malformed; {what}");
        Denial::new(ErrorCode::AuthorizationHeaderMalformed, message)
    };
    let access_key_id = AccessKeyId::parse(access_key_id.as_bytes())
        .ok_or_else(|| malformed("the access key ID is mal-formed."))?;
    let lines = Lines::read(string_to_sign)
        .ok_or_else(|| malformed("the string to sign is not that of Signature Version 2."))?;
    let ends = !lines.date.is_empty() && lines.date.iter().all(u8::is_ascii_digit);
    let timestamp = if ends {
        check_end(lines.date, expected)?;
        None
    } else {
        let date = lines.x_amz_date.unwrap_or(lines.date);
        let timestamp = Timestamp::parse_http_date(date).ok_or_else(|| {
            Denial::access_denied("AWS authentication requires a valid Date or x-amz-date header")
        })?;
        match expires_seconds {
            None => expected.check_skew(timestamp)?,
            Some(seconds) => {
                expected.check_expiry(timestamp, seconds.min(EXPIRES_SECONDS_MAX))?;
            }
        }
        Some(timestamp)
    };
    Ok(SignedVersion2 {
        access_key_id: access_key_id.to_owned(),
        string_to_sign: string_to_sign.to_vec(),
        signature_text: signature.to_owned(),
        signature: BASE64.decode(signature).ok().and_then(|bytes| bytes.try_into().ok()),
        timestamp,
        payload_mode: PayloadMode::Unsigned,
        has_session_token: lines.has_session_token,
        signed_headers: lines.names.into_iter().map(text).collect(),
    })
}

/// What is read of a text.
struct Lines<'a> {
    date: &'a [u8],
    x_amz_date: Option<&'a [u8]>,
    has_session_token: bool,
    /// Of the headers of S3.
    names: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    /// Method, MD5, type and date, a line each; a line for each header of S3; and the resource, which has none behind
    /// it. `None` for any other text: a text may be signed by Version 2 that is no request's, such as a policy.
    fn read(string_to_sign: &'a [u8]) -> Option<Self> {
        let mut lines = string_to_sign.split(|byte| *byte == b'\n');
        let method = lines.next()?;
        let is_method =
            (1..=16).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
        let date = lines.nth(2).filter(|_| is_method)?;
        let mut read = Self { date, x_amz_date: None, has_session_token: false, names: vec![] };
        for line in lines.by_ref() {
            if line.first() == Some(&b'/') {
                return lines.next().is_none().then_some(read);
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let is_after = read.names.last().is_none_or(|last| *last < name);
            if !name.starts_with(b"x-amz-") || !is_after {
                return None;
            }
            match name {
                b"x-amz-date" => read.x_amz_date = Some(value),
                b"x-amz-security-token" => read.has_session_token = true,
                _ => {}
            }
            read.names.push(name);
        }
        None
    }
}

//! What a client says that it signed: in an Authorization header, or in a presigned URL.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use sigv4::{AUTHORIZATION_BYTES_MAX, Denial, EXPIRES_SECONDS_MAX, ErrorCode};

use super::has_session_token;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// As of a request target.
const URL_BYTES_MAX: usize = 16 << 10;

/// Who is said to have signed, and what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claimed<'a> {
    pub(super) access_key_id: &'a str,
    /// `{date}/{region}/{service}/aws4_request`.
    scope: &'a str,
    signed_headers: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Claimed<'a> {
    /// Takes the header's value apart, one that RGW made of a presigned URL as well.
    ///
    /// # Errors
    /// As S3 refuses it.
    pub(super) fn of_header(header: &'a str) -> Result<Self, Denial> {
        if header.is_empty() {
            return Err(Denial::access_denied("Access Denied"));
        }
        if header.len() > AUTHORIZATION_BYTES_MAX {
            return Err(malformed("it is longer than 8192 bytes."));
        }
        let (scheme, components) = header.split_once(' ').unwrap_or((header, ""));
        if scheme != ALGORITHM {
            return Err(unsupported());
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for component in components.split(',').map(str::trim) {
            let (name, value) = component.split_once('=').unwrap_or((component, ""));
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed("a component of it is not known.")),
            };
            if value.is_empty() || slot.replace(value).is_some() {
                return Err(malformed("each component must be there once."));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(malformed("a component is missing."));
        };
        Self::of(credential, signed_headers, signature)
    }

    fn of(
        credential: &'a str,
        signed_headers: &'a str,
        signature: &'a str,
    ) -> Result<Self, Denial> {
        // An access key ID may hold a slash.
        let slash = credential.rmatch_indices('/').nth(3).map(|(at, _)| at);
        let slash = slash.ok_or_else(|| malformed("the Credential is mal-formed."))?;
        let (access_key_id, scope) = (&credential[..slash], &credential[slash + 1..]);
        Ok(Self { access_key_id, scope, signed_headers, signature })
    }

    /// The same, if its scope is that of the string to sign: one key would be asked about, and another used.
    pub(super) fn of_scope_in(self, string_to_sign: &str) -> Result<Self, Denial> {
        // What is no string to sign is refused for that.
        match string_to_sign.split('\n').nth(2) {
            Some(scope) if scope != self.scope => {
                Err(malformed("its scope is not that of the string to sign."))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// The same, if everything was signed that must be, as far as the caller tells.
    pub(super) fn covers(
        self,
        headers: &HashMap<String, String>,
        is_presigned: bool,
    ) -> Result<Self, Denial> {
        if has_session_token(headers) {
            return Err(Denial::invalid_token());
        }
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let is_left_out = |name: &String| {
            name.starts_with("x-amz-")
                && !is_signed(name)
                // RGW takes what it says of the body from the header of a presigned request, too.
                && !(is_presigned && name == "x-amz-content-sha256")
        };
        let names = headers.keys().map(|name| name.to_ascii_lowercase());
        let mut left_out: Vec<_> = names.filter(is_left_out).collect();
        if !is_signed("host") {
            left_out.push("host".into());
        }
        if left_out.is_empty() {
            return Ok(self);
        }
        left_out.sort();
        let message = "There were headers present in the request which were not signed";
        Err(Denial::access_denied(message).with("HeadersNotSigned", left_out.join(", ")))
    }
}

/// What a presigned URL says of its signature, decoded.
#[derive(Clone, Debug)]
pub(super) struct Presigned<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    expires_seconds: u32,
}

impl<'a> Presigned<'a> {
    /// # Errors
    /// As S3 refuses it.
    pub(super) fn parse(url: &'a str) -> Result<Self, Denial> {
        if url.len() > URL_BYTES_MAX {
            return Err(Denial::new(ErrorCode::InvalidUri, "Couldn't parse the specified URI."));
        }
        let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        let (mut found, mut version_2) = ([const { None }; 5], false);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match &*decode(name)? {
                "X-Amz-Algorithm" => 0,
                "X-Amz-Credential" => 1,
                "X-Amz-SignedHeaders" => 2,
                "X-Amz-Signature" => 3,
                "X-Amz-Expires" => 4,
                "X-Amz-Security-Token" => return Err(Denial::invalid_token()),
                "AWSAccessKeyId" => {
                    version_2 = true;
                    continue;
                }
                _ => continue,
            };
            if found[slot].replace(decode(value)?).is_some() {
                return Err(malformed_query("each parameter must be given once."));
            }
        }
        let [algorithm, credential, signed_headers, signature, expires] = found;
        match algorithm.as_deref() {
            Some(ALGORITHM) => {}
            Some(_) => return Err(unsupported()),
            None if version_2 => return Err(unsupported()),
            None => return Err(Denial::access_denied("Access Denied")),
        }
        let missing = || malformed_query("a parameter is missing.");
        let expires: u32 = expires
            .ok_or_else(missing)?
            .parse()
            .map_err(|_| malformed_query("X-Amz-Expires should be a number"))?;
        if expires > EXPIRES_SECONDS_MAX {
            let message = "X-Amz-Expires must be less than a week (in seconds)";
            return Err(Denial::new(ErrorCode::AuthorizationQueryParametersError, message));
        }
        Ok(Self {
            credential: credential.ok_or_else(missing)?,
            signed_headers: signed_headers.ok_or_else(missing)?,
            signature: signature.ok_or_else(missing)?,
            expires_seconds: expires,
        })
    }

    pub(super) fn claimed(&self) -> Result<Claimed<'_>, Denial> {
        Claimed::of(&self.credential, &self.signed_headers, &self.signature)
    }

    /// For how long it is good, 0 to 604800 seconds.
    pub(super) fn expires_seconds(&self) -> u32 {
        self.expires_seconds
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Denial> {
    percent_decode_str(text).decode_utf8().map_err(|_| malformed_query("it is not UTF-8."))
}

fn malformed(what: &str) -> Denial {
    let message = format!("The authorization header is malformed; {what}");
    Denial::new(ErrorCode::AuthorizationHeaderMalformed, message)
}

fn malformed_query(what: &str) -> Denial {
    let message = format!("The authorization query parameters are malformed; {what}");
    Denial::new(ErrorCode::AuthorizationQueryParametersError, message)
}

fn unsupported() -> Denial {
    let message = "The authorization mechanism you have provided is not supported. Please use \
                   AWS4-HMAC-SHA256.";
    Denial::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "20260301/us-east-1/s3/aws4_request";

    #[test]
    fn a_header_is_taken_apart_or_refused() {
        let check = |header: &str, expected: Result<(&str, &str), ErrorCode>| {
            let claimed = Claimed::of_header(header).map(|c| (c.access_key_id, c.signature));
            assert_eq!(claimed.map_err(|denial| denial.code), expected, "{header}");
        };
        let header = |credential: &str, rest: &str| {
            format!("AWS4-HMAC-SHA256 Credential={credential}{rest}")
        };
        let rest = ",SignedHeaders=host,Signature=00";
        check(&header(&format!("AK/{SCOPE}"), rest), Ok(("AK", "00")));
        check(&header(&format!("A/K/{SCOPE}"), rest), Ok(("A/K", "00")));
        check(
            &header(&format!("AK/{SCOPE}"), ", Signature=00 , SignedHeaders=host"),
            Ok(("AK", "00")),
        );
        check("", Err(ErrorCode::AccessDenied));
        check("AWS AK:c2ln", Err(ErrorCode::InvalidRequest));
        check("Bearer x", Err(ErrorCode::InvalidRequest));
        for bad in [
            header("AK/s3/aws4_request", rest),
            header(&format!("AK/{SCOPE}"), ",SignedHeaders=host"),
            header(&format!("AK/{SCOPE}"), ",SignedHeaders=host,Signature="),
            header(&format!("AK/{SCOPE}"), &format!("{rest},Signature=00")),
            header(&format!("AK/{SCOPE}"), &format!("{rest},More=00")),
            format!("AWS4-HMAC-SHA256 {}", "x".repeat(AUTHORIZATION_BYTES_MAX)),
        ] {
            check(&bad, Err(ErrorCode::AuthorizationHeaderMalformed));
        }
    }

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        let url = |query: &str| {
            format!(
                "https://s3.example.com/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
                 AK%2F20260301%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-SignedHeaders=host{query}"
            )
        };
        let check = |url: &str, expected: Result<u32, ErrorCode>| {
            let found = Presigned::parse(url).and_then(|url| {
                assert_eq!(url.claimed()?.scope, SCOPE);
                Ok(url.expires_seconds())
            });
            assert_eq!(found.map_err(|denial| denial.code), expected, "{url}");
        };
        let query = ErrorCode::AuthorizationQueryParametersError;
        check(&url("&X-Amz-Signature=00&X-Amz-Expires=60"), Ok(60));
        check(&url("&X-Amz-Expires=60"), Err(query));
        check(&url("&X-Amz-Signature=00&X-Amz-Expires=604801"), Err(query));
        check(&url("&X-Amz-Signature=00&X-Amz-Expires=x"), Err(query));
        check(&url("&X-Amz-Signature=00&X-Amz-Signature=00&X-Amz-Expires=60"), Err(query));
        let token = url("&X-Amz-Signature=00&X-Amz-Expires=60&X-Amz-Security-Token=x");
        check(&token, Err(ErrorCode::InvalidToken));
        check("https://s3.example.com/b/k?AWSAccessKeyId=AK", Err(ErrorCode::InvalidRequest));
        check("https://s3.example.com/b/k", Err(ErrorCode::AccessDenied));
    }

    #[test]
    fn what_must_be_signed_must_be_signed() {
        let check = |signed: &str, names: &[&str], is_presigned, expected: Option<ErrorCode>| {
            let header = format!(
                "AWS4-HMAC-SHA256 Credential=AK/{SCOPE}, SignedHeaders={signed}, Signature=00"
            );
            let names = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
            let covered = Claimed::of_header(&header).expect("whole").covers(&names, is_presigned);
            assert_eq!(covered.err().map(|denial| denial.code), expected, "{header}");
        };
        let denied = Some(ErrorCode::AccessDenied);
        check("host", &[], false, None);
        check("host;x-amz-date", &["x-amz-date"], false, None);
        check("x-amz-date", &["x-amz-date"], false, denied);
        check("host;x-amz-date", &["x-amz-date", "X-Amz-Acl"], false, denied);
        check("host", &["x-amz-content-sha256"], false, denied);
        check("host", &["x-amz-content-sha256"], true, None);
        check(
            "host;x-amz-security-token",
            &["x-amz-security-token"],
            false,
            Some(ErrorCode::InvalidToken),
        );
    }
}

//! What a request is for: the target as it was sent and verified, and as it goes on.

use std::fmt::Write;

use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode, Uri};

use super::error_xml::S3Error;

/// The most bytes of a target: S3 keys have 1,024 bytes, thrice that when escaped.
const TARGET_BYTES_MAX: usize = 16 << 10;

/// Query parameters that authenticate the client to us, and so are none of the upstream's business.
const AUTHENTICATION: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Path and query of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// As sent: what is verified.
    pub(crate) sent: PathAndQuery,
    /// The same bytes less the client's authentication: what goes to the upstream.
    pub(crate) onward: PathAndQuery,
}

impl Target {
    /// Takes the target of a request with these headers.
    ///
    /// # Errors
    /// `InvalidURI` for what is no origin-form or absolute-form target of the very host that the
    /// `Host` header names, or holds what is not UTF-8; `KeyTooLongError`; `InvalidRequest` if there
    /// is not exactly one `Host` header (RFC 9112 section 3.2).
    pub(crate) fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, S3Error> {
        let mut hosts = headers.get_all(http::header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(S3Error::invalid_request("A request has exactly one Host header."));
        };
        let same = |authority: &str| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes());
        if uri.authority().is_some_and(|authority| !same(authority.as_str())) {
            return Err(S3Error::invalid_uri());
        }
        let sent = uri.path_and_query().ok_or_else(S3Error::invalid_uri)?;
        if uri.path().len() > TARGET_BYTES_MAX {
            let message = "Your key is too long";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", message)
                .with("Size", uri.path().len().to_string())
                .with("MaxSizeAllowed", "1024"));
        }
        let query = sent.query().unwrap_or_default();
        let fits = sent.as_str().len() <= TARGET_BYTES_MAX;
        if !fits || !sent.path().starts_with('/') || !is_utf8(sent.path()) || !is_utf8(query) {
            return Err(S3Error::invalid_uri());
        }
        Ok(Self { sent: sent.clone(), onward: onward(sent)? })
    }

    /// The path in the one form that SigV4 signs, whichever way it was sent.
    pub(crate) fn canonical_path(&self) -> String {
        let mut canonical = String::with_capacity(self.onward.path().len() + 32);
        for byte in decode(self.onward.path()) {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    canonical.push(char::from(byte));
                }
                // Into memory, where nothing fails.
                _ => drop(write!(canonical, "%{byte:02X}")),
            }
        }
        canonical
    }
}

/// `sent` without the client's authentication; all else keeps its bytes and its order.
fn onward(sent: &PathAndQuery) -> Result<PathAndQuery, S3Error> {
    let Some(query) = sent.query() else { return Ok(sent.clone()) };
    let parameters: Vec<&str> = query.split('&').collect();
    let kept: Vec<&str> =
        parameters.iter().copied().filter(|parameter| !authenticates(parameter)).collect();
    if kept.len() == parameters.len() {
        return Ok(sent.clone());
    }
    let onward = match kept.as_slice() {
        [] => sent.path().to_owned(),
        kept => format!("{}?{}", sent.path(), kept.join("&")),
    };
    onward.try_into().map_err(|_| S3Error::invalid_uri())
}

/// Whether a parameter is one of the client's authentication, however it is spelt.
fn authenticates(parameter: &str) -> bool {
    let name = decode(parameter.split('=').next().unwrap_or_default());
    AUTHENTICATION.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&name))
}

/// Whether every percent sign starts an escape, and the whole says UTF-8, as S3 keys must.
fn is_utf8(text: &str) -> bool {
    let escapes = text.split('%').skip(1);
    let mut whole = escapes.map(|rest| rest.as_bytes().get(..2));
    whole.all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
        && std::str::from_utf8(&decode(text)).is_ok()
}

/// Undoes percent escapes; what is none stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        decoded.push(match escaped {
            Some((high, low)) => {
                rest = &after[2..];
                high << 4 | low
            }
            None => *first,
        });
    }
    decoded
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(uri: &str, hosts: &[&'static str]) -> Result<Target, S3Error> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append("host", HeaderValue::from_static(host));
        }
        Target::parse(&uri.parse().expect("a URI"), &headers)
    }

    fn check(uri: &str, onward: &str) {
        let target = parse(uri, &["s3"]).expect("a target");
        assert_eq!(target.sent.as_str(), uri);
        assert_eq!(target.onward.as_str(), onward, "{uri}");
    }

    #[test]
    fn what_authenticates_is_left_out_and_nothing_else() {
        for same in [
            "/",
            "/b/k",
            "/b/k?",
            "/b/k?acl",
            "/b/k?a=1&&b=2&",
            "//b//../k%2f%2F%c3%a9+~é?prefix=a+b%20c&x-id=GetObject&X-Amz-Checksum-Mode=ENABLED",
            "/b?partNumber=1&uploadId=X-Amz-Date",
        ] {
            check(same, same);
        }
        let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2Fs3&X-Amz-Date=1\
                      &X-Amz-Expires=5&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t";
        check(&format!("/b/k?{signed}&X-Amz-Signature=f"), "/b/k");
        check(&format!("/b/k?z=%7e&{signed}&a=+&X-Amz-Signature=f"), "/b/k?z=%7e&a=+");
        check("/k?x-amz-signature&X%2DAmz-Date=1&b", "/k?b");
        check("/k?&X-Amz-Date=1", "/k?");
    }

    #[test]
    fn the_canonical_path_is_the_same_for_every_spelling() {
        let check = |path: &str, expected: &str| {
            let target = parse(path, &["s3"]).expect("a target");
            assert_eq!(target.canonical_path(), expected, "{path}");
        };
        check("//b/../%2e/k", "//b/.././k");
        check("/%c3%a9é+ !*()'".replace(' ', "%20").as_str(), "/%C3%A9%C3%A9%2B%20%21%2A%28%29%27");
        check("/a%2Fb%7e%25", "/a/b~%25");
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let check = |uri: &str, hosts: &[&'static str], code: Option<&str>| {
            let found = parse(uri, hosts).err();
            assert_eq!(found.as_ref().map(S3Error::code), code, "{uri}");
        };
        check("http://s3/b/k", &["S3"], None);
        check("http://other/b/k", &["s3"], Some("InvalidURI"));
        check("s3:443", &["s3:443"], Some("InvalidURI"));
        check("*", &["s3"], Some("InvalidURI"));
        check("/b/%zz", &["s3"], Some("InvalidURI"));
        check("/b/%a", &["s3"], Some("InvalidURI"));
        check("/b/%ff", &["s3"], Some("InvalidURI"));
        check("/b?prefix=%ff", &["s3"], Some("InvalidURI"));
        check("/b", &[], Some("InvalidRequest"));
        check("/b", &["s3", "s3"], Some("InvalidRequest"));
        check(&format!("/{}", "k".repeat(TARGET_BYTES_MAX)), &["s3"], Some("KeyTooLongError"));
        check(&format!("/?{}", "k".repeat(TARGET_BYTES_MAX)), &["s3"], Some("InvalidURI"));
    }
}

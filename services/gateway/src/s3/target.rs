//! What a request is for: the target as it was sent and verified, and as it goes on.

use std::fmt::Write;

use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode, Uri};

use super::error_xml::S3Error;
use super::host::{Domains, Style};

/// The most bytes of a target: S3 keys have 1,024 bytes, thrice that when escaped.
const TARGET_BYTES_MAX: usize = 16 << 10;

/// Query parameters that authenticate the client to us, and so are none of the upstream's business.
const AUTHENTICATION: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Those of URLs that are signed by Signature Version 2, as it spells them.
const VERSION_2: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// How the names begin by which the gateway tells an upstream who asks.
const OURS: &[u8; 11] = b"x-claviger-";

/// Path and query of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// As sent: what is verified.
    pub(crate) sent: PathAndQuery,
    /// The same bytes less the client's authentication, after the bucket that the host may name:
    /// what goes to the upstream.
    pub(crate) onward: PathAndQuery,
    /// The bucket that the host names, if it names one.
    pub(crate) host_bucket: Option<String>,
}

/// What a target names, as it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resource<'a> {
    /// All buckets.
    Service,
    /// A bucket of this name, valid or not.
    Bucket(&'a str),
    /// An object in it.
    Object(&'a str),
}

impl<'a> Resource<'a> {
    /// The bucket that it is, or is in.
    pub(crate) fn bucket(self) -> Option<&'a str> {
        match self {
            Self::Service => None,
            Self::Bucket(bucket) | Self::Object(bucket) => Some(bucket),
        }
    }

    /// As S3 calls it in its errors.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Service => "SERVICE",
            Self::Bucket(_) => "BUCKET",
            Self::Object(_) => "OBJECT",
        }
    }
}

impl Target {
    /// Takes the target of a request with these headers.
    ///
    /// # Errors
    /// `InvalidURI` for what is no origin-form or absolute-form target of the very host that the
    /// `Host` header names, or holds what is not UTF-8; `KeyTooLongError`; `InvalidRequest` if there
    /// is not exactly one `Host` header (RFC 9112 section 3.2), or it is not the endpoint's.
    pub(crate) fn parse(
        uri: &Uri,
        headers: &HeaderMap,
        domains: &Domains,
    ) -> Result<Self, S3Error> {
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
            return Err(key_too_long(uri.path().len()));
        }
        let query = sent.query().unwrap_or_default();
        let fits = sent.as_str().len() <= TARGET_BYTES_MAX;
        if !fits || !sent.path().starts_with('/') || !is_utf8(sent.path()) || !is_utf8(query) {
            return Err(S3Error::invalid_uri());
        }
        let style = domains.style(host)?;
        let onward = onward(sent, &style)?;
        let host_bucket = match style {
            Style::Path => None,
            Style::VirtualHost(bucket) => Some(bucket),
        };
        Ok(Self { sent: sent.clone(), onward, host_bucket })
    }

    /// One that the gateway makes itself, of an encoded path and query.
    ///
    /// # Errors
    /// `KeyTooLongError` if it is longer than any target.
    pub(crate) fn own(path: &str, query: &str) -> Result<Self, S3Error> {
        let joint = if query.is_empty() { "" } else { "?" };
        let target = format!("{path}{joint}{query}");
        let fits = target.len() <= TARGET_BYTES_MAX;
        let target = PathAndQuery::try_from(target).ok().filter(|_| fits);
        let target = target.ok_or_else(|| key_too_long(path.len()))?;
        Ok(Self::of(target))
    }

    /// One that the gateway makes itself.
    pub(crate) fn of(target: PathAndQuery) -> Self {
        Self { sent: target.clone(), onward: target, host_bucket: None }
    }

    /// The same without what signs it by Signature Version 2, whose parameters have names of their own.
    ///
    /// # Errors
    /// None in fact: less of a target is one.
    pub(crate) fn less_version_2(self) -> Result<Self, S3Error> {
        let less = |target: &PathAndQuery| {
            let parameters = target.query().unwrap_or_default().split('&');
            let of_version_2 = |parameter: &&str| {
                let name = name(parameter);
                VERSION_2.iter().any(|known| known.as_bytes() == name)
            };
            let kept: Vec<_> = parameters.filter(|parameter| !of_version_2(parameter)).collect();
            let joint = if kept.is_empty() { "" } else { "?" };
            let target = format!("{}{joint}{}", target.path(), kept.join("&"));
            PathAndQuery::try_from(target).map_err(|_| S3Error::invalid_uri())
        };
        Ok(Self { sent: less(&self.sent)?, onward: less(&self.onward)?, ..self })
    }

    /// What it names.
    pub(crate) fn resource(&self) -> Resource<'_> {
        let path = self.onward.path();
        match path.strip_prefix('/').unwrap_or(path).split_once('/') {
            None if path == "/" => Resource::Service,
            None => Resource::Bucket(path.trim_start_matches('/')),
            Some((bucket, "")) => Resource::Bucket(bucket),
            Some((bucket, _)) => Resource::Object(bucket),
        }
    }

    /// The query's names, decoded, those of authentication among them.
    pub(crate) fn query_names(&self) -> impl Iterator<Item = Vec<u8>> {
        let query = self.sent.query().unwrap_or_default();
        query.split('&').filter(|parameter| !parameter.is_empty()).map(name)
    }

    /// The value of the first parameter of this name, as it was sent.
    pub(crate) fn parameter(&self, wanted: &str) -> Option<&str> {
        let mut parameters = self.sent.query().unwrap_or_default().split('&');
        parameters.find_map(|parameter| {
            let (_, value) = parameter.split_once('=')?;
            (name(parameter) == wanted.as_bytes()).then_some(value)
        })
    }

    /// The key, escaped as in [`Self::canonical_path`], if an object is named.
    pub(crate) fn canonical_key(&self) -> Option<String> {
        let Resource::Object(bucket) = self.resource() else { return None };
        Some(canonical(self.onward.path().get(bucket.len() + 2..)?))
    }

    /// The value of the parameter of this name, decoded; the names of headers that are put into the query are in any
    /// case.
    pub(crate) fn query_value(&self, name: &str) -> Option<Vec<u8>> {
        let query = self.sent.query().unwrap_or_default();
        let is_it = |parameter: &&str| self::name(parameter).eq_ignore_ascii_case(name.as_bytes());
        let parameter = query.split('&').find(is_it)?;
        Some(parameter.split_once('=').map_or(vec![], |(_, value)| decode(value)))
    }

    /// The path in the one form that SigV4 signs, whichever way it was sent.
    pub(crate) fn canonical_path(&self) -> String {
        canonical(self.onward.path())
    }
}

fn key_too_long(bytes: usize) -> S3Error {
    let message = "Your key is too long";
    S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", message)
        .with("Size", bytes.to_string())
        .with("MaxSizeAllowed", "1024")
}

/// A path, or a piece of one, in the one form that SigV4 signs.
fn canonical(path: &str) -> String {
    let mut canonical = String::with_capacity(path.len() + 32);
    for byte in decode(path) {
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

/// `sent` behind the bucket that the host names and without the client's authentication; all else
/// keeps its bytes and its order.
///
/// Empty pieces of the query are nothing, and go. A semicolon is escaped: there are servers that
/// separate parameters by it.
fn onward(sent: &PathAndQuery, style: &Style) -> Result<PathAndQuery, S3Error> {
    let mut onward = String::with_capacity(sent.as_str().len() + 64);
    if let Style::VirtualHost(bucket) = style {
        onward.push('/');
        onward.push_str(bucket);
    }
    onward.push_str(sent.path());
    let parameters = sent.query().unwrap_or_default().split('&');
    let kept = parameters.filter(|piece| !piece.is_empty() && !authenticates(&name(piece)));
    for (n, parameter) in kept.enumerate() {
        onward.push(if n == 0 { '?' } else { '&' });
        onward.push_str(&parameter.replace(';', "%3B"));
    }
    onward.try_into().map_err(|_| S3Error::invalid_uri())
}

/// The name of a parameter, decoded.
pub(crate) fn name(parameter: &str) -> Vec<u8> {
    decode(parameter.split('=').next().unwrap_or_default())
}

/// Whether a parameter of this name is one of the client's authentication, in any case; or one that only
/// the gateway may say to an upstream, which a client's word must not be taken for.
pub(crate) fn authenticates(name: &[u8]) -> bool {
    let is_ours = name.get(..OURS.len()).is_some_and(|start| {
        let same = |(ours, byte): (&u8, &u8)| match byte {
            b'_' => *ours == b'-',
            byte => byte.eq_ignore_ascii_case(ours),
        };
        OURS.iter().zip(start).all(same)
    });
    is_ours || AUTHENTICATION.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether every percent sign starts an escape, and the whole says UTF-8, as S3 keys must.
fn is_utf8(text: &str) -> bool {
    let escapes = text.split('%').skip(1);
    let mut whole = escapes.map(|rest| rest.as_bytes().get(..2));
    whole.all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
        && std::str::from_utf8(&decode(text)).is_ok()
}

/// Undoes percent escapes; what is none stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
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
        let domains = Domains::new(["s3"]).expect("domains");
        Target::parse(&uri.parse().expect("a URI"), &headers, &domains)
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
            "/b/k?acl",
            "/b//../k%2f%2F%c3%a9+~é?prefix=a+b%20c&x-id=GetObject&X-Amz-Checksum-Mode=ENABLED",
            "/b?partNumber=1&uploadId=X-Amz-Date",
        ] {
            check(same, same);
        }
        let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2Fs3&X-Amz-Date=1\
                      &X-Amz-Expires=5&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t";
        check(&format!("/b/k?{signed}&X-Amz-Signature=f"), "/b/k");
        check(&format!("/b/k?z=%7e&{signed}&a=+&X-Amz-Signature=f"), "/b/k?z=%7e&a=+");
        check("/k?x-amz-signature&X%2DAmz-Date=1&b", "/k?b");
        check("/k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&acl", "/k?acl");
        check("/k?&X-Amz-Date=1", "/k");
        check(
            "/b/k?x-claviger-account=1&X_Claviger_User=2&X-CLAVIGER-%41ccess-key-id&acl",
            "/b/k?acl",
        );
        check("/b/k?x-claviger", "/b/k?x-claviger");
        check("/b/k?", "/b/k");
        check("/b/k?a=1&&b=2&", "/b/k?a=1&b=2");
        check("/b/k;?prefix=a;b", "/b/k;?prefix=a%3Bb");
    }

    #[test]
    fn a_parameter_has_a_value() {
        let target =
            parse("/b/k?a&b=%31=%32&X-Amz-Copy-Source=b%2Fk&c=", &["s3"]).expect("a target");
        let check = |name: &str, value: Option<&str>| {
            assert_eq!(target.query_value(name).as_deref(), value.map(str::as_bytes), "{name}");
        };
        check("a", Some(""));
        check("b", Some("1=2"));
        check("c", Some(""));
        check("x-amz-copy-source", Some("b/k"));
        check("d", None);
    }

    #[test]
    fn the_bucket_that_a_host_names_comes_before_the_path() {
        let check = |uri: &str, host: &'static str, onward: &str, resource: Resource<'_>| {
            let target = parse(uri, &[host]).expect("a target");
            assert_eq!((target.sent.as_str(), target.onward.as_str()), (uri, onward));
            assert_eq!(target.resource(), resource, "{uri}");
        };
        check("/", "s3", "/", Resource::Service);
        check("/b", "s3", "/b", Resource::Bucket("b"));
        check("/b/", "s3", "/b/", Resource::Bucket("b"));
        check("/b//", "s3", "/b//", Resource::Object("b"));
        check("//", "s3", "//", Resource::Bucket(""));
        check("//b/k", "s3", "//b/k", Resource::Object(""));
        check("/b%2Fk", "s3", "/b%2Fk", Resource::Bucket("b%2Fk"));
        check("/", "b.s3", "/b/", Resource::Bucket("b"));
        check("/?acl", "a.b.S3:7100", "/a.b/?acl", Resource::Bucket("a.b"));
        check("//k%2f/../%20", "b.s3", "/b//k%2f/../%20", Resource::Object("b"));
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
    fn the_key_is_what_comes_after_the_bucket() {
        let check = |uri: &str, host: &'static str, expected: Option<&str>| {
            let target = parse(uri, &[host]).expect("a target");
            assert_eq!(target.canonical_key().as_deref(), expected, "{uri}");
        };
        check("/", "s3", None);
        check("/b/", "s3", None);
        check("/b/k", "s3", Some("k"));
        check("/b//k/", "s3", Some("/k/"));
        check("/b/k%20é+", "s3", Some("k%20%C3%A9%2B"));
        check("/k", "b.s3", Some("k"));
        let target = parse("/b/k?version%49d=a%2Fb&versionId=c", &["s3"]).expect("a target");
        assert_eq!(target.parameter("versionId"), Some("a%2Fb"));
        assert_eq!(target.parameter("acl"), None);
    }

    #[test]
    fn version_2_signs_by_parameters_of_its_own() {
        let check = |uri: &str, expected: &str| {
            let target = parse(uri, &["b.s3"]).expect("a target");
            assert_eq!(target.host_bucket.as_deref(), Some("b"));
            let target = target.less_version_2().expect("a target");
            assert_eq!(
                (target.sent.as_str(), target.onward.as_str()),
                (expected, &*format!("/b{expected}"))
            );
        };
        check("/k?AWSAccessKeyId=A&Expires=1&Signature=x%3D", "/k");
        check("/k?acl&Signature=x&AWSAccessKeyId=A&Expires=1&versionId=v", "/k?acl&versionId=v");
        check("/k?signature=x", "/k?signature=x");
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let check = |uri: &str, hosts: &[&'static str], code: Option<&str>| {
            let found = parse(uri, hosts).err();
            assert_eq!(found.as_ref().map(S3Error::code), code, "{uri}");
        };
        check("http://s3/b/k", &["S3"], None);
        check("http://other/b/k", &["s3"], Some("InvalidURI"));
        check("/b/k", &["other"], Some("InvalidRequest"));
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

//! Lines in the format of S3's server access logs (user guide, "Amazon S3 server access log format"), for the
//! programs that read those.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{HOST, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Version};
use rpc::Agreed;

use crate::s3::{Operation, Signed, Target, is_plain_parameter};

/// Longer values of headers are cut: whoever sends them must not make the log grow.
const HEADER_BYTES_MAX: usize = 1024;
/// So are requests: keys have 1,024 bytes, thrice that when escaped.
const URI_BYTES_MAX: usize = 8192;

/// What a line says of the request, noted before it is taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Request {
    time: DateTime<Utc>,
    /// Method, target and version, without what authenticates.
    uri: String,
    referer: String,
    user_agent: String,
    host: String,
    key: String,
    version_id: String,
    signed: Option<Signed>,
    tls: Option<Agreed>,
}

/// What it says of the answer, and of who asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) bucket_owner: &'a str,
    pub(super) bucket: &'a str,
    pub(super) client: IpAddr,
    pub(super) requester: &'a str,
    pub(super) request_id: &'a str,
    pub(super) host_id: &'a str,
    pub(super) operation: Operation,
    pub(super) status: Option<u16>,
    pub(super) code: &'a str,
    pub(super) bytes_out: u64,
    pub(super) object_bytes: Option<u64>,
    pub(super) total: Duration,
    /// Until the first byte of the answer.
    pub(super) turn_around: Option<Duration>,
}

impl Request {
    pub(crate) fn new(head: &Parts, tls: Option<Agreed>) -> Self {
        let version = match head.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        };
        let target = redacted(head.uri.path(), head.uri.query());
        Self {
            time: Utc::now(),
            uri: escaped(&format!("{} {target} {version}", head.method), URI_BYTES_MAX, " "),
            referer: {
                // Its query is another's, and may be a signed one.
                let referer = header(&head.headers, REFERER, " ");
                referer.split(['?', '#']).next().unwrap_or_default().to_owned()
            },
            user_agent: header(&head.headers, USER_AGENT, " "),
            host: header(&head.headers, HOST, ""),
            signed: Signed::of(head),
            tls,
            ..Self::default()
        }
    }

    /// Notes what the target names.
    pub(crate) fn note(&mut self, target: &Target) {
        self.key = target.canonical_key().unwrap_or_default();
        let version = target.parameter("versionId");
        self.version_id = version.map_or_else(String::new, |id| escaped(id, HEADER_BYTES_MAX, ""));
    }

    /// The line, without its end.
    pub(super) fn line(&self, answer: Answer<'_>) -> String {
        let Answer { client, operation, total, .. } = answer;
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (signature_version, authentication) = match &self.signed {
            None => ("-", "-"),
            Some(signed) => (signed.version, signed.by),
        };
        let tls = self.tls;
        [
            or_dash(answer.bucket_owner),
            or_dash(answer.bucket),
            self.time.format("[%d/%b/%Y:%H:%M:%S +0000]").to_string(),
            client.to_string(),
            or_dash(answer.requester),
            or_dash(answer.request_id),
            operation.logged.to_owned(),
            or_dash(&self.key),
            format!("\"{}\"", self.uri),
            number(answer.status.map(u64::from)),
            or_dash(answer.code),
            number(Some(answer.bytes_out).filter(|bytes| *bytes > 0)),
            number(answer.object_bytes),
            millis(total).to_string(),
            number(answer.turn_around.map(millis)),
            format!("\"{}\"", or_dash(&self.referer)),
            format!("\"{}\"", or_dash(&self.user_agent)),
            or_dash(&self.version_id),
            or_dash(answer.host_id),
            signature_version.to_owned(),
            tls.map_or("-", |tls| tls.cipher_suite).to_owned(),
            authentication.to_owned(),
            or_dash(&self.host),
            tls.map_or("-", |tls| tls.version).to_owned(),
            // There are no access points here, and no ACLs of ours.
            "-".to_owned(),
            "-".to_owned(),
        ]
        .join(" ")
    }
}

fn header(headers: &HeaderMap, name: HeaderName, kept: &str) -> String {
    let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.map_or_else(String::new, |value| escaped(&value, HEADER_BYTES_MAX, kept))
}

/// A target, of whose parameters only those keep their values that are S3's own and hold no secret.
fn redacted(path: &str, query: Option<&str>) -> String {
    let mut target = path.to_owned();
    for (n, parameter) in query.iter().flat_map(|query| query.split('&')).enumerate() {
        target.push(if n == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if !is_plain_parameter(name) => {
                target.push_str(name);
                target.push_str("=REDACTED");
            }
            Some(_) | None => target.push_str(parameter),
        }
    }
    target
}

/// Text that cannot end its field or its line: what is neither visible ASCII nor in `kept` is escaped, and
/// what is too long is cut.
fn escaped(text: &str, bytes_max: usize, kept: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if escaped.len() >= bytes_max {
            break;
        }
        let is_harmless = byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if is_harmless || kept.as_bytes().contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Into memory, where nothing fails.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use chrono::TimeZone;

    use super::*;

    fn answer() -> Answer<'static> {
        Answer {
            bucket_owner: "owner",
            bucket: "bkt",
            client: Ipv4Addr::new(192, 0, 2, 3).into(),
            requester: "user",
            request_id: "3E57427F3EXAMPLE",
            host_id: "s9lzHYrFp76ZVxRcpX9",
            operation: Operation { name: "GetObject", logged: "REST.GET.OBJECT" },
            status: Some(200),
            code: "",
            bytes_out: 113,
            object_bytes: Some(226),
            total: Duration::from_micros(7999),
            turn_around: Some(Duration::from_millis(5)),
        }
    }

    fn request(target: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut request = http::Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let mut request = Request::new(&head, None);
        request.time = Utc.with_ymd_and_hms(2019, 2, 6, 0, 0, 38).single().expect("a time");
        request
    }

    #[test]
    fn a_line_has_the_26_fields_of_the_format() {
        let mut request = request(
            "/bkt/a%20b?versionId=3/L4",
            &[
                ("host", "bkt.s3.test"),
                ("user-agent", "S3Console/0.4"),
                ("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=canary"),
            ],
        );
        request.tls =
            Some(Agreed { version: "TLSv1.2", cipher_suite: "ECDHE-RSA-AES128-GCM-SHA256" });
        request.key = "a%20b".to_owned();
        request.version_id = "3/L4".to_owned();
        assert_eq!(
            request.line(answer()),
            "owner bkt [06/Feb/2019:00:00:38 +0000] 192.0.2.3 user 3E57427F3EXAMPLE \
             REST.GET.OBJECT a%20b \"GET /bkt/a%20b?versionId=3/L4 HTTP/1.1\" 200 - 113 226 7 5 \
             \"-\" \"S3Console/0.4\" 3/L4 s9lzHYrFp76ZVxRcpX9 SigV4 ECDHE-RSA-AES128-GCM-SHA256 \
             AuthHeader bkt.s3.test TLSv1.2 - -"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let nothing = Answer {
            bucket_owner: "",
            bucket: "",
            requester: "",
            operation: Operation::UNKNOWN,
            status: None,
            code: "AccessDenied",
            bytes_out: 0,
            object_bytes: None,
            turn_around: None,
            ..answer()
        };
        assert_eq!(
            request("/", &[]).line(nothing),
            "- - [06/Feb/2019:00:00:38 +0000] 192.0.2.3 - 3E57427F3EXAMPLE - - \"GET / HTTP/1.1\" - \
             AccessDenied - - 7 - \"-\" \"-\" - s9lzHYrFp76ZVxRcpX9 - - - - - - -"
        );
    }

    #[test]
    fn no_secret_and_no_end_of_a_field_gets_into_a_line() {
        let check = |target: &str, expected: &str| {
            assert_eq!(request(target, &[]).uri, format!("GET {expected} HTTP/1.1"), "{target}");
        };
        let secrets = "X-Amz-Signature=canary&X-Amz-Credential=canary&x-amz-security-token=canary\
                       &Signature=canary&AWSAccessKeyId=canary&Expires=canary\
                       &X-Amz-Server-Side-Encryption-Customer-Key=canary&anything=canary\
                       &%58-Amz-Signature=canary";
        let line = request(&format!("/bkt/k?prefix=a&{secrets}"), &[]).line(answer());
        assert!(line.contains("?prefix=a&X-Amz-Signature=REDACTED&") && !line.contains("canary"));
        assert!(line.contains(" SigV4 - QueryString "), "{line}");
        check("/bkt?versioning", "/bkt?versioning");
        check("/bkt?list-type=2&prefix=%22a", "/bkt?list-type=2&prefix=%22a");
        check("/bkt/a\"b\\é", "/bkt/a%22b%5C%C3%A9");
        let line = request(
            "/",
            &[
                ("user-agent", "a \"b\" \t\\ é"),
                ("referer", "https://x.test/?X-Amz-Signature=canary"),
                ("host", "a b\""),
            ],
        );
        assert_eq!(line.user_agent, "a %22b%22 %09%5C %C3%A9");
        assert_eq!(line.referer, "https://x.test/");
        assert_eq!(line.host, "a%20b%22");
        assert!(request("/", &[("user-agent", &"x".repeat(9000))]).user_agent.len() == 1024);
    }
}

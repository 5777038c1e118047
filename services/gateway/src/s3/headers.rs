//! Which headers go on, and which end here.

use http::header::{AUTHORIZATION, CONNECTION, DATE, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error_xml::S3Error;

/// Headers between two neighbours only (RFC 9110 section 7.6.1), beside `Connection`, what it
/// names, and all that begin with `proxy-`.
const HOP_BY_HOP: [&str; 5] = ["keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Headers by which the client speaks to the gateway and the gateway to the upstream, each for
/// itself.
const OWN: [HeaderName; 7] = [
    AUTHORIZATION,
    DATE,
    EXPECT,
    HOST,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// Headers in which proxies tell of the client. Nobody signs them, and an upstream that believes
/// its proxy would believe the client.
const TOLD_BY_PROXIES: [&str; 6] =
    ["forwarded", "via", "x-forwarded", "x-original-url", "x-real-ip", "x-rewrite-url"];

/// The headers of a verified request that go to the upstream.
///
/// # Errors
/// `InvalidRequest` if `Connection` would take away a header that was signed.
pub(crate) fn onward(headers: &HeaderMap, signed: &[String]) -> Result<HeaderMap, S3Error> {
    let named = named_by_connection(headers);
    if named.iter().any(|name| signed.iter().any(|signed| signed == name)) {
        return Err(S3Error::invalid_request("The Connection header names a signed header."));
    }
    let mut onward = headers.clone();
    strip_hop_by_hop(&mut onward);
    for name in OWN {
        onward.remove(name);
    }
    retain(&mut onward, |name| {
        !TOLD_BY_PROXIES.contains(&name) && !name.starts_with("x-forwarded-")
    });
    Ok(onward)
}

/// Removes the headers that concern one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    retain(headers, |name| {
        name != CONNECTION
            && !HOP_BY_HOP.contains(&name)
            && !name.starts_with("proxy-")
            && !named.iter().any(|named| named == name)
    });
}

/// The values of one name as one value, which says the same (RFC 9110 section 5.3) and is signed
/// the same way by everybody.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.clone();
    let mut rest = values.peekable();
    if rest.peek().is_none() {
        return Some(first);
    }
    let mut joined = first.as_bytes().to_vec();
    for value in rest {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// The lower-case names that `Connection` holds.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let names = values.flat_map(|value| value.split(|byte| *byte == b','));
    names.map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase()).collect()
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&str) -> bool) {
    let unwanted: Vec<HeaderName> =
        headers.keys().filter(|name| !keep(name.as_str())).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines.lines() {
            let (name, value) = line.trim().split_once(": ").expect("a header line");
            headers.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("ok"));
        }
        headers
    }

    fn check(lines: &str, signed: &[&str], expected: Option<&str>) {
        let signed: Vec<String> = signed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(onward(&map(lines), &signed).ok(), expected.map(map), "{lines}");
    }

    #[test]
    fn what_concerns_one_connection_ends_here() {
        let lines = "Connection: keep-alive, X-Custom ,,close
            Connection: upgrade
            Keep-Alive: timeout=5
            Proxy-Authorization: Basic x
            Proxy-Connection: keep-alive
            TE: trailers
            Trailer: x-amz-checksum-crc32
            Transfer-Encoding: chunked
            Upgrade: h2c
            X-Custom: 1
            X-Amz-Meta-A: 1
            X-Amz-Meta-A: 2
            Content-Type: text/plain";
        check(lines, &["host"], Some("X-Amz-Meta-A: 1\nX-Amz-Meta-A: 2\nContent-Type: text/plain"));
    }

    #[test]
    fn the_clients_authentication_and_what_proxies_tell_end_here() {
        let lines = "Host: s3
            Authorization: AWS4-HMAC-SHA256 x
            Date: x
            X-Amz-Date: x
            X-Amz-Content-Sha256: x
            X-Amz-Security-Token: x
            Expect: 100-continue
            X-Forwarded-For: 10.0.0.1
            X-Forwarded-Host: other
            Forwarded: for=10.0.0.1
            X-Real-IP: 10.0.0.1
            X-Original-URL: /other
            X-Amz-Copy-Source: /b/k
            Content-MD5: x
            Range: bytes=0-1";
        let kept = "X-Amz-Copy-Source: /b/k\nContent-MD5: x\nRange: bytes=0-1";
        check(lines, &["host", "x-amz-date"], Some(kept));
    }

    #[test]
    fn connection_takes_no_signed_header_away() {
        let lines =
            "Connection: X-Amz-Server-Side-Encryption\nX-Amz-Server-Side-Encryption: AES256";
        check(lines, &["host", "x-amz-server-side-encryption"], None);
        check(lines, &["host"], Some(""));
    }

    #[test]
    fn values_of_one_name_are_joined() {
        let headers = map("a: 1\na: 2, 3\nb: 4");
        let joined = |name| joined(&headers, &HeaderName::from_static(name));
        assert_eq!(joined("a").expect("a value"), "1,2, 3");
        assert_eq!(joined("b").expect("a value"), "4");
        assert_eq!(joined("c"), None);
    }
}

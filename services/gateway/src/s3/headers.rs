//! Which headers go on, and which end here.

use http::header::{CONNECTION, CONTENT_ENCODING, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::chunked::Form;
use super::error_xml::S3Error;

/// Headers between two neighbours only (RFC 9110 section 7.6.1), beside `Connection`, what it
/// names, and all that begin with `proxy-`.
const HOP_BY_HOP: [&str; 5] = ["keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Headers by which the client speaks to the gateway and the gateway to the upstream, each for
/// itself; and one that names an operation of other services.
const OWN: [&str; 5] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-s3session-token",
    "x-amz-security-token",
    "x-amz-target",
];

/// The headers of a request that go on, beside those of S3 itself.
const ONWARD: [&str; 17] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "traceparent",
    "tracestate",
    "user-agent",
];

/// The headers of a request that speak of its chunks and what follows them: without these, of nothing.
const OF_CHUNKS: [&str; 3] =
    ["x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-trailer"];

const AWS_CHUNKED: &[u8] = b"aws-chunked";

/// The headers of an answer that go back, beside those of S3 itself.
const BACK: [&str; 16] = [
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "retry-after",
    "vary",
];

/// The headers of a verified request that go to the upstream.
///
/// Those that are known, and those of S3 if they were signed. An underscore stands in user metadata
/// only: some servers read it as a hyphen, and so as another header.
///
/// # Errors
/// `InvalidRequest` if `Connection` would take away a header that was signed, or if a header that
/// was signed or goes on has a control character in its value.
pub(crate) fn onward(headers: &HeaderMap, signed: &[String]) -> Result<HeaderMap, S3Error> {
    let named = named_by_connection(headers);
    let is_signed = |name: &str| signed.iter().any(|signed| signed == name);
    if named.iter().any(|name| is_signed(name)) {
        return Err(S3Error::invalid_request("The Connection header names a signed header."));
    }
    let goes_on = |name: &str| match name.strip_prefix("x-amz-") {
        Some(rest) => {
            is_signed(name)
                && !OWN.contains(&name)
                && (rest.starts_with("meta-") || !rest.contains('_'))
        }
        None => ONWARD.contains(&name),
    };
    // Room for what the upstream's signature adds, too.
    let mut onward = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if is_of_both_ends(name, &named) && goes_on(name.as_str()) {
            onward.append(name, value.clone());
        }
    }
    for (name, value) in headers {
        let matters = is_signed(name.as_str()) || onward.contains_key(name);
        if matters && value.as_bytes().iter().any(u8::is_ascii_control) {
            let message = "A header value has a control character.";
            return Err(S3Error::invalid_request(message).with("Header", name.as_str()));
        }
    }
    Ok(onward)
}

/// Makes the headers of a request with a body in chunks those of how it goes on.
pub(crate) fn of_chunks(headers: &mut HeaderMap, form: Form) {
    let encodings = joined(headers, &CONTENT_ENCODING);
    let encodings = encodings.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    let encodings = encodings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_other = |encoding: &&[u8]| !encoding.eq_ignore_ascii_case(AWS_CHUNKED);
    // The last one is undone first.
    let onward = encodings.filter(is_other).filter(|encoding| !encoding.is_empty());
    let onward = onward.chain((form != Form::Plain).then_some(AWS_CHUNKED));
    let onward = onward.collect::<Vec<_>>().join(&b","[..]);
    headers.remove(CONTENT_ENCODING);
    if let Some(onward) = HeaderValue::from_bytes(&onward).ok().filter(|it| !it.is_empty()) {
        headers.insert(CONTENT_ENCODING, onward);
    }
    if form == Form::Plain {
        for name in OF_CHUNKS {
            headers.remove(name);
        }
    }
}

/// Leaves the headers of an answer that the client may see.
///
/// The rest is between the gateway and the upstream, or tells of what stands behind the gateway.
pub(crate) fn back(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    retain(headers, |name| name.as_str().starts_with("x-amz-") || BACK.contains(&name.as_str()));
    if let Some(location) = headers.remove(LOCATION) {
        // The host in it is the upstream's.
        let uri = location.to_str().ok().and_then(|location| location.parse::<Uri>().ok());
        let path = uri.as_ref().and_then(Uri::path_and_query).map(PathAndQuery::as_str);
        let path = path.filter(|path| path.starts_with('/') && !path.starts_with("//"));
        if let Some(path) = path.and_then(|path| HeaderValue::from_str(path).ok()) {
            headers.insert(LOCATION, path);
        }
    }
}

/// Removes the headers that concern one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    retain(headers, |name| is_of_both_ends(name, &named));
}

/// Whether a header concerns more than one connection, whose `Connection` holds `named`.
fn is_of_both_ends(name: &HeaderName, named: &[String]) -> bool {
    let text = name.as_str();
    name != CONNECTION
        && !HOP_BY_HOP.contains(&text)
        && !text.starts_with("proxy-")
        && !named.iter().any(|named| named == text)
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

fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| !keep(name)).cloned().collect();
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
        check(
            lines,
            &["host", "x-amz-meta-a"],
            Some("X-Amz-Meta-A: 1\nX-Amz-Meta-A: 2\nContent-Type: text/plain"),
        );
    }

    #[test]
    fn only_known_headers_go_on() {
        let kept = "X-Amz-Copy-Source: /b/k
            X-Amz-Meta-A_B: 1
            Content-MD5: x
            Content-Type: text/plain
            If-None-Match: *
            Range: bytes=0-1
            User-Agent: curl
            traceparent: 00-1-2-03";
        let dropped = "Host: s3
            Authorization: AWS4-HMAC-SHA256 x
            Date: x
            X-Amz-Date: x
            X-Amz-Content-Sha256: x
            X-Amz-Security-Token: x
            X-Amz-S3session-Token: x
            X-Amz-Target: x
            Accept: */*
            Accept-Encoding: gzip
            Expect: 100-continue
            Origin: http://evil.test
            Cookie: a=b
            Destination: /other
            Forwarded: for=10.0.0.1
            X-Forwarded-Host: other
            X-Real-IP: 10.0.0.1
            X-Original-URL: /other
            X-HTTP-Method-Override: DELETE
            X-Auth-Token: x
            X-Goog-Copy-Source: /b/k
            X-Oss-Copy-Source: /b/k
            X-Minio-Source-Mtime: x
            X-Rgw-Account: x
            X-Amzn-Trace-Id: x
            Content_Type: text/html
            X_Amz_Acl: public-read
            X-Amz_Acl: public-read
            X-Amz-Copy_Source: /b/k
            X_Amz-Copy_Source: /b/k
            X-Amz-Acl: public-read";
        // Also if they were signed, all but the last, whose signature is what it lacks.
        let all = map(&format!("{kept}\n{dropped}"));
        let names = all.keys().map(HeaderName::as_str).filter(|name| *name != "x-amz-acl");
        let signed: Vec<&str> = names.collect();
        check(&format!("{kept}\n{dropped}"), &signed, Some(kept));
        check(kept, &["host"], Some(&kept.lines().skip(2).collect::<Vec<_>>().join("\n")));
    }

    #[test]
    fn a_control_character_is_refused_where_it_matters() {
        check("X-Amz-Meta-A: a\tb", &["host", "x-amz-meta-a"], None);
        check("Range: bytes=\t0-1", &["host"], None);
        check("X-Custom: a\tb", &["host", "x-custom"], None);
        check("X-Custom: a\tb", &["host"], Some(""));
        check("X-Amz-Meta-A: é", &["host", "x-amz-meta-a"], Some("X-Amz-Meta-A: é"));
    }

    #[test]
    fn an_answer_tells_nothing_of_what_stands_behind() {
        let check = |lines: &str, expected: &str| {
            let mut headers = map(lines);
            back(&mut headers);
            assert_eq!(headers, map(expected), "{lines}");
        };
        let kept = "ETag: e
            Content-Length: 1
            Last-Modified: x
            X-Amz-Meta-A: 1
            X-Amz-Version-Id: 1";
        let dropped = "Server: MinIO
            Set-Cookie: a=b
            Via: 1.1 proxy
            Alt-Svc: h2=\"store:443\"
            WWW-Authenticate: AWS
            X-Minio-Deployment-Id: x
            Access-Control-Allow-Origin: *
            Connection: close";
        check(&format!("{kept}\n{dropped}"), kept);
        check("Location: /bucket", "Location: /bucket");
        check("Location: http://store:9000/b/k?a", "Location: /b/k?a");
        check("Location: //evil.test/x", "");
        check("Location: http://store//evil.test", "");
        check("Location: store", "");
    }

    #[test]
    fn connection_takes_no_signed_header_away() {
        let lines =
            "Connection: X-Amz-Server-Side-Encryption\nX-Amz-Server-Side-Encryption: AES256";
        check(lines, &["host", "x-amz-server-side-encryption"], None);
        check(lines, &["host"], Some(""));
    }

    #[test]
    fn chunks_are_spoken_of_where_there_are_any() {
        let check = |form, lines: &str, expected: &str| {
            let mut headers = map(lines);
            of_chunks(&mut headers, form);
            assert_eq!(headers, map(expected), "{lines}");
        };
        let with_trailer = Form::WithTrailer(sigv4::ChecksumAlgorithm::Crc32);
        let length = "X-Amz-Decoded-Content-Length: 5";
        let trailer = "X-Amz-Sdk-Checksum-Algorithm: CRC32\nX-Amz-Trailer: x-amz-checksum-crc32";
        for (sent, plain, chunked) in [
            ("aws-chunked", "", "aws-chunked"),
            ("AWS-Chunked, gzip", "gzip", "gzip,aws-chunked"),
            ("gzip\nContent-Encoding: br,,aws-chunked", "gzip,br", "gzip,br,aws-chunked"),
            ("gzip", "gzip", "gzip,aws-chunked"),
        ] {
            let sent = format!("Content-Encoding: {sent}\n{length}\n{trailer}");
            let plain =
                if plain.is_empty() { String::new() } else { format!("Content-Encoding: {plain}") };
            check(Form::Plain, &sent, &plain);
            let chunked = format!("Content-Encoding: {chunked}\n{length}\n{trailer}");
            check(with_trailer, &sent, &chunked);
        }
        check(Form::Plain, &format!("{length}\nX-Amz-Acl: private"), "X-Amz-Acl: private");
        check(with_trailer, length, &format!("Content-Encoding: aws-chunked\n{length}"));
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

//! `POST /v3/ec2tokens`: a request as somebody received it, whose signature of Version 4 is asked about.

use http::header::{AUTHORIZATION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::credentials::Credentials;
use super::error::KeystoneError;
use crate::request::Scope;
use crate::s3::Relayed;

/// The services that may be asked for, whose requests others receive: what is signed for the APIs of this gateway is
/// for them alone.
const SERVICES: [&str; 3] = ["s3", "ec2", "cloudformation"];
/// Auth takes no more of each.
const HEADERS_MAX: usize = 128;
const TARGET_BYTES_MAX: usize = 16 << 10;
const HOST_BYTES_MAX: usize = 255;
const SCOPE_PART_BYTES_MAX: usize = 64;
/// The parameters of a presigned request.
const SIGNATURE: &str = "X-Amz-Signature";
const CREDENTIAL: &str = "X-Amz-Credential";
/// All but what never is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request that the credentials are of.
///
/// # Errors
/// 400 for what is no request; 401 if it does not say for which service and region it was signed, or for one that
/// nobody asks about.
pub(super) fn request(credentials: &Credentials) -> Result<Relayed, KeystoneError> {
    let method = credentials.text("verb", 16)?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| KeystoneError::field("verb", "is no method"))?;
    let host = credentials.text("host", HOST_BYTES_MAX)?;
    let mut parameters = credentials.texts("params")?;
    let headers = headers(&credentials.texts("headers")?, host)?;
    // What is beside the parameters was among them.
    let is_shown = |(name, _): &(&str, _)| *name == SIGNATURE;
    if !headers.contains_key(AUTHORIZATION) && !parameters.iter().any(is_shown) {
        parameters.push((SIGNATURE, credentials.signature()?));
    }
    let scope = scope(&headers, &parameters).ok_or_else(|| {
        KeystoneError::wrong_signature("The request is not signed by AWS4-HMAC-SHA256.")
    })?;
    if !SERVICES.contains(&scope.service.as_str()) {
        return Err(KeystoneError::wrong_signature("Nobody asks here for this service."));
    }
    let is_s3 = scope.service == "s3";
    // Of a form in a body, what Keystone calls parameters stands there, and is signed with it.
    let in_query = is_s3 || method != Method::POST;
    let target = target(credentials.text("path", TARGET_BYTES_MAX)?, &parameters, in_query)?;
    let body_sha256 = match is_s3 {
        true => None, // said by a header
        false => {
            let mut hash = [0; 32];
            let text = credentials.text("body_hash", 64)?;
            hex::decode_to_slice(text, &mut hash)
                .map_err(|_| KeystoneError::field("body_hash", "must be 64 hexadecimal digits"))?;
            Some(hash)
        }
    };
    // As Keystone does: some clients sign the host without its port.
    let host = host.rsplit_once(':').filter(|(_, port)| {
        !is_s3 && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let hosts = host.map(|(host, _)| host.to_owned()).into_iter().collect();
    Ok(Relayed { method, target, headers, scope, body_sha256, hosts })
}

fn headers(given: &[(&str, &str)], host: &str) -> Result<HeaderMap, KeystoneError> {
    if given.len() >= HEADERS_MAX {
        return Err(KeystoneError::field("headers", "are too many"));
    }
    let wrong = || KeystoneError::field("headers", "are none of a request");
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        // No control character, and so no line feed, is in one.
        headers.append(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| wrong())?);
    }
    Ok(headers)
}

fn target(
    path: &str,
    parameters: &[(&str, &str)],
    in_query: bool,
) -> Result<PathAndQuery, KeystoneError> {
    let wrong = || KeystoneError::field("path", "and params make no target of a request");
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(wrong());
    }
    let mut target = path.to_owned();
    for (n, (name, value)) in parameters.iter().enumerate().filter(|_| in_query) {
        target.push(if n == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(name, ESCAPED));
        target.push('=');
        target.extend(utf8_percent_encode(value, ESCAPED));
        if target.len() > TARGET_BYTES_MAX {
            return Err(wrong());
        }
    }
    target.parse().map_err(|_| wrong())
}

/// For what it is said to have been signed, in the header or in the query.
fn scope(headers: &HeaderMap, parameters: &[(&str, &str)]) -> Option<Scope> {
    let scope = match headers.contains_key(AUTHORIZATION) {
        true => Scope::of(headers)?,
        false => {
            let of = |(name, value): &(_, &str)| (*name == CREDENTIAL).then(|| value.to_string());
            Scope::of_credential(&parameters.iter().find_map(of)?)?
        }
    };
    let fits = |part: &str| {
        (1..=SCOPE_PART_BYTES_MAX).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_graphic())
    };
    Some(scope).filter(|scope| fits(&scope.region) && fits(&scope.service))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked() -> Value {
        let authorization = "AWS4-HMAC-SHA256 Credential=AK/20260301/r/ec2/aws4_request, \
                             SignedHeaders=host, Signature=00";
        json!({ "credentials": {
            "access": "AK",
            "signature": "00",
            "host": "heat:8000",
            "verb": "GET",
            "path": "/",
            "params": { "Action": "List", "b c": "ä&=" },
            "headers": { "Authorization": authorization, "X-Amz-Date": "20260301T000000Z" },
            "body_hash": "0a".repeat(32),
        } })
    }

    fn read(asked: &Value) -> Result<Relayed, u16> {
        let credentials = Credentials::read(asked.to_string().as_bytes());
        credentials.and_then(|it| request(&it)).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn a_request_is_put_together_again() {
        let relayed = read(&asked()).expect("right");
        assert_eq!(relayed.method, Method::GET);
        assert_eq!(relayed.target.as_str(), "/?Action=List&b%20c=%C3%A4%26%3D");
        assert_eq!(relayed.headers["host"], "heat:8000");
        assert_eq!(relayed.headers["x-amz-date"], "20260301T000000Z");
        assert_eq!((&*relayed.scope.region, &*relayed.scope.service), ("r", "ec2"));
        assert_eq!((relayed.hosts, relayed.body_sha256), (vec!["heat".into()], Some([10; 32])));
        let mut posted = asked();
        posted["credentials"]["verb"] = json!("POST");
        assert_eq!(read(&posted).expect("right").target.as_str(), "/");
        let mut of_s3 = asked();
        let header = of_s3.to_string().replace("/ec2/", "/s3/");
        of_s3 = serde_json::from_str(&header).expect("JSON");
        let relayed = read(&of_s3).expect("right");
        assert_eq!((relayed.hosts, relayed.body_sha256), (vec![], None));
        let mut presigned = asked();
        presigned["credentials"]["headers"] = Value::Null;
        presigned["credentials"]["params"] =
            json!({ "X-Amz-Credential": "AK/20260301/r/ec2/aws4_request" });
        let relayed = read(&presigned).expect("right");
        assert_eq!(relayed.scope.service, "ec2");
        assert!(relayed.target.as_str().ends_with("&X-Amz-Signature=00"), "{}", relayed.target);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let many: serde_json::Map<_, _> = (0..128).map(|n| (format!("h{n}"), json!("v"))).collect();
        for (pointer, value, expected) in [
            ("verb", json!("G T"), 400),
            ("verb", json!("GET /x HTTP/1.1\r\nA:"), 400),
            ("verb", json!(""), 400),
            ("host", json!("a\r\nb: c"), 400),
            ("host", json!("a".repeat(256)), 400),
            ("host", Value::Null, 400),
            ("path", json!("x"), 400),
            ("path", json!("/?a=b"), 400),
            ("path", json!("/a b"), 400),
            ("path", json!("/a\r\nb: c"), 400),
            ("path", json!(format!("/{}", "a".repeat(16 << 10))), 400),
            ("params", json!({ "a": 1 }), 400),
            ("params", json!([]), 400),
            ("params", json!({ "a": "b".repeat(16 << 10) }), 400),
            ("headers", json!({ "a": "b\r\nc: d" }), 400),
            ("headers", json!({ "a b": "c" }), 400),
            ("headers", json!({ "a:": "c" }), 400),
            ("headers", Value::Object(many), 400),
            ("body_hash", json!("0a"), 400),
            ("body_hash", Value::Null, 400),
            ("headers", json!({}), 401),
            ("headers", json!({ "authorization": "AWS AK:c2ln" }), 401),
        ] {
            let mut asked = asked();
            asked["credentials"][pointer] = value.clone();
            assert_eq!(read(&asked).err(), Some(expected), "{pointer}: {value}");
        }
        for (from, to) in [
            ("/ec2/", "/iam/"),
            ("/ec2/", "/claviger/"),
            ("/ec2/", "//"),
            ("/r/", "//"),
            ("/r/", &format!("/{}/", "r".repeat(65))),
        ] {
            let asked = asked().to_string().replace(from, to);
            let asked = serde_json::from_str(&asked).expect("JSON");
            assert_eq!(read(&asked).err(), Some(401), "{to}");
        }
    }
}

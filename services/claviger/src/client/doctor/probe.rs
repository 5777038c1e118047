//! What is sent: requests that every S3 client may send, and that proxies like to change.

use anyhow::Context;
use chrono::Utc;
use sha2::{Digest, Sha256};
use sigv4::{Date, DateKey, Expected, Head, Timestamp, authenticate};

/// One request, and what to look at if it does not verify.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) name: &'static str,
    /// What follows the bucket in the request target.
    target: &'static str,
    /// One more header, which is signed.
    header: Option<(&'static str, &'static [u8])>,
    pub(super) trick: Trick,
    pub(super) set: &'static str,
}

/// What a probe does besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trick {
    None,
    /// Another secret than the right one, which must be refused.
    WrongSecret,
}

const fn path(name: &'static str, target: &'static str, set: &'static str) -> Probe {
    Probe { name, target, header: None, trick: Trick::None, set }
}

const fn header(
    name: &'static str,
    header: (&'static str, &'static [u8]),
    set: &'static str,
) -> Probe {
    Probe { name, target: "/plain", header: Some(header), trick: Trick::None, set }
}

const HOST: &str = "the host must go on as it was sent: no strip_any_host_port, strip_matching_host_port or \
                    host rewrite before ext_authz; or the secret is wrong";
const MERGE: &str = "merge_slashes: false";
const NORMALIZE: &str = "normalize_path: false (Istio: pathNormalization.normalization: NONE)";
const AS_SENT: &str = "the path must go on as it was sent: no rewriting before ext_authz";
const ESCAPED: &str = "path_with_escaped_slashes_action: KEEP_UNCHANGED";

/// All of them. If one of the first two breaks, all others do, and tell nothing: nobody looks at signatures, or the host
/// is another.
pub(super) const PROBES: [Probe; 13] = [
    Probe {
        name: "wrong signature",
        target: "/plain",
        header: None,
        trick: Trick::WrongSecret,
        set: "the filter ext_authz must be there for this route, and failure_mode_allow: false",
    },
    path("plain key", "/plain", HOST),
    path("key with //", "//a//b", MERGE),
    path("key with /../", "/a/../b", NORMALIZE),
    path("key with /./", "/a/./b", NORMALIZE),
    path("key with needless escapes", "/%61%7E%2D", AS_SENT),
    path("key with %2F", "/a%2Fb%2f..", ESCAPED),
    path("key with %5C", "/a%5Cb", ESCAPED),
    path("key in UTF-8", "/%C3%BC%E2%82%AC", AS_SENT),
    path(
        "key with + and query",
        "/a+b%2Bc?prefix=x%20y%2Bz%2F&empty=",
        "no rewriting of the query",
    ),
    header("metadata with _", ("x-amz-meta-a_b", b"c"), "headers_with_underscores_action: ALLOW"),
    header(
        "metadata that is no UTF-8",
        ("x-amz-meta-name", b"caf\xe9"),
        "encode_raw_headers: true",
    ),
    header(
        "signed x-request-id",
        ("x-request-id", b"claviger-doctor"),
        "preserve_external_request_id: true",
    ),
];

/// How many of the first tell whether there is anything to be told by the others.
pub(super) const FIRST: usize = 2;

/// Signs probes.
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
    pub(super) bucket: &'a str,
}

impl Signer<'_> {
    /// The whole request as it is sent to this host.
    ///
    /// # Errors
    /// If the access key or the region cannot stand in a request.
    pub(super) fn request(&self, probe: &Probe, host: &str) -> anyhow::Result<Vec<u8>> {
        let now = Utc::now().timestamp();
        let unsigned = self.head(probe, host, now, &"0".repeat(64));
        let head = Head::parse(&unsigned).ok().context("the region or key is no such thing")?;
        let expected = Expected::s3(self.region, now);
        let signed = authenticate(&head, &expected);
        let signed = signed.map_err(|denial| anyhow::anyhow!("{}", denial.message))?;
        let secret = match probe.trick {
            Trick::None => self.secret,
            Trick::WrongSecret => "this is not the secret access key of anybody",
        };
        let key = DateKey::derive(secret.as_bytes(), &Date::from_unix_seconds(now));
        let signature = key.signing_key(self.region, "s3").sign(&signed.string_to_sign()).to_hex();
        Ok(self.head(probe, host, now, std::str::from_utf8(&signature)?))
    }

    fn head(&self, probe: &Probe, host: &str, now: i64, signature: &str) -> Vec<u8> {
        let (at, hash) = (Timestamp::from_unix_seconds(now), hex::encode(Sha256::digest(b"")));
        let (name, value) = probe.header.unwrap_or_default();
        let mut names = vec!["host", "x-amz-content-sha256", "x-amz-date"];
        names.extend((!name.is_empty()).then_some(name));
        names.sort_unstable();
        let mut head = format!(
            "GET /{}{} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {}\r\nx-amz-content-sha256: {hash}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={}/{}/{}/s3/aws4_request, \
             SignedHeaders={}, Signature={signature}\r\nUser-Agent: claviger-doctor\r\n\
             Connection: close\r\n",
            self.bucket,
            probe.target,
            at.as_str(),
            self.access_key_id,
            at.date(),
            self.region,
            names.join(";"),
        )
        .into_bytes();
        if !name.is_empty() {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_probe_is_signed_right_but_the_one_that_is_not_to_be() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let signer =
            Signer { access_key_id: "AKIAEXAMPLE", secret, region: "us-east-1", bucket: "bkt" };
        for probe in &PROBES {
            let request = signer.request(probe, "s3.example.com:8000").expect("is signed");
            let head = Head::parse(&request).expect("is a head");
            let now = Utc::now().timestamp();
            let expected = Expected::s3("us-east-1", now);
            let signed = authenticate(&head, &expected).expect("is whole");
            let date = signed.scope().date();
            let key = DateKey::derive(secret.as_bytes(), &date).signing_key("us-east-1", "s3");
            let is_right = probe.trick != Trick::WrongSecret;
            assert_eq!(signed.is_signed_by(&key), is_right, "{}", probe.name);
        }
    }
}

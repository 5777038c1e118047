//! What the gateway asks the store by itself, with the store's own credential.

use std::collections::HashSet;

use anyhow::{Context, bail, ensure};
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use super::error_xml::S3Error;
use super::forward::Forwarder;
use crate::config::{Limits, Upstream};
use crate::upstream::{self, Identity};

/// The largest page of a list that is read: 10,000 buckets come to some 1.5 MB.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Buckets that are asked for at once. There are stores that give all at once, whatever is asked.
const PAGE_SIZE: &str = "1000";

impl Forwarder {
    /// Whether the store has a bucket of this name, be it the gateway's or not; asked for whoever this is, where the
    /// store is told.
    ///
    /// # Errors
    /// `ServiceUnavailable` if the store does not say.
    pub(crate) async fn has_bucket(
        &self,
        bucket: &str,
        identity: Identity,
    ) -> Result<bool, S3Error> {
        let path = PathAndQuery::try_from(format!("/{bucket}"));
        let path = path.map_err(|_| S3Error::internal())?;
        let status = self.ask(Method::HEAD, path, identity).await?.status();
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            // Also one that is somebody else's, or elsewhere: it is there.
            _ if status.is_success()
                || status.is_redirection()
                || status == StatusCode::FORBIDDEN =>
            {
                Ok(true)
            }
            _ => {
                tracing::warn!(status = status.as_u16(), "the upstream does not say what it has");
                Err(S3Error::unavailable())
            }
        }
    }
}

/// A list of buckets as stores answer it (S3 API reference, `ListBuckets`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    buckets: Buckets,
    #[serde(default)]
    continuation_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Buckets {
    #[serde(default)]
    bucket: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Bucket {
    name: String,
}

/// The names of all buckets of a store that begin with `prefix`, as its credential sees them.
///
/// # Errors
/// If the store cannot be reached, does not accept the credential, or answers what is no list.
pub async fn bucket_names(of: &Upstream, prefix: &str) -> anyhow::Result<Vec<String>> {
    let forwarder = Forwarder::new(upstream::DEFAULT, of, &Limits::default())?;
    let (mut names, mut tokens, mut token) = (vec![], HashSet::new(), String::new());
    loop {
        let mut path = format!("/?max-buckets={PAGE_SIZE}");
        for (name, value) in [("prefix", prefix), ("continuation-token", &token)] {
            if !value.is_empty() {
                path.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        let answer = forwarder.ask(Method::GET, path.try_into()?, Identity::default()).await;
        let answer = answer.map_err(|_| anyhow::anyhow!("{} does not answer", of.endpoint));
        let page = page(answer?).await?;
        let found = page.buckets.bucket.into_iter().map(|bucket| bucket.name);
        // There are stores that know no prefix, too.
        names.extend(found.filter(|name| name.starts_with(prefix)));
        if page.continuation_token.is_empty() {
            return Ok(names);
        }
        token = page.continuation_token;
        ensure!(tokens.insert(token.clone()), "the store's list of buckets goes round in circles");
    }
}

async fn page(answer: Response<Incoming>) -> anyhow::Result<Page> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the store's list of buckets: {error}"))?;
    let text = String::from_utf8(body.to_bytes().to_vec());
    let text = text.context("the store's list of buckets is not UTF-8")?;
    if !status.is_success() {
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let code = code.map_or("no code", |(code, _)| code);
        bail!("the store refuses to list its buckets: {} ({code})", status.as_u16());
    }
    quick_xml::de::from_str(&text).context("the store's answer is no list of buckets")
}

/// As it stands in a query.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, names: &[&str], token: &str) {
        let page: Page = quick_xml::de::from_str(document).expect("a list");
        let found: Vec<_> = page.buckets.bucket.iter().map(|bucket| bucket.name.as_str()).collect();
        assert_eq!((found.as_slice(), page.continuation_token.as_str()), (names, token));
    }

    #[test]
    fn lists_are_read_as_stores_write_them() {
        let namespace = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        check(
            &format!(
                "<?xml version=\"1.0\"?><ListAllMyBucketsResult {namespace}><Owner><ID>x</ID></Owner>\
                 <Buckets><Bucket><Name>a</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate>\
                 </Bucket><Bucket><Name>b</Name><BucketRegion>eu</BucketRegion></Bucket></Buckets>\
                 <ContinuationToken>t/+=</ContinuationToken></ListAllMyBucketsResult>"
            ),
            &["a", "b"],
            "t/+=",
        );
        check("<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", &[], "");
        check("<ListAllMyBucketsResult><Owner/></ListAllMyBucketsResult>", &[], "");
        assert!(quick_xml::de::from_str::<Page>("not XML <").is_err());
    }

    #[test]
    fn a_token_stands_in_a_query() {
        assert_eq!(escaped("aB9-_.~/+=&"), "aB9-_.~%2F%2B%3D%26");
    }
}

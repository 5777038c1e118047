//! `ListBuckets`, answered from claims (S3 API reference).

use api::identity::v1::{Bucket, ListBucketsRequest};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use tonic::Status;
use uuid::Uuid;

use super::error_xml::S3Error;
use super::target::Target;
use crate::body::{self, BoxBody};
use crate::identity::{Acting, Identity};
use crate::xml::Document;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// The most that a client may ask for at once, and as many as an account can have.
const MAX_BUCKETS: usize = 10_000;
/// How many identity gives at once.
const PAGE_SIZE: usize = 1000;

/// What a client asks of its list.
#[derive(Debug, Default, Eq, PartialEq)]
struct Asked {
    prefix: String,
    region: String,
    token: String,
    max: Option<usize>,
}

impl Asked {
    fn of(target: &Target) -> Result<Self, S3Error> {
        let value = |name: &'static str| -> Result<Option<String>, S3Error> {
            let value = target.query_value(name).map(String::from_utf8).transpose();
            value.map_err(|_| invalid(name))
        };
        let max = match value("max-buckets")? {
            None => None,
            Some(text) => {
                let max = text.parse().ok().filter(|max| (1..=MAX_BUCKETS).contains(max));
                Some(max.ok_or_else(|| invalid("max-buckets"))?)
            }
        };
        Ok(Self {
            prefix: value("prefix")?.unwrap_or_default(),
            region: value("bucket-region")?.unwrap_or_default(),
            token: value("continuation-token")?.unwrap_or_default(),
            max,
        })
    }
}

/// The answer to a request for the buckets of an account.
///
/// # Errors
/// `InvalidArgument` for parameters that are not of their form; what `failed` makes of identity's refusal.
pub(crate) async fn list(
    identity: &Identity,
    acting: &Acting,
    account: Uuid,
    method: &Method,
    target: &Target,
    failed: impl Fn(&Status) -> S3Error,
) -> Result<Response<BoxBody>, S3Error> {
    let asked = Asked::of(target)?;
    let max = asked.max.unwrap_or(MAX_BUCKETS);
    let (mut buckets, mut token) = (vec![], asked.token.clone());
    loop {
        let request = ListBucketsRequest {
            parent: format!("accounts/{account}"),
            prefix: asked.prefix.clone(),
            region: asked.region.clone(),
            page_size: i32::try_from(PAGE_SIZE.min(max - buckets.len())).unwrap_or_default(),
            page_token: token,
            min_position: 0,
        };
        let page = identity.list_buckets(acting, request).await;
        let page = page.map_err(|status| match api::reason(&status) {
            Some(api::error::v1::Reason::InvalidPageToken) => invalid("continuation-token"),
            Some(api::error::v1::Reason::InvalidField) => invalid("prefix or bucket-region"),
            _ => failed(&status),
        })?;
        buckets.extend(page.buckets);
        token = page.next_page_token;
        if token.is_empty() || buckets.len() >= max {
            break;
        }
    }
    let document = if *method == Method::HEAD {
        body::empty()
    } else {
        body::full(document(account, &asked, &buckets, &token))
    };
    let mut response = Response::new(document);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

fn document(account: Uuid, asked: &Asked, buckets: &[Bucket], token: &str) -> Bytes {
    // AWS tells regions to those only who ask for something.
    let tells_regions = *asked != Asked::default();
    let mut document = Document::new();
    document.open_in("ListAllMyBucketsResult", NAMESPACE);
    document.open("Buckets");
    for bucket in buckets {
        document.open("Bucket");
        document.text("Name", &bucket.bucket_name);
        let created = bucket.create_time.as_ref().and_then(|time| {
            let nanos = u32::try_from(time.nanos).ok()?;
            DateTime::from_timestamp(time.seconds, nanos)
        });
        let created = created.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true);
        document.text("CreationDate", &created);
        if tells_regions && !bucket.region.is_empty() {
            document.text("BucketRegion", &bucket.region);
        }
        document.close();
    }
    document.close();
    document.open("Owner");
    document.text("ID", &account.to_string());
    document.close();
    for (name, text) in [("ContinuationToken", token), ("Prefix", &asked.prefix)] {
        if !text.is_empty() {
            document.text(name, text);
        }
    }
    document.finish()
}

fn invalid(name: &'static str) -> S3Error {
    let message = "The value of a query parameter is not valid.";
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message).with("ArgumentName", name)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use prost_types::Timestamp;

    use super::*;
    use crate::s3::host::Domains;

    fn asked(uri: &str) -> Result<Asked, S3Error> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("s3"));
        let domains = Domains::new(["s3"]).expect("valid");
        let target = Target::parse(&uri.parse().expect("a URI"), &headers, &domains);
        Asked::of(&target.expect("a target"))
    }

    #[test]
    fn what_is_asked_is_read_and_bounded() {
        assert_eq!(asked("/?x-id=ListBuckets").expect("valid"), Asked::default());
        let all = asked("/?prefix=a%2D&bucket-region=eu&continuation-token=ab&max-buckets=10000");
        let expected = Asked {
            prefix: "a-".to_owned(),
            region: "eu".to_owned(),
            token: "ab".to_owned(),
            max: Some(10_000),
        };
        assert_eq!(all.expect("valid"), expected);
        for max in ["", "0", "-1", "10001", "x", "99999999999999999999"] {
            let refused = asked(&format!("/?max-buckets={max}")).expect_err("is refused");
            assert_eq!(refused.code(), "InvalidArgument", "{max}");
        }
    }

    #[test]
    fn a_list_is_written_as_s3_writes_it() {
        let bucket = Bucket {
            bucket_name: "data".to_owned(),
            region: "eu".to_owned(),
            create_time: Some(Timestamp { seconds: 1_767_268_800, nanos: 5_000_000 }),
            ..Bucket::default()
        };
        let check = |asked: &Asked, token: &str, region: &str, end: &str| {
            let found = document(Uuid::nil(), asked, std::slice::from_ref(&bucket), token);
            let expected = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListAllMyBucketsResult \
                 xmlns=\"{NAMESPACE}\"><Buckets><Bucket><Name>data</Name><CreationDate>\
                 2026-01-01T12:00:00.005Z</CreationDate>{region}</Bucket></Buckets><Owner><ID>\
                 00000000-0000-0000-0000-000000000000</ID></Owner>{end}</ListAllMyBucketsResult>"
            );
            assert_eq!(found, expected);
        };
        check(&Asked::default(), "", "", "");
        let some = Asked { prefix: "da".to_owned(), max: Some(1), ..Asked::default() };
        check(
            &some,
            "t",
            "<BucketRegion>eu</BucketRegion>",
            "<ContinuationToken>t</ContinuationToken><Prefix>da</Prefix>",
        );
    }
}

//! Uploads by a browser's form: `POST` of `multipart/form-data` to a bucket, signed by its policy.
//!
//! Source: Amazon S3 API reference, "POST Object" and "Browser-based uploads using POST".

mod answer;
mod fields;
mod parts;
mod upload;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use api::auth::v1::{FormField, FormTerms, PostForm};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use hyper::body::Incoming;

use self::parts::Parts as FormParts;
use self::upload::{Object, Upload};
use super::error_xml::S3Error;
use super::target::{Resource, Target};
use super::tenants::{Asked, Course};
use super::{S3, noted, operation};
use crate::access_log::Entry;
use crate::body::{BoxBody, Watched};

/// The most bytes of an object that a form makes (5 GiB), as S3 has it.
const FILE_BYTES_MAX: u64 = 5 << 30;

/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Whether a request is an upload by a form: one to a bucket that is not signed itself.
pub(crate) fn is_form(head: &Parts, target: &Target) -> bool {
    head.method == Method::POST
        && matches!(target.resource(), Resource::Bucket(_))
        && boundary(head).is_some()
        && !head.headers.contains_key(AUTHORIZATION)
        && target.query_names().next().is_none()
}

/// What parts the form's fields, if the request is a form.
fn boundary(head: &Parts) -> Option<String> {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let (content_type, None) = (types.next()?, types.next()) else { return None };
    let boundary = multer::parse_boundary(content_type.to_str().ok()?).ok()?;
    Some(boundary).filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()))
}

impl S3 {
    /// Answers an upload by a form.
    ///
    /// # Errors
    /// As auth denies it; `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`, `EntityTooLarge`,
    /// `EntityTooSmall`, `InvalidArgument`; and as the upstream refuses the object.
    pub(super) async fn upload_form(
        &self,
        client: IpAddr,
        head: &Parts,
        target: &Target,
        body: Incoming,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, S3Error> {
        let Resource::Bucket(bucket) = target.resource() else {
            return Err(S3Error::invalid_uri());
        };
        let boundary = boundary(head).ok_or_else(S3Error::malformed_form)?;
        let body = Watched::new(body, entry.bytes_in.clone(), self.idle_timeout);
        let (fields, file) = FormParts::new(body, boundary).read().await?;
        let asked = PostForm {
            bucket: bucket.to_owned(),
            fields: fields
                .iter()
                .map(|(name, value)| FormField { name: name.clone(), value: value.clone() })
                .collect(),
            file_name: file.name().to_owned(),
            file_bytes: None,
        };
        let (verified, terms) = self.verifier.verify_form(client, asked).await?;
        self.allow(&verified, entry)?;
        operation::check_bucket(bucket, &self.reserved_buckets)?;
        let FormTerms { key, .. } = &terms;
        let headers = fields::headers(&fields)?;
        let forwarder = Arc::clone(self.upstreams.of(Some(bucket), verified.account_id));
        let target = Target::own(&upload::path(bucket, key), "")?;
        let asked = Asked {
            method: &Method::PUT,
            target: &target,
            headers: &headers,
            verified: &verified,
            client,
            request_id: &entry.request_id,
        };
        if let Course::Answered(response) = self.tenants.course(asked, &forwarder).await? {
            return Ok(response);
        }
        noted::owner(entry, verified.account_id);
        noted::upstream(entry, forwarder.name());
        let object = Object { bucket, key, headers, identity: verified.identity() };
        // Only now: whoever has signed nothing holds no place that others wait for.
        let _place = self.form_places.try_acquire().map_err(|_| S3Error::slow_down())?;
        let upload = Upload::new(forwarder, object, lengths(&terms), entry.bytes_in.clone());
        let made = upload.send(file).await?;
        let host = head.headers.get(HOST).and_then(|host| HeaderValue::to_str(host).ok());
        let scheme = head.uri.scheme_str().unwrap_or("http");
        let location = format!("{scheme}://{}{}", host.unwrap_or_default(), made.path);
        Ok(answer::answer(&fields, bucket, key, &location, made.headers))
    }
}

/// How many bytes the file may have.
fn lengths(terms: &FormTerms) -> RangeInclusive<u64> {
    terms.content_length_min..=terms.content_length_max.min(FILE_BYTES_MAX)
}

//! What the log and the metrics are told of a request on its way.

use domain::BucketName;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::request::Parts;
use http::{Method, Response};
use uuid::Uuid;

use super::forward::UpstreamCode;
use super::operations::Operation;
use super::target::Target;
use super::verify::Verified;
use crate::access_log::Entry;
use crate::body::BoxBody;

/// Notes what a request is for.
pub(crate) fn request(entry: &mut Entry, head: &Parts, target: &Target) {
    let Some(s3) = &mut entry.s3 else { return };
    let is_copy = head.headers.contains_key("x-amz-copy-source");
    s3.operation = Operation::of(&head.method, target, is_copy);
    let bucket = target.resource().bucket().filter(|bucket| BucketName::parse(bucket).is_ok());
    bucket.unwrap_or_default().clone_into(&mut s3.bucket);
    if head.method == Method::PUT && s3.operation.name == "PutObject" {
        let length = head.headers.get(CONTENT_LENGTH);
        s3.object_bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
    }
    if let Some(request) = &mut s3.server_format {
        request.note(target);
    }
}

/// Notes who asks.
pub(crate) fn requester(entry: &mut Entry, verified: &Verified) {
    entry.account_id = verified.account_id.to_string();
    entry.user_id.clone_from(&verified.user_id);
    entry.access_key_id.clone_from(&verified.access_key_id);
}

/// Notes whose the bucket is.
pub(crate) fn owner(entry: &mut Entry, account: Uuid) {
    if let Some(s3) = &mut entry.s3 {
        s3.bucket_owner = account.to_string();
    }
}

/// Notes that nobody in particular does.
pub(crate) fn anonymous(entry: &mut Entry) {
    if let Some(s3) = &mut entry.s3 {
        s3.is_anonymous = true;
    }
}

/// Notes where a request goes.
pub(crate) fn upstream(entry: &mut Entry, name: &str) {
    if let Some(s3) = &mut entry.s3 {
        name.clone_into(&mut s3.upstream);
    }
}

/// Notes what an upstream's answer says of itself.
pub(crate) fn answer(entry: &mut Entry, response: &Response<BoxBody>) {
    if let Some(UpstreamCode(code)) = response.extensions().get() {
        entry.code.clone_from(code);
    }
    let Some(s3) = &mut entry.s3 else { return };
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if matches!(s3.operation.name, "GetObject" | "HeadObject") && response.status().is_success() {
        // Of a part, `bytes 0-9/100` tells the size of the whole.
        let whole = match text(CONTENT_RANGE) {
            Some(range) => range.rsplit('/').next(),
            None => text(CONTENT_LENGTH),
        };
        s3.object_bytes = whole.and_then(|whole| whole.parse().ok());
    }
}

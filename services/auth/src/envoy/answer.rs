//! From a verdict to what Envoy does with the request.

use std::collections::{BTreeMap, BTreeSet};

use api::auth::v1::{Denied, PayloadMode, Verified};
use api::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use api::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use api::envoy::service::auth::v3::check_response::HttpResponse;
use api::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use api::envoy::r#type::v3::HttpStatus;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::Code;

use super::OURS;
use super::question::Check;
use crate::error_document::{self, About};

/// Lets the request pass, and tells the upstream who signed it and what is known of its body.
pub(super) fn allow(check: &Check<'_>, verified: &Verified) -> CheckResponse {
    let principal = verified.principal.clone().unwrap_or_default();
    let mode = payload_mode(verified.payload_mode());
    let mut headers = vec![
        ("x-claviger-account", principal.account_id.clone()),
        ("x-claviger-user", principal.user_id.clone()),
        ("x-claviger-access-key-id", verified.access_key_id.clone()),
        ("x-claviger-payload-mode", mode.to_owned()),
    ];
    if !verified.payload_sha256.is_empty() {
        headers.push(("x-claviger-payload-sha256", hex::encode(&verified.payload_sha256)));
    }
    let scope = verified.scope.clone().unwrap_or_default();
    let metadata = [
        ("account_id", principal.account_id),
        ("account_number", principal.account_number),
        ("user_id", principal.user_id),
        ("user_name", principal.user_name),
        ("arn", principal.arn),
        ("access_key_id", verified.access_key_id.clone()),
        ("payload_mode", mode.to_owned()),
        ("region", scope.region),
        ("service", scope.service),
    ];
    let mut metadata = texts(metadata);
    let flags = [("root", principal.root), ("presigned", verified.presigned)];
    metadata.extend(flags.map(|(name, is)| (name.to_owned(), value(Kind::BoolValue(is)))));
    let removed = spoofed(check, &headers);
    let ok = OkHttpResponse {
        headers: headers.into_iter().map(|(name, value)| header(name, value)).collect(),
        headers_to_remove: removed,
        ..OkHttpResponse::default()
    };
    response(Code::Ok, HttpResponse::OkResponse(ok), metadata)
}

/// Answers the client in S3's words.
pub(super) fn deny(check: &Check<'_>, denied: &Denied) -> CheckResponse {
    let (request_id, host_id) = (error_document::id(), error_document::id());
    let about = About { resource: check.path(), request_id: &request_id, host_id: &host_id };
    // The answer to HEAD has no body.
    let body = if check.is_head() { String::new() } else { error_document::of(denied, &about) };
    let mut headers = vec![
        header("content-type", "application/xml".into()),
        header("x-amz-request-id", request_id),
        header("x-amz-id-2", host_id),
    ];
    let is_unavailable = denied.http_status == 503;
    if denied.retry_after_seconds > 0 || is_unavailable {
        headers.push(header("retry-after", denied.retry_after_seconds.max(1).to_string()));
    }
    let status = i32::try_from(denied.http_status).unwrap_or(403);
    let response_to_client =
        DeniedHttpResponse { status: Some(HttpStatus { code: status }), headers, body };
    let code = if is_unavailable { Code::ResourceExhausted } else { Code::PermissionDenied };
    let metadata = texts([("error_code", denied.code.clone())]);
    response(code, HttpResponse::DeniedResponse(response_to_client), metadata)
}

fn response(
    code: Code,
    http_response: HttpResponse,
    fields: BTreeMap<String, Value>,
) -> CheckResponse {
    let status = tonic_types::Status { code: code.into(), ..tonic_types::Status::default() };
    CheckResponse {
        status: Some(status),
        dynamic_metadata: Some(Struct { fields }),
        http_response: Some(http_response),
    }
}

/// What the body is held to, as the upstream is told it.
fn payload_mode(mode: PayloadMode) -> &'static str {
    match mode {
        PayloadMode::Unspecified => "unspecified",
        PayloadMode::Sha256 => "sha256",
        PayloadMode::Unsigned => "unsigned",
        PayloadMode::StreamingSigned => "streaming-signed",
        PayloadMode::StreamingSignedTrailer => "streaming-signed-trailer",
        PayloadMode::StreamingUnsignedTrailer => "streaming-unsigned-trailer",
    }
}

/// What the client sent under names that only we may use, as far as it is not overwritten. Servers there are to
/// which `_` is `-`.
fn spoofed(check: &Check<'_>, ours: &[(&str, String)]) -> Vec<String> {
    let name = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    let is_spoofed = |name: &String| {
        name.replace('_', "-").starts_with(OURS) && !ours.iter().any(|(our, _)| our == name)
    };
    let names: BTreeSet<_> = check.names().map(name).filter(is_spoofed).collect();
    names.into_iter().collect()
}

/// A header in place of any of that name.
fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn texts<const N: usize>(fields: [(&str, String); N]) -> BTreeMap<String, Value> {
    let field = |(name, text): (&str, String)| (name.to_owned(), value(Kind::StringValue(text)));
    fields.into_iter().map(field).collect()
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

//! What attackers, proxies and careless clients send, a subject a module: refused, with which code and words of S3, or
//! found to be the same request.

#[path = "../server/mod.rs"]
mod server;

mod authorization;
mod chunk_games;
mod credential_in_the_query;
mod dates;
mod diagnostics;
mod forwarding_headers;
mod guessed_signatures;
mod header_values;
mod hosts;
mod limits;
mod other_versions;
mod paths;
mod payload_hashes;
mod payload_modes;
mod post_forms;
mod presigned;
mod queries;
mod rotation;
mod scopes;
mod session_tokens;
mod several_mechanisms;
mod signed_header_lists;
mod unsigned_amz_headers;

use server::{GET, NOW, PRESIGNED, sign, verdict};
use sigv4::{Denial, ErrorCode};

/// A head with a piece replaced; the piece must be there.
pub(crate) fn with(template: &str, piece: &str, by: &str) -> String {
    assert!(template.contains(piece), "{piece} is not in the template");
    template.replace(piece, by)
}

/// A further header, after `Accept`.
pub(crate) fn and(template: &str, header: &str) -> String {
    with(template, "Accept: */*\r\n", &format!("Accept: */*\r\n{header}\r\n"))
}

#[track_caller]
pub(crate) fn check(raw: &str, code: ErrorCode, message: &str) -> Denial {
    check_at(raw, NOW, code, message)
}

#[track_caller]
pub(crate) fn check_at(raw: &str, now: i64, code: ErrorCode, message: &str) -> Denial {
    let denial = verdict(raw.as_bytes(), now).expect_err("accepted");
    assert_eq!((denial.code, denial.message.as_ref()), (code, message), "{raw}");
    denial
}

#[track_caller]
pub(crate) fn check_malformed(raw: &str, what: &str) -> Denial {
    let message = format!("The authorization header is malformed; {what}");
    check(raw, ErrorCode::AuthorizationHeaderMalformed, &message)
}

#[track_caller]
pub(crate) fn check_query(raw: &str, message: &str) -> Denial {
    check(raw, ErrorCode::AuthorizationQueryParametersError, message)
}

#[track_caller]
pub(crate) fn check_accepted(raw: &str) {
    assert_eq!(verdict(raw.as_bytes(), NOW), Ok(()), "{raw}");
}

pub(crate) const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
                        Check your key and signing method.";
pub(crate) const UNSUPPORTED: &str = "The authorization mechanism you have provided is not supported. Please use \
                           AWS4-HMAC-SHA256.";
pub(crate) const ONLY_ONE: &str = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
                        query string parameter or the Authorization header should be specified";
pub(crate) const MISSING: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                       X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                       X-Amz-Expires parameters.";
pub(crate) const NOT_SIGNED: &str =
    "There were headers present in the request which were not signed";

#[test]
fn the_templates_are_accepted() {
    check_accepted(&sign(GET));
    check_accepted(&sign(PRESIGNED));
}

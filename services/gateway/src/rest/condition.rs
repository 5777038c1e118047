//! `If-Match`: do it only if the resource is still the one that was read (RFC 9110, section 13.1.1).

use http::header::IF_MATCH;
use http::{HeaderMap, StatusCode};
use prost_reflect::{DynamicMessage, Value};

use super::bind;
use super::contract::Rpc;
use super::field::Violation;
use super::problem::Problem;

/// Puts the etag of `If-Match` into the request; tells whether there was one.
///
/// # Errors
/// 400 if it is not one strong entity tag, if the request says another, or if the RPC knows none; 412 if it
/// is weak, as no such tag ever matches.
pub(crate) fn apply(
    rpc: &Rpc,
    headers: &HeaderMap,
    request: &mut DynamicMessage,
) -> Result<bool, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(false),
        (Some(value), None) => value.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => "",
    };
    let wrong = |description: &str| Problem::from(Violation::new("If-Match", description));
    let path = rpc.etag().ok_or_else(|| wrong("is not for this request"))?;
    // Whatever it is now: that it is there is asked for anyhow.
    if value == "*" {
        return Ok(false);
    }
    if value.starts_with("W/") {
        return Err(mismatch("a weak entity tag never matches"));
    }
    let tag = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let tag = tag.filter(|tag| !tag.is_empty() && !tag.contains('"'));
    let tag = tag.ok_or_else(|| wrong("must be one entity tag in quotes"))?;
    let said = bind::text(request, &path);
    if !said.is_empty() && said != tag {
        return Err(wrong("is another etag than the request's"));
    }
    bind::set(request, &path, Value::String(tag.to_owned()));
    Ok(true)
}

/// An etag that came in `If-Match` and does not match is answered as that header asks.
pub(crate) fn refused(conditional: bool, mut problem: Problem) -> Problem {
    if conditional && problem.reason == "ETAG_MISMATCH" {
        problem.status = StatusCode::PRECONDITION_FAILED;
    }
    problem
}

fn mismatch(detail: &'static str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "ETAG_MISMATCH", detail)
}

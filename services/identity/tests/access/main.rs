//! Who may call what: every RPC by every kind of caller, what is recorded of callers, and ways round
//! that must not be there.

#[path = "../support/mod.rs"]
mod support;

mod actors;
mod admin_tokens;
mod audit;
mod certificates;
mod matrix;
mod rpcs;
mod ways_round;
mod world;

use api::error::v1::Reason;
use tonic::{Code, Status};

/// How a call ended: answered, or with this code and reason.
type Outcome = Result<(), (Code, Option<Reason>)>;

const DENIED: Outcome = Err((Code::PermissionDenied, Some(Reason::CallerNotAllowed)));
const MISSING_TOKEN: Outcome = Err((Code::Unauthenticated, Some(Reason::MissingToken)));
const INVALID_TOKEN: Outcome = Err((Code::Unauthenticated, Some(Reason::InvalidToken)));
const UNKNOWN_ADMIN_TOKEN: Outcome = Err((Code::Unauthenticated, Some(Reason::UnknownAdminToken)));
const UNKNOWN_CERTIFICATE: Outcome = Err((Code::Unauthenticated, Some(Reason::UnknownCertificate)));
const INVALID_FIELD: Outcome = Err((Code::InvalidArgument, Some(Reason::InvalidField)));
const NO_SUCH_USER: Outcome = Err((Code::NotFound, Some(Reason::NoSuchUser)));
const NO_SUCH_ACCESS_KEY: Outcome = Err((Code::NotFound, Some(Reason::NoSuchAccessKey)));

fn outcome<T>(result: &Result<T, Status>) -> Outcome {
    match result {
        Ok(_) => Ok(()),
        Err(status) => Err((status.code(), api::reason(status))),
    }
}

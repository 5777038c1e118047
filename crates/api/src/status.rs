//! How an error travels: a gRPC code, a message for people, and a [`Reason`] for programs.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::v1::Reason;

/// `google.rpc.ErrorInfo.domain` of every reason that Claviger gives.
pub const DOMAIN: &str = "claviger.io";

const PREFIX: &str = "REASON_";

/// A status that carries `reason` in a `google.rpc.ErrorInfo`.
pub fn status(code: Code, reason: Reason, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, details(reason))
}

/// INVALID_ARGUMENT/INVALID_FIELD, with a `google.rpc.BadRequest` that names the field.
pub fn invalid_field(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let message = format!("{field}: {description}");
    let mut details = details(Reason::InvalidField);
    details.add_bad_request_violation(field, description);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The reason that a status carries, if it is one of Claviger's.
pub fn reason(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    if info.domain != DOMAIN {
        return None;
    }
    Reason::from_str_name(&format!("{PREFIX}{}", info.reason))
}

fn details(reason: Reason) -> ErrorDetails {
    let name = reason.as_str_name();
    ErrorDetails::with_error_info(
        name.strip_prefix(PREFIX).unwrap_or(name),
        DOMAIN,
        std::collections::HashMap::new(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_travels_with_its_status() {
        let status = status(Code::NotFound, Reason::NoSuchUser, "no such user");
        assert_eq!(reason(&status), Some(Reason::NoSuchUser));
        let info = status.get_details_error_info().expect("has an ErrorInfo");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("NO_SUCH_USER", "claviger.io"));
        assert_eq!(reason(&Status::internal("other")), None);
    }

    #[test]
    fn an_invalid_field_is_named() {
        let status = invalid_field("user.user_name", "is empty");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "user.user_name: is empty");
        let violations = status.get_details_bad_request().expect("has a BadRequest");
        assert_eq!(violations.field_violations[0].field, "user.user_name");
    }
}

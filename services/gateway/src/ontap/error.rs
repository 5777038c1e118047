//! ONTAP's errors: what identity refuses, in ONTAP's words.

use std::borrow::Cow;

use api::error::v1::Reason;
use http::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::request::BodyError;

/// A refusal, as ONTAP would put it.
///
/// Source: ONTAP automation, "Interpret an API response"; ONTAP REST API reference, "Manage S3 users".
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OntapError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// The parameter or field that is wrong.
    pub(crate) target: Option<String>,
}

impl OntapError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into(), target: None }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn at(mut self, target: &str) -> Self {
        // As long as what it repeats may be.
        self.target = Some(target.chars().take(64).collect());
        self
    }

    pub(crate) fn invalid(
        message: impl Into<Cow<'static, str>>,
        target: Option<&'static str>,
    ) -> Self {
        let error = Self::bad("2", message);
        match target {
            Some(target) => error.at(target),
            None => error,
        }
    }

    /// A value is not of its field's form. It is told only where that is no secret.
    pub(crate) fn bad_value(field: &str, value: &str) -> Self {
        let field: String = field.chars().take(64).collect();
        let value: String = value.chars().take(64).collect();
        let message = format!("The value \"{value}\" is invalid for field \"{field}\".");
        Self::bad("262197", message).at(&field)
    }

    pub(crate) fn bad_form(field: &'static str, form: &str) -> Self {
        Self::bad("262197", format!("The value of field \"{field}\" {form}.")).at(field)
    }

    pub(crate) fn unexpected(argument: &str) -> Self {
        let argument: String = argument.chars().take(64).collect();
        Self::bad("262179", format!("Unexpected argument \"{argument}\".")).at(&argument)
    }

    pub(crate) fn cannot_be_set(field: &str) -> Self {
        let message = format!("Field \"{field}\" cannot be set in this operation.");
        Self::bad("262196", message).at(field)
    }

    pub(crate) fn twice(field: &str) -> Self {
        let field: String = field.chars().take(64).collect();
        Self::bad("262188", format!("Field \"{field}\" was specified twice.")).at(&field)
    }

    pub(crate) fn no_entry(target: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "4", "entry doesn't exist").at(target)
    }

    pub(crate) fn method(method: &http::Method) -> Self {
        let message = format!("The operation {method} is not supported on this resource.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "3", message)
    }

    pub(crate) fn not_authorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "6691623", "User is not authorized.")
    }

    pub(crate) fn no_permission(resource: &str) -> Self {
        let message = format!(
            "The user does not have permission to access the requested resource \"{resource}\"."
        );
        Self::new(StatusCode::FORBIDDEN, "92406096", message)
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "8", "Too many requests are under way.")
    }

    pub(crate) fn internal() -> Self {
        let message = "Internal error. The operation configuration is not correct.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "92406097", message)
    }

    /// Something behind the gateway is away: asking again may well help.
    pub(crate) fn unavailable() -> Self {
        let message = "The service is temporarily not available. Retry the operation.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "393271", message)
    }

    /// What identity says against a call.
    pub(crate) fn of_status(status: &Status, doing: Doing<'_>) -> Self {
        let Some(reason) = api::reason(status) else { return Self::of_code(status) };
        let told = || status.message().to_owned();
        match reason {
            Reason::NoSuchUser | Reason::NoSuchAccessKey => Self::no_entry("name"),
            Reason::NoSuchAccount => Self::no_entry("svm.uuid"),
            Reason::UserNameTaken => {
                Self::new(StatusCode::CONFLICT, "1", "An S3 user of that name exists already.")
                    .at("name")
            }
            Reason::AccessKeyIdTaken => {
                let message = "The specified access key is in use already.";
                Self::new(StatusCode::CONFLICT, "92406200", message).at("access_key")
            }
            Reason::CallerNotAllowed => Self::no_permission(doing.resource),
            Reason::UnknownAdminToken | Reason::WrongPassword => Self::not_authorized(),
            Reason::TooManyWrongPasswords => {
                let message = "User is not authorized: too many wrong passwords. Wait before retrying.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "6691623", message)
            }
            Reason::TooManyRequests => Self::too_many(),
            Reason::ExpiryRequired => Self::bad(
                "92406197",
                "The value of the \"key_time_to_live\" field must be non-zero, as a maximum is specified \
                 for the \"max_key_time_to_live\" field in the object store server.",
            )
            .at("key_time_to_live"),
            Reason::LifetimeTooLong => Self::too_long_for_anybody(),
            Reason::InvalidField => Self::of_field(status),
            Reason::KeyLimit
            | Reason::SlotTaken
            | Reason::TimeInPast
            | Reason::SecretShredded
            | Reason::DataKeyMissing => doing.failed(&told()),
            Reason::RootUser => {
                Self::bad("3", "The operation is not supported on the root user.").at("name")
            }
            Reason::LifetimesLonger => {
                let message = format!("The maximum cannot be lowered: {}.", told());
                Self::new(StatusCode::CONFLICT, "8", message).at("max_key_time_to_live")
            }
            Reason::EtagMismatch | Reason::RevisionConflict | Reason::RequestIdReused => {
                Self::new(StatusCode::CONFLICT, "8", format!("The resource is in use: {}.", told()))
            }
            Reason::InvalidPageToken => Self::bad("2", "The \"start.token\" is none.").at("start.token"),
            Reason::Unspecified
            | Reason::InvalidToken
            | Reason::MissingToken
            | Reason::UnknownCertificate
            | Reason::Internal
            | Reason::LogCorrupt => {
                tracing::error!(?reason, message = status.message(), "identity refuses us");
                Self::internal()
            }
            Reason::UserHasKeys
            | Reason::AccessKeyExpired
            | Reason::NoGracePeriod
            | Reason::EventLogUnavailable
            | Reason::ReadModelBehind
            | Reason::ReadModelStale
            | Reason::ReadModelEmpty
            | Reason::WatchEnded
            | Reason::StreamEnded
            | Reason::Overloaded
            | Reason::SignatureVersion2Off
            | Reason::DateKeysUnavailable
            | Reason::AccountHasUsers
            | Reason::NoSuchBucket
            | Reason::BucketAlreadyOwned
            | Reason::BucketAlreadyExists
            | Reason::BucketLimit
            | Reason::BucketOwnerChanged
            | Reason::AccountHasBuckets
            | Reason::NotDeleted
            | Reason::OtherEpoch
            | Reason::StorageFull
            | Reason::AdminTokenNameTaken
            | Reason::NoSuchAdminToken
            | Reason::ReadTimeOutOfRange
            | Reason::TooManyWatches
            | Reason::TooManyExports => Self::of_code(status),
        }
    }

    /// More than 1095 days.
    fn too_long_for_anybody() -> Self {
        let message =
            "The maximum supported value for user key expiry configuration is \"1095\" days.";
        Self::bad("92406083", message).at("key_time_to_live")
    }

    /// More than the account allows.
    pub(crate) fn too_long_for_service() -> Self {
        Self::bad(
            "92406196",
            "The specified value for the \"key_time_to_live\" field cannot be greater than the maximum \
             limit specified for the \"max_key_time_to_live\" field in the object store server.",
        )
        .at("key_time_to_live")
    }

    /// A field that identity finds wrong, by ONTAP's name of it.
    fn of_field(status: &Status) -> Self {
        let details = status.get_details_bad_request();
        let violations = details.map(|details| details.field_violations).unwrap_or_default();
        let Some(violation) = violations.into_iter().next() else { return Self::of_code(status) };
        match violation.field.as_str() {
            "user.user_name" => Self::name_characters(),
            "access_key.access_key_id" => Self::access_key_form(),
            "secret_access_key" => {
                Self::bad_form("secret_key", "must be 40 to 128 visible ASCII characters")
            }
            "access_key.time_to_live" => Self::bad_form(
                "key_time_to_live",
                "must be of the form PnDTnHnMnS or PnW, or 0 for no end",
            ),
            "user.comment" | "user_comment" => Self::bad_form(
                "comment",
                "must have at most 256 characters, and no control characters",
            ),
            _ => Self::bad("2", status.message().to_owned()),
        }
    }

    pub(crate) fn name_characters() -> Self {
        Self::bad(
            "92405787",
            "The user name contains invalid characters, or has the form of a UUID. Valid characters are \
             0-9, A-Z, a-z, \"_\", \"+\", \"=\", \",\", \".\", \"@\" and \"-\".",
        )
        .at("name")
    }

    pub(crate) fn name_length() -> Self {
        Self::bad("92405788", "The user name must have 1 to 64 characters.").at("name")
    }

    fn access_key_form() -> Self {
        let message = "The access key must have 20 characters, of 0-9 and A-Z.";
        Self::bad("92406205", message).at("access_key")
    }

    fn of_code(status: &Status) -> Self {
        let told = || status.message().to_owned();
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                Self::bad("2", told())
            }
            Code::NotFound => Self::new(StatusCode::NOT_FOUND, "4", "entry doesn't exist"),
            Code::AlreadyExists | Code::Aborted => Self::new(StatusCode::CONFLICT, "8", told()),
            Code::PermissionDenied => Self::new(StatusCode::FORBIDDEN, "6", told()),
            Code::Ok
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                tracing::error!(code = ?status.code(), message = status.message(), "identity refuses us");
                Self::internal()
            }
            Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unavailable => {
                tracing::warn!(code = ?status.code(), message = status.message(), "identity is away");
                Self::unavailable()
            }
        }
    }

    /// The document that says so.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({ "message": self.message, "code": self.code });
        if let Some(target) = &self.target {
            error["target"] = json!(target);
        }
        json!({ "error": error })
    }
}

/// What is being done, for what ONTAP tells by other codes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doing<'a> {
    pub(crate) resource: &'a str,
    pub(crate) to: To,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum To {
    CreateUser,
    RegenerateKeys,
    #[default]
    Other,
}

impl Doing<'_> {
    /// That no access key comes of it.
    fn failed(self, why: &str) -> OntapError {
        let (code, what) = match self.to {
            To::CreateUser => ("92405791", "Failed to create access-key and secret-key for user"),
            To::RegenerateKeys => {
                ("92405792", "Failed to regenerate access-key and secret-key for user")
            }
            To::Other => ("8", "Failed"),
        };
        OntapError::new(StatusCode::CONFLICT, code, format!("{what}: {why}."))
    }
}

impl From<BodyError> for OntapError {
    fn from(error: BodyError) -> Self {
        let message = format!("{error}.");
        match error {
            BodyError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "2", message),
            BodyError::BrokenOff => Self::bad("2", message),
            BodyError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "2", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &Status, to: To, expected: (u16, &str, Option<&str>)) {
        let error = OntapError::of_status(status, Doing { resource: "/x", to });
        let found = (error.status.as_u16(), error.code, error.target.as_deref());
        assert_eq!(found, expected, "{status:?}");
    }

    #[test]
    fn what_identity_refuses_has_a_code_of_ontaps() {
        use Reason as R;
        let status = |code, reason| api::status(code, reason, "why");
        let table = [
            (Code::NotFound, R::NoSuchUser, (404, "4", Some("name"))),
            (Code::NotFound, R::NoSuchAccount, (404, "4", Some("svm.uuid"))),
            (Code::AlreadyExists, R::UserNameTaken, (409, "1", Some("name"))),
            (Code::AlreadyExists, R::AccessKeyIdTaken, (409, "92406200", Some("access_key"))),
            (Code::PermissionDenied, R::CallerNotAllowed, (403, "92406096", None)),
            (Code::Unauthenticated, R::UnknownAdminToken, (401, "6691623", None)),
            (Code::Unauthenticated, R::WrongPassword, (401, "6691623", None)),
            (Code::ResourceExhausted, R::TooManyWrongPasswords, (429, "6691623", None)),
            (Code::ResourceExhausted, R::TooManyRequests, (429, "8", None)),
            (Code::InvalidArgument, R::ExpiryRequired, (400, "92406197", Some("key_time_to_live"))),
            (
                Code::InvalidArgument,
                R::LifetimeTooLong,
                (400, "92406083", Some("key_time_to_live")),
            ),
            (Code::FailedPrecondition, R::RootUser, (400, "3", Some("name"))),
            (
                Code::FailedPrecondition,
                R::LifetimesLonger,
                (409, "8", Some("max_key_time_to_live")),
            ),
            (Code::Aborted, R::RevisionConflict, (409, "8", None)),
            (Code::AlreadyExists, R::RequestIdReused, (409, "8", None)),
            (Code::InvalidArgument, R::InvalidPageToken, (400, "2", Some("start.token"))),
            // The gateway itself is not let in.
            (Code::Unauthenticated, R::MissingToken, (500, "92406097", None)),
            (Code::Unauthenticated, R::InvalidToken, (500, "92406097", None)),
            (Code::Internal, R::Internal, (500, "92406097", None)),
            (Code::ResourceExhausted, R::StorageFull, (503, "393271", None)),
            (Code::Unavailable, R::EventLogUnavailable, (503, "393271", None)),
        ];
        for (code, reason, expected) in table {
            check(&status(code, reason), To::Other, expected);
        }
        let limit = status(Code::ResourceExhausted, R::KeyLimit);
        check(&limit, To::CreateUser, (409, "92405791", None));
        check(&limit, To::RegenerateKeys, (409, "92405792", None));
        check(&Status::unimplemented("no"), To::Other, (500, "92406097", None));
        check(&Status::unavailable("away"), To::Other, (503, "393271", None));
    }

    #[test]
    fn a_field_has_the_name_that_ontap_gives_it() {
        for (field, code, target) in [
            ("user.user_name", "92405787", Some("name")),
            ("access_key.access_key_id", "92406205", Some("access_key")),
            ("secret_access_key", "262197", Some("secret_key")),
            ("access_key.time_to_live", "262197", Some("key_time_to_live")),
            ("user.comment", "262197", Some("comment")),
            ("user_comment", "262197", Some("comment")),
            ("other", "2", None),
        ] {
            check(&api::invalid_field(field, "is wrong"), To::Other, (400, code, target));
        }
    }

    #[test]
    fn the_document_is_mines() {
        let error = OntapError::no_entry("uuid").document();
        let expected = json!({"message": "entry doesn't exist", "code": "4", "target": "uuid"});
        assert_eq!(error, json!({ "error": expected }));
    }
}

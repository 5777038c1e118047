//! What identity refuses, in ONTAP's words.

use http::StatusCode;
use tonic::Status;
use tonic_types::StatusExt;

use super::OntapError;
use crate::identity::Refused;

impl OntapError {
    /// What identity says against a call.
    pub(crate) fn of_status(status: &Status, doing: Doing<'_>) -> Self {
        let told = || status.message().to_owned();
        match Refused::of(status) {
            Refused::NoSuchUser | Refused::NoSuchAccessKey => Self::no_entry("name"),
            Refused::NoSuchAccount => Self::no_entry("svm.uuid"),
            Refused::NotFound => Self::new(StatusCode::NOT_FOUND, "4", "entry doesn't exist"),
            Refused::UserNameTaken => {
                Self::new(StatusCode::CONFLICT, "1", "An S3 user of that name exists already.")
                    .at("name")
            }
            Refused::AccessKeyIdTaken => {
                let message = "The specified access key is in use already.";
                Self::new(StatusCode::CONFLICT, "92406200", message).at("access_key")
            }
            Refused::NotAllowed => Self::no_permission(doing.resource),
            Refused::UnknownAdminToken | Refused::WrongPassword => Self::not_authorized(),
            Refused::TooManyWrongPasswords => {
                let message =
                    "User is not authorized: too many wrong passwords. Wait before retrying.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "6691623", message)
            }
            Refused::TooManyRequests => Self::too_many(),
            Refused::ExpiryRequired => Self::expiry_required(),
            Refused::LifetimeTooLong => Self::too_long_for_anybody(),
            Refused::InvalidField => Self::of_field(status),
            Refused::KeyLimit | Refused::SlotTaken | Refused::TimeInPast | Refused::SecretGone => {
                doing.failed(&told())
            }
            Refused::RootUser => {
                Self::bad("3", "The operation is not supported on the root user.").at("name")
            }
            Refused::LifetimesLonger => {
                let message = format!("The maximum cannot be lowered: {}.", told());
                Self::new(StatusCode::CONFLICT, "8", message).at("max_key_time_to_live")
            }
            Refused::Changed | Refused::RequestIdReused => {
                Self::new(StatusCode::CONFLICT, "8", format!("The resource is in use: {}.", told()))
            }
            Refused::UserHasKeys | Refused::Invalid => Self::bad("2", told()),
            Refused::InvalidPageToken => {
                Self::bad("2", "The \"start.token\" is none.").at("start.token")
            }
            Refused::Conflict => Self::new(StatusCode::CONFLICT, "8", told()),
            Refused::Internal => Self::internal(),
            Refused::Away => Self::unavailable(),
        }
    }

    /// A field that identity finds wrong, by ONTAP's name of it.
    fn of_field(status: &Status) -> Self {
        let details = status.get_details_bad_request();
        let violations = details.map(|details| details.field_violations).unwrap_or_default();
        let Some(violation) = violations.into_iter().next() else {
            return Self::bad("2", status.message().to_owned());
        };
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

#[cfg(test)]
mod tests {
    use api::error::v1::Reason;
    use tonic::Code;

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
}

//! How RGW is told why there is no user: by a status with `S3ErrorDetails`. Without those it takes it for a broken
//! connection, and that for 403.

use api::auth::v1::Denied;
use api::authenticator::v1::S3ErrorDetails;
use api::authenticator::v1::s3_error_details::Type;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::answer;
use crate::status::Error;

/// The type of the details, as an `Any` names it.
const DETAILS: &str = "type.googleapis.com/authenticator.v1.S3ErrorDetails";

/// What a refusal says of the request that it answers.
pub(super) struct About<'a> {
    /// What the caller knows it by.
    pub(super) transaction: Option<&'a str>,
    /// Bucket and key, if they are known.
    pub(super) resource: Option<String>,
}

impl About<'_> {
    /// The request is to be refused.
    pub(super) fn refuse(&self, denied: &Denied) -> Status {
        let http_status = i32::try_from(denied.http_status).unwrap_or(403);
        let details = self.details(kind(&denied.code), http_status, &denied.message);
        // RGW does not look at the code.
        status(Code::InvalidArgument, &denied.message, vec![details])
    }

    /// There is no verdict: RGW says 500 to its client, which then tries again.
    pub(super) fn no_verdict(&self, error: Error) -> Status {
        self.with_details(&error.into())
    }

    /// The same status, with details that RGW reads.
    pub(super) fn with_details(&self, given: &Status) -> Status {
        let message = "We encountered an internal error. Please try again.";
        let mut details = vec![self.details(Type::InternalError, 503, message)];
        details.extend(answer::rpc_status(given).details);
        status(given.code(), given.message(), details)
    }

    /// A key is asked for, and nobody has shown that it was used.
    pub(super) fn not_verified(&self) -> Status {
        let message = "the Authorization header was not verified here a moment ago";
        let details = self.details(Type::InternalError, 500, message);
        status(Code::InvalidArgument, message, vec![details])
    }

    /// There is no such call here.
    pub(super) fn not_implemented(&self) -> Status {
        let message = "there are no roles to assume";
        let details = self.details(Type::NotImplemented, 501, message);
        status(Code::InvalidArgument, message, vec![details])
    }

    fn details(&self, kind: Type, http_status_code: i32, message: &str) -> Any {
        let details = S3ErrorDetails {
            r#type: kind.into(),
            http_status_code,
            message: message.to_owned(),
            request_id: self.transaction.unwrap_or_default().to_owned(),
            host_id: String::new(),
            resource: self.resource.clone(),
        };
        Any { type_url: DETAILS.to_owned(), value: details.encode_to_vec() }
    }
}

fn status(code: Code, message: &str, details: Vec<Any>) -> Status {
    let status = tonic_types::Status { code: code.into(), message: message.to_owned(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// How RGW is told an error of S3. It goes by the HTTP status for those that it has no word for.
fn kind(code: &str) -> Type {
    match code {
        "AccessDenied" => Type::AccessDenied,
        "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
            Type::AuthorizationHeaderMalformed
        }
        "ExpiredToken" => Type::ExpiredToken,
        "InvalidAccessKeyId" => Type::InvalidAccessKeyId,
        "InvalidArgument" => Type::InvalidArgument,
        "InvalidRequest" => Type::InvalidRequest,
        "InvalidToken" => Type::InvalidToken,
        "InvalidURI" => Type::InvalidUri,
        "RequestTimeTooSkewed" => Type::RequestTimeTooSkewed,
        "SignatureDoesNotMatch" => Type::SignatureDoesNotMatch,
        _ => Type::Unspecified,
    }
}

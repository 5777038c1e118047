use super::*;

fn check(status: &Status, expected: u16, reason: &str, retry_after: Option<u32>) {
    let problem = Problem::of_status(status);
    let found = (problem.status.as_u16(), &*problem.reason, problem.retry_after);
    assert_eq!(found, (expected, reason, retry_after), "{status:?}");
}

fn reasoned(code: Code, reason: Reason) -> Status {
    api::status(code, reason, "said")
}

#[test]
fn each_code_is_a_status() {
    use Reason as R;
    let rows = [
        (Code::NotFound, R::NoSuchUser, 404, "NO_SUCH_USER", None),
        (Code::AlreadyExists, R::UserNameTaken, 409, "USER_NAME_TAKEN", None),
        (Code::Aborted, R::EtagMismatch, 409, "ETAG_MISMATCH", None),
        (Code::FailedPrecondition, R::UserHasKeys, 400, "USER_HAS_KEYS", None),
        (Code::PermissionDenied, R::CallerNotAllowed, 403, "CALLER_NOT_ALLOWED", None),
        (Code::ResourceExhausted, R::KeyLimit, 429, "KEY_LIMIT", None),
        (Code::ResourceExhausted, R::TooManyWatches, 429, "TOO_MANY_WATCHES", Some(1)),
        (
            Code::ResourceExhausted,
            R::TooManyWrongPasswords,
            429,
            "TOO_MANY_WRONG_PASSWORDS",
            Some(60),
        ),
        (Code::ResourceExhausted, R::StorageFull, 429, "STORAGE_FULL", Some(30)),
        (Code::Unavailable, R::ReadModelBehind, 503, "READ_MODEL_BEHIND", Some(1)),
        (Code::DataLoss, R::LogCorrupt, 500, "LOG_CORRUPT", None),
        (Code::Internal, R::Internal, 500, "INTERNAL", None),
        (Code::Unauthenticated, R::UnknownAdminToken, 401, "UNKNOWN_ADMIN_TOKEN", None),
        (Code::Unauthenticated, R::WrongPassword, 401, "WRONG_PASSWORD", None),
        // The gateway's own token.
        (Code::Unauthenticated, R::InvalidToken, 500, "INTERNAL", None),
        (Code::Unauthenticated, R::MissingToken, 500, "INTERNAL", None),
    ];
    for (code, reason, expected, told, retry_after) in rows {
        check(&reasoned(code, reason), expected, told, retry_after);
    }
    check(&Status::unavailable("tcp connect error"), 503, "UNAVAILABLE", Some(1));
    check(&Status::unknown("transport error"), 503, "UNAVAILABLE", Some(1));
    check(&Status::cancelled("Timeout expired"), 504, "DEADLINE_EXCEEDED", None);
    check(&Status::unimplemented(""), 501, "UNIMPLEMENTED", None);
    check(&Status::unauthenticated(""), 500, "INTERNAL", None);
    check(&Status::ok(""), 500, "INTERNAL", None);
}

#[test]
fn what_goes_wrong_inside_is_not_told() {
    for status in [Status::internal("s3cr3t"), Status::unknown("s3cr3t")] {
        let document = Problem::of_status(&status).document("id").to_string();
        assert!(!document.contains("s3cr3t"), "{document}");
    }
}

#[test]
fn fields_are_named_as_json_has_them() {
    let status = api::invalid_field("user.tags[0].some_key", "is empty");
    let document = Problem::of_status(&status).document("0");
    let expected = json!([{ "field": "user.tags[0].someKey", "description": "is empty" }]);
    assert_eq!(document["violations"], expected);
    assert_eq!((&document["status"], &document["reason"]), (&json!(400), &json!("INVALID_FIELD")));
    assert_eq!(document["instance"], json!("urn:uuid:0"));
}

#[test]
fn a_wrong_signature_is_no_credential() {
    for (code, status, reason) in [
        ("SignatureDoesNotMatch", 401, "SIGNATURE_DOES_NOT_MATCH"),
        ("InvalidAccessKeyId", 401, "INVALID_ACCESS_KEY_ID"),
        ("XAmzContentSHA256Mismatch", 401, "XAMZ_CONTENT_SHA256_MISMATCH"),
        ("AccessDenied", 401, "ACCESS_DENIED"),
        ("ServiceUnavailable", 503, "UNAVAILABLE"),
        ("InternalError", 500, "INTERNAL"),
        ("RequestHeaderSectionTooLarge", 431, "REQUEST_HEADER_SECTION_TOO_LARGE"),
    ] {
        let problem = Problem::of_signature(&S3Error::new(StatusCode::FORBIDDEN, code, "said"));
        assert_eq!((problem.status.as_u16(), &*problem.reason), (status, reason));
    }
    let problem = Problem::of_signature(&S3Error::slow_down().after(60));
    let told = (problem.status.as_u16(), &*problem.reason, problem.retry_after);
    assert_eq!(told, (429, "LOCKED_OUT", Some(60)));
    // A signature that is right, of a user that is locked.
    let problem = Problem::of_signature(&S3Error::access_denied());
    assert_eq!((problem.status.as_u16(), &*problem.reason), (403, "ACCESS_DENIED"));
}

//! Upload forms that their policy does not allow, or that have none.

use sigv4::{ErrorCode, FORM_BYTES_MAX, FORM_FIELDS_MAX};

use crate::MISMATCH;
use crate::server::NOW;
use crate::server::post::Form;

#[track_caller]
fn check(form: &Form, code: ErrorCode, message: &str) {
    let denial = form.verdict(NOW, |_| ()).expect_err("accepted");
    assert_eq!((denial.code, denial.message.as_ref()), (code, message));
}

#[track_caller]
fn check_policy(form: &Form, what: &str) {
    check(form, ErrorCode::AccessDenied, &format!("Invalid according to Policy: {what}"));
}

fn form() -> Form {
    Form::signed("", &[])
}

fn with(name: &str, value: &str) -> Form {
    let mut form = form();
    form.set(name, value);
    form
}

#[test]
fn the_template_is_accepted() {
    assert_eq!(form().verdict(NOW, |post| post.key().to_owned()).as_deref(), Ok("user/photo.jpg"));
}

#[test]
fn a_form_without_credentials_is_anonymous_and_one_with_some_is_incomplete() {
    let names = ["Policy", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"];
    let mut anonymous = form();
    for name in names {
        anonymous.remove(name);
    }
    check(&anonymous, ErrorCode::AccessDenied, "Access Denied");
    for name in names.into_iter().chain(["key"]) {
        let name_sent = name.to_ascii_lowercase();
        let message = format!(
            "Bucket POST must contain a field named '{name_sent}'.  If it is specified, please check the order \
             of the fields."
        );
        let mut without = form();
        without.remove(name);
        check(&without, ErrorCode::InvalidArgument, &message);
        check(&with(name, ""), ErrorCode::InvalidArgument, &message);
    }
}

#[test]
fn a_policy_that_is_not_signed_allows_nothing() {
    for signature in ["0".repeat(64), "5f".repeat(32), "x".to_owned()] {
        check(&with("X-Amz-Signature", &signature), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    }
    let mut wider = Form::signed(r#", {"acl": "private"}"#, &[("acl", "private")]);
    let signature =
        wider.fields.iter().find(|(name, _)| name == "X-Amz-Signature").unwrap().1.clone();
    let other = Form::signed(r#", {"acl": "public-read"}"#, &[("acl", "public-read")]);
    let policy = &other.fields.iter().find(|(name, _)| name == "Policy").unwrap().1;
    wider.set("Policy", policy);
    wider.set("acl", "public-read");
    wider.set("X-Amz-Signature", &signature);
    check(&wider, ErrorCode::SignatureDoesNotMatch, MISMATCH);
}

#[test]
fn the_policy_speaks_of_each_field() {
    check_policy(&with("acl", "public-read"), "Extra input fields: acl");
    check_policy(&with("X-AMZ-Meta-A", "1"), "Extra input fields: x-amz-meta-a");
    check_policy(&with("x_amz_acl", "public-read"), "Extra input fields: x_amz_acl");
    check_policy(&with("X-Amz-Security-Token", "t"), "Extra input fields: x-amz-security-token");
    assert!(with("x-ignore-acl", "public-read").verdict(NOW, |_| ()).is_ok());
    let mut form = form();
    form.sign(
        r#"{"expiration": "2013-05-24T01:00:00Z", "conditions": [["starts-with", "$key", ""],
        ["starts-with", "$x-amz-algorithm", ""], ["starts-with", "$x-amz-credential", ""],
        ["starts-with", "$x-amz-date", ""]]}"#,
    );
    check_policy(&form, "Extra input fields: bucket");
    form.sign(r#"{"expiration": "2013-05-24T01:00:00Z", "conditions": [{"bucket": "bucket"}]}"#);
    let all = "key, x-amz-algorithm, x-amz-credential, x-amz-date";
    check_policy(&form, &format!("Extra input fields: {all}"));
}

#[test]
fn each_condition_holds() {
    check_policy(
        &with("key", "other/photo.jpg"),
        r#"Policy Condition failed: ["starts-with", "$key", "user/"]"#,
    );
    let acl = r#", {"acl": "private"}"#;
    let failed = r#"Policy Condition failed: ["eq", "$acl", "private"]"#;
    check_policy(&Form::signed(acl, &[]), failed);
    for value in ["public-read", "Private", "private ", ""] {
        check_policy(&Form::signed(acl, &[("acl", value)]), failed);
    }
    assert!(Form::signed(acl, &[("ACL", "private")]).verdict(NOW, |_| ()).is_ok());
    let both = r#", {"acl": "private"}, {"acl": "public-read"}"#;
    check_policy(&Form::signed(both, &[("acl", "public-read")]), failed);
    // An empty prefix allows any value, but the field must be there.
    let any = r#", ["starts-with", "$name", ""]"#;
    check_policy(
        &Form::signed(any, &[]),
        r#"Policy Condition failed: ["starts-with", "$name", ""]"#,
    );
    assert!(Form::signed(any, &[("name", "")]).verdict(NOW, |_| ()).is_ok());
    let types = r#", ["starts-with", "$Content-Type", "image/"]"#;
    assert!(
        Form::signed(types, &[("Content-Type", "image/png, image/gif")])
            .verdict(NOW, |_| ())
            .is_ok()
    );
    let failed = r#"Policy Condition failed: ["starts-with", "$content-type", "image/"]"#;
    check_policy(&Form::signed(types, &[("Content-Type", "image/png,text/html")]), failed);
}

#[test]
fn a_policy_is_for_one_bucket() {
    let elsewhere = Form { bucket: "other".to_owned(), ..form() };
    check_policy(&elsewhere, r#"Policy Condition failed: ["eq", "$bucket", "bucket"]"#);
    check_policy(&with("bucket", "other"), "the field 'bucket' names another bucket.");
    assert!(with("bucket", "bucket").verdict(NOW, |_| ()).is_ok());
}

#[test]
fn a_policy_and_the_date_of_a_form_end() {
    assert!(form().verdict(NOW + 3599, |_| ()).is_ok());
    let denial = form().verdict(NOW + 3600, |_| ()).unwrap_err();
    assert_eq!(denial.message, "Invalid according to Policy: Policy expired.");
    let mut long = form();
    let policy = r#"{"expiration": "2099-01-01T00:00:00Z", "conditions": [{"bucket": "bucket"},
        ["starts-with", "$key", "user/"], {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
        ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""]]}"#;
    long.sign(policy);
    assert!(long.verdict(NOW + 604_799, |_| ()).is_ok());
    assert_eq!(long.verdict(NOW + 604_800, |_| ()).unwrap_err().message, "Request has expired");
    assert!(long.verdict(NOW - 900, |_| ()).is_ok());
    assert_eq!(long.verdict(NOW - 901, |_| ()).unwrap_err().message, "Request is not valid yet");
    // The day of the credential is that of the date, which the policy may leave free.
    long.set("X-Amz-Date", "20130525T000000Z");
    assert_eq!(
        long.verdict(NOW, |_| ()).unwrap_err().code,
        ErrorCode::AuthorizationQueryParametersError
    );
}

#[test]
fn the_credential_of_a_form_is_that_of_its_policy_and_of_this_server() {
    let code = ErrorCode::AuthorizationQueryParametersError;
    for credential in [
        "AKIAIOSFODNN7EXAMPLE/20130524/us-east-2/s3/aws4_request",
        "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/iam/aws4_request",
        "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_requestX",
        "AKIAIOSFODNN7EXAMPLE/20130523/us-east-1/s3/aws4_request",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        let denial = with("X-Amz-Credential", credential).verdict(NOW, |_| ()).unwrap_err();
        assert_eq!(denial.code, code, "{credential}");
    }
    let other = with("X-Amz-Credential", "AKIAOTHER/20130524/us-east-1/s3/aws4_request");
    assert_eq!(other.verdict(NOW, |_| ()).unwrap_err().code, ErrorCode::AccessDenied);
    for (name, value) in [
        ("AWSAccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
        ("Signature", "0"),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
    ] {
        check(&with(name, value), ErrorCode::InvalidRequest, crate::UNSUPPORTED);
    }
    let denial = with("X-Amz-Algorithm", "AWS4-HMAC-SHA1").verdict(NOW, |_| ()).unwrap_err();
    assert_eq!(denial.code, code);
}

#[test]
fn a_form_has_each_field_once_and_readable() {
    let message = "The body of your POST request is not well-formed multipart/form-data.";
    for (name, value) in [
        ("KEY", "user/other"),
        ("policy", "e30="),
        ("x-amz-signature", "0"),
        ("", "a"),
        ("a b", "c"),
        ("x-amz-meta-a\r\nx-amz-acl", "a"),
        ("x-ignore-a", "a\r\nx-amz-acl: public-read"),
        ("x-ignore-a", "a\u{0}"),
    ] {
        check(&with(name, value), ErrorCode::MalformedPostRequest, message);
    }
    let message = "POST requires exactly one file upload per request.";
    check(&with("File", "a"), ErrorCode::InvalidArgument, message);
    let message = "Your POST request fields preceding the upload file were too large.";
    let code = ErrorCode::MaxPostPreDataLengthExceeded;
    check(&with("x-ignore-a", &"a".repeat(FORM_BYTES_MAX)), code, message);
    let mut many = form();
    for at in 0..FORM_FIELDS_MAX {
        many.set(&format!("x-ignore-{at}"), "");
    }
    check(&many, code, message);
}

#[test]
fn a_policy_that_cannot_be_read_is_none() {
    for policy in [
        "",
        "{}",
        "[]",
        "{\"expiration\": \"2013-05-24T01:00:00Z\", \"conditions\": [[\"ne\", \"$key\", \"\"]]}",
    ] {
        let mut form = form();
        form.sign(policy);
        let code = form.verdict(NOW, |_| ()).unwrap_err().code;
        let missing = policy.is_empty(); // an empty field is none
        assert_eq!(
            code,
            if missing { ErrorCode::InvalidArgument } else { ErrorCode::InvalidPolicyDocument }
        );
    }
    assert_eq!(
        with("Policy", "%").verdict(NOW, |_| ()).unwrap_err().code,
        ErrorCode::InvalidPolicyDocument
    );
}

#[test]
fn the_name_of_a_file_is_no_way_out_of_the_policy() {
    let key = |key: &str, file_name: Option<&str>| {
        let form = Form { file_name: file_name.map(str::to_owned), ..with("key", key) };
        form.verdict(NOW, |post| post.key().to_owned()).map_err(|denial| denial.code)
    };
    assert_eq!(key("user/${filename}", Some("a.jpg")).as_deref(), Ok("user/a.jpg"));
    assert_eq!(key("user/${filename}", Some("../../x\\a.jpg")).as_deref(), Ok("user/a.jpg"));
    assert_eq!(key("user/${filename}", None).as_deref(), Ok("user/"));
    assert_eq!(key("user/${filename}", Some("${filename}")).as_deref(), Ok("user/${filename}"));
    assert_eq!(key("${filename}", Some("user/a.jpg")), Err(ErrorCode::AccessDenied));
    assert_eq!(key("${filename}", Some("")), Err(ErrorCode::MalformedPostRequest));
    assert_eq!(key("user/${filename}${filename}", Some("a")), Err(ErrorCode::MalformedPostRequest));
}

#[test]
fn a_policy_speaks_of_the_key_with_the_name_of_the_file_in_it() {
    let key = |condition: &str, file_name: &str| {
        let mut form = Form::signed(condition, &[("key", "user/${filename}")]);
        form.file_name = Some(file_name.to_owned());
        form.verdict(NOW, |_| ()).is_ok()
    };
    let prefix = r#", ["starts-with", "$key", "user/a"]"#;
    assert_eq!((key(prefix, "a.jpg"), key(prefix, "b.jpg")), (true, false));
    let exactly = r#", {"key": "user/a.jpg"}"#;
    assert_eq!((key(exactly, "a.jpg"), key(exactly, "b.jpg")), (true, false));
    assert!(!key(r#", {"key": "user/${filename}"}"#, "a.jpg"));
}

#[test]
fn the_length_of_the_file_is_within_every_range_of_the_policy() {
    let form =
        Form::signed(r#", ["content-length-range", 2, 10], ["content-length-range", 0, 8]"#, &[]);
    let check = |bytes| form.verdict(NOW, |post| post.check_content_length(bytes)).unwrap();
    assert_eq!((check(2), check(8)), (Ok(()), Ok(())));
    let code = |bytes| check(bytes).unwrap_err().code;
    assert_eq!((code(1), code(9)), (ErrorCode::EntityTooSmall, ErrorCode::EntityTooLarge));
    assert_eq!(code(u64::MAX).http_status(), 400);
}

//! Upload forms: AWS's example and what boto3 signs.

mod server;

use proptest::prelude::*;
use serde_json::Value;
use server::NOW;
use server::post::Form;
use sigv4::{ErrorCode, Expected, PostForm, authenticate_post};

/// 2015-12-29T12:00:00Z, half a day after AWS's example was signed.
const DOCUMENTED: i64 = 1_451_390_400;

/// Amazon S3 API reference, "Example: Browser-based upload using HTTP POST".
fn documented() -> Form {
    let fields = [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", "20151229T000000Z"),
        ("x-amz-meta-tag", ""),
        ("Policy", include_str!("vectors/post_policy.txt").trim_end()),
        ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
    ];
    Form {
        bucket: "sigv4examplebucket".to_owned(),
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        file_name: Some("photo.jpg".to_owned()),
    }
}

fn recorded() -> Vec<(String, Form)> {
    let lines = include_str!("vectors/post.jsonl").lines();
    let forms = lines.map(|line| {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let fields = vector["fields"].as_object().unwrap().iter();
        let form = Form {
            bucket: text(&vector["bucket"]).unwrap(),
            fields: fields.map(|(name, value)| (name.clone(), text(value).unwrap())).collect(),
            file_name: text(&vector["file_name"]),
        };
        (text(&vector["name"]).unwrap(), form)
    });
    forms.collect()
}

#[test]
fn the_example_of_the_documentation_is_accepted() {
    let form = documented();
    let key = form.verdict(DOCUMENTED, |post| {
        assert_eq!(post.content_length(), 0..=u64::MAX);
        post.key().to_owned()
    });
    assert_eq!(key.unwrap(), "user/user1/photo.jpg");
    // Noon of the day after, when the policy expires.
    assert!(form.verdict(DOCUMENTED + 86_399, |_| ()).is_ok());
    let denial = form.verdict(DOCUMENTED + 86_400, |_| ()).unwrap_err();
    assert_eq!(denial.code, ErrorCode::AccessDenied);
    assert_eq!(denial.message, "Invalid according to Policy: Policy expired.");
}

#[test]
fn what_boto3_signs_is_accepted() {
    let forms = recorded();
    assert_eq!(forms.len(), 10);
    for (name, form) in forms {
        let key = form.verdict(NOW, |post| post.key().to_owned());
        let key = key.unwrap_or_else(|denial| panic!("{name}: {denial}"));
        assert!(!key.contains("${filename}") && !key.contains('\\'), "{name}: {key}");
    }
}

#[test]
fn no_field_of_a_form_can_be_changed_left_out_or_added() {
    for (name, form) in recorded().into_iter().chain([("documented".to_owned(), documented())]) {
        let now = if name == "documented" { DOCUMENTED } else { NOW };
        for at in 0..form.fields.len() {
            let (field, value) = form.fields[at].clone();
            let mut without = form.clone();
            without.fields.remove(at);
            assert!(without.verdict(now, |_| ()).is_err(), "{name}: without {field}");
            let mut twice = form.clone();
            twice.fields.push((field.to_ascii_uppercase(), value.clone()));
            assert!(twice.verdict(now, |_| ()).is_err(), "{name}: twice {field}");
            let mut changed = form.clone();
            changed.fields[at].1 = format!("x{value}");
            // A condition with an empty prefix allows any value.
            let is_free = field == "x-amz-meta-tag" || value == "${filename}";
            assert_eq!(changed.verdict(now, |_| ()).is_ok(), is_free, "{name}: changed {field}");
        }
        let mut more = form.clone();
        more.set("x-amz-storage-class", "GLACIER");
        assert_eq!(more.verdict(now, |_| ()).unwrap_err().code, ErrorCode::AccessDenied);
        let elsewhere = Form { bucket: "other".to_owned(), ..form };
        assert_eq!(elsewhere.verdict(now, |_| ()).unwrap_err().code, ErrorCode::AccessDenied);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_form_whose_policy_or_signature_has_one_other_bit_is_refused(
        is_policy: bool,
        at: prop::sample::Index,
        bit in 0..7,
    ) {
        let mut form = documented();
        let name = if is_policy { "Policy" } else { "X-Amz-Signature" };
        let field = form.fields.iter_mut().find(|(known, _)| known == name).unwrap();
        let mut value = field.1.clone().into_bytes();
        let at = at.index(value.len());
        value[at] ^= 1_u8 << bit;
        field.1 = String::from_utf8(value).unwrap();
        prop_assert!(form.verdict(DOCUMENTED, |_| ()).is_err());
    }

    #[test]
    fn any_fields_get_a_verdict(fields: Vec<(Vec<u8>, Vec<u8>)>, policy: Vec<u8>, file_name: Option<Vec<u8>>) {
        use base64::Engine as _;
        let policy = base64::engine::general_purpose::STANDARD.encode(policy);
        let form = documented();
        let own = form.fields.iter().filter(|(name, _)| name != "Policy");
        let own = own.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let own = own.chain([("policy".as_bytes(), policy.as_bytes())]);
        let given = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        for fields in [given.clone().collect::<Vec<_>>(), own.chain(given).collect()] {
            let form = PostForm { fields: &fields, file_name: file_name.as_deref() };
            let verdict = authenticate_post(&form, "bucket", &Expected::s3("us-east-1", DOCUMENTED));
            let denial = verdict.map(drop).unwrap_err();
            prop_assert!(matches!(denial.code.http_status(), 400 | 403));
        }
    }
}

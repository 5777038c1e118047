//! Which host was signed: the header, HTTP/2's `:authority`, or one that the caller names.

use super::*;

async fn auth(accepts_candidates: bool) -> Harness {
    let records = records(vec![user()], vec![access_key(ID)]);
    Harness::with_config(records, |config| config.accepts_s3_host_candidates = accepts_candidates)
        .await
}

/// The same head, field by field.
fn by_field(head: &str) -> VerifySignatureRequest {
    let mut lines = head.lines();
    let mut request_line = lines.next().expect("is there").split(' ');
    let mut part = || request_line.next().expect("is there").to_owned();
    let (method, target) = (part(), part());
    let headers = lines.filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.rsplit_once(": ").expect("is a header");
        Header { name: name.into(), value: value.into() }
    });
    let parts = RequestHead { method, target, headers: headers.collect() };
    VerifySignatureRequest { request: Some(RequestForm::Head(parts)), ..raw("", 0) }
}

async fn ask(auth: &Harness, request: VerifySignatureRequest) -> Result<String, String> {
    match auth.call(request).await.expect("a verdict").verdict.expect("is there") {
        Verdict::Verified(verified) => Ok(verified.host_candidate),
        Verdict::Denied(denied) => Err(denied.code),
    }
}

#[tokio::test]
async fn authority_stands_for_the_host_and_never_beside_another() {
    let auth = auth(false).await;
    let host = "Host: s3.example.com\r\n";
    for (lines, expected) in [
        (":authority: s3.example.com\r\n", Ok("")),
        (":authority: s3.example.com\r\nHost: s3.example.com\r\n", Ok("")),
        ("Host: s3.example.com\r\n:authority: s3.example.com\r\n", Ok("")),
        (":authority: other.example.com\r\n", Err("SignatureDoesNotMatch")),
        (":authority: other.example.com\r\nHost: s3.example.com\r\n", Err("InvalidRequest")),
        ("Host: s3.example.com\r\n:authority: other.example.com\r\n", Err("InvalidRequest")),
        ("Host: s3.example.com\r\n:authority: S3.example.com\r\n", Err("InvalidRequest")),
        (":authority: s3.example.com\r\n:authority: s3.example.com\r\n", Err("InvalidRequest")),
        ("Host: s3.example.com\r\nhost: s3.example.com\r\n", Err("InvalidRequest")),
    ] {
        let head = signed(ID, SECRET).replacen(host, lines, 1);
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(ask(&auth, raw(&head, 0)).await, expected, "{lines}");
        assert_eq!(ask(&auth, by_field(&head)).await, expected, "{lines}");
    }
    // Nothing else of HTTP/2 is a header.
    let head = signed(ID, SECRET).replacen(host, ":authority: s3.example.com\r\n:path: /\r\n", 1);
    let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
    assert_eq!(auth.ask_in_vain(raw(&head, 0)).await, invalid);
    assert_eq!(auth.ask_in_vain(by_field(&head)).await, invalid);
}

#[tokio::test]
async fn another_host_may_have_been_signed_for_s3_only_where_auth_is_told_so() {
    let (off, on) = (auth(false).await, auth(true).await);
    let sent = signed(ID, SECRET).replacen("Host: s3.example.com", "Host: internal:7100", 1);
    let with = |head: &str, hosts: &[&str]| VerifySignatureRequest {
        host_candidates: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ..raw(head, 0)
    };
    let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
    assert_eq!(off.ask_in_vain(with(&sent, &["s3.example.com"])).await, invalid);
    let mismatch = || Err("SignatureDoesNotMatch".to_owned());
    for (hosts, expected) in [
        (&[][..], mismatch()),
        (&["s3.example.com"], Ok("s3.example.com".to_owned())),
        (&["a", "s3.example.com"], Ok("s3.example.com".to_owned())),
        (&["a", "b"], mismatch()),
    ] {
        assert_eq!(ask(&on, with(&sent, hosts)).await, expected, "{hosts:?}");
    }
    // The host as it was sent comes first, and the verdict says that it was it.
    let right = signed(ID, SECRET);
    assert_eq!(ask(&on, with(&right, &["internal:7100"])).await, Ok(String::new()));
    assert_eq!(on.ask_in_vain(with(&sent, &["a", "b", "c"])).await, invalid);
    assert_eq!(on.ask_in_vain(with(&sent, &["a b"])).await, invalid);
    // One that the client names is none.
    let claims = sent.replacen("\r\n\r\n", "\r\nX-Forwarded-Host: s3.example.com\r\n\r\n", 1);
    assert_eq!(ask(&on, with(&claims, &[])).await, mismatch());
}

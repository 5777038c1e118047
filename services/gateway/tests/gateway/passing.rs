//! What is allowed passes, and unchanged.

use api::auth::v1::verify_signature_response::Verdict;
use http::Response;

use crate::fake_auth::verified;
use crate::fake_upstream::text;
use crate::rig::{Rig, exchange};

#[tokio::test]
async fn a_verified_request_goes_on_signed_anew() {
    let rig = Rig::start().await;
    rig.upstream.answers(|_| {
        Response::builder()
            .header("etag", "\"e\"")
            .header("connection", "x-private")
            .header("x-private", "1")
            .header("proxy-authenticate", "Basic")
            .header("x-amz-meta-a", "b")
            .body(text("hello"))
            .expect("a response")
    });
    let headers = [
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIACLIENT/x, Signature=client",
        "X-Amz-Date: 20130524T000000Z",
        "X-Amz-Content-SHA256: UNSIGNED-PAYLOAD",
        "X-Amz-Security-Token: client-token",
        "X-Amz-Meta-B:  spaced   out ",
        "X-Amz-Meta-B: é",
        "X-Forwarded-For: 10.0.0.1",
        "TE: trailers",
        "Range: bytes=0-4",
    ];
    let answer = rig.send("GET /bucket/key?versionId=1", &headers, b"").await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.header("etag"), Some("\"e\""));
    assert_eq!(answer.header("x-amz-meta-a"), Some("b"));
    assert_eq!(answer.header("content-length"), Some("5"));
    assert!(answer.header("x-amz-request-id").is_some());
    assert!(answer.header("x-private").is_none() && answer.header("proxy-authenticate").is_none());

    let seen = &rig.upstream.seen()[0];
    let header = |name: &str| {
        seen.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    assert_eq!(seen.target, "/bucket/key?versionId=1");
    assert_eq!(header("host"), Some(rig.upstream.address.to_string()));
    assert_eq!(header("range").as_deref(), Some("bytes=0-4"));
    assert_eq!(header("x-amz-meta-b").as_deref(), Some("spaced   out,é"));
    assert_eq!(header("x-amz-content-sha256").as_deref(), Some("UNSIGNED-PAYLOAD"));
    let authorization = header("authorization").expect("signed");
    assert!(authorization.contains("Credential=AKIAUPSTREAM/"), "{authorization}");
    assert!(authorization.contains("host;x-amz-content-sha256;x-amz-date;x-amz-meta-b"));
    assert_ne!(header("x-amz-date").as_deref(), Some("20130524T000000Z"));
    for gone in ["x-amz-security-token", "x-forwarded-for", "te", "connection", "content-length"] {
        assert_eq!(header(gone), None, "{gone}");
    }
    let head = &rig.auth.heads()[0];
    assert!(head.starts_with("GET /bucket/key?versionId=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: s3.test\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("x-amz-security-token: client-token\r\n"), "{head}");
}

#[tokio::test]
async fn the_target_goes_on_byte_for_byte() {
    let rig = Rig::start().await;
    for target in [
        "/",
        "/bkt",
        "/bkt/",
        "/bkt//k//",
        "/bkt/./../k/..",
        "/bkt/%2e%2E/k",
        "/bkt/a%2Fb%2fc",
        "/bkt/%c3%a9%C3%A9",
        "/bkt/é🔑",
        "/bkt/a+b%20c%2B",
        "/bkt/!$&'()*,;=:@~[]|^{}\"",
        "/bkt?list-type=2&prefix=a%2fb+c&delimiter=/&fetch-owner",
        "/bkt/k?uploadId=a=b==&partNumber=1",
    ] {
        let answer = rig.send(&format!("GET {target}"), &[], b"").await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(rig.upstream.seen().last().expect("a request").target, target);
        let head = rig.auth.heads().pop().expect("a head");
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_presigned_url_goes_on_without_its_signature() {
    let rig = Rig::start().await;
    let target = "/bkt/k%2f?response-content-type=a%2Fb&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIACLIENT%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &x-id=GetObject&X-Amz-Security-Token=t&X-Amz-Signature=00";
    let answer = rig.send(&format!("GET {target}"), &[], b"").await;
    assert_eq!(answer.status, 200);
    let seen = rig.upstream.seen();
    assert_eq!(seen[0].target, "/bkt/k%2f?response-content-type=a%2Fb&x-id=GetObject");
    assert!(rig.auth.heads()[0].starts_with(&format!("GET {target} HTTP/1.1\r\n")));
}

#[tokio::test]
async fn head_and_other_answers_keep_their_form() {
    let rig = Rig::start().await;
    rig.upstream.answers(|seen| {
        let (status, length) = match seen.target.as_str() {
            "/bkt/there" => (200, "12345"),
            "/bkt/secret" => (403, "99"),
            _ => (404, "0"),
        };
        Response::builder()
            .status(status)
            .header("content-length", length)
            .header("x-amz-request-id", "UPSTREAM")
            .header("x-amz-id-2", "UPSTREAM")
            .header("server", "UPSTREAM")
            .header("set-cookie", "UPSTREAM")
            .body(text(""))
            .expect("a response")
    });
    for (key, status, length) in
        [("there", 200, "12345"), ("secret", 403, "99"), ("gone", 404, "0")]
    {
        let answer = rig.send(&format!("HEAD /bkt/{key}"), &[], b"").await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert_eq!(answer.header("content-length"), Some(length));
        assert_eq!(answer.header("server"), Some("claviger"));
        assert_eq!(answer.header("x-amz-request-id").map(str::len), Some(32));
        assert!(answer.header("x-amz-id-2").is_some());
        assert!(!answer.head.contains("UPSTREAM"), "{}", answer.head);
    }
    rig.upstream.answers(|_| Response::builder().status(204).body(text("")).expect("a response"));
    assert_eq!(rig.send("DELETE /bkt/k", &[], b"").await.status, 204);
    assert_eq!(rig.upstream.seen().last().expect("a request").method, "DELETE");
}

#[tokio::test]
async fn an_error_of_the_upstream_goes_back_unless_it_is_about_the_gateway() {
    let rig = Rig::start().await;
    let error = |status: u16, code: &'static str| {
        let body = format!("<Error xmlns='x'><Key>k</Key><Code>{code}</Code></Error>");
        move |_: &_| {
            Response::builder().status(status).body(text(body.clone())).expect("a response")
        }
    };
    for (status, code) in [(404, "NoSuchKey"), (403, "AccessDenied"), (400, "MalformedXML")] {
        rig.upstream.answers(error(status, code));
        let answer = rig.send("GET /bkt/k", &[], b"").await;
        assert_eq!((answer.status, answer.element("Code")), (status, Some(code)));
    }
    for code in ["SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed"] {
        for status in [400, 401, 403, 404, 418, 500] {
            rig.upstream.answers(error(status, code));
            let answer = rig.send("GET /bkt/k", &[], b"").await;
            answer.is_error(503, "ServiceUnavailable");
        }
    }
    rig.upstream.answers(error(404, "AKIAUPSTREAM"));
    let answer = rig.send("GET /bkt/k", &[], b"").await;
    answer.is_error(503, "ServiceUnavailable");
    assert!(!answer.text().contains("AKIAUPSTREAM"));
    rig.upstream.answers(|_| {
        let response = Response::builder().status(403).header("content-encoding", "gzip");
        response.body(text("\x1f")).expect("a response")
    });
    rig.send("GET /bkt/k", &[], b"").await.is_error(503, "ServiceUnavailable");
}

#[tokio::test]
async fn a_host_may_name_the_bucket() {
    let rig = Rig::start().await;
    for (host, target, onward) in [
        ("bucket.s3.test", "/", "/bucket/"),
        ("bucket.s3.test:7100", "/?list-type=2&prefix=a%2fb", "/bucket/?list-type=2&prefix=a%2fb"),
        ("a.dotted.S3.test", "//b/../k%2f%C3%a9+é", "/a.dotted//b/../k%2f%C3%a9+é"),
        ("127.0.0.1:7100", "/bucket/k", "/bucket/k"),
        ("[::1]", "/bucket/k", "/bucket/k"),
        ("S3.TEST:1", "/bucket/k", "/bucket/k"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = exchange(rig.gateway.s3, head.as_bytes()).await;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
        let seen = rig.upstream.seen().pop().expect("a request");
        assert_eq!(seen.target, onward);
        assert_eq!(seen.headers["host"], rig.upstream.address.to_string());
        // What the client signed is its own host and path.
        let head = rig.auth.heads().pop().expect("a head");
        let start = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n");
        assert!(head.starts_with(&start), "{head}");
    }
}

#[tokio::test]
async fn only_known_headers_go_on_and_those_of_s3_only_if_signed() {
    let rig = Rig::start().await;
    rig.auth.says(|head| {
        let mut verified = verified(head);
        verified.signed_headers.retain(|name| name != "x-amz-acl");
        Ok(Some(Verdict::Verified(verified)))
    });
    let headers = [
        "X-Amz-Acl: public-read",
        "X_Amz_Acl: public-read",
        "X-Amz-Copy_Source: /bkt/other",
        "X-Amz-Meta-A_B: kept",
        "Accept-Encoding: gzip",
        "Cookie: a=b",
        "Destination: /other",
        "X-Auth-Token: x",
        "X-HTTP-Method-Override: DELETE",
        "X-Minio-Force-Delete: true",
        "If-Match: e",
    ];
    assert_eq!(rig.send("GET /bkt/k", &headers, b"").await.status, 200);
    let seen = rig.upstream.seen().pop().expect("a request");
    let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let own = ["authorization", "host", "if-match", "x-amz-content-sha256", "x-amz-date"];
    assert_eq!(names, [&own[..], &["x-amz-meta-a_b"]].concat());
}

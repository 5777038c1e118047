//! What is not allowed never reaches the upstream.

use std::time::Duration;

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{Denied, Detail};
use tonic::Status;

use crate::fake_auth::verified;
use crate::rig::{Rig, config, exchange, limits, request, serve};

#[tokio::test]
async fn a_denial_becomes_s3s_error() {
    let rig = Rig::start().await;
    let detail =
        |name: &str, value: &str| Detail { name: name.to_owned(), value: value.to_owned() };
    let denied = Denied {
        code: "SignatureDoesNotMatch".to_owned(),
        http_status: 403,
        message: "The request signature we calculated does not match <yours>.".to_owned(),
        details: vec![detail("AWSAccessKeyId", "AKIA"), detail("StringToSign", "a\nb&\0")],
        ..Denied::default()
    };
    rig.auth.says(move |_| Ok(Some(Verdict::Denied(denied.clone()))));
    let answer = rig.send("GET /bkt/k%20?secret=1", &[], b"").await;
    answer.is_error(403, "SignatureDoesNotMatch");
    assert!(answer.text().contains(
        "<Message>The request signature we calculated does not match &lt;yours&gt;.</Message>\
         <AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>a\nb&amp;\u{fffd}</StringToSign>\
         <Resource>/bkt/k%20</Resource><RequestId>"
    ));
    let answer = rig.send("HEAD /bkt/k", &[], b"").await;
    assert_eq!((answer.status, answer.body.len()), (403, 0));
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn who_is_locked_out_is_told_for_how_long() {
    let rig = Rig::start().await;
    for (code, http_status) in [("SlowDown", 503), ("AccessDenied", 403)] {
        rig.auth.says(move |_| {
            Ok(Some(Verdict::Denied(Denied {
                code: code.to_owned(),
                http_status,
                retry_after_seconds: 60,
                ..Denied::default()
            })))
        });
        let answer = rig.send("GET /bkt/k", &[], b"").await;
        answer.is_error(u16::try_from(http_status).expect("a status"), code);
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn who_waits_to_send_a_body_and_is_refused_is_not_taken_for_sending_it() {
    let rig = Rig::start().await;
    rig.auth.says(|_| {
        let code = "AccessDenied".to_owned();
        Ok(Some(Verdict::Denied(Denied { code, http_status: 403, ..Denied::default() })))
    });
    // Of which the second could be read as the body of the first.
    let put =
        "PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let next = "GET /bkt/k HTTP/1.1\r\nHost: s3.test\r\nConnection: close\r\n\r\n";
    let answer = exchange(rig.gateway.s3, format!("{put}{next}").as_bytes()).await;
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
    assert_eq!(answer.text().matches("</Error>").count(), 1, "nothing else is answered");
    assert_eq!(rig.auth.heads().len(), 1);
}

#[tokio::test]
async fn another_account_is_denied() {
    let rig = Rig::start().await;
    for account in ["0192f0c1-2d3e-7000-8000-000000000002", "", "x"] {
        rig.auth.says(move |head| {
            let mut verified = verified(head);
            verified.principal.as_mut().expect("a principal").account_id = account.to_owned();
            Ok(Some(Verdict::Verified(verified)))
        });
        let answer = rig.send("GET /bkt/k", &[], b"").await;
        match account.len() {
            36 => answer.is_error(403, "AccessDenied"),
            _ => answer.is_error(500, "InternalError"),
        }
    }
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn without_a_verdict_nothing_is_denied_and_nothing_allowed() {
    let rig = Rig::start().await;
    let check = async |say: fn() -> Status, status: u16, code: &str| {
        rig.auth.says(move |_| Err(say()));
        let answer = rig.send("GET /bkt/k", &[], b"").await;
        answer.is_error(status, code);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert!(!answer.text().contains("secret reason"));
    };
    check(|| Status::unavailable("secret reason"), 503, "ServiceUnavailable").await;
    check(|| Status::resource_exhausted("secret reason"), 503, "SlowDown").await;
    check(|| Status::deadline_exceeded("secret reason"), 503, "ServiceUnavailable").await;
    check(|| Status::internal("secret reason"), 500, "InternalError").await;
    check(|| Status::unauthenticated("secret reason"), 500, "InternalError").await;
    check(|| Status::invalid_argument("secret reason"), 500, "InternalError").await;
    rig.auth.says(|_| Ok(None));
    rig.send("GET /bkt/k", &[], b"").await.is_error(500, "InternalError");
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn an_auth_that_is_slow_or_away_is_unavailable() {
    let rig =
        Rig::with(gateway::Limits { auth_timeout: Duration::from_millis(50), ..limits() }).await;
    rig.auth.says(|head| {
        std::thread::sleep(Duration::from_millis(500));
        crate::fake_auth::allow(head)
    });
    rig.send("GET /bkt/k", &[], b"").await.is_error(503, "ServiceUnavailable");
    assert_eq!(rig.upstream.begun(), 0);

    // Nobody listens there any more.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let gateway = serve(config(address, rig.upstream.address, limits())).await;
    let answer = crate::rig::exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
    answer.is_error(503, "ServiceUnavailable");
    assert!(!gateway.readiness.is_ready());
}

#[tokio::test]
async fn a_preflight_request_grants_nothing() {
    let rig = Rig::start().await;
    let headers = ["Origin: http://evil.test", "Access-Control-Request-Method: PUT"];
    let answer = rig.send("OPTIONS /bkt/k", &headers, b"").await;
    answer.is_error(403, "AccessForbidden");
    assert_eq!(answer.element("ResourceType"), Some("OBJECT"));
    assert_eq!(answer.element("Method"), Some("PUT"));
    assert!(answer.header("access-control-allow-origin").is_none());
    for method in ["PATCH", "TRACE", "PROPFIND"] {
        rig.send(&format!("{method} /bkt"), &[], b"").await.is_error(405, "MethodNotAllowed");
    }
    assert!(rig.auth.heads().is_empty());
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn forms_that_are_not_offered_say_so() {
    let rig = Rig::start().await;
    let form = "Content-Type: Multipart/Form-Data; boundary=x";
    let signed = [form, "Authorization: AWS4-HMAC-SHA256 x"];
    rig.send("POST /bkt", &signed, b"--x").await.is_error(501, "NotImplemented");
    let chunked = ["Transfer-Encoding: chunked"];
    let mut bytes = request("PUT /bkt/k", &chunked, b"");
    bytes.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
    let answer = crate::rig::exchange(rig.gateway.s3, &bytes).await;
    answer.is_error(411, "MissingContentLength");
    let get = request("GET /bkt/k", &chunked, b"");
    let answer = crate::rig::exchange(rig.gateway.s3, &[&get, &b"0\r\n\r\n"[..]].concat()).await;
    answer.is_error(501, "NotImplemented");
    assert_eq!(answer.element("Header"), Some("Transfer-Encoding"));
    for method in ["GET", "HEAD", "DELETE"] {
        let header = "X-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let answer = rig.send(&format!("{method} /bkt/k"), &[header], b"").await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let types = ["Content-Type: text/plain", "Content-Type: text/html"];
    rig.send("PUT /bkt/k", &types, b"x").await.is_error(400, "InvalidRequest");
    let tab = "X-Amz-Meta-A: a\tb";
    rig.send("PUT /bkt/k", &[tab], b"x").await.is_error(400, "InvalidRequest");
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn what_is_not_s3_does_not_go_on_and_strangers_are_not_told() {
    let rig = Rig::start().await;
    let requests = [
        ("POST /", 405, "MethodNotAllowed"),
        ("POST /?Action=CreateUser", 405, "MethodNotAllowed"),
        ("DELETE /", 405, "MethodNotAllowed"),
        ("GET /?Action=ListUsers", 400, "InvalidArgument"),
        ("GET /bkt%2Fa", 400, "InvalidBucketName"),
        ("GET //bkt/a", 400, "InvalidBucketName"),
        ("GET /v1/AUTH_x", 400, "InvalidBucketName"),
        ("GET /minio/admin/v3/info", 403, "AccessDenied"),
        ("PUT /admin/user?uid=x", 403, "AccessDenied"),
        ("POST /bkt", 405, "MethodNotAllowed"),
        ("GET /bkt?session", 400, "InvalidArgument"),
        ("GET /bkt?events=s3:ObjectCreated:*", 400, "InvalidArgument"),
        ("GET /bkt?prefix=a&prefix=b", 400, "InvalidArgument"),
    ];
    for (line, status, code) in requests {
        rig.send(line, &[], b"").await.is_error(status, code);
    }
    assert_eq!(rig.auth.heads().len(), requests.len());
    let answer = rig.send("GET /bkt?session", &[], b"").await;
    assert_eq!(answer.element("ArgumentName"), Some("session"));

    let denied = Denied { code: "Stranger".to_owned(), http_status: 403, ..Denied::default() };
    rig.auth.says(move |_| Ok(Some(Verdict::Denied(denied.clone()))));
    for (line, _, _) in requests {
        rig.send(line, &[], b"").await.is_error(403, "Stranger");
    }
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn a_connection_header_takes_no_signed_header_away() {
    let rig = Rig::start().await;
    let headers = ["Connection: X-Amz-Date", "X-Amz-Date: 20130524T000000Z"];
    rig.send("GET /bkt/k", &headers, b"").await.is_error(400, "InvalidRequest");
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn too_many_requests_are_told_to_slow_down() {
    let rig = Rig::with(gateway::Limits { requests_max: 1, ..limits() }).await;
    rig.upstream.hold(true);
    let first = rig.send("GET /bkt/1", &[], b"");
    let second = async {
        rig.upstream.begun_at_least(1).await;
        rig.send("GET /bkt/2", &[], b"").await.is_error(503, "SlowDown");
        rig.upstream.hold(false);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status, 200);
    // The place is free again once the answer was sent.
    assert_eq!(rig.send("GET /bkt/3", &[], b"").await.status, 200);
}

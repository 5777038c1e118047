//! Garbage on every port: a clear error in the caller's own form, and the program goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use api::error::v1::Reason;
use api::identity::v1::*;
use tonic::Code;

use crate::support::{Dev, Home, error_code};

/// Sends bytes and gives what comes back until the other side closes or falls silent.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("connects");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    // The other side may answer and close before it has read all.
    let _ = socket.write_all(bytes);
    let mut answer = vec![];
    let mut buffer = [0; 4096];
    while let Ok(read) = socket.read(&mut buffer) {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
        // Enough to see a whole small answer on a connection that is kept.
        if answer.windows(8).any(|window| window == b"</Error>") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Resident memory of a process, in bytes.
fn resident(id: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{id}/statm")).expect("Linux");
    let pages = statm.split(' ').nth(1).expect("a field").parse::<u64>().expect("a number");
    pages * 4096
}

async fn still_works(dev: &Dev) {
    assert_eq!(dev.list_buckets(&dev.root()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_port_harms_nobody() {
    let home = Home::new();
    let dev = home.start();
    still_works(&dev).await;
    let before = resident(dev.id());
    let mut noise = vec![0; 64 << 10];
    getrandom::fill(&mut noise).expect("randomness");
    for listener in ["s3", "rest", "identity", "auth", "admin"] {
        let address = dev.address(listener);
        for bytes in [
            &noise[..],
            b"\r\n\r\n\r\n",
            b"GET\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ] {
            exchange(&address, bytes);
        }
        still_works(&dev).await;
    }
    let grown = resident(dev.id()).saturating_sub(before);
    assert!(grown < 64 << 20, "grew by {grown} bytes");
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_header_of_1_mb_is_refused_in_the_callers_form() {
    let home = Home::new();
    let dev = home.start();
    still_works(&dev).await;
    let before = resident(dev.id());
    let request = |size: usize| {
        let value = "A".repeat(size);
        format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: AWS4-HMAC-SHA256 {value}\r\n\r\n"
        )
    };
    for _ in 0..20 {
        let answer = exchange(&dev.address("s3"), request(1 << 20).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(error_code(&answer), "RequestHeaderSectionTooLarge", "{answer}");
    }
    let answer = exchange(&dev.address("s3"), request(20_000).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(!error_code(&answer).is_empty(), "an S3 error document: {answer}");
    for listener in ["rest", "admin"] {
        let answer = exchange(&dev.address(listener), request(1 << 20).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431"), "{listener}: {answer}");
        let is_problem = answer.contains("application/problem+json");
        assert_eq!(is_problem, listener == "rest", "{listener}: {answer}");
    }
    let grown = resident(dev.id()).saturating_sub(before);
    assert!(grown < 64 << 20, "grew by {grown} bytes");

    let mut request = tonic::Request::new(ListAccountsRequest::default());
    let token = format!("Bearer {}", "A".repeat(1 << 20));
    request.metadata_mut().insert("authorization", token.parse().expect("ASCII"));
    let channel = tonic::transport::Endpoint::from_shared(dev.text("identity")).expect("a URI");
    let mut accounts = account_service_client::AccountServiceClient::new(channel.connect_lazy());
    let status = accounts.list_accounts(request).await.expect_err("is refused");
    assert_ne!(status.code(), Code::Ok, "{status}");
    still_works(&dev).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_client_would_sign_gets_s3s_own_error() {
    let home = Home::new();
    let dev = home.start();
    let scope = "AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request";
    let host = "Host: 127.0.0.1\r\n";
    for (head, status, code) in [
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(), 403, "AccessDenied"),
        ("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n".to_owned(), 400, "InvalidRequest"),
        ("GET / HTTP/1.1\r\nHost: photos.localhost\r\n\r\n".to_owned(), 403, "AccessDenied"),
        ("POST /minio/admin HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 403, "AccessDenied"),
        (format!("GET / HTTP/1.1\r\n{host}Authorization: x\r\n\r\n"), 400, "InvalidArgument"),
        (format!("GET / HTTP/1.1\r\n{host}Authorization: AWS a:b\r\n\r\n"), 400, "InvalidRequest"),
        (
            format!("GET / HTTP/1.1\r\n{host}Authorization: AWS4-HMAC-SHA256 nonsense\r\n\r\n"),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            format!("GET /?X-Amz-Credential={scope} HTTP/1.1\r\n{host}\r\n"),
            400,
            "AuthorizationQueryParametersError",
        ),
        ("GARBAGE\r\n\r\n".to_owned(), 400, "BadRequest"),
    ] {
        let answer = exchange(&dev.address("s3"), head.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert_eq!(error_code(&answer), code, "{head}: {answer}");
        assert!(answer.contains("<RequestId>"), "{answer}");
    }
    // Listed among the wrong input, not an error: nothing is there yet.
    let answer = exchange(
        &dev.address("rest"),
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_fields_are_refused_by_name_and_nothing_is_recorded() {
    let home = Home::new();
    let dev = home.start();
    let head = |dev: &Dev| {
        let mut events = dev.events();
        async move {
            let verified = events.verify_log(VerifyLogRequest::default()).await.expect("whole");
            verified.into_inner().head_position
        }
    };
    let before = head(&dev).await;
    let create = async |user_name: String, label: String| {
        let user = User { user_name, label, ..Default::default() };
        let request =
            CreateUserRequest { parent: dev.account(), user: Some(user), ..Default::default() };
        dev.users().create_user(request).await.expect_err("is refused")
    };
    for name in ["", "a b", "ä", "a/b", &"x".repeat(65), &"x".repeat(100_000)] {
        let status = create(name.to_owned(), String::new()).await;
        assert_eq!(api::reason(&status), Some(Reason::InvalidField), "{name}");
        assert!(status.message().starts_with("user.user_name: "), "{status}");
    }
    let status = create("alice".into(), "x".repeat(257)).await;
    assert_eq!(api::reason(&status), Some(Reason::InvalidField));
    let status = create("alice".into(), "x".repeat(1 << 20)).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    for page_token in ["x", "00", &"f".repeat(5000)] {
        let request = ListUsersRequest {
            parent: dev.account(),
            page_token: page_token.into(),
            ..Default::default()
        };
        let status = dev.users().list_users(request).await.expect_err("is refused");
        assert_eq!(api::reason(&status), Some(Reason::InvalidPageToken));
    }
    assert_eq!(head(&dev).await, before);
}

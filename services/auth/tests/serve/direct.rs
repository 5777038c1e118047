//! A message in one frame is answered without tonic, one in two frames by it: nobody can tell.

use api::auth::v1::{
    VerifySignatureRequest, VerifySignatureResponse, VerifyStringToSignRequest,
    VerifyStringToSignResponse, verify_string_to_sign_response,
};
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use prost::Message as _;
use sigv4::Expected;
use tokio::net::TcpStream;

use super::*;

const VERIFY: &str = "/claviger.auth.v1.AuthService/VerifySignature";
const STRING: &str = "/claviger.auth.v1.AuthService/VerifyStringToSign";

/// What comes back: head, message, trailers.
#[derive(Debug, PartialEq)]
struct Answer {
    headers: HeaderMap,
    message: Bytes,
    trailers: Option<HeaderMap>,
}

/// Sends a message in frames that end at these bytes of it, and the last that ends it all.
async fn send(auth: &Harness, path: &str, token: &str, message: &Bytes, ends: &[usize]) -> Answer {
    let server = auth.uri.strip_prefix("http://").expect("is in the clear");
    let stream = TcpStream::connect(server).await.expect("listens");
    let (requests, connection) = h2::client::handshake(stream).await.expect("speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut head = http::Request::post(format!("{}{path}", auth.uri))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if !token.is_empty() {
        head = head.header("authorization", format!("Bearer {token}"));
    }
    let mut requests = requests.ready().await.expect("is open");
    let head = head.body(()).expect("is one");
    let (answer, mut body) = requests.send_request(head, false).expect("is open");
    let mut begin = 0;
    for end in ends {
        // One that was refused by its head is not read.
        let _ = body.send_data(message.slice(begin..*end), false);
        begin = *end;
    }
    let _ = body.send_data(message.slice(begin..), true);
    let (head, mut body) = answer.await.expect("answers").into_parts();
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        message.put(data.expect("goes on"));
    }
    let trailers = body.trailers().await.expect("goes on");
    connection.abort();
    let mut headers = head.headers;
    headers.remove("date");
    Answer { headers, message: message.freeze(), trailers }
}

fn framed(message: &impl prost::Message) -> Bytes {
    let bytes = [vec![0; 5], message.encode_to_vec()].concat();
    rpc::framed(bytes, 5).expect("is short")
}

/// Asks in one frame and then in others; gives the one answer.
async fn ask(auth: &Harness, path: &str, token: &str, message: &Bytes) -> Answer {
    let answer = send(auth, path, token, message, &[]).await;
    let length = message.len();
    for ends in [&[length][..], &[1], &[5], &[length - 1], &[4, 6]] {
        assert_eq!(send(auth, path, token, message, ends).await, answer, "{ends:?}");
    }
    answer
}

#[tokio::test]
async fn a_verdict_is_the_same_however_it_is_asked_for() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    for (question, expected) in [
        (raw(&signed(ID, SECRET), 0), Ok(1)),
        (raw(&signed(ID, "another"), 10), denied("SignatureDoesNotMatch")),
        (raw(&signed("AKIANOBODY0000000000", SECRET), 0), denied("InvalidAccessKeyId")),
        (raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0), denied("AccessDenied")),
        // Of a day that is not fed.
        (raw(&presigned(ID, SECRET, NOW_MS - 3 * DAY_MS), 0), Ok(1)),
    ] {
        let answer = ask(&auth, VERIFY, SERVICE_TOKEN, &framed(&question)).await;
        // tonic takes the first of two.
        let two = [framed(&question), framed(&question)].concat().into();
        assert_eq!(ask(&auth, VERIFY, SERVICE_TOKEN, &two).await, answer);
        let decoded = VerifySignatureResponse::decode(answer.message.slice(5..)).expect("decodes");
        let found = match decoded.verdict.expect("is there") {
            Verdict::Verified(verified) => Ok(verified.secret_generation),
            Verdict::Denied(denied) => Err(denied.code),
        };
        assert_eq!(found, expected);
        assert_eq!(answer.trailers.expect("are there")["grpc-status"], "0");
    }
}

#[tokio::test]
async fn a_verdict_on_a_string_to_sign_is_the_same_however_it_is_asked_for() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let head = signed(ID, SECRET);
    let head = sigv4::Head::parse(head.as_bytes()).expect("is a head");
    let request = sigv4::authenticate(&head, &Expected::s3(REGION, NOW_MS / 1000));
    let request = request.expect("is complete");
    let right = VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: request.string_to_sign().as_bytes().to_vec(),
        signature: String::from_utf8(request.signature().to_hex().into()).expect("is ASCII"),
        region: REGION.into(),
        ..Default::default()
    };
    let wrong = VerifyStringToSignRequest { signature: "5a".repeat(32), ..right.clone() };
    for (question, is_verified) in [(right, true), (wrong, false)] {
        let answer = ask(&auth, STRING, SERVICE_TOKEN, &framed(&question)).await;
        let decoded = VerifyStringToSignResponse::decode(answer.message.slice(5..));
        let verdict = decoded.expect("decodes").verdict.expect("is there");
        let verified = matches!(verdict, verify_string_to_sign_response::Verdict::Verified(_));
        assert_eq!(verified, is_verified);
    }
}

#[tokio::test]
async fn what_has_no_verdict_has_the_same_status_however_it_is_asked_for() {
    let keys = records(vec![user()], vec![access_key(ID)]);
    let auth = Harness::start(vec![Message::Snapshot(keys), complete(in_epoch(2, 10))]).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    let right = framed(&raw(&signed(ID, SECRET), 0));
    let no_region = VerifySignatureRequest { region: String::new(), ..raw("GET /", 0) };
    let other_epoch = raw(&signed(ID, SECRET), 10);
    for (token, message, expected) in [
        ("", &right, Code::Unauthenticated),
        ("another-token-0123456789", &right, Code::Unauthenticated),
        (SERVICE_TOKEN, &framed(&no_region), Code::InvalidArgument),
        (SERVICE_TOKEN, &framed(&other_epoch), Code::InvalidArgument),
        (SERVICE_TOKEN, &Bytes::from_static(b"\0\0\0\0\x01\xff"), Code::InvalidArgument),
        (SERVICE_TOKEN, &Bytes::from_static(b"\x01\0\0\0\x01\xff"), Code::Internal),
    ] {
        let answer = ask(&auth, VERIFY, token, message).await;
        let status = tonic::Status::from_header_map(&answer.headers).expect("stands in the head");
        assert_eq!((status.code(), answer.message.len()), (expected, 0), "{status}");
    }
}

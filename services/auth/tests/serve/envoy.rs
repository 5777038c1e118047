//! What Envoy asks, and what it is answered.

use std::collections::{BTreeMap, HashMap};

use api::auth::v1::VerifySignatureRequest;
use api::auth::v1::verify_signature_response::Verdict;
use api::envoy::config::core::v3::address::Address as SomeAddress;
use api::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress};
use api::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use api::envoy::service::auth::v3::check_response::HttpResponse;
use api::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use api::event::v1::LockoutMode;
use api::identity::v1 as pb;
use sha2::Digest;
use tonic::{Code, Status};

use crate::harness::*;

/// A request as it stands on the wire, in parts.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Sent {
    fn of(head: &str) -> Self {
        let mut lines = head.lines();
        let mut line = lines.next().expect("a request line").split(' ');
        let mut word = || line.next().expect("a word").to_owned();
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(": ").expect("is a header");
            (name.to_ascii_lowercase(), value.as_bytes().to_vec())
        });
        Self { method: word(), path: word(), headers: headers.collect() }
    }

    fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self
    }

    fn raw(&self) -> VerifySignatureRequest {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        let request = api::auth::v1::verify_signature_request::Request::RawHead(head.into());
        VerifySignatureRequest { request: Some(request), ..raw("", 0) }
    }

    fn check(&self, http: HttpRequest) -> CheckRequest {
        let http = HttpRequest {
            id: "17".into(),
            method: self.method.clone(),
            path: self.path.clone(),
            scheme: "http".into(),
            protocol: "HTTP/1.1".into(),
            size: -1,
            ..http
        };
        let attributes = AttributeContext {
            request: Some(Request { http: Some(http), ..Default::default() }),
            context_extensions: HashMap::from([("region".into(), REGION.into())]),
            ..Default::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }

    /// As Envoy asks with `encode_raw_headers`: Host is `:authority`.
    fn in_bytes(&self) -> CheckRequest {
        let pseudo = [(":method", self.method.as_bytes()), (":path", self.path.as_bytes())];
        let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_vec()));
        let headers = self.headers.iter().cloned().map(|(name, value)| match &*name {
            "host" => (":authority".to_owned(), value),
            _ => (name, value),
        });
        let header = |(key, raw_value)| HeaderValue { key, raw_value, value: String::new() };
        let headers = pseudo.into_iter().chain(headers).map(header).collect();
        self.check(HttpRequest { header_map: Some(HeaderMap { headers }), ..Default::default() })
    }

    /// As it asks by default: as text, by which several of one name are one.
    fn in_text(&self) -> CheckRequest {
        let mut map: HashMap<String, String> = HashMap::new();
        map.insert(":method".into(), self.method.clone());
        map.insert(":path".into(), self.path.clone());
        for (name, value) in &self.headers {
            let name = if name == "host" { ":authority" } else { name };
            let value = String::from_utf8(value.clone()).expect("text");
            let known = map.entry(name.into()).or_default();
            *known = if known.is_empty() { value } else { format!("{known},{value}") };
        }
        self.check(HttpRequest { headers: map, ..Default::default() })
    }
}

async fn ask(auth: &Harness, check: CheckRequest) -> Result<CheckResponse, Status> {
    let mut client = AuthorizationClient::new(auth.channel(SERVICE_TOKEN));
    Ok(client.check(check).await?.into_inner())
}

/// The headers that go on, what is removed, and the metadata.
type Allowed = (BTreeMap<String, String>, Vec<String>, BTreeMap<String, String>);

fn allowed(response: CheckResponse) -> Allowed {
    assert_eq!(response.status.expect("there").code, 0);
    let Some(HttpResponse::OkResponse(ok)) = response.http_response else { panic!("is denied") };
    let headers = ok.headers.into_iter().map(|option| {
        assert_eq!(option.append_action, 2, "what a client sent is overwritten");
        let header = option.header.expect("there");
        (header.key, header.value)
    });
    let metadata = response.dynamic_metadata.expect("there").fields.into_iter();
    let text = |value: prost_types::Value| {
        use prost_types::value::Kind;
        match value.kind.expect("there") {
            Kind::StringValue(text) => text,
            Kind::BoolValue(is) => is.to_string(),
            other @ (Kind::NullValue(_)
            | Kind::NumberValue(_)
            | Kind::StructValue(_)
            | Kind::ListValue(_)) => panic!("{other:?}"),
        }
    };
    let metadata = metadata.map(|(name, value)| (name, text(value))).collect();
    (headers.collect(), ok.headers_to_remove, metadata)
}

/// Status, headers and document of a denial.
fn denied(response: CheckResponse) -> (i32, BTreeMap<String, String>, String) {
    assert_ne!(response.status.expect("there").code, 0);
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
        panic!("is not denied")
    };
    let headers = denied.headers.into_iter().map(|option| option.header.expect("there"));
    let headers = headers.map(|header| (header.key, header.value)).collect();
    (denied.status.expect("there").code, headers, denied.body)
}

fn good() -> pb::CredentialRecords {
    records(vec![user()], vec![access_key(ID)])
}

#[tokio::test]
async fn who_signed_goes_on_and_what_a_client_says_of_itself_does_not() {
    let auth = Harness::with(good()).await;
    let sent = Sent::of(&signed(ID, SECRET));
    let spoofed = sent
        .clone()
        .with("x-claviger-user", b"root")
        .with("x-claviger-payload-mode", b"sha256")
        .with("x-claviger-groups", b"admins")
        .with("x_claviger_user", b"root")
        .with("X-Claviger-Admin", b"yes");
    for (sent, removed) in [
        (sent, vec![]),
        (spoofed, vec!["x-claviger-admin", "x-claviger-groups", "x_claviger_user"]),
    ] {
        for check in [sent.in_bytes(), sent.in_text()] {
            let (headers, gone, metadata) = allowed(ask(&auth, check).await.expect("answered"));
            let told = |name: &str| headers[name].as_str();
            assert_eq!(told("x-claviger-account"), "22222222-2222-2222-2222-222222222222");
            assert_eq!(told("x-claviger-user"), "11111111-1111-1111-1111-111111111111");
            assert_eq!(told("x-claviger-access-key-id"), ID);
            assert_eq!(told("x-claviger-payload-mode"), "sha256");
            assert_eq!(told("x-claviger-payload-sha256"), "0a".repeat(32));
            assert_eq!((headers.len(), gone), (5, removed.iter().map(|n| (*n).into()).collect()));
            let told = |name: &str| metadata[name].as_str();
            assert_eq!((told("user_name"), told("account_number")), ("alice", "123456789012"));
            assert_eq!(
                (told("root"), told("presigned"), told("region")),
                ("false", "false", REGION)
            );
        }
    }
    let presigned =
        Sent::of(&presigned(ID, SECRET, NOW_MS)).with("x-claviger-payload-sha256", b"1");
    let (headers, gone, metadata) =
        allowed(ask(&auth, presigned.in_bytes()).await.expect("answered"));
    assert_eq!(headers["x-claviger-payload-mode"], "unsigned");
    assert_eq!(gone, ["x-claviger-payload-sha256"], "there is none");
    assert_eq!(metadata["presigned"], "true");
}

#[tokio::test]
async fn a_denial_is_in_the_words_of_s3() {
    let auth = Harness::with(good()).await;
    let wrong = Sent::of(&signed(ID, "another secret"));
    let (status, headers, document) = denied(ask(&auth, wrong.in_bytes()).await.expect("answered"));
    assert_eq!((status, headers["content-type"].as_str()), (403, "application/xml"));
    let ids = format!(
        "<Resource>/bucket/key</Resource><RequestId>{}</RequestId><HostId>{}</HostId></Error>",
        headers["x-amz-request-id"], headers["x-amz-id-2"]
    );
    for part in ["<Code>SignatureDoesNotMatch</Code>", "<StringToSign>AWS4-HMAC-SHA256\n", &ids] {
        assert!(document.contains(part), "{part}: {document}");
    }
    let head = Sent { method: "HEAD".into(), ..wrong };
    let (status, _, document) = denied(ask(&auth, head.in_bytes()).await.expect("answered"));
    assert_eq!((status, document.as_str()), (403, ""), "the answer to HEAD has no body");
}

/// What becomes of a request: the S3 error code if any, or the status of the call.
async fn verdict(auth: &Harness, request: VerifySignatureRequest) -> Result<String, Code> {
    let answer = auth.call(request).await.map_err(|status| status.code())?;
    Ok(match answer.verdict.expect("there") {
        Verdict::Verified(verified) => verified.signed_headers.join(";"),
        Verdict::Denied(denied) => format!("{} {}", denied.http_status, denied.code),
    })
}

async fn verdict_on_check(auth: &Harness, check: CheckRequest) -> Result<String, Code> {
    let response = ask(auth, check).await.map_err(|status| status.code())?;
    if matches!(response.http_response, Some(HttpResponse::OkResponse(_))) {
        return Ok("allowed".into());
    }
    let (status, _, document) = denied(response);
    let code = document.split_once("<Code>").expect("a code").1;
    Ok(format!("{status} {}", code.split_once('<').expect("ends").0))
}

/// Requests good and bad: each as it is, and with one letter changed at many places.
fn requests() -> Vec<Sent> {
    let base = [
        signed(ID, SECRET),
        signed(ID, "another secret"),
        signed("AKIANOBODY", SECRET),
        signed_at(ID, SECRET, NOW_MS - 16 * 60 * 1000),
        presigned(ID, SECRET, NOW_MS - DAY_MS),
        presigned(ID, SECRET, NOW_MS - 8 * DAY_MS),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ]
    .map(|head| Sent::of(&head));
    let mut all = base.to_vec();
    all.push(base[0].clone().without("host"));
    all.push(base[0].clone().without("x-amz-date"));
    all.push(base[0].clone().with("x-amz-acl", b"public-read"));
    all.push(Sent { path: "/%zz".into(), ..base[0].clone() });
    let change = |text: &mut [u8], at: usize| text[at] = if text[at] == b'1' { b'2' } else { b'1' };
    for sent in [&base[0], &base[4]] {
        for at in (1..sent.path.len()).step_by(5) {
            let mut path = sent.path.clone().into_bytes();
            change(&mut path, at);
            all.push(Sent { path: String::from_utf8(path).expect("text"), ..sent.clone() });
        }
        for field in 0..sent.headers.len() {
            for at in (0..sent.headers[field].1.len()).step_by(3) {
                let mut sent = sent.clone();
                change(&mut sent.headers[field].1, at);
                all.push(sent);
            }
        }
    }
    all
}

#[tokio::test]
async fn verdicts_are_those_of_verify_signature() {
    let auth = Harness::with(good()).await;
    let requests = requests();
    assert!(requests.len() > 150, "{}", requests.len());
    let mut good = 0;
    for sent in requests {
        let expected = match verdict(&auth, sent.raw()).await {
            Ok(verdict) if !verdict.starts_with(|c: char| c.is_ascii_digit()) => {
                good += 1;
                Ok("allowed".into())
            }
            other => other,
        };
        for check in [sent.in_bytes(), sent.in_text()] {
            assert_eq!(verdict_on_check(&auth, check).await, expected, "{sent:?}");
        }
    }
    assert!(good > 1, "{good}");
}

#[tokio::test]
async fn what_only_bytes_tell_is_seen_where_envoy_sends_them() {
    let auth = Harness::with(good()).await;
    let twice = Sent::of(&signed(ID, SECRET)).with("authorization", b"AWS4-HMAC-SHA256 x");
    let expected = verdict(&auth, twice.raw()).await;
    assert_eq!(verdict_on_check(&auth, twice.in_bytes()).await, expected);
    assert_eq!(expected.as_deref(), Ok("400 InvalidArgument"));
    let sent = Sent::of(&signed(ID, SECRET)).with("x-amz-meta-name", b"caf\xe9");
    // Unsigned, which S3 does not take for such a header: it was read.
    let verdict = verdict_on_check(&auth, sent.in_bytes()).await;
    assert_eq!(verdict.as_deref(), Ok("403 AccessDenied"));
}

#[tokio::test]
async fn a_client_that_signed_what_envoy_took_away_is_verified() {
    let auth = Harness::with(good()).await;
    // Signed by hand over `expect` as well.
    let head = signed(ID, SECRET);
    let sent = Sent::of(&head).with("expect", b"100-continue");
    let authorization = sent.headers.iter().position(|(name, _)| name == "authorization");
    let mut signed = sent.clone();
    let text = String::from_utf8(sent.headers[authorization.expect("there")].1.clone());
    let text = text.expect("text").replace("SignedHeaders=host;", "SignedHeaders=expect;host;");
    let canonical = format!(
        "GET\n/bucket/key\n\nexpect:100-continue\nhost:s3.example.com\nx-amz-content-sha256:{hash}\n\
         x-amz-date:20260301T120000Z\n\nexpect;host;x-amz-content-sha256;x-amz-date\n{hash}",
        hash = "0a".repeat(32)
    );
    let string = format!(
        "AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/{REGION}/s3/aws4_request\n{}",
        hex::encode(sha2::Sha256::digest(canonical))
    );
    let string = sigv4::StringToSign::parse(string.as_bytes()).expect("is one").2;
    let date = sigv4::Date::from_unix_seconds(NOW_MS / 1000);
    let key = sigv4::DateKey::derive(SECRET.as_bytes(), &date).signing_key(REGION, "s3");
    let signature = key.sign(&string).to_hex();
    let signature = std::str::from_utf8(&signature).expect("text");
    let (start, _) = text.split_once("Signature=").expect("has one");
    signed.headers[authorization.expect("there")].1 =
        format!("{start}Signature={signature}").into_bytes();
    let as_sent = verdict(&auth, signed.raw()).await.expect("a verdict");
    assert!(as_sent.starts_with("expect;"), "{as_sent}");
    let on_check = verdict_on_check(&auth, signed.without("expect").in_bytes()).await;
    assert_eq!(on_check.as_deref(), Ok("allowed"));
}

#[tokio::test]
async fn a_lock_out_by_source_is_the_same_for_both() {
    let accounts = vec![pb::AccountRecord {
        account_id: user().account_id,
        lockout_mode: LockoutMode::PerSource.into(),
    }];
    let auth = Harness::with(pb::CredentialRecords { accounts, ..good() }).await;
    let from = |address: &str, head: &str| {
        let mut check = Sent::of(head).in_bytes();
        let address = SocketAddress { address: address.into(), ..Default::default() };
        let address = Address { address: Some(SomeAddress::SocketAddress(address)) };
        let attributes = check.attributes.as_mut().expect("there");
        attributes.source = Some(Peer { address: Some(address), ..Default::default() });
        check
    };
    for n in 0..4 {
        let check = from("192.0.2.1", &signed(ID, &format!("wrong {n}")));
        assert_eq!(denied(ask(&auth, check).await.expect("answered")).0, 403);
    }
    let check = from("192.0.2.1", &signed(ID, SECRET));
    let (status, headers, document) = denied(ask(&auth, check).await.expect("answered"));
    assert_eq!((status, headers["retry-after"].as_str()), (503, "60"));
    assert!(document.contains("<Code>SlowDown</Code>"), "{document}");
    let request = VerifySignatureRequest {
        source_address: "192.0.2.1".into(),
        ..raw(&signed(ID, SECRET), 0)
    };
    assert_eq!(verdict(&auth, request).await.as_deref(), Ok("503 SlowDown"));
    allowed(ask(&auth, from("192.0.2.2", &signed(ID, SECRET))).await.expect("answered"));
    assert_eq!(auth.identity.lockouts(1).await.len(), 1, "it is reported");
}

#[tokio::test]
async fn region_and_service_are_the_routes_or_the_configurations() {
    let answer = async |auth: &Harness, region: Option<&str>, service: Option<&str>| {
        let mut check = Sent::of(&signed(ID, SECRET)).in_bytes();
        let attributes = check.attributes.as_mut().expect("there");
        let context = [("region", region), ("service", service)];
        let context = context.into_iter().filter_map(|(name, value)| Some((name, value?)));
        attributes.context_extensions =
            context.map(|(name, value)| (name.into(), value.into())).collect();
        verdict_on_check(auth, check).await
    };
    let other = Ok("400 AuthorizationHeaderMalformed".to_owned());
    let allowed = Ok("allowed".to_owned());
    let auth = Harness::with(good()).await;
    assert_eq!(answer(&auth, Some(REGION), None).await, allowed);
    assert_eq!(answer(&auth, Some(REGION), Some("s3")).await, allowed);
    assert_eq!(answer(&auth, Some("eu-west-3"), None).await, other);
    assert_eq!(answer(&auth, Some(REGION), Some("iam")).await, other);
    assert_eq!(answer(&auth, None, None).await, Err(Code::InvalidArgument), "nobody says it");
    let auth = Harness::with_config(good(), |config| config.region = Some(REGION.into())).await;
    assert_eq!(answer(&auth, None, None).await, allowed);
    assert_eq!(answer(&auth, Some("eu-west-3"), None).await, other);
}

#[tokio::test]
async fn what_is_no_request_has_no_verdict() {
    let auth = Harness::with(good()).await;
    let sent = Sent::of(&signed(ID, SECRET));
    let breaks = |name: &str, value: &[u8]| sent.clone().with(name, value).in_bytes();
    let with_path = |path: &str| Sent { path: path.into(), ..sent.clone() }.in_bytes();
    for check in [
        CheckRequest::default(),
        CheckRequest { attributes: Some(AttributeContext::default()) },
        breaks("a", b"b\r\nx-amz-acl: public-read"),
        breaks("a\r\nb", b"c"),
        breaks("a: b", b"c"),
        breaks("a", b"\0"),
        with_path("/ HTTP/1.1\r\na: b"),
        with_path("/a b"),
    ] {
        let status = ask(&auth, check.clone()).await.expect_err("has none");
        assert_eq!(status.code(), Code::InvalidArgument, "{check:?}");
    }
    // Whoever asks for two hosts is refused.
    let two = sent.in_bytes();
    let mut check = two.clone();
    let http = check.attributes.as_mut().and_then(|a| a.request.as_mut()?.http.as_mut());
    let headers = &mut http.expect("there").header_map.as_mut().expect("there").headers;
    let raw_value = b"other".to_vec();
    headers.push(HeaderValue { key: "host".into(), raw_value, value: String::new() });
    assert_eq!(verdict_on_check(&auth, check).await.as_deref(), Ok("400 InvalidRequest"));
}

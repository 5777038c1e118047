//! Who may make which call is looked at for each call, before anything else is.

use api::error::v1::Reason;
use http::uri::PathAndQuery;
use rpc::{Target, Token};
use tonic::Code;
use tonic::client::Grpc;

use crate::any_bytes::{Raw, send};
use crate::auth;
use crate::harness::*;

/// Each call, and whether a service and an operator may make it.
pub(crate) const CALLS: [(&str, bool, bool); 13] = [
    ("claviger.auth.v1.AuthService/VerifySignature", true, true),
    ("claviger.auth.v1.AuthService/BatchVerifySignatures", true, true),
    ("claviger.auth.v1.AuthService/StreamVerifySignatures", true, true),
    ("claviger.auth.v1.AuthService/VerifyStringToSign", true, true),
    ("claviger.auth.v1.AuthService/GetSigningKey", true, false),
    ("claviger.auth.v1.AuthService/ExplainSignature", false, true),
    ("envoy.service.auth.v3.Authorization/Check", true, true),
    ("authenticator.v1.AuthenticatorService/AuthenticateREST", true, true),
    ("authenticator.v1.AuthenticatorService/AuthenticatePresignedURL", true, true),
    ("authenticator.v1.AuthenticatorService/GetSigningKey", true, false),
    ("authenticator.v1.AuthenticatorService/AssumeRole", true, true),
    ("rgw.auth.v1.AuthService/Auth", true, true),
    ("rgw.auth.v1.AuthService/Status", true, true),
];

#[tokio::test]
async fn each_call_is_open_to_those_it_is_for_and_to_nobody_else() {
    let auth = auth().await;
    let described = rpc::methods();
    let ours = described.iter().filter(|name| !name.starts_with("claviger.identity.v1."));
    assert_eq!(ours.count(), CALLS.len(), "a new call is to be listed here");
    for (call, service, operator) in CALLS {
        for (token, may) in [
            (Some(SERVICE_TOKEN), service),
            (Some(ADMIN_TOKEN), operator),
            (Some("another-token-0123456789"), false),
            // A beginning of one, and one with something behind it.
            (Some(&SERVICE_TOKEN[..20]), false),
            (Some("service-token-01234567890"), false),
        ] {
            let token = token.map(|token| Token::parse(token).expect("is one"));
            let is_known = [SERVICE_TOKEN, ADMIN_TOKEN]
                .iter()
                .any(|known| token.as_ref().is_some_and(|token| token.expose() == *known));
            let target = Target { uri: auth.uri.clone(), token, tls: None };
            // An empty message: what it lacks is only looked at if the caller may ask.
            let answer = send(target.channel().expect("is a URI"), call, &[]).await;
            let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
            match (is_known, may) {
                (false, _) => assert_eq!(code, Code::Unauthenticated, "{call}"),
                (true, false) => assert_eq!(code, Code::PermissionDenied, "{call}"),
                (true, true) => {
                    assert!(matches!(code, Code::Ok | Code::InvalidArgument), "{call}: {code}");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_answered_whatever_the_path() {
    let auth = auth().await;
    let endpoint = tonic::transport::Endpoint::from_shared(auth.uri.clone()).expect("is a URI");
    let channel = endpoint.connect().await.expect("connects");
    for (call, ..) in CALLS {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.expect("is ready");
        let path = format!("/{call}");
        let path = PathAndQuery::try_from(path).expect("is a path");
        let request = tonic::Request::new(futures::stream::empty());
        let status = client.streaming(request, path, Raw).await.expect_err("is refused");
        let told = (status.code(), api::reason(&status));
        assert_eq!(told, (Code::Unauthenticated, Some(Reason::MissingToken)), "{call}");
    }
}

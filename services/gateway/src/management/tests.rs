use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::Status;

use super::*;
use crate::auth::Verify;

/// What nobody foresees.
struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("s3cr3t");
    }
}

/// An auth that is not asked.
#[derive(Debug)]
struct Nobody;

#[tonic::async_trait]
impl Verify for Nobody {
    async fn verify_signature(
        &self,
        _: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        Err(Status::unimplemented(""))
    }

    async fn verify_string_to_sign(
        &self,
        _: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_signing_key(
        &self,
        _: GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn a_panic_is_answered_in_the_dialect_of_its_route() {
    let token = rpc::Token::parse(&"0".repeat(32)).expect("a token");
    let nowhere = rpc::Target::in_the_clear("http://127.0.0.1:1".to_owned(), token);
    let verifier = Verifier::new(Arc::new(Nobody), "us-east-1".to_owned(), Duration::from_secs(1));
    let identity = Identity::new(nowhere.channel().expect("a channel"));
    let keystone = crate::config::keystone::tests::keystone();
    let keystone = Keystone::new(Some(&keystone), &verifier).expect("right");
    let dialects = Dialects::new(&verifier, &identity, &CancellationToken::new()).expect("served");
    for (path, content_type, answered_as, id, said) in [
        (
            "/",
            "application/x-www-form-urlencoded",
            "text/xml",
            "x-amzn-requestid",
            "InternalFailure",
        ),
        (
            "/api/v1/CreateUser",
            "application/json",
            "application/json",
            "x-request-id",
            "InternalError",
        ),
        ("/api/cluster", "application/json", "application/hal+json", "x-request-id", "92406097"),
        (
            "/v1/accounts",
            "application/json",
            "application/problem+json",
            "x-request-id",
            "INTERNAL",
        ),
        (
            "/v3/auth/tokens",
            "application/json",
            "application/json",
            "x-openstack-request-id",
            "Internal Server Error",
        ),
    ] {
        let request = Request::post(path)
            .header(CONTENT_TYPE, content_type)
            .header(AUTHORIZATION, "Bearer 0123456789abcdef")
            .body(Panics)
            .expect("a request");
        let answer = handle(Ipv4Addr::LOCALHOST.into(), request, Some(&dialects), &keystone).await;
        let answer = answer.expect("never fails");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        let headers = answer.headers().clone();
        assert_eq!(headers[CONTENT_TYPE], answered_as, "{path}");
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{path}");
        let id = headers[id].to_str().expect("text").to_owned();
        let body = answer.into_body().collect().await.expect("whole").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert!(body.contains(said) && !body.contains("s3cr3t"), "{path}: {body}");
        let has_id = !["/api/cluster", "/v3/auth/tokens"].contains(&path);
        assert_eq!(body.contains(&id), has_id, "{path}: {body}");
    }
}

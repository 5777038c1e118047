use std::convert::Infallible;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use opentelemetry::trace::SpanKind;
use tower::{Layer, ServiceExt, service_fn};

use super::{attribute, observed};
use crate::{HttpRoute, http_server_layer};

const COUNT: &str = "http_server_request_duration_seconds_count";
const SECRETS: &str = "/private/object?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature=abc";
const TRACEPARENT: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a server under the layer answers to `method`.
async fn answer<B: http_body::Body<Data = Bytes> + Send + 'static>(
    method: &str,
    response: Response<B>,
) -> Response<impl http_body::Body<Data = Bytes, Error = B::Error>> {
    observed();
    let response = std::sync::Mutex::new(Some(response));
    let server = http_server_layer().layer(service_fn(move |_: Request<()>| {
        let response = response.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(response) }
    }));
    let request = Request::builder()
        .method(method)
        .uri(SECRETS)
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE")
        .header("traceparent", TRACEPARENT)
        .body(())
        .unwrap();
    server.oneshot(request).await.unwrap()
}

fn routed<B>(status: StatusCode, route: &'static str, body: B) -> Response<B> {
    let mut response = Response::builder().status(status).body(body).unwrap();
    response.extensions_mut().insert(HttpRoute(route.into()));
    response
}

#[track_caller]
fn check(method: &str, status: &str, route: &str, error: Option<&str>) {
    let mut labels = vec![
        ("http_request_method", method),
        ("http_response_status_code", status),
        ("http_route", route),
    ];
    labels.extend(error.map(|error| ("error_type", error)));
    assert_eq!(observed().number(COUNT, &labels), Some(1.0), "\n{}", observed().scrape());
}

#[tokio::test]
async fn an_answered_request_is_counted_when_its_body_has_gone_out() {
    let whole = Full::new(Bytes::from_static(b"hello"));
    let mut body = answer("GET", routed(StatusCode::OK, "GetObject", whole)).await.into_body();
    assert!(!observed().scrape().contains("GetObject"));
    // hyper knows the length, and so does not ask for the end.
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    check("GET", "200", "GetObject", None);
}

#[tokio::test]
async fn a_span_names_the_route_and_nothing_that_was_sent() {
    let response = routed(StatusCode::NOT_FOUND, "DeleteObject", Empty::<Bytes>::new());
    drop(answer("DELETE", response).await);
    check("DELETE", "404", "DeleteObject", None);
    let span = observed().span(|span| span.name == "DELETE DeleteObject").await;
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.span_context.trace_id().to_string(), TRACEPARENT[3..35]);
    assert_eq!(span.parent_span_id.to_string(), TRACEPARENT[36..52]);
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("404"));
    assert_eq!(attribute(&span, "error.type"), None);
    for secret in ["AKIA", "private", "Signature"] {
        assert!(!format!("{span:?}").contains(secret) && !observed().scrape().contains(secret));
    }
}

#[tokio::test]
async fn an_error_of_the_server_has_a_type() {
    let response = routed(StatusCode::SERVICE_UNAVAILABLE, "PutObject", Empty::<Bytes>::new());
    drop(answer("PUT", response).await);
    check("PUT", "503", "PutObject", Some("503"));
}

#[tokio::test]
async fn a_reader_that_goes_away_cancels() {
    let whole = Full::new(Bytes::from_static(b"hello"));
    drop(answer("GET", routed(StatusCode::OK, "cancelled", whole)).await);
    check("GET", "200", "cancelled", Some("cancelled"));
}

#[tokio::test]
async fn a_body_that_fails_is_broken() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"hello"))), Err(std::io::Error::other("no"))];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let response = answer("GET", routed(StatusCode::OK, "broken", body)).await;
    assert!(response.into_body().collect().await.is_err());
    check("GET", "200", "broken", Some("broken"));
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_to_wait_for() {
    let whole = Full::new(Bytes::from_static(b"hello"));
    drop(answer("HEAD", routed(StatusCode::OK, "HeadObject", whole)).await);
    check("HEAD", "200", "HeadObject", None);
}

#[tokio::test]
async fn a_method_of_a_strangers_making_is_no_label() {
    let response = routed(StatusCode::METHOD_NOT_ALLOWED, "other", Empty::<Bytes>::new());
    drop(answer("AKIAIOSFODNN7EXAMPLE", response).await);
    check("_OTHER", "405", "other", None);
}

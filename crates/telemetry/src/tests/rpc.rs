use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::util::MapFutureLayer;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::Instrument;

use super::{attribute, observed};
use crate::{RpcClient, rpc_client_layer, rpc_server_layer};

const CHECK: &str = "grpc.health.v1.Health/Check";
const WATCH: &str = "grpc.health.v1.Health/Watch";

/// Serves health under our layers, each call taking `delay`; with a client under ours.
async fn serve(delay: Duration) -> (SocketAddr, HealthClient<RpcClient<Channel>>) {
    observed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let layers = ServiceBuilder::new()
        .layer(rpc_server_layer([] as [&str; 0]).timeout(Duration::from_secs(60)))
        .layer(MapFutureLayer::new(move |call| async move {
            tokio::time::sleep(delay).await;
            call.await
        }))
        .into_inner();
    let server = Server::builder().layer(layers).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    (address, HealthClient::new(rpc_client_layer([] as [&str; 0]).layer(channel)))
}

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

fn labels<'a>(method: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("rpc_system_name", "grpc"), ("rpc_method", method), ("rpc_response_status_code", code)]
}

#[tokio::test]
async fn an_answered_call_is_counted_on_both_sides_in_seconds() {
    let (_, mut client) = serve(Duration::ZERO).await;
    client.check(ask("")).await.unwrap();
    for side in ["server", "client"] {
        let name = |part| format!("rpc_{side}_call_duration_seconds_{part}");
        let count = observed().counted(&name("count"), &labels(CHECK, "OK")).await;
        assert!(count >= 1.0);
        let buckets: Vec<String> = observed()
            .scrape()
            .lines()
            .filter(|line| line.starts_with(&name("bucket")) && line.contains("\"OK\""))
            .filter(|line| line.contains(CHECK))
            .map(|line| line.split("le=\"").nth(1).unwrap().split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(buckets.first().map(String::as_str), Some("0.00005"));
        assert_eq!(buckets[buckets.len() - 2..], ["10", "+Inf"]);
        assert_eq!(buckets.len(), 18);
    }
}

#[tokio::test]
async fn a_clients_mistake_is_no_error_of_the_server() {
    let (_, mut client) = serve(Duration::ZERO).await;
    let status = client.check(ask("AKIAIOSFODNN7EXAMPLE")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let server = "rpc_server_call_duration_seconds_count";
    assert!(observed().counted(server, &labels(CHECK, "NOT_FOUND")).await >= 1.0);
    let mut on_client = labels(CHECK, "NOT_FOUND");
    on_client.push(("error_type", "NOT_FOUND"));
    assert!(observed().counted("rpc_client_call_duration_seconds_count", &on_client).await >= 1.0);
    assert!(!observed().scrape().contains("AKIA"));
}

#[tokio::test]
async fn a_stream_lasts_until_its_reader_goes() {
    let (_, mut client) = serve(Duration::ZERO).await;
    let mut stream = client.watch(ask("")).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let server = "rpc_server_call_duration_seconds";
    let cancelled = labels(WATCH, "CANCELLED");
    assert_eq!(observed().number(&format!("{server}_count"), &cancelled), None);
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop((stream, client));
    observed().counted(&format!("{server}_count"), &cancelled).await;
    let seconds = observed().number(&format!("{server}_sum"), &cancelled).unwrap();
    assert!(seconds >= 0.02, "{seconds}");
}

#[tokio::test]
async fn a_caller_that_waits_no_longer_gets_deadline_exceeded() {
    let (_, mut client) = serve(Duration::from_secs(5)).await;
    let mut request = Request::new(ask(""));
    request.set_timeout(Duration::from_millis(30));
    let status = client.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let mut late = labels(CHECK, "DEADLINE_EXCEEDED");
    late.push(("error_type", "DEADLINE_EXCEEDED"));
    for side in ["client", "server"] {
        let name = format!("rpc_{side}_call_duration_seconds_count");
        assert!(observed().counted(&name, &late).await >= 1.0);
    }
}

#[tokio::test]
async fn a_server_answers_a_passed_deadline_itself() {
    let (address, _) = serve(Duration::from_secs(60)).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // Not tonic's client: it keeps time itself, and would answer for the server.
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    for timeout in ["1n", "1m", "2m", "3m", "5m", "10m", "20m"] {
        let request = ::http::Request::post(format!("http://{address}/{CHECK}"))
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout)
            .body(tonic::body::Body::empty())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "4", "{timeout}");
    }
}

#[tokio::test]
async fn a_full_server_is_counted_too() {
    observed();
    let shed = rpc_server_layer(["test.Service/Shed"]).layer(service_fn(async |_| {
        Err::<::http::Response<tonic::body::Body>, tower::BoxError>(
            tower::load_shed::error::Overloaded::new().into(),
        )
    }));
    let response = shed.oneshot(request("/test.Service/Shed")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");
    let shed = labels("test.Service/Shed", "RESOURCE_EXHAUSTED");
    let count = observed().number("rpc_server_call_duration_seconds_count", &shed);
    assert_eq!(count, Some(1.0));
}

#[tokio::test]
async fn a_trace_goes_through_client_and_server() {
    let (_, mut client) = serve(Duration::ZERO).await;
    let root = tracing::info_span!("root of the trace test");
    client.check(ask("")).instrument(root).await.unwrap();

    let root = observed().span(|span| span.name == "root of the trace test").await;
    let trace = root.span_context.trace_id();
    let of_kind = |kind: SpanKind| {
        observed().span(move |span| {
            span.span_context.trace_id() == trace && span.span_kind == kind && span.name == CHECK
        })
    };
    let (client, server) = (of_kind(SpanKind::Client).await, of_kind(SpanKind::Server).await);
    assert_eq!(client.parent_span_id, root.span_context.span_id());
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert!(server.parent_span_is_remote);
    assert_eq!(attribute(&server, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(attribute(&server, "rpc.method").as_deref(), Some(CHECK));
    assert_eq!(attribute(&server, "rpc.response.status_code").as_deref(), Some("OK"));
    assert_eq!(attribute(&server, "error.type"), None);
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_process_that_traces_nothing_hands_the_context_on() {
    let _nobody = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    let next =
        rpc_client_layer([] as [&str; 0]).layer(service_fn(async |request: ::http::Request<()>| {
            let mut response = ::http::Response::new(tonic::body::Body::empty());
            *response.headers_mut() = request.headers().clone();
            Ok::<_, tower::BoxError>(response)
        }));
    let server = rpc_server_layer([] as [&str; 0]).layer(service_fn(move |_| {
        let next = next.clone();
        async move {
            tokio::task::yield_now().await;
            next.oneshot(request("/test.Service/Next")).await
        }
    }));
    let mut first = request("/test.Service/First");
    first.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    first.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let sent = server.clone().oneshot(first).await.unwrap().headers().clone();
    assert_eq!(sent["traceparent"], TRACEPARENT);
    assert!(sent["grpc-timeout"].to_str().unwrap().ends_with('u'), "{sent:?}");

    let sent = server.oneshot(request("/test.Service/First")).await.unwrap().headers().clone();
    assert!(sent.is_empty(), "{sent:?}");
}

fn request(path: &str) -> ::http::Request<()> {
    ::http::Request::post(path).body(()).unwrap()
}

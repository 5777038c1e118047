//! One trace from the client's request through every hop, as a collector sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::servers::{Server, secret};
use crate::support::{Home, PATIENCE, send, signed_get};

/// Keeps every span that it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans);
        self.0.lock().expect("no panic").extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_trace_goes_through_gateway_and_auth() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let home = Home::new();
    let mut command = home.command();
    let dev = home.start_with(command.envs(variables));
    // Its gateway asks auth without gRPC: another one stands before it, as on a machine of its own.
    let dir = home.path();
    secret(dir, "gateway-token", &dev.text("admin_token"));
    secret(dir, "upstream", &dev.root().secret);
    let any = "127.0.0.1:0";
    let (auth, account) = (dev.text("auth"), dev.text("account/id"));
    let args = ["--auth", &auth, "--s3-listen", any, "--rest-listen", any];
    let of_gateway = [
        "--gateway-token-file",
        "gateway-token",
        "--account-id",
        &account,
        "--upstream-endpoint",
        &dev.text("s3"),
        "--upstream-access-key-id",
        &dev.root().id,
        "--upstream-secret-access-key-file",
        "upstream",
    ];
    let args = [&args[..], &of_gateway].concat();
    let mut gateway = Server::start_as(dir, "gateway", "gateway", &args, &variables);
    let s3 = format!("http://{}", gateway.told("serving S3", "address"));
    let mut request = signed_get(&format!("{s3}/"), &dev.root(), SystemTime::now());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = "00f067aa0ba902b7";
    let traceparent = format!("00-{trace}-{parent}-01").parse().expect("ASCII");
    request.headers_mut().insert("traceparent", traceparent);
    assert_eq!(send(request).await.0, 200);

    let trace_id = hex::decode(trace).expect("hexadecimal");
    let verify = "claviger.auth.v1.AuthService/VerifySignature";
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "no such chain of spans");
        let spans = collector.0.lock().expect("no panic").clone();
        let ours: HashMap<Vec<u8>, Span> = spans
            .into_iter()
            .filter(|span| span.trace_id == trace_id)
            .map(|span| (span.span_id.clone(), span))
            .collect();
        // From auth's server span back to the client: four links, each in the span before it.
        let server = ours.values().find(|span| span.name == verify && span.kind == 2);
        let chain = server.and_then(|server| {
            let client = ours.get(&server.parent_span_id)?;
            let http = ours.get(&client.parent_span_id)?;
            Some((client.kind, http.kind, http.parent_span_id.clone()))
        });
        if let Some(chain) = chain {
            assert_eq!(chain, (3, 2, hex::decode(parent).expect("hexadecimal")));
            let shown = format!("{ours:?}");
            assert!(!shown.contains(&dev.root().id), "no access key is in a span: {shown}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

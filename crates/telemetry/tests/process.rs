//! What `init` does, seen from outside: each test runs this program again, with an environment of its own.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

const ROLE: &str = "TELEMETRY_TEST_ROLE";

/// The program under test: answers one RPC, logs, and shuts down. Does nothing unless asked for by `run`.
#[tokio::test]
async fn role() -> anyhow::Result<()> {
    if std::env::var_os(ROLE).is_none() {
        return Ok(());
    }
    let telemetry = telemetry::init("claviger-test")?;
    let layer = telemetry::rpc_server_layer(["test.Service/Method"]);
    let server = layer.layer(service_fn(async |_: Request<()>| {
        tracing::info!(answer = 42, "hello");
        tracing::debug!("whisper");
        tracing::info!(target: "h2", "chatter");
        let mut response = Response::new(http_body_util::Empty::<Bytes>::new());
        response.headers_mut().insert("grpc-status", "0".parse()?);
        Ok::<_, tower::BoxError>(response)
    }));
    let request = Request::post("/test.Service/Method").body(())?;
    server.oneshot(request).await.map_err(anyhow::Error::from_boxed)?;
    let metrics =
        prometheus::TextEncoder::new().encode_to_string(&telemetry.registry().gather())?;
    assert!(metrics.contains("service_name=\"claviger-test\""), "{metrics}");
    assert!(metrics.contains("rpc_server_call_duration_seconds_count"), "{metrics}");
    telemetry.shutdown().await;
    Ok(())
}

fn run(env: &[(&str, &str)]) -> Output {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "role", "--nocapture"]).env_clear().env(ROLE, "1");
    program.envs(env.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn log(output: &Output) -> String {
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{log}\n{}", String::from_utf8_lossy(&output.stdout));
    log
}

#[test]
fn logs_are_json_when_nobody_watches() {
    let log = log(&run(&[]));
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = lines.as_slice() else { panic!("{log}") };
    assert_eq!((&line["message"], &line["answer"]), (&"hello".into(), &42.into()));
    assert_eq!(line["level"], "INFO");
}

#[test]
fn logs_are_text_when_asked_for() {
    let log = log(&run(&[("CLAVIGER_LOG_FORMAT", "text"), ("RUST_LOG", "debug")]));
    assert!(log.contains(" INFO ") && log.contains("hello answer=42"), "{log}");
    assert!(log.contains("whisper") && log.contains("rpc ended"), "{log}");
    assert!(!log.contains("chatter") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_variable_that_cannot_be_read_stops_the_start() {
    for (name, value) in
        [("RUST_LOG", "a=b=c"), ("CLAVIGER_LOG_FORMAT", "xml"), ("OTEL_TRACES_EXPORTER", "zipkin")]
    {
        let output = run(&[(name, value)]);
        assert!(!output.status.success());
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_collector_that_is_away_delays_the_end_only_a_little() {
    let start = Instant::now();
    // Nothing listens on port 1; a host that drops packets cannot be had here.
    log(&run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn traces_and_metrics_reach_a_collector() {
    let (seen, calls) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(collect(listener, seen));
    let output = tokio::task::spawn_blocking(move || {
        run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_SERVICE_NAME", "claviger-test")])
    });
    assert_eq!(log(&output.await.unwrap()).lines().count(), 1);
    let mut calls: Vec<String> = calls.try_iter().collect();
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(
        calls,
        [
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ]
    );
}

/// A collector that takes everything: it answers each call with an empty message, and tells its path.
async fn collect(listener: TcpListener, seen: mpsc::Sender<String>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let seen = seen.clone();
        async move {
            seen.send(request.uri().path().to_owned())?;
            http_body_util::BodyExt::collect(request.into_body()).await?;
            let status = HeaderMap::from_iter([("grpc-status".parse()?, "0".parse()?)]);
            let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(status)];
            let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, tower::BoxError>)));
            let answer = Response::builder().header("content-type", "application/grpc");
            Ok::<_, tower::BoxError>(answer.body(body)?)
        }
    });
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let service = hyper_util::service::TowerToHyperService::new(service.clone());
        let stream = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(executor).serve_connection(stream, service),
        );
    }
}

//! A gRPC server from the outside in.

use std::time::Duration;

use telemetry::RpcServerLayer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tower::layer::util::{Identity, Stack};

use crate::incoming::{Port, Source};
use crate::{ServerTls, incoming, workers};

/// The most bytes of all header fields of a call.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// The most calls under way on one connection; more are refused at once.
const CALLS_PER_CONNECTION_MAX: usize = 1024;
/// How long one call may take until its response begins.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// After this a connection is asked to reconnect, so that calls spread over new replicas.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long calls under way may take to end once the server was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);

/// What every port serves beside its own.
const ALWAYS_SERVED: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Everything that a gRPC server needs but its services.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub listener: TcpListener,
    /// By which connections are encrypted, and clients may show who they are; in the clear if not
    /// given.
    pub tls: Option<ServerTls>,
    /// Names of its services, such as `claviger.auth.v1.AuthService`, whose health is told.
    pub services: &'static [&'static str],
    /// Whether they are ready to serve.
    pub ready: watch::Receiver<bool>,
    /// Ends it: calls under way may end, then it does, after 6 seconds in any case.
    pub shutdown: CancellationToken,
}

/// A builder of routes that holds reflection, v1 and v1alpha, already. It tells of `services`,
/// health and itself, which is what the port serves, and knows the types of all contracts.
///
/// # Errors
/// If the descriptor set does not decode, which the build would have told.
pub fn routes(services: &[&str]) -> anyhow::Result<RoutesBuilder> {
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(
                tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            )
            .include_reflection_service(false);
        services
            .iter()
            .chain(&ALWAYS_SERVED)
            .copied()
            .fold(builder, |builder, name| builder.with_service_name(name))
    };
    let mut routes = Routes::builder();
    routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    Ok(routes)
}

impl Server {
    /// Serves until it is told to stop, on the caller's runtime.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, routes: RoutesBuilder) -> anyhow::Result<()> {
        self.serve_on(0, routes).await
    }

    /// Serves as [`Server::serve`] does, on so many threads with a runtime each. For services whose calls are
    /// short and wait for nothing; 0 stands for the caller's runtime.
    ///
    /// # Errors
    /// If the listener fails, or a thread does.
    pub async fn serve_on(self, workers: usize, mut routes: RoutesBuilder) -> anyhow::Result<()> {
        let Self { listener, tls, services, ready, shutdown } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        routes.add_service(health);
        let report = report(reporter, services, ready, shutdown.clone());
        let routes = routes.routes();
        let layer = telemetry::rpc_server_layer(crate::methods()).timeout(CALL_TIMEOUT);
        let ended = shutdown.clone();
        let serve = move |source: Source| {
            let (routes, layer, tls) = (routes.clone(), layer.clone(), tls.clone());
            let ended = ended.clone().cancelled_owned();
            async move {
                let mut server = builder(layer);
                let connections = incoming::connections(source, tls);
                let server = server.add_routes(routes);
                Ok(server.serve_with_incoming_shutdown(connections, ended).await?)
            }
        };
        let served = async {
            match workers {
                0 => serve(listener.into()).await,
                workers => {
                    let serve =
                        |handed| -> workers::Serve { Box::pin(serve(Source::Handed(handed))) };
                    workers::serve(workers, Port::new(listener), serve).await
                }
            }
        };
        // A peer that never finishes its request must not keep the server from stopping.
        let deadline = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            result = async { tokio::join!(served, report).0 } => result,
            () = deadline => {
                tracing::warn!("calls under way were cut off after the drain timeout");
                Ok(())
            }
        }
    }
}

/// A server with our limits.
fn builder(layer: RpcServerLayer) -> tonic::transport::Server<Stack<RpcServerLayer, Identity>> {
    tonic::transport::Server::builder()
        // Outermost: telemetry sees every answer, also those shed below it.
        .layer(layer)
        // When full, say so at once: a late answer is no use to whoever waits.
        .load_shed(true)
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .max_connection_age(CONNECTION_AGE_MAX)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
}

/// Tells health as `ready` has it, and NOT_SERVING from the shutdown on. The empty name stands for
/// the process: it is serving as long as it can answer.
async fn report(
    reporter: tonic_health::server::HealthReporter,
    services: &[&str],
    mut ready: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    use tonic_health::ServingStatus;
    loop {
        let stopping = shutdown.is_cancelled();
        let status = |serving| match serving {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        let ready_now = *ready.borrow_and_update();
        for service in services {
            reporter.set_service_status(*service, status(ready_now && !stopping)).await;
        }
        reporter.set_service_status("", status(!stopping)).await;
        if stopping {
            return;
        }
        tokio::select! {
            changed = ready.changed() => {
                if changed.is_err() {
                    shutdown.cancelled().await;
                }
            }
            () = shutdown.cancelled() => {}
        }
    }
}

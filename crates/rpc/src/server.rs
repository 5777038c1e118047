//! A gRPC server from the outside in.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tower::ServiceBuilder;

use crate::admission::{AdmissionLayer, Limits};
use crate::direct::{DirectLayer, DirectMethods};
use crate::incoming::{Port, Source};
use crate::{ServerTls, incoming, serving, workers};

/// How long one call may take until its response begins.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
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
    /// None that it knows of.
    pub async fn serve(self, routes: RoutesBuilder) -> anyhow::Result<()> {
        self.serve_on(0, routes, DirectMethods::default()).await
    }

    /// Serves as [`Server::serve`] does, on so many threads with a runtime each. For services whose calls are
    /// short and wait for nothing; 0 stands for the caller's runtime. `direct` answer before `routes`.
    ///
    /// # Errors
    /// If a thread cannot be started, or panics.
    pub async fn serve_on(
        self,
        workers: usize,
        routes: RoutesBuilder,
        direct: DirectMethods,
    ) -> anyhow::Result<()> {
        self.serve_within(Limits::default(), workers, routes, direct).await
    }

    /// Serves no more than this at once.
    pub(crate) async fn serve_within(
        self,
        limits: Limits,
        workers: usize,
        mut routes: RoutesBuilder,
        direct: DirectMethods,
    ) -> anyhow::Result<()> {
        let Self { listener, tls, services, ready, shutdown } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        routes.add_service(health);
        let report = report(reporter, services, ready, shutdown.clone());
        // Top is outermost. Telemetry sees every answer, also of what is not admitted below it.
        let service = ServiceBuilder::new()
            .layer(telemetry::rpc_server_layer(crate::methods()).timeout(CALL_TIMEOUT))
            .layer(AdmissionLayer::new(limits))
            .layer(DirectLayer::new(direct))
            .service(routes.routes());
        let serve = |source: Source| {
            let connections = incoming::connections(source, tls.clone());
            serving::serve(connections, service.clone(), shutdown.clone())
        };
        let served = async {
            match workers {
                0 => {
                    serve(listener.into()).await;
                    Ok(())
                }
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
            (served, ()) = async { tokio::join!(served, report) } => served,
            () = deadline => {
                tracing::warn!("calls under way were cut off after the drain timeout");
                Ok(())
            }
        }
    }
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

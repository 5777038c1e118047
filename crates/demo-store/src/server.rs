//! The store on a socket.

use crate::s3::DemoStore;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, HttpResponse};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time;

/// How long requests under way may take to finish after shutdown was asked for.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to send a request's head, also of the next request on a connection.
const HEADER_READ_MAX: Duration = Duration::from_secs(60);

/// How long to wait before accepting again when it failed, for want of file descriptors say.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A browser's form upload is the one body that s3s takes whole into memory.
const FORM_FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Puts the S3 protocol before `store`.
///
/// Only requests signed with the one credential are answered, whatever region their scope names;
/// `region` is where buckets are whose creator named none.
pub fn service(
    store: DemoStore,
    region: &str,
    access_key_id: &str,
    secret_access_key: &str,
) -> S3Service {
    let mut builder = builder(store, region);
    builder.set_auth(SimpleAuth::from_single(access_key_id, secret_access_key));
    builder.build()
}

/// Puts the S3 protocol before `store` for whoever stands before it and verifies: every request is answered, and
/// one that is signed is not.
pub fn service_for_all(store: DemoStore, region: &str) -> S3Service {
    builder(store, region).build()
}

fn builder(store: DemoStore, region: &str) -> S3ServiceBuilder {
    let mut config = S3Config::default();
    config.post_object_max_file_size = FORM_FILE_BYTES_MAX;
    let mut builder = S3ServiceBuilder::new(store.in_region(region));
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder
}

/// Says 206 where a head is of a range, for which s3s has only 200.
struct Partial(S3Service);

impl hyper::service::Service<Request<Incoming>> for Partial {
    type Response = HttpResponse;
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<HttpResponse, HttpError>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let head = request.method() == Method::HEAD;
        let answer = hyper::service::Service::call(&self.0, request);
        let partial = move |mut answer: HttpResponse| {
            let ranged = answer.headers().contains_key(header::CONTENT_RANGE);
            if head && ranged && answer.status() == StatusCode::OK {
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            }
            answer
        };
        answer.map(move |answer| answer.map(partial)).boxed()
    }
}

/// Serves HTTP/1.1 on `listener` until `shutdown` is ready, then lets requests under way finish for
/// up to [`SHUTDOWN_MAX`].
///
/// # Errors
/// If the listener cannot say where it listens. Errors of single connections are logged.
pub async fn serve(
    listener: TcpListener,
    service: S3Service,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::debug!(%address, "serving S3");
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_MAX)
            .serve_connection(TokioIo::new(stream), Partial(service.clone()));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    drop(listener);
    if time::timeout(SHUTDOWN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("closing connections whose requests took too long to finish");
    }
    connections.shutdown().await;
    Ok(())
}

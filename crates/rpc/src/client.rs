//! Channels to our own servers.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use tower::Layer;

use crate::Token;

/// A channel that tells who calls and carries the trace on. Clones share one connection.
pub type Channel = InterceptedService<telemetry::RpcClient<tonic::transport::Channel>, Bearer>;

/// Adds the token to each call.
#[derive(Clone, Debug)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel to `uri`, such as `http://127.0.0.1:7110`. It connects when first used, and again
/// whenever the connection is lost.
///
/// # Errors
/// If `uri` is not a URI.
pub fn channel(uri: &str, token: &Token) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(Duration::from_secs(3))
        .tcp_nodelay(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        // Nothing else notices a connection whose other end has vanished without a word.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true);
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.expose()))?;
    bearer.set_sensitive(true);
    let layer = telemetry::rpc_client_layer(crate::methods());
    Ok(InterceptedService::new(layer.layer(endpoint.connect_lazy()), Bearer(bearer)))
}

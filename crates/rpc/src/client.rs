//! Channels to our own servers.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use tower::{BoxError, Layer, Service};

use crate::tls::connector;
use crate::{ClientTls, Token};

/// How often the other end is asked whether it is still there, also while nothing else is said.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to answer. After that the connection is closed, all calls on it fail, and the
/// next call connects anew: a vanished peer is noticed after 8 seconds at most.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// A channel that tells who calls and carries the trace on. Clones share one connection.
pub type Channel = InterceptedService<telemetry::RpcClient<tonic::transport::Channel>, Bearer>;

/// Adds the token to each call, if there is one.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// Where one of our servers is, and how a caller shows itself to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Such as `https://identity.example.org:7110`; or `http://`, in the clear.
    pub uri: String,
    /// By which the caller is known, whatever certificate it shows besides.
    pub token: Option<Token>,
    /// How the server is told from others, and which certificate it is shown; for `https` only.
    pub tls: Option<ClientTls>,
}

impl Target {
    /// One that is spoken to in the clear, by a token.
    pub fn in_the_clear(uri: impl Into<String>, token: Token) -> Self {
        Self { uri: uri.into(), token: Some(token), tls: None }
    }

    /// Whether this URI is one of `https`, for which there must be TLS.
    pub fn is_https(uri: &str) -> bool {
        uri.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS))
    }

    /// Checks all that can be checked without connecting.
    ///
    /// # Errors
    /// If the URI is none, or neither of `http` nor `https`; if it is of `https`, and there is no
    /// TLS; or if there is nothing by which the caller could be known.
    pub fn check(&self) -> anyhow::Result<()> {
        self.endpoint()?;
        let has_certificate = self.tls.as_ref().is_some_and(ClientTls::has_certificate);
        let is_known = self.token.is_some() || has_certificate && Self::is_https(&self.uri);
        ensure!(is_known, "there is neither a token nor a certificate to show");
        Ok(())
    }

    /// A channel to it. It connects when first used, and again whenever the connection is lost.
    ///
    /// # Errors
    /// As [`Self::check`] has it.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        self.check()?;
        match self.endpoint()? {
            (endpoint, Some(tls)) => {
                self.calling(endpoint.connect_with_connector_lazy(connector(tls.clone())))
            }
            (endpoint, None) => self.calling(endpoint.connect_lazy()),
        }
    }

    /// Every address that the host's name stands for now.
    ///
    /// # Errors
    /// As [`Self::check`] has it, and if the name stands for none or nobody can tell.
    pub async fn addresses(&self) -> anyhow::Result<BTreeSet<SocketAddr>> {
        let (endpoint, _) = self.endpoint()?;
        let authority = endpoint.uri().authority().context("the URI has no host")?;
        let addresses: BTreeSet<_> = tokio::net::lookup_host(authority.as_str()).await?.collect();
        ensure!(!addresses.is_empty(), "the host has no address");
        Ok(addresses)
    }

    /// As [`Self::channel`], but always to this one of its addresses.
    ///
    /// # Errors
    /// As [`Self::check`] has it.
    pub fn channel_at(&self, address: SocketAddr) -> anyhow::Result<Channel> {
        self.check()?;
        let connect = async move || {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        match self.endpoint()? {
            (endpoint, Some(tls)) => {
                let tls = tls.clone();
                let connect = tower::service_fn(move |uri: Uri| {
                    let tls = tls.clone();
                    async move {
                        let stream = connect().await?;
                        io::Result::Ok(TokioIo::new(
                            tls.connect(uri.host().unwrap_or_default(), stream).await?,
                        ))
                    }
                });
                self.calling(endpoint.connect_with_connector_lazy(connect))
            }
            (endpoint, None) => {
                let connect =
                    tower::service_fn(
                        move |_: Uri| async move { connect().await.map(TokioIo::new) },
                    );
                self.calling(endpoint.connect_with_connector_lazy(connect))
            }
        }
    }

    /// As [`Self::channel`], but in the clear and over connections that `connect` makes, such as those of a
    /// simulated network.
    ///
    /// # Errors
    /// As [`Self::check`] has it.
    pub fn channel_over<C, I>(&self, connect: C) -> anyhow::Result<Channel>
    where
        C: Service<Uri, Response = I> + Send + 'static,
        C::Error: Send,
        BoxError: From<C::Error>,
        C::Future: Send,
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        self.check()?;
        self.calling(self.endpoint()?.0.connect_with_connector_lazy(connect))
    }

    /// Makes calls tell who calls.
    fn calling(&self, channel: tonic::transport::Channel) -> anyhow::Result<Channel> {
        let bearer = self.token.as_ref().map(|token| {
            let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.expose()))?;
            bearer.set_sensitive(true);
            anyhow::Ok(bearer)
        });
        let layer = telemetry::rpc_client_layer(crate::methods());
        Ok(InterceptedService::new(layer.layer(channel), Bearer(bearer.transpose()?)))
    }

    /// Where to connect to by TCP, and what calls say of where they go; and TLS if it is to be used.
    fn endpoint(&self) -> anyhow::Result<(Endpoint, Option<&ClientTls>)> {
        let uri: Uri = self.uri.parse()?;
        let host = uri.authority().context("the URI has no host")?;
        ensure!(!host.as_str().contains('@'), "the URI must name no user");
        let (port, tls) = match (uri.scheme_str(), &self.tls) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(tls)) => (443, Some(tls)),
            (Some("https"), None) => bail!("the URI begins with https://, and there is no TLS"),
            (Some(_) | None, _) => bail!("the URI must begin with https:// or http://"),
        };
        let port = host.port_u16().unwrap_or(port);
        // TLS is made by our own connector: tonic's reads its certificate once only, and refuses
        // `https` of any other.
        let endpoint = Endpoint::from_shared(format!("http://{}:{port}", host.host()))?
            .origin(uri.clone())
            .connect_timeout(Duration::from_secs(3))
            .tcp_nodelay(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 20)
            // Nothing else notices a connection whose other end has vanished without a word, and for so
            // long a replica would not hear of revoked keys.
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok((endpoint, tls))
    }
}

/// A channel to `uri`, such as `http://127.0.0.1:7110`, in the clear, by a token.
///
/// # Errors
/// If `uri` is not a URI, or not of `http`.
pub fn channel(uri: &str, token: &Token) -> anyhow::Result<Channel> {
    Target::in_the_clear(uri, token.clone()).channel()
}

//! Calls of any method, with messages as they are on the wire.

use http::uri::PathAndQuery;
use prost::bytes::{Buf, BufMut, Bytes};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Status, Streaming};

use super::{Acting, Identity};

/// How long identity may take: as long as it lets any call take until its answer begins. Checking a log
/// takes its time.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Identity {
    /// Calls a method that answers once.
    ///
    /// # Errors
    /// What identity says, or what keeps it from answering.
    pub(crate) async fn call(
        &self,
        acting: &Acting,
        path: PathAndQuery,
        message: Vec<u8>,
    ) -> Result<Bytes, Status> {
        let mut client = self.client().await?;
        let mut request = acting.call(Bytes::from(message))?;
        request.set_timeout(TIMEOUT);
        Ok(client.unary(request, path, AsBytes).await?.into_inner())
    }

    /// Calls a method that answers message by message, and waits until it begins to.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn watch(
        &self,
        acting: &Acting,
        path: PathAndQuery,
        message: Vec<u8>,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut client = self.client().await?;
        let request = acting.call(Bytes::from(message))?;
        Ok(client.server_streaming(request, path, AsBytes).await?.into_inner())
    }

    async fn client(&self) -> Result<Grpc<rpc::Channel>, Status> {
        let mut client = Grpc::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(format!("no connection: {error}")))?;
        Ok(client)
    }
}

/// Messages as they are.
#[derive(Clone, Copy, Debug)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

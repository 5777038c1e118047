//! KeystoreService: looks after the data keys, and shows none.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;

use api::identity::v1::keystore_service_server::KeystoreService;
use api::identity::v1::{
    ExportKeystoreRequest, ExportKeystoreResponse, GetKeystoreRequest, GetKeystoreResponse,
    RewrapDataKeysRequest, RewrapDataKeysResponse, ScrubKeystoreRequest, ScrubKeystoreResponse,
};
use futures::Stream;
use sealing::Keystore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::answer;
use crate::caller::Call;
use crate::error::Error;
use crate::vault;
use crate::writer::Writer;

/// Bytes of a copy in one message.
const CHUNK_BYTES: usize = 64 << 10;
/// Messages under way to a client.
const CHUNKS_UNDER_WAY: usize = 4;
/// How often a copy is taken anew because an access key was deleted while it was taken.
const ATTEMPTS_MAX: usize = 16;

pub(crate) struct KeystoreKeeper {
    pub(crate) writer: Arc<Writer>,
    pub(crate) keystore: Arc<Keystore>,
}

#[tonic::async_trait]
impl KeystoreService for KeystoreKeeper {
    type ExportKeystoreStream =
        Pin<Box<dyn Stream<Item = Result<ExportKeystoreResponse, Status>> + Send>>;

    async fn get_keystore(
        &self,
        request: Request<GetKeystoreRequest>,
    ) -> Result<Response<GetKeystoreResponse>, Status> {
        Call::of(&self.writer, &request)?.reads_all()?;
        let kek_ids = self.keystore.keyring().ids().map(|id| id.to_string());
        Ok(Response::new(GetKeystoreResponse {
            data_keys: self.keystore.data_keys() as u64,
            data_keys_to_rewrap: self.keystore.remaining() as u64,
            damaged_slots: self.keystore.damaged() as u64,
            kek_ids: kek_ids.collect(),
        }))
    }

    async fn rewrap_data_keys(
        &self,
        request: Request<RewrapDataKeysRequest>,
    ) -> Result<Response<RewrapDataKeysResponse>, Status> {
        Call::of(&self.writer, &request)?.manages_all()?;
        let keystore = Arc::clone(&self.keystore);
        let rewrapped = answer::whole(async move {
            let rewrapped = keystore.rewrap().await.map_err(vault::unavailable)?;
            let remaining = keystore.remaining() as u64;
            Ok(RewrapDataKeysResponse { rewrapped: rewrapped as u64, remaining })
        });
        Ok(Response::new(rewrapped.await?))
    }

    async fn scrub_keystore(
        &self,
        request: Request<ScrubKeystoreRequest>,
    ) -> Result<Response<ScrubKeystoreResponse>, Status> {
        Call::of(&self.writer, &request)?.manages_all()?;
        let keystore = Arc::clone(&self.keystore);
        let scrubbed = answer::whole(async move {
            let scrubbed = keystore.scrub().await.map_err(vault::unavailable)?;
            Ok(ScrubKeystoreResponse { scrubbed: scrubbed as u64 })
        });
        Ok(Response::new(scrubbed.await?))
    }

    async fn export_keystore(
        &self,
        request: Request<ExportKeystoreRequest>,
    ) -> Result<Response<Self::ExportKeystoreStream>, Status> {
        Call::of(&self.writer, &request)?.manages_all()?;
        let (chunks, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
        let keystore = Arc::clone(&self.keystore);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = copy(&keystore, &chunks) {
                // The client may be gone, which is one way to end.
                let _ = chunks.blocking_send(Err(error.into()));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Chunks = mpsc::Sender<Result<ExportKeystoreResponse, Status>>;

/// Takes a copy in which no key is that was shredded before it was whole, and sends it.
fn copy(keystore: &Keystore, chunks: &Chunks) -> Result<(), Error> {
    let mut image = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        image.clear();
        let backup = keystore.backup(&mut image).map_err(vault::unavailable)?;
        if backup.shredded_meanwhile == 0 {
            let mut sink = Sink(chunks);
            return sink.write_all(&image).map_err(|_| Error::WatchEnded);
        }
    }
    tracing::warn!("access keys are deleted faster than the keystore can be copied");
    Err(Error::Conflict)
}

/// Sends what is written to it.
struct Sink<'a>(&'a Chunks);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES)];
        let message = ExportKeystoreResponse { chunk: chunk.to_vec() };
        match self.0.blocking_send(Ok(message)) {
            Ok(()) => Ok(chunk.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

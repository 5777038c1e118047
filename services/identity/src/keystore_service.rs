//! KeystoreService: looks after the data keys, and shows none.

use std::pin::Pin;
use std::sync::Arc;

use api::identity::v1::keystore_service_server::KeystoreService;
use api::identity::v1::{
    ExportKeystoreRequest, ExportKeystoreResponse, GetKeystoreRequest, GetKeystoreResponse,
    RewrapDataKeysRequest, RewrapDataKeysResponse, ScrubKeystoreRequest, ScrubKeystoreResponse,
};
use futures::{Stream, StreamExt, stream};
use sealing::Keystore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};

use crate::answer;
use crate::caller::Call;
use crate::error::Error;
use crate::leased::{EXPORT_UNREAD_MAX, EXPORTS_MAX, Leased, Term};
use crate::vault;
use crate::writer::Writer;

/// Bytes of a copy in one message.
const CHUNK_BYTES: usize = 64 << 10;
/// How often a copy is taken anew because an access key was deleted while it was taken.
const ATTEMPTS_MAX: usize = 16;

pub(crate) struct KeystoreKeeper {
    writer: Arc<Writer>,
    keystore: Arc<Keystore>,
    /// Places for copies under way: each takes memory, and reads all of the file.
    exports: Arc<Semaphore>,
}

impl KeystoreKeeper {
    pub(crate) fn new(writer: Arc<Writer>, keystore: Arc<Keystore>) -> Self {
        Self { writer, keystore, exports: Arc::new(Semaphore::new(EXPORTS_MAX)) }
    }
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
        let place = Arc::clone(&self.exports).try_acquire_owned();
        let place = place.map_err(|_| Error::TooManyExports)?;
        let keystore = Arc::clone(&self.keystore);
        // Whoever gives up meanwhile keeps the place until the copy is taken.
        let copy = async {
            tokio::task::spawn_blocking(move || (copy(&keystore), place)).await.map_err(|panic| {
                tracing::error!(error = &panic as &dyn std::error::Error, "the copy failed");
                Error::Internal
            })
        };
        let chunks = stream::once(copy).flat_map(|copied| match copied {
            Ok((Ok(image), place)) => chunks(image, place).map(Ok).left_stream(),
            Ok((Err(error), _)) | Err(error) => {
                stream::once(async { Err(Status::from(error)) }).right_stream()
            }
        });
        let last = || Err(Error::ExportEnded.into());
        Ok(Response::new(Box::pin(Leased::new(chunks, Term::Unread(EXPORT_UNREAD_MAX), last))))
    }
}

/// A copy in which no key is that was shredded before it was whole.
fn copy(keystore: &Keystore) -> Result<Vec<u8>, Error> {
    let mut image = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        image.clear();
        let backup = keystore.backup(&mut image).map_err(vault::unavailable)?;
        if backup.shredded_meanwhile == 0 {
            return Ok(image);
        }
    }
    tracing::warn!("access keys are deleted faster than the keystore can be copied");
    Err(Error::Conflict)
}

/// The messages of a copy, which takes its place until the last of them.
fn chunks(
    image: Vec<u8>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = ExportKeystoreResponse> {
    stream::iter((0..image.len()).step_by(CHUNK_BYTES)).map(move |from| {
        let _taken = &place;
        let chunk = image[from..image.len().min(from + CHUNK_BYTES)].to_vec();
        ExportKeystoreResponse { chunk }
    })
}

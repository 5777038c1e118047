//! One replica of auth, and the one stream to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::stream_verify_signatures_response::Result as Told;
use api::auth::v1::{StreamVerifySignaturesRequest, StreamVerifySignaturesResponse};
use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::health;

/// So many requests wait to be sent; auth takes as many from one stream before it has answered any.
const QUEUE: usize = 1024;
/// How long a stream may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait before the stream is begun anew, the first time and at the most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What is told is never an error, which is a status then.
type Answer = Result<Told, Status>;
type Queue = mpsc::Sender<StreamVerifySignaturesRequest>;

/// Where a replica is: an address of one of the targets, by its place among them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct At {
    pub(super) target: usize,
    pub(super) address: SocketAddr,
}

/// A replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) at: At,
    channel: rpc::Channel,
    /// Whether it says that it can answer.
    serves: AtomicBool,
    /// Where requests are put while there is a stream.
    queue: ArcSwapOption<Queue>,
    /// Those that were put there and have no answer yet, by their id.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    /// How many they are.
    load: AtomicUsize,
    next_id: AtomicU64,
}

impl Replica {
    pub(super) fn new(target: &rpc::Target, at: At) -> anyhow::Result<Self> {
        Ok(Self {
            at,
            channel: target.channel_at(at.address)?,
            serves: AtomicBool::new(false),
            queue: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            load: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
        })
    }

    /// Whether there is a stream.
    pub(super) fn is_up(&self) -> bool {
        self.queue.load().is_some()
    }

    /// Whether there is a stream, and it says that it can answer.
    pub(super) fn serves(&self) -> bool {
        self.is_up() && self.serves.load(Ordering::Relaxed)
    }

    /// For calls that are made by themselves.
    pub(super) fn client(&self) -> AuthServiceClient<rpc::Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    /// How many requests have no answer yet.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Asks on the stream. To drop the future is to want no answer any more.
    ///
    /// # Errors
    /// `UNAVAILABLE` if there is no stream, or it ends before the answer; else as auth says.
    pub(super) async fn ask(&self, request: Asked) -> Answer {
        let queue = self.queue.load_full().ok_or_else(no_stream)?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting().insert(id, tell);
        self.load.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits { replica: self, id };
        let request = StreamVerifySignaturesRequest { id, request: Some(request) };
        let sent = queue.send(request).await;
        sent.map_err(|_| no_stream())?;
        // Where that stream has ended already, and all who waited were told so, nobody else would tell.
        if !self.queue.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, &queue)) {
            return Err(no_stream());
        }
        told.await.unwrap_or_else(|_| Err(no_stream()))
    }

    /// Keeps a stream up until `end`; `changed` is told of whatever [`Self::is_up`] and [`Self::serves`] say.
    pub(super) async fn run(
        self: Arc<Self>,
        end: CancellationToken,
        changed: Arc<watch::Sender<()>>,
    ) {
        let tell = |serves| {
            self.serves.store(serves, Ordering::Relaxed);
            changed.send_replace(());
        };
        let health = health::watch(self.channel.clone(), tell, &end);
        tokio::join!(health, self.keep_up(&end, &changed));
    }

    async fn keep_up(&self, end: &CancellationToken, changed: &watch::Sender<()>) {
        let mut wait = RETRY;
        loop {
            let (queue, requests) = mpsc::channel(QUEUE);
            let mut client = self.client();
            let begun = client.stream_verify_signatures(ReceiverStream::new(requests));
            let begun = tokio::select! {
                () = end.cancelled() => break,
                begun = timeout(BEGIN_MAX, begun) => begun,
            };
            match begun {
                Ok(Ok(answers)) => {
                    wait = RETRY;
                    self.queue.store(Some(Arc::new(queue)));
                    changed.send_replace(());
                    tracing::debug!(address = %self.at.address, "a stream to auth has begun");
                    self.read(answers.into_inner(), end).await;
                    changed.send_replace(());
                }
                Ok(Err(status)) => {
                    tracing::debug!(address = %self.at.address, code = ?status.code(), "no stream to auth");
                }
                Err(_) => tracing::debug!(address = %self.at.address, "no stream to auth in time"),
            }
            tokio::select! {
                () = end.cancelled() => break,
                () = sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
            }
        }
        self.close();
    }

    /// Hands answers out until the stream ends, or all are when `end` comes.
    async fn read(
        &self,
        mut answers: Streaming<StreamVerifySignaturesResponse>,
        end: &CancellationToken,
    ) {
        let mut ending = false;
        loop {
            let answer = tokio::select! {
                () = end.cancelled(), if !ending => {
                    // Nothing more is asked; auth answers what was, and ends the stream.
                    (ending, _) = (true, self.queue.swap(None));
                    continue;
                }
                answer = answers.message() => answer,
            };
            match answer {
                Ok(Some(answer)) => self.tell(answer),
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!(address = %self.at.address, code = ?status.code(), "a stream to auth broke");
                    break;
                }
            }
        }
        self.close();
    }

    fn tell(&self, StreamVerifySignaturesResponse { id, result }: StreamVerifySignaturesResponse) {
        let Some(asked) = self.waiting().remove(&id) else { return };
        let answer = match result {
            Some(Told::Error(error)) => Err(Status::new(Code::from_i32(error.code), error.message)),
            Some(told @ (Told::Signature(_) | Told::StringToSign(_))) => Ok(told),
            None => Err(not_asked()),
        };
        // Who asked may have gone.
        drop(asked.send(answer));
    }

    /// No more is asked here, and who waits gets no answer.
    fn close(&self) {
        self.queue.store(None);
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits: forgotten when dropped.
struct Waits<'r> {
    replica: &'r Replica,
    id: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.replica.waiting().remove(&self.id);
        self.replica.load.fetch_sub(1, Ordering::Relaxed);
    }
}

fn no_stream() -> Status {
    Status::unavailable("there is no stream to auth")
}

/// The answer is not one to what was asked.
pub(super) fn not_asked() -> Status {
    Status::internal("auth answered what was not asked")
}

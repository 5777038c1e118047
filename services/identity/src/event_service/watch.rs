//! Watches: what the log holds, and then what is recorded, as fast as the client takes it.
//!
//! What is known of where events stand is used, as for a list: a watch of one account costs what that
//! account records. Whoever watches holds little here, read or not.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::identity::v1::{WatchEventsRequest, WatchEventsResponse};
use event_store::{Position, Recorded, Subscription};
use futures::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::filter::Filter;
use crate::caller::Call;
use crate::error::Error;
use crate::leased::{Leased, Term};
use crate::positions;
use crate::writer::{Writer, read_failed};

/// How many watches one caller may have. Those that ended unread count until the call is over.
const WATCHES_PER_CALLER_MAX: usize = 16;
/// How many watches may be under way in all.
const WATCHES_MAX: usize = 1024;
/// How long a watch lasts that does not say.
const WATCH_SECONDS_DEFAULT: u32 = 3600;
/// How long a watch lasts at most.
const WATCH_SECONDS_MAX: u32 = 86_400;
/// How often a watch without events tells how far the log was looked through.
const WATCH_PROGRESS: Duration = Duration::from_secs(10);
/// How many events are read at once where the index leads.
const READ_AT_ONCE: usize = 64;
/// How many bytes of events a watch holds, or one event.
const HELD_BYTES: usize = 64 << 10;
/// A watch that is so many events behind is led by the index again: following would read them all.
const FAR_BEHIND: u64 = 2048;

/// Counts the watches under way.
pub(super) struct Watches {
    all: Arc<Semaphore>,
    of_callers: Arc<Mutex<HashMap<String, usize>>>,
}

/// A caller's place, as long as its call lasts.
struct Place {
    caller: String,
    of_callers: Arc<Mutex<HashMap<String, usize>>>,
}

/// One watcher.
struct Watch {
    writer: Arc<Writer>,
    shutdown: CancellationToken,
    call: Call,
    filter: Filter,
    /// Everything up to here was sent or did not match.
    seen: Arc<AtomicU64>,
    /// The next events to look at.
    next: VecDeque<Arc<Recorded>>,
    /// Follows the log from the last of these, or from what was seen; none while the index leads.
    following: Option<Subscription>,
    /// Whether the index has led to where the log ended, once.
    caught_up: bool,
    end: Instant,
    _under_way: OwnedSemaphorePermit,
}

impl Watches {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(WATCHES_MAX)), of_callers: Arc::default() }
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// [`Error::TooManyWatches`]; [`Error::InvalidField`]; [`Error::OtherEpoch`]; [`Error::Behind`] if
    /// it is to begin after what is recorded.
    pub(super) fn begin(
        &self,
        writer: &Arc<Writer>,
        call: Call,
        filter: Filter,
        request: &WatchEventsRequest,
        shutdown: &CancellationToken,
    ) -> Result<impl Stream<Item = Result<WatchEventsResponse, Status>> + Send + use<>, Error> {
        let after = writer.asked("after_position", request.after_position)?;
        let seconds = match request.duration_seconds {
            0 => WATCH_SECONDS_DEFAULT,
            seconds if seconds <= WATCH_SECONDS_MAX => seconds,
            _ => return Err(Error::invalid("duration_seconds", "must be at most 86400")),
        };
        let head = writer.log.head().position;
        if after > head {
            let head = writer.told(head);
            return Err(Error::Behind { asked: request.after_position, head });
        }
        let place = self.place_of(call.principal())?;
        let under_way = Arc::clone(&self.all).try_acquire_owned();
        let end = Instant::now() + Duration::from_secs(seconds.into());
        let seen = Arc::new(AtomicU64::new(after.0));
        let watch = Watch {
            writer: Arc::clone(writer),
            shutdown: shutdown.clone(),
            call,
            filter,
            seen: Arc::clone(&seen),
            next: VecDeque::new(),
            following: None,
            caught_up: false,
            end,
            _under_way: under_way.map_err(|_| Error::TooManyWatches)?,
        };
        let writer = Arc::clone(writer);
        let last = move || Ok(progress(&writer, Position(seen.load(Ordering::Relaxed))));
        let messages = Leased::new(watch.messages(), Term::Until(end), last);
        Ok(messages.inspect(move |_| _ = &place))
    }

    fn place_of(&self, caller: String) -> Result<Place, Error> {
        let mut of_callers = lock(&self.of_callers);
        let places = of_callers.entry(caller.clone()).or_default();
        if *places == WATCHES_PER_CALLER_MAX {
            return Err(Error::TooManyWatches);
        }
        *places += 1;
        Ok(Place { caller, of_callers: Arc::clone(&self.of_callers) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_callers = lock(&self.of_callers);
        if let Some(places) = of_callers.get_mut(&self.caller) {
            *places -= 1;
            if *places == 0 {
                of_callers.remove(&self.caller);
            }
        }
    }
}

impl Watch {
    fn messages(self) -> impl Stream<Item = Result<WatchEventsResponse, Status>> {
        futures::stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.message().await {
                Ok(Some(message)) => Some((Ok(message), Some(watch))),
                // The last message says where to resume.
                Ok(None) => Some((Ok(watch.progress()), None)),
                Err(error) => Some((Err(error.into()), None)),
            }
        })
    }

    /// The next message; none when the time is over.
    async fn message(&mut self) -> Result<Option<WatchEventsResponse>, Error> {
        let shutdown = self.shutdown.clone();
        let mut stopped = pin!(shutdown.cancelled());
        let mut end = pin!(sleep_until(self.end));
        let mut progress = pin!(sleep_until(Instant::now() + WATCH_PROGRESS));
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return Err(Error::WatchEnded),
                () = &mut end => return Ok(None),
                // Also while there is something to look through all the time.
                () = &mut progress => {
                    self.call.is_still_known(&self.writer)?;
                    return Ok(Some(self.progress()));
                }
                looked = self.look() => if let Some(message) = looked? {
                    return Ok(Some(message));
                }
            }
        }
    }

    /// Looks at the next event, or gets more of them; the message, if there is one to send. Nothing is
    /// lost if it is dropped half way.
    async fn look(&mut self) -> Result<Option<WatchEventsResponse>, Error> {
        let Some(recorded) = self.next.front() else {
            self.get_more().await?;
            return Ok(None);
        };
        // Others have their turn, however many there are that do not match.
        consume_budget().await;
        let position = recorded.position;
        // The watcher may have been locked, or its token revoked, by this very event.
        if self.writer.model().position() < position {
            self.writer.applied(self.writer.told(position)).await?;
        }
        self.call.is_still_known(&self.writer)?;
        let event = self.filter.pass(&self.writer, recorded)?;
        self.next.pop_front();
        self.seen.store(position.0, Ordering::Relaxed);
        Ok(event.map(|event| WatchEventsResponse {
            event: Some(event),
            resume_position: self.writer.told(position),
        }))
    }

    /// Waits for the next events to look at, or learns that there are none up to somewhere.
    async fn get_more(&mut self) -> Result<(), Error> {
        let seen = self.seen();
        let behind = self.writer.model().position().0.saturating_sub(seen.0);
        if (!self.caught_up || behind > FAR_BEHIND)
            && let Some((run, head)) = self.filter.run_after(&self.writer, seen, READ_AT_ONCE)
        {
            self.following = None;
            let events = positions::read(&self.writer, &run).await?;
            self.caught_up = events.is_empty();
            if self.caught_up {
                self.seen.store(head.0, Ordering::Relaxed);
            }
            let mut bytes = 0;
            let held = events.into_iter().take_while(|event| {
                let is_first = bytes == 0;
                bytes += event.memory_bytes();
                is_first || bytes <= HELD_BYTES
            });
            self.next.extend(held.map(Arc::new));
            return Ok(());
        }
        self.caught_up = true;
        let following = self.following.get_or_insert_with(|| self.writer.log.subscribe(seen));
        let recorded = following.next().await.ok_or(Error::WatchEnded)?.map_err(read_failed)?;
        self.next.push_back(recorded);
        Ok(())
    }

    fn seen(&self) -> Position {
        Position(self.seen.load(Ordering::Relaxed))
    }

    fn progress(&self) -> WatchEventsResponse {
        progress(&self.writer, self.seen())
    }
}

/// Tells where to resume.
fn progress(writer: &Writer, seen: Position) -> WatchEventsResponse {
    WatchEventsResponse { event: None, resume_position: writer.told(seen) }
}

/// What a panicking thread left is whole: each lock is held over infallible changes only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

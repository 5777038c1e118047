//! Brings a question and the read model together: waits for what is missing, then looks.

use std::sync::Arc;
use std::time::Duration;

use read_model::{NotApplied, ReadModel, Table, position};
use sigv4::Denial;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::answer::Reached;
use crate::clock::Clock;
use crate::config::Config;
use crate::on_demand::{Fetched, OnDemand, Told};
use crate::outcome::Kept;
use crate::status::Error;
use crate::verify::{Needed, Now};

/// How long `min_position` is waited for. A caller's shorter deadline ends the call before.
const MIN_POSITION_WAIT_MAX: Duration = Duration::from_secs(1);
/// So many questions of all calls may wait, for a position or for keys. More are refused at once: a batch
/// or a stream has hundreds in one call, and each that waits keeps its request in memory.
const WAITING_MAX: usize = 16_384;
/// How often a verdict is tried again because the key changed while keys for it were fetched.
const ATTEMPTS_MAX: usize = 3;

/// Asks for something to be said of a signature: `A` is what there is to say.
pub(crate) trait Question<A> {
    /// The position that must have been applied.
    fn min_position(&self) -> u64;

    /// Checks what the caller itself says, not the client it asks for.
    fn check(&self, accepted: Accepted) -> Result<(), Error>;

    /// Looks once, at one state of the read model, without waiting.
    fn decide(&self, look: Look<'_>) -> Result<A, NoVerdict>;
}

/// What is accepted only where auth is told so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accepted {
    /// Signatures of Version 2.
    pub(crate) version_2: bool,
    /// Hosts that may have been signed for S3.
    pub(crate) s3_host_candidates: bool,
}

/// One look at one state of the read model.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) table: &'a Table,
    pub(crate) kept: &'a Kept,
    pub(crate) accepted: Accepted,
    pub(crate) now: Now,
    /// What identity has said of the very signature that is asked about.
    pub(crate) told: Option<Told>,
}

/// Why one look at the read model gave no verdict.
pub(crate) enum NoVerdict {
    /// There is none to be had.
    Error(Error),
    /// There is one once these are fetched.
    NeedsKeys(Needed),
}

impl NoVerdict {
    /// Whether there may be a verdict for who waits.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::NeedsKeys(_) | Self::Error(Error::Behind))
    }
}

impl From<NotApplied> for NoVerdict {
    fn from(reason: NotApplied) -> Self {
        Self::Error(reason.into())
    }
}

impl From<Error> for NoVerdict {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Answers questions from the read model.
pub(crate) struct Verifier {
    model: Arc<ReadModel>,
    on_demand: OnDemand,
    clock: Arc<dyn Clock>,
    hard_staleness: Duration,
    accepted: Accepted,
    kept: Kept,
    waiting: Semaphore,
}

impl Verifier {
    pub(crate) fn new(
        config: &Config,
        model: Arc<ReadModel>,
        on_demand: OnDemand,
        kept: Kept,
    ) -> Self {
        let clock = Arc::clone(&config.clock);
        let waiting = Semaphore::new(WAITING_MAX);
        let accepted = Accepted {
            version_2: config.accepts_signature_v2,
            s3_host_candidates: config.accepts_s3_host_candidates,
        };
        let hard_staleness = config.hard_staleness;
        Self { model, on_demand, clock, hard_staleness, accepted, kept, waiting }
    }

    /// Answers a question, once what it needs is there.
    pub(crate) async fn answer<A: From<Denial>>(
        &self,
        question: &impl Question<A>,
    ) -> Result<Reached<A>, Error> {
        question.check(self.accepted)?;
        if self.model.position().is_none() {
            return Err(Error::Empty);
        }
        let mut place = None;
        if position::applied(self.model.position(), question.min_position()).is_err() {
            place = Some(self.place_to_wait()?);
            let deadline = Instant::now() + MIN_POSITION_WAIT_MAX;
            self.model.wait_for(question.min_position(), deadline).await?;
        }
        let mut told = None;
        for _ in 0..ATTEMPTS_MAX {
            // Nothing of this look is held while waiting: afterwards all is checked again.
            let needed = match self.look_again(question, told) {
                Ok(reached) => return Ok(reached),
                Err(NoVerdict::Error(error)) => return Err(error),
                Err(NoVerdict::NeedsKeys(needed)) => needed,
            };
            if place.is_none() {
                place = Some(self.place_to_wait()?);
            }
            match self.on_demand.fetch(&self.model, &needed).await {
                Fetched::Kept => {}
                Fetched::Told(answer) => told = Some(answer),
                Fetched::NoSuchAccessKey => {
                    let position = self.model.position();
                    position::applied(position, question.min_position())?;
                    return Ok(Reached {
                        answer: Denial::invalid_access_key_id(&needed.access_key_id).into(),
                        position: position.unwrap_or_default(),
                        staleness_ms: self.staleness_ms(self.now()),
                    });
                }
                Fetched::Unavailable => return Err(Error::NoKeys),
            }
        }
        Err(Error::NoKeys)
    }

    /// Looks once, without waiting, at a question that is checked before.
    pub(crate) fn look<A>(&self, question: &impl Question<A>) -> Result<Reached<A>, NoVerdict> {
        question.check(self.accepted)?;
        self.look_again(question, None)
    }

    fn look_again<A>(
        &self,
        question: &impl Question<A>,
        told: Option<Told>,
    ) -> Result<Reached<A>, NoVerdict> {
        let table = self.model.table();
        let table = table.as_ref().ok_or(Error::Empty)?;
        let now = self.now();
        if self.model.staleness(now.monotonic) > self.hard_staleness {
            return Err(Error::Stale.into());
        }
        let position = table.position(); // before the look, so that it holds for it
        // Another table may have taken the place of the one that was waited for.
        position::applied(Some(position), question.min_position())?;
        let answer = question.decide(Look {
            table,
            kept: &self.kept,
            accepted: self.accepted,
            now,
            told,
        })?;
        Ok(Reached { answer, position, staleness_ms: self.staleness_ms(now) })
    }

    fn place_to_wait(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.waiting.try_acquire().map_err(|_| Error::Overloaded)
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.clock.unix_ms(), monotonic: self.clock.monotonic() }
    }

    fn staleness_ms(&self, now: Now) -> u64 {
        let staleness = self.model.staleness(now.monotonic);
        u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! The suite that every backend passes: `conformance_tests!(backend)` makes a test of each case.
//!
//! Cases panic where the backend is wrong. They wait for positions and never for a while, and use
//! nothing but [`EventLog`] and what [`Backend`] adds to it.

mod append;
mod follow;
mod integrity;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use uuid::Uuid;

pub use self::append::*;
pub use self::follow::*;
pub use self::integrity::*;
use crate::{
    Actor, AppendError, Appended, Batch, Claim, ClaimOp, EventLog, Expected, Fault, Label,
    ManualClock, NewEvent, Position, Recorded, Revision, StreamId,
};

/// Where the suite's clocks start, in milliseconds since 1970 UTC.
pub const START_MS: u64 = 1_800_000_000_000;

/// A place where a log is kept, and whence it is opened again.
pub trait Backend: Send + Sync {
    /// Opens the log, or makes it the first time. The one opened before has been closed and dropped.
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, Fault>>;

    /// The clock that the log goes by; starts at [`START_MS`].
    fn clock(&self) -> &ManualClock;

    /// Changes the stored frames of a log that is closed.
    fn tamper(&self, change: &mut dyn FnMut(&mut BTreeMap<u64, Bytes>));
}

/// Makes a `#[tokio::test]` of each case; the argument makes a new, empty [`Backend`]. Attributes of
/// the tests may follow it.
#[macro_export]
macro_rules! conformance_tests {
    (@ $backend:expr; [$($attribute:tt)*] $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $($attribute)*
        async fn $case() {
            $crate::conformance::$case(&$backend).await;
        }
    };
    ($backend:expr $(, #[$attribute:meta])*) => {
        $crate::conformance_tests! { $backend; [$(#[$attribute])*]
            a_batch_is_recorded_as_it_was_given
            an_expectation_that_does_not_hold_records_nothing
            an_expectation_is_about_the_stream_before_the_batch
            a_refused_batch_of_several_streams_leaves_no_trace
            a_claim_is_taken_once_until_it_is_released
            claims_hold_across_accounts
            claims_within_one_batch_are_applied_in_order
            claims_and_revisions_are_kept_over_opening_again
            a_command_is_recorded_once
            a_command_id_is_not_for_two_commands
            a_command_is_remembered_over_opening_again
            a_command_is_forgotten_after_a_day
            a_checkpoint_changes_nothing_but_the_time_to_open
            limits_are_kept_and_told
            the_largest_events_are_recorded
            time_never_goes_backwards
            concurrent_writers_get_gapless_positions
            concurrent_writers_to_one_stream_conflict_and_lose_nothing
            nothing_is_appended_after_closing
            reading_is_bounded_and_in_order
            a_subscriber_catches_up_and_goes_on_live
            a_subscriber_may_start_anywhere
            a_slow_subscriber_loses_nothing
            subscribers_keep_up_with_a_race_of_appenders
            a_subscription_ends_when_the_log_is_closed
            a_reader_ahead_of_the_log_is_told
            a_log_keeps_its_identity
            a_whole_log_verifies
            a_log_verifies_since_a_trusted_head
            an_archive_is_of_the_whole_log
            a_flipped_byte_is_found
            a_missing_frame_is_found
            swapped_frames_are_found
            a_rewritten_event_is_found
            a_cut_batch_is_found
            another_logs_event_is_found
            a_dropped_sealed_part_leaves_the_chain_whole
        }
    };
    ($backend:expr; $attributes:tt $($case:ident)*) => {
        $( $crate::conformance_tests! { @ $backend; $attributes $case } )*
    };
}

/// The account of whatever does not say otherwise.
pub const ACCOUNT: Uuid = Uuid::from_u128(0xacc0);

/// A stream's name.
pub fn stream(name: &str) -> StreamId {
    StreamId::parse(name).expect("a name within its bound")
}

/// An event of a stream that may look like anything.
pub fn event(name: &str, payload: &str) -> NewEvent {
    NewEvent {
        stream: stream(name),
        expected: Expected::Any,
        event_type: 7,
        schema_version: 1,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        sealed: None,
    }
}

/// An event of a stream that must be at a revision.
pub fn event_at(name: &str, revision: u64, payload: &str) -> NewEvent {
    NewEvent { expected: Expected::Revision(Revision(revision)), ..event(name, payload) }
}

/// A batch of a command of its own.
pub fn batch(events: impl IntoIterator<Item = NewEvent>) -> Batch {
    Batch {
        command_id: Uuid::new_v4(),
        command_digest: [1; 32],
        account: ACCOUNT,
        actor: Actor {
            principal: Label::truncated("arn:aws:iam::123456789012:user/alice"),
            facade: Label::truncated("grpc"),
            source_address: Label::truncated("192.0.2.1"),
            request_id: Label::truncated("request-1"),
        },
        events: events.into_iter().collect(),
        claims: Vec::new(),
    }
}

/// A claim of a user's name.
pub fn name(key: &str) -> Claim {
    Claim { kind: Label::truncated("user-name"), key: Label::truncated(key) }
}

/// Takes a claim.
pub fn take(key: &str) -> ClaimOp {
    ClaimOp::Take(name(key))
}

/// Releases a claim.
pub fn release(key: &str) -> ClaimOp {
    ClaimOp::Release(name(key))
}

async fn opened(backend: &dyn Backend) -> Arc<dyn EventLog> {
    backend.open().await.expect("the log opens")
}

async fn reopened(backend: &dyn Backend, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
    closed(log).await;
    opened(backend).await
}

async fn closed(log: Arc<dyn EventLog>) {
    log.close().await;
    drop(log);
}

async fn appended(log: &Arc<dyn EventLog>, batch: Batch) -> Appended {
    log.append(batch).await.expect("the batch is recorded")
}

async fn refused(log: &Arc<dyn EventLog>, batch: Batch) -> AppendError {
    let head = log.head();
    let error = log.append(batch).await.expect_err("the batch is refused");
    assert_eq!(log.head(), head, "nothing is recorded");
    error
}

/// All events, read in one go or many.
async fn all(log: &Arc<dyn EventLog>) -> Vec<Recorded> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = log.read(after, 1000).await.expect("the log is read");
        if more.is_empty() {
            return events;
        }
        events.extend(more);
    }
}

fn text(event: &Recorded) -> &str {
    std::str::from_utf8(&event.payload).expect("text was recorded")
}

fn texts(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(text).collect()
}

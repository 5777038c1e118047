//! The index against a model that keeps everything and looks through all of it.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::sequencer::{Sequenced, Sequencer};
use crate::{Actor, Label, ManualClock, NewEvent};

/// What a test appends: small numbers, so that they meet.
#[derive(Clone, Debug)]
struct Command {
    id: u8,
    digest: u8,
    account: u8,
    after_ms: u64,
    events: Vec<(u8, Option<u64>)>,
    claims: Vec<(bool, u8)>,
}

prop_compose! {
    fn command()(
        (id, digest, account) in (0_u8..12, 0_u8..8, 0_u8..2),
        after_ms in prop_oneof![Just(0), 0..2000_u64, Just(COMMAND_MEMORY_MS / 3)],
        events in prop::collection::vec((0_u8..3, prop::option::weighted(0.6, 0_u64..4)), 1..4),
        claims in prop::collection::vec((any::<bool>(), 0_u8..4), 0..4),
    ) -> Command {
        // Two commands of one ID are mostly the same command.
        Command { id, digest: u8::from(digest == 0), account, after_ms, events, claims }
    }
}

impl Command {
    fn batch(&self) -> Batch {
        let event = |&(name, expected): &(u8, Option<u64>)| NewEvent {
            stream: stream(name),
            expected: expected.map_or(Expected::Any, |at| Expected::Revision(Revision(at))),
            event_type: 1,
            schema_version: 1,
            payload: Bytes::new(),
            sealed: None,
        };
        let op = |&(is_release, key): &(bool, u8)| match is_release {
            true => ClaimOp::Release(claim(key)),
            false => ClaimOp::Take(claim(key)),
        };
        Batch {
            command_id: Uuid::from_u128(self.id.into()),
            command_digest: [self.digest; 32],
            account: Uuid::from_u128(self.account.into()),
            actor: Actor::default(),
            events: self.events.iter().map(event).collect(),
            claims: self.claims.iter().map(op).collect(),
        }
    }
}

fn stream(name: u8) -> StreamId {
    StreamId::parse(format!("s/{name}")).unwrap()
}

fn claim(key: u8) -> Claim {
    Claim { kind: Label::truncated("name"), key: Label::truncated(&key.to_string()) }
}

/// Every batch that was recorded, with its first position and its time.
#[derive(Default)]
struct Model(Vec<(Command, u64, u64)>);

#[derive(Debug, PartialEq)]
enum Outcome {
    Recorded { first: u64, last: u64, duplicate: bool },
    Conflict,
    Claim,
    Reused,
}

impl Model {
    fn append(&mut self, command: &Command, now_ms: u64) -> Outcome {
        let same_id = |(before, _, _): &&(Command, u64, u64)| before.id == command.id;
        if let Some((before, first, time_ms)) = self.0.iter().rfind(same_id)
            && now_ms < time_ms + COMMAND_MEMORY_MS
        {
            if before.digest != command.digest {
                return Outcome::Reused;
            }
            let last = first + before.events.len() as u64 - 1;
            return Outcome::Recorded { first: *first, last, duplicate: true };
        }
        let recorded = || self.0.iter().flat_map(|(before, _, _)| &before.events);
        for (name, expected) in &command.events {
            let count = recorded().filter(|(other, _)| other == name).count() as u64;
            if expected.is_some_and(|expected| expected != count) {
                return Outcome::Conflict;
            }
        }
        let mut holders = [None; 4];
        let before = self.0.iter().map(|(before, _, _)| before);
        for (command, is_new) in before.map(|before| (before, false)).chain([(command, true)]) {
            for &(is_release, key) in &command.claims {
                let holder = &mut holders[usize::from(key)];
                let allowed = if is_release { Some(command.account) } else { None };
                if is_new && *holder != allowed {
                    return Outcome::Claim;
                }
                *holder = if is_release { None } else { Some(command.account) };
            }
        }
        let first = recorded().count() as u64 + 1;
        let last = first + command.events.len() as u64 - 1;
        self.0.push((command.clone(), first, now_ms));
        Outcome::Recorded { first, last, duplicate: false }
    }
}

fn append(sequencer: &mut Sequencer, batch: Batch, log: &mut Vec<Arc<Recorded>>) -> Outcome {
    let outcome = |at: Appended| Outcome::Recorded {
        first: at.first.0,
        last: at.last.0,
        duplicate: at.duplicate,
    };
    match sequencer.sequence(batch) {
        Ok(Sequenced::Before(at)) => outcome(at),
        Ok(Sequenced::New(at, frames)) => {
            log.extend(frames.into_iter().map(|(event, _)| event));
            outcome(at)
        }
        Err(AppendError::Conflict { .. }) => Outcome::Conflict,
        Err(AppendError::ClaimTaken { .. } | AppendError::ClaimNotHeld { .. }) => Outcome::Claim,
        Err(AppendError::CommandReused { .. }) => Outcome::Reused,
        Err(
            other @ (AppendError::Empty
            | AppendError::TooLarge { .. }
            | AppendError::Full
            | AppendError::Unavailable(_)
            | AppendError::OutcomeUnknown(_)),
        ) => panic!("{other}"),
    }
}

/// The index that comes of a log's events, from the first.
fn from_zero(log: &[Arc<Recorded>]) -> Index {
    let mut index = Index::default();
    log.iter().for_each(|event| index.apply(event).expect("it was recorded"));
    index
}

fn stored(index: &Index, time_ms: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    index.write(time_ms, &mut bytes).expect("memory takes all");
    assert!(bytes.len() as u64 <= COUNTS_BYTES as u64 + index.stored_bytes_max());
    bytes
}

fn read_back(mut bytes: &[u8]) -> Index {
    let counts = Index::read_counts(&mut bytes).expect("there are counts");
    assert_eq!(Index::bytes_of(counts), Some(bytes.len() as u64));
    let index = Index::read(counts, &mut bytes).expect("there is as much as they say");
    assert!(bytes.is_empty());
    index
}

proptest! {
    #[test]
    fn what_was_stored_and_the_events_after_it_are_the_index_from_zero(
        commands in prop::collection::vec(command(), 1..60),
        at: prop::sample::Index,
    ) {
        let clock = Arc::new(ManualClock::new(1));
        let mut sequencer = Sequencer::new(Uuid::nil(), clock.clone());
        let (mut log, mut cuts) = (Vec::new(), vec![0]);
        for command in commands {
            clock.advance(command.after_ms);
            append(&mut sequencer, command.batch(), &mut log);
            cuts.push(log.len());
        }
        let (before, after) = log.split_at(cuts[at.index(cuts.len())]);
        let whole = from_zero(before);
        let time_ms = before.last().map_or(0, |event| event.time_ms);
        let mut index = read_back(&stored(&whole, time_ms));
        prop_assert_eq!(&index, &whole);
        for event in after {
            prop_assert_eq!(index.apply(event), Ok(()));
        }
        prop_assert_eq!(&index, &from_zero(&log));
        prop_assert_eq!(&index, sequencer.index());
    }

    #[test]
    fn the_index_agrees_with_the_model_also_when_rebuilt(
        commands in prop::collection::vec((command(), prop::bool::weighted(0.1)), 1..60),
    ) {
        let clock = Arc::new(ManualClock::new(1));
        let new = || Sequencer::new(Uuid::nil(), clock.clone());
        let (mut sequencer, mut model, mut log) = (new(), Model::default(), Vec::<Arc<Recorded>>::new());
        let mut now_ms = 1;
        for (command, reopen) in commands {
            if reopen {
                sequencer = new();
                for event in &log {
                    prop_assert_eq!(sequencer.recorded(event), Ok(()));
                }
            }
            now_ms += command.after_ms;
            clock.set(now_ms);
            let expected = model.append(&command, now_ms);
            prop_assert_eq!(append(&mut sequencer, command.batch(), &mut log), expected);
            prop_assert_eq!(sequencer.head().position, Position(log.len() as u64));
        }
    }
}

#[test]
fn forgotten_commands_are_not_stored() {
    let clock = Arc::new(ManualClock::new(1));
    let mut sequencer = Sequencer::new(Uuid::nil(), clock.clone());
    let mut log = Vec::new();
    for id in 0..5 {
        let (events, claims) = (vec![(0, None)], vec![]);
        let command = Command { id, digest: 0, account: 0, after_ms: 0, events, claims };
        append(&mut sequencer, command.batch(), &mut log);
        clock.advance(1);
    }
    let index = from_zero(&log);
    let kept = read_back(&stored(&index, 3 + COMMAND_MEMORY_MS));
    assert_eq!(kept.remembered.iter().map(|(time_ms, _)| *time_ms).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(kept.commands.len(), 2);
    assert_eq!(kept.revisions, index.revisions);
}

#[test]
fn an_index_that_was_stored_in_no_order_is_read_all_the_same() {
    let mut sequencer = Sequencer::new(Uuid::nil(), Arc::new(ManualClock::new(1)));
    let mut log = Vec::new();
    for id in 0..3 {
        let (events, claims) = (vec![(id, None)], vec![]);
        let command = Command { id, digest: 0, account: 0, after_ms: 0, events, claims };
        append(&mut sequencer, command.batch(), &mut log);
    }
    let index = from_zero(&log);
    let mut bytes = stored(&index, 1);
    let (first, last) = bytes[COUNTS_BYTES..].split_at_mut(2 * 24);
    first[..24].swap_with_slice(&mut last[..24]);
    assert_ne!(bytes, stored(&index, 1));
    assert_eq!(read_back(&bytes), index);
}

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;

use super::*;
use crate::{
    Actor, Batch, Claim, Expected, Label, ManualClock, MemoryLog, NewEvent, StreamId, frame,
};

/// Eight events: `a` made, `b` made with a claim, a batch of three in both, `c` made, the claim
/// released and taken again.
fn events() -> (Uuid, Vec<Recorded>) {
    let log = MemoryLog::new(Arc::new(ManualClock::new(1_000)));
    let claim = || Claim { kind: Label::truncated("name"), key: Label::truncated("alice") };
    let batches = [
        (&["a"][..], vec![]),
        (&["b"], vec![ClaimOp::Take(claim())]),
        (&["a", "b", "a"], vec![]),
        (&["c"], vec![]),
        (&["b"], vec![ClaimOp::Release(claim())]),
        (&["b"], vec![ClaimOp::Take(claim())]),
    ];
    for (streams, claims) in batches {
        let event = |stream: &&str| NewEvent {
            stream: StreamId::parse(*stream).expect("a name"),
            expected: Expected::Any,
            event_type: 1,
            schema_version: 1,
            payload: Bytes::from_static(b"payload"),
            sealed: None,
        };
        let batch = Batch {
            command_id: Uuid::new_v4(),
            command_digest: [1; 32],
            account: Uuid::from_u128(7),
            actor: Actor::default(),
            events: streams.iter().map(event).collect(),
            claims,
        };
        block_on(log.append(batch)).expect("recorded");
    }
    (log.log_id(), block_on(log.read(Position::START, 100)).expect("read"))
}

/// Chains events anew after one of them was changed, as who has the disk and time could.
fn forged(mut events: Vec<Recorded>, at: u64, change: fn(&mut Recorded)) -> Vec<Recorded> {
    let at = usize::try_from(at).expect("small") - 1;
    change(&mut events[at]);
    for next in at..events.len() {
        frame::encode(&mut events[next]);
        if let [event, after, ..] = &mut events[next..] {
            after.prev_hash = event.hash;
        }
    }
    events
}

fn check<K: Known>(mut verifier: Verifier<K>, events: &[Recorded]) -> Result<Verified, Fault> {
    let after = usize::try_from(verifier.head().position.0).expect("small");
    for event in &events[after..] {
        let position = event.position;
        verifier.push(StoredFrame { position, bytes: frame::encode(&mut event.clone()) })?;
    }
    verifier.verified()
}

fn check_since(events: &[Recorded], since: usize) -> Result<Verified, Fault> {
    check(Verifier::after(&events[since - 1], TailIndex::default())?, events)
}

#[test]
fn a_tail_verifies_from_any_event_also_from_within_a_batch() {
    let (log_id, events) = events();
    let whole = check(Verifier::new(log_id, Index::default()), &events).expect("it is whole");
    assert_eq!(whole.events, 8);
    for since in 1..=8 {
        let verified = check_since(&events, since).expect("it is whole");
        assert_eq!((verified.head, verified.events), (whole.head, 8 - since as u64));
    }
}

#[test]
fn what_contradicts_the_tail_is_found_and_what_contradicts_only_what_was_before_is_not() {
    type Change = fn(&mut Recorded);
    // What is changed, where, and the last event to trust with which it is found.
    let changes: [(u64, Change, usize); 9] = [
        (5, |event| event.revision = Revision(2), 2), // the batch has revision 2 of `a` at 3
        (5, |event| event.revision = Revision(4), 2),
        (8, |event| event.revision = Revision(9), 6), // the tail has `b` at 7
        (6, |event| event.revision = Revision(0), 5),
        (8, |event| event.account = Uuid::nil(), 8), // anybody may take what nobody holds
        (8, |event| event.claims.clear(), 8),
        (7, |event| event.claims.clear(), 1), // then it is taken twice; the tail has it at 2
        (6, |event| event.time_ms = 1, 5),
        (6, |event| event.batch_index = 1, 5),
    ];
    let (log_id, events) = events();
    for (at, change, found_since) in changes {
        let forged = forged(events.clone(), at, change);
        let whole = check(Verifier::new(log_id, Index::default()), &forged);
        let is_wrong = found_since < 8;
        assert_eq!(whole.is_err(), is_wrong, "{at}: {whole:?}");
        for since in 1..usize::try_from(at).expect("small") {
            let tail = check_since(&forged, since);
            assert_eq!(tail.is_err(), is_wrong && since <= found_since, "{at} since {since}");
        }
    }
}

#[test]
fn an_event_that_is_not_within_its_batch_is_no_place_to_begin() {
    let (_, events) = events();
    let forged = forged(events, 4, |event| event.batch_index = 3);
    let found = check_since(&forged, 4).expect_err("it is refused");
    assert_eq!(found, Fault { position: Position(4), kind: FaultKind::Batch });
}

#[test]
fn a_log_is_verified_piece_by_piece() {
    let log = MemoryLog::new(Arc::new(ManualClock::new(1_000)));
    let batch = |stream: &str, count| Batch {
        command_id: Uuid::new_v4(),
        command_digest: [1; 32],
        account: Uuid::from_u128(7),
        actor: Actor::default(),
        events: (0..count)
            .map(|_| NewEvent {
                stream: StreamId::parse(stream).expect("a name"),
                expected: Expected::Any,
                event_type: 1,
                schema_version: 1,
                payload: Bytes::from_static(b"payload"),
                sealed: None,
            })
            .collect(),
        claims: vec![],
    };
    for count in [2, 3, 1] {
        block_on(log.append(batch("a", count))).expect("recorded");
    }
    let mut since = None;
    let mut ends = vec![];
    while since.is_none_or(|since: Head| since.position < log.head().position) {
        let from = since.map_or(0, |since| since.position.0);
        let verified = block_on(verify_until(&log, since, Position(from + 1))).expect("whole");
        ends.push(verified.head.position.0);
        since = Some(verified.head);
    }
    assert_eq!(ends, [2, 5, 6]);
    assert_eq!(since, Some(log.head()));
    let nothing = block_on(verify_until(&log, since, Position(100))).expect("whole");
    assert_eq!((nothing.head, nothing.events), (log.head(), 0));
}

//! What a batch may do, and what it leaves when it may not.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use uuid::Uuid;

use super::{
    ACCOUNT, Backend, START_MS, all, appended, batch, closed, event, event_at, name, opened,
    refused, release, reopened, stream, take, texts,
};
use crate::{
    AppendError, Appended, BATCH_BYTES_MAX, Batch, CLAIM_BYTES_PER_BATCH_MAX, CLAIMS_PER_BATCH_MAX,
    COMMAND_MEMORY_MS, Claim, ClaimOp, EVENT_BYTES_MAX, EVENTS_PER_BATCH_MAX, Hash, Label,
    NewEvent, Position, Revision, genesis,
};

/// All that a batch says is read back, and what the log adds is as documented.
pub async fn a_batch_is_recorded_as_it_was_given(backend: &dyn Backend) {
    let log = opened(backend).await;
    assert_eq!((log.head().position, log.head().hash), (Position::START, genesis(log.log_id())));
    let sealed = Bytes::from_static(b"ciphertext");
    let second = NewEvent { sealed: Some(sealed.clone()), ..event("key/1", "made") };
    let given = Batch {
        claims: vec![take("alice")],
        ..batch([event_at("user/1", 0, "created"), second, event("user/1", "tagged")])
    };
    let at = appended(&log, given.clone()).await;
    let expected =
        Appended { first: Position(1), last: Position(3), time_ms: START_MS, duplicate: false };
    assert_eq!(at, expected);

    let events = all(&log).await;
    assert_eq!(texts(&events), ["created", "made", "tagged"]);
    let revisions = events.iter().map(|event| (event.stream.as_str(), event.revision.0));
    assert_eq!(revisions.collect::<Vec<_>>(), [("user/1", 1), ("key/1", 1), ("user/1", 2)]);
    let mut prev_hash = genesis(log.log_id());
    for (event, index) in events.iter().zip(0..) {
        assert_eq!(event.position, Position(u64::from(index) + 1));
        assert_eq!((event.batch_index, event.batch_len), (index, 3));
        assert_eq!(event.ends_batch(), index == 2);
        assert_eq!((event.account, event.time_ms), (ACCOUNT, START_MS));
        assert_eq!((event.event_type, event.schema_version), (7, 1));
        assert_eq!(event.command_id, given.command_id);
        assert_eq!(event.command_digest, given.command_digest);
        assert_eq!(event.actor, given.actor);
        assert_eq!(event.claims, if index == 0 { given.claims.clone() } else { Vec::new() });
        assert_eq!(event.prev_hash, prev_hash);
        prev_hash = event.hash;
    }
    assert_eq!(events[1].sealed_hash, Some(Hash::of(&sealed)));
    assert_eq!(events[1].sealed, Some(sealed));
    assert_eq!((log.head().position, log.head().hash), (Position(3), prev_hash));
}

/// Too low, too high, or "must not exist" of what does.
pub async fn an_expectation_that_does_not_hold_records_nothing(backend: &dyn Backend) {
    let log = opened(backend).await;
    appended(&log, batch([event_at("user/1", 0, "a")])).await;
    appended(&log, batch([event_at("user/1", 1, "b")])).await;
    for wrong in [0, 1, 3] {
        let error = refused(&log, batch([event_at("user/1", wrong, "c")])).await;
        let AppendError::Conflict { stream: found, expected, actual } = error else {
            panic!("not a conflict: {error}");
        };
        let given = (stream("user/1"), Revision(wrong), Revision(2));
        assert_eq!((found, expected, actual), given);
    }
    assert_eq!(appended(&log, batch([event_at("user/1", 2, "c")])).await.first, Position(3));
    assert_eq!(texts(&all(&log).await), ["a", "b", "c"]);
}

/// All events of a batch in one stream say the same revision.
pub async fn an_expectation_is_about_the_stream_before_the_batch(backend: &dyn Backend) {
    let log = opened(backend).await;
    let made = batch(["a", "b", "c"].map(|payload| event_at("user/1", 0, payload)));
    appended(&log, made).await;
    appended(&log, batch([event_at("user/1", 3, "d"), event_at("user/1", 3, "e")])).await;
    refused(&log, batch([event_at("user/1", 5, "f"), event_at("user/1", 6, "g")])).await;
    assert_eq!(all(&log).await.last().map(|event| event.revision), Some(Revision(5)));
}

/// The last of many conditions fails: streams, claims and the command ID are as if never asked.
pub async fn a_refused_batch_of_several_streams_leaves_no_trace(backend: &dyn Backend) {
    let log = opened(backend).await;
    appended(&log, Batch { claims: vec![take("taken")], ..batch([event("user/9", "other")]) })
        .await;
    let wrong_last =
        batch([event_at("user/1", 0, "a"), event_at("user/2", 0, "b"), event_at("user/9", 0, "c")]);
    let claim_last = Batch {
        claims: vec![take("free"), take("taken")],
        ..batch([event_at("user/1", 0, "a"), event_at("user/2", 0, "b")])
    };
    refused(&log, Batch { claims: vec![take("free")], ..wrong_last.clone() }).await;
    refused(&log, claim_last.clone()).await;
    assert_eq!(all(&log).await.len(), 1);
    // Neither streams nor the claim nor the command IDs were touched.
    let mended = Batch {
        events: vec![event_at("user/1", 0, "a"), event_at("user/2", 0, "b")],
        claims: vec![take("free")],
        ..wrong_last
    };
    assert!(!appended(&log, mended).await.duplicate);
    assert_eq!(texts(&all(&log).await), ["other", "a", "b"]);
}

/// Released, it may be taken again.
pub async fn a_claim_is_taken_once_until_it_is_released(backend: &dyn Backend) {
    let log = opened(backend).await;
    let with = |op| Batch { claims: vec![op], ..batch([event("user/1", "x")]) };
    let error = refused(&log, with(release("alice"))).await;
    assert!(matches!(error, AppendError::ClaimNotHeld { .. }), "{error}");
    appended(&log, with(take("alice"))).await;
    let error = refused(&log, with(take("alice"))).await;
    let AppendError::ClaimTaken { claim, holder } = error else {
        panic!("not a taken claim: {error}");
    };
    assert_eq!((claim, holder), (name("alice"), ACCOUNT));
    // The same key of another kind is another claim.
    let bucket = Claim { kind: Label::truncated("bucket"), ..name("alice") };
    appended(&log, with(ClaimOp::Take(bucket))).await;
    appended(&log, with(release("alice"))).await;
    appended(&log, with(take("alice"))).await;
}

/// One account's claim is in every account's way, and only its own to release.
pub async fn claims_hold_across_accounts(backend: &dyn Backend) {
    let log = opened(backend).await;
    let other = Uuid::from_u128(2);
    let with = |account, op| Batch { account, claims: vec![op], ..batch([event("user/1", "x")]) };
    appended(&log, with(ACCOUNT, take("AKIA1"))).await;
    let error = refused(&log, with(other, take("AKIA1"))).await;
    assert!(matches!(error, AppendError::ClaimTaken { holder: ACCOUNT, .. }), "{error}");
    let error = refused(&log, with(other, release("AKIA1"))).await;
    assert!(matches!(error, AppendError::ClaimNotHeld { .. }), "{error}");
    appended(&log, with(ACCOUNT, release("AKIA1"))).await;
    appended(&log, with(other, take("AKIA1"))).await;
}

/// Renaming to and fro within a batch.
pub async fn claims_within_one_batch_are_applied_in_order(backend: &dyn Backend) {
    let log = opened(backend).await;
    let with = |claims: Vec<_>| Batch { claims, ..batch([event("user/1", "x")]) };
    refused(&log, with(vec![take("a"), take("a")])).await;
    refused(&log, with(vec![take("a"), release("a"), release("a")])).await;
    appended(&log, with(vec![take("a"), release("a"), take("a"), take("b")])).await;
    appended(&log, with(vec![release("a"), take("c"), take("a"), release("b")])).await;
    refused(&log, with(vec![take("a")])).await;
    refused(&log, with(vec![take("c")])).await;
    appended(&log, with(vec![take("b")])).await;
}

/// The index is rebuilt from the events alone.
pub async fn claims_and_revisions_are_kept_over_opening_again(backend: &dyn Backend) {
    let log = opened(backend).await;
    let first = Batch { claims: vec![take("a"), take("b")], ..batch([event("user/1", "1")]) };
    appended(&log, first).await;
    appended(&log, Batch { claims: vec![release("a")], ..batch([event("user/1", "2")]) }).await;
    let head = log.head();

    let log = reopened(backend, log).await;
    assert_eq!(log.head(), head);
    assert_eq!(texts(&all(&log).await), ["1", "2"]);
    refused(&log, batch([event_at("user/1", 1, "3")])).await;
    refused(&log, Batch { claims: vec![take("b")], ..batch([event("user/1", "3")]) }).await;
    let third = Batch { claims: vec![take("a")], ..batch([event_at("user/1", 2, "3")]) };
    assert_eq!(appended(&log, third).await.first, Position(3));
    closed(log).await;
}

/// The second time gives the first outcome, whatever else has happened since.
pub async fn a_command_is_recorded_once(backend: &dyn Backend) {
    let log = opened(backend).await;
    let command = Batch {
        claims: vec![take("a")],
        ..batch([event_at("user/1", 0, "a"), event("user/1", "b")])
    };
    let first = appended(&log, command.clone()).await;
    backend.clock().advance(1000);
    appended(&log, batch([event("user/1", "c")])).await;
    for _ in 0..2 {
        let again = appended(&log, command.clone()).await;
        assert_eq!(again, Appended { duplicate: true, ..first });
    }
    assert_eq!(texts(&all(&log).await), ["a", "b", "c"]);

    // Also when both are under way at once.
    let command = batch([event("user/2", "d")]);
    let both = join_all([log.append(command.clone()), log.append(command)]).await;
    let both: Vec<_> = both.into_iter().map(|outcome| outcome.expect("recorded")).collect();
    assert_eq!((both[0].first, both[0].last), (both[1].first, both[1].last));
    assert_eq!(both.iter().filter(|outcome| outcome.duplicate).count(), 1);
}

/// The digest tells two commands apart.
pub async fn a_command_id_is_not_for_two_commands(backend: &dyn Backend) {
    let log = opened(backend).await;
    let command = batch([event("user/1", "a")]);
    appended(&log, command.clone()).await;
    let other = Batch { command_digest: [2; 32], ..command.clone() };
    let error = refused(&log, other.clone()).await;
    assert!(
        matches!(error, AppendError::CommandReused { command_id } if command_id == command.command_id),
        "{error}"
    );
    let log = reopened(backend, log).await;
    assert!(matches!(refused(&log, other).await, AppendError::CommandReused { .. }));
    closed(log).await;
}

/// Rebuilt from the events, whole outcome and all.
pub async fn a_command_is_remembered_over_opening_again(backend: &dyn Backend) {
    let log = opened(backend).await;
    appended(&log, batch([event("user/1", "a")])).await;
    let command = batch([event("user/1", "b"), event("user/2", "c")]);
    let first = appended(&log, command.clone()).await;
    let log = reopened(backend, log).await;
    backend.clock().advance(COMMAND_MEMORY_MS - 1);
    assert_eq!(appended(&log, command).await, Appended { duplicate: true, ..first });
    closed(log).await;
}

/// A day later it is a new command.
pub async fn a_command_is_forgotten_after_a_day(backend: &dyn Backend) {
    let log = opened(backend).await;
    let command = batch([event("user/1", "a")]);
    appended(&log, command.clone()).await;
    backend.clock().advance(COMMAND_MEMORY_MS);
    let again = appended(&log, command.clone()).await;
    assert_eq!((again.first, again.duplicate), (Position(2), false));
    let log = reopened(backend, log).await;
    let third = appended(&log, command).await;
    assert_eq!((third.first, third.duplicate), (Position(2), true));
    closed(log).await;
}

/// Streams, claims and commands of before and after it are known when the log is opened again, also
/// when a checkpoint was made after one was used.
pub async fn a_checkpoint_changes_nothing_but_the_time_to_open(backend: &dyn Backend) {
    let mut log = opened(backend).await;
    assert_eq!(log.checkpoint().await.expect("of no event"), log.head());
    let mut commands = Vec::new();
    for round in 0..4 {
        let name = format!("user/{round}");
        for part in ["before", "after"] {
            let revision = commands.len() as u64;
            let events = [event_at("all", revision, &name), event(&name, part)];
            let claims = vec![take(&format!("{name}/{part}"))];
            let command = Batch { claims, ..batch(events) };
            let at = appended(&log, command.clone()).await;
            commands.push((command, at));
            if part == "before" {
                assert_eq!(log.checkpoint().await.expect("a checkpoint"), log.head());
            }
        }
        let (head, events) = (log.head(), all(&log).await);
        log = reopened(backend, log).await;
        assert_eq!((log.head(), all(&log).await), (head, events));
        for (command, at) in &commands {
            let again = appended(&log, command.clone()).await;
            assert_eq!(again, Appended { duplicate: true, ..*at });
            let claims = command.claims.clone();
            let error = refused(&log, Batch { claims, ..batch([event("other", "")]) }).await;
            assert!(matches!(error, AppendError::ClaimTaken { .. }), "{error}");
        }
        let error = refused(&log, batch([event_at("all", 0, "")])).await;
        let AppendError::Conflict { actual, .. } = error else { panic!("no conflict: {error}") };
        assert_eq!(actual, Revision(commands.len() as u64));
        backend.clock().advance(1);
    }
    crate::verify(&*log, None).await.expect("the log is whole");
    closed(log).await;
}

/// One over each limit.
pub async fn limits_are_kept_and_told(backend: &dyn Backend) {
    let log = opened(backend).await;
    assert!(matches!(refused(&log, batch([])).await, AppendError::Empty));
    let sized = |payload: usize, sealed: usize| NewEvent {
        payload: vec![0; payload].into(),
        sealed: (sealed > 0).then(|| vec![0; sealed].into()),
        ..event("user/1", "")
    };
    let long = |n: usize| take(&format!("{n:0>187}")); // with the kind, 196 bytes
    let over = [
        (batch([sized(EVENT_BYTES_MAX + 1, 0)]), EVENT_BYTES_MAX),
        (batch([sized(EVENT_BYTES_MAX - 10, 11)]), EVENT_BYTES_MAX),
        (batch((0..=EVENTS_PER_BATCH_MAX).map(|_| event("user/1", ""))), EVENTS_PER_BATCH_MAX),
        (batch((0..257).map(|_| sized(4081, 0))), BATCH_BYTES_MAX),
        (
            Batch {
                claims: (0..=CLAIMS_PER_BATCH_MAX).map(|n| take(&n.to_string())).collect(),
                ..batch([event("user/1", "")])
            },
            CLAIMS_PER_BATCH_MAX,
        ),
        (
            Batch { claims: (0..8).map(long).collect(), ..batch([event("user/1", "")]) },
            CLAIM_BYTES_PER_BATCH_MAX,
        ),
    ];
    for (batch, limit) in over {
        let error = refused(&log, batch).await;
        let AppendError::TooLarge { size, size_max, .. } = error else {
            panic!("not too large: {error}");
        };
        assert_eq!(size_max, limit);
        assert!(size > limit);
    }
}

/// Right at each limit, and read back whole, also after opening again.
pub async fn the_largest_events_are_recorded(backend: &dyn Backend) {
    let log = opened(backend).await;
    let largest = |n: usize| NewEvent {
        payload: vec![n as u8; EVENT_BYTES_MAX / 2].into(),
        sealed: Some(vec![!n as u8; EVENT_BYTES_MAX / 2].into()),
        ..event(&format!("{n:0>128}"), "")
    };
    let mut given = batch((0..BATCH_BYTES_MAX / EVENT_BYTES_MAX).map(largest));
    given.actor.principal = Label::truncated(&"p".repeat(1000));
    given.actor.facade = Label::truncated(&"f".repeat(1000));
    given.actor.source_address = Label::truncated(&"s".repeat(1000));
    given.actor.request_id = Label::truncated(&"r".repeat(1000));
    given.claims = (0..7).map(|n| take(&format!("{n:0>192}"))).collect();
    appended(&log, given.clone()).await;
    appended(&log, batch((0..EVENTS_PER_BATCH_MAX).map(|n| event("user/1", &n.to_string())))).await;
    let log = reopened(backend, log).await;
    let events = all(&log).await;
    assert_eq!(events.len(), given.events.len() + EVENTS_PER_BATCH_MAX);
    for (event, given) in events.iter().zip(&given.events) {
        assert_eq!((&event.payload, &event.sealed), (&given.payload, &given.sealed));
    }
    let frames = log.frames(Position::START, 1).await.expect("the log is read");
    assert!(frames[0].bytes.len() <= crate::frame::FRAME_BYTES_MAX);
    closed(log).await;
}

/// A clock that is set back stops the log's time, also over opening again.
pub async fn time_never_goes_backwards(backend: &dyn Backend) {
    let log = opened(backend).await;
    appended(&log, batch([event("user/1", "a")])).await;
    backend.clock().set(START_MS - 1000);
    assert_eq!(appended(&log, batch([event("user/1", "b")])).await.time_ms, START_MS);
    let log = reopened(backend, log).await;
    assert_eq!(appended(&log, batch([event("user/1", "c")])).await.time_ms, START_MS);
    backend.clock().set(START_MS + 5);
    assert_eq!(appended(&log, batch([event("user/1", "d")])).await.time_ms, START_MS + 5);
    closed(log).await;
}

/// 64 writers, batches of one to three events.
pub async fn concurrent_writers_get_gapless_positions(backend: &dyn Backend) {
    let log = opened(backend).await;
    let writers = (0..64).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut written = Vec::new();
            for n in 0..8_u64 {
                let name = format!("user/{writer}");
                let len = n % 3 + 1;
                let revision = written.len() as u64;
                let events = (0..len).map(|_| event_at(&name, revision, &name));
                let at = appended(&log, batch(events)).await;
                assert_eq!(at.last.0 - at.first.0 + 1, len);
                assert!(log.head().position >= at.last, "what is acknowledged is visible");
                written.extend(at.first.0..=at.last.0);
            }
            written
        })
    });
    let mut positions = BTreeSet::new();
    for writer in join_all(writers).await {
        for position in writer.expect("a writer ends") {
            assert!(positions.insert(position), "position {position} was given twice");
        }
    }
    let events = all(&log).await;
    assert!(positions.iter().copied().eq(1..=events.len() as u64));
    for pair in events.windows(2) {
        assert_eq!(pair[1].position, pair[0].position.next());
        assert_eq!(pair[1].prev_hash, pair[0].hash);
    }
    crate::verify(&*log, None).await.expect("the chain is whole");
}

/// Read, decide, append: of those who saw the same, one wins, and the others try again.
pub async fn concurrent_writers_to_one_stream_conflict_and_lose_nothing(backend: &dyn Backend) {
    let log = opened(backend).await;
    let writers = (0..8).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut seen = 0;
            for _ in 0..5 {
                let command = batch([event("counter", "")]);
                loop {
                    let event = event_at("counter", seen, &(seen + 1).to_string());
                    match log.append(Batch { events: vec![event], ..command.clone() }).await {
                        Ok(_) => break,
                        Err(AppendError::Conflict { actual, .. }) => {
                            // What was in the way can be read.
                            let after = Position(actual.0 - 1);
                            let found = log.read(after, 1).await.expect("the log is read");
                            assert_eq!(found[0].revision, actual);
                            seen = actual.0;
                        }
                        Err(other) => panic!("not a conflict: {other}"),
                    }
                }
                seen += 1;
            }
        })
    });
    for writer in join_all(writers).await {
        writer.expect("a writer ends");
    }
    let expected: Vec<_> = (1..=40).map(|n: u64| n.to_string()).collect();
    assert_eq!(texts(&all(&log).await), expected);
}

/// Closing is final, and says so.
pub async fn nothing_is_appended_after_closing(backend: &dyn Backend) {
    let log = opened(backend).await;
    appended(&log, batch([event("user/1", "a")])).await;
    log.close().await;
    log.close().await;
    let error = refused(&log, batch([event("user/1", "b")])).await;
    assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
    let log = reopened(backend, log).await;
    assert_eq!(texts(&all(&log).await), ["a"]);
    closed(log).await;
}

//! Whatever was changed in what is stored is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Backend, all, appended, batch, closed, event, event_at, opened, reopened, take};
use crate::frame::{self, FrameError};
use crate::{
    Batch, EventLog, Fault, FaultKind, Hash, Head, NewEvent, Position, ReadError, Recorded,
    archive, verify, verify_with,
};

/// Ten events: a batch of three with a claim, six of one, and one with a sealed part at the end.
async fn filled(backend: &dyn Backend) -> Arc<dyn EventLog> {
    let log = opened(backend).await;
    let three = ["1", "2", "3"].map(|payload| event("user/1", payload));
    appended(&log, Batch { claims: vec![take("alice")], ..batch(three) }).await;
    for n in 4..=9 {
        backend.clock().advance(1);
        appended(&log, batch([event_at("user/2", n - 4, &n.to_string())])).await;
    }
    let sealed = Some(Bytes::from_static(b"ciphertext"));
    appended(&log, batch([NewEvent { sealed, ..event("user/1", "10") }])).await;
    log
}

/// Changes the frames of a filled log and gives what opening it says.
async fn fault(backend: &dyn Backend, mut change: impl FnMut(&mut BTreeMap<u64, Bytes>)) -> Fault {
    closed(filled(backend).await).await;
    backend.tamper(&mut change);
    match backend.open().await {
        Err(fault) => fault,
        Ok(log) => panic!("the log opens, at {:?}", log.head()),
    }
}

fn drop_sealed(backend: &dyn Backend, position: u64) {
    backend.tamper(&mut |frames| {
        let frame = frames.get_mut(&position).expect("the event is there");
        *frame = frame::without_sealed(frame.clone()).expect("the frame decodes");
    });
}

/// Changes one event and encodes it as if it had been so.
fn rewrite(frames: &mut BTreeMap<u64, Bytes>, position: u64, change: impl FnOnce(&mut Recorded)) {
    let frame = frames.get_mut(&position).expect("the event is there");
    let mut event = frame::decode(frame.clone()).expect("the frame decodes");
    change(&mut event);
    *frame = frame::encode(&mut event);
}

/// It says how long it is and how it ends; an empty one too.
pub async fn a_whole_log_verifies(backend: &dyn Backend) {
    let log = opened(backend).await;
    let verified = verify(&*log, None).await.expect("an empty log is whole");
    assert_eq!((verified.events, verified.head), (0, log.head()));
    closed(log).await;
    let log = filled(backend).await;
    let verified = verify(&*log, None).await.expect("the log is whole");
    assert_eq!((verified.events, verified.head, verified.sealed_dropped), (10, log.head(), 0));
    let log = reopened(backend, log).await;
    assert_eq!(verify(&*log, None).await.expect("the log is whole"), verified);
    closed(log).await;
}

/// From each event on, and only where its hash is the one that is trusted.
pub async fn a_log_verifies_since_a_trusted_head(backend: &dyn Backend) {
    let log = filled(backend).await;
    let whole = verify(&*log, None).await.expect("the log is whole");
    let origin = Head { position: Position::START, hash: crate::genesis(log.log_id()) };
    let events = all(&log).await;
    let heads = events.iter().map(|event| Head { position: event.position, hash: event.hash });
    for since in std::iter::once(origin).chain(heads) {
        let mut seen = since.position;
        let verified = verify_with(&*log, Some(since), |head| {
            assert!(head.position > seen, "it goes on");
            seen = head.position;
        });
        let verified = verified.await.expect("the log is whole");
        assert_eq!((verified.head, seen), (whole.head, whole.head.position));
        assert_eq!(verified.events, whole.events - since.position.0);

        let wrong = Head { hash: Hash([9; 32]), ..since };
        let error = verify(&*log, Some(wrong)).await.expect_err("it is another log");
        let kind = FaultKind::Chain { expected: wrong.hash, found: since.hash };
        let ReadError::Fault(fault) = error else { panic!("not a fault: {error}") };
        assert_eq!(fault, Fault { position: since.position, kind });
    }
    let beyond = Head { position: whole.head.position.next(), ..whole.head };
    let error = verify(&*log, Some(beyond)).await.expect_err("it ends before");
    assert!(matches!(error, ReadError::AheadOfLog { .. }), "{error}");
    closed(log).await;
}

/// Of an empty log, too, and of one with a part dropped.
pub async fn an_archive_is_of_the_whole_log(backend: &dyn Backend) {
    let export = async |log: &Arc<dyn EventLog>| {
        let mut text = Vec::new();
        let head = archive::export(Arc::clone(log), &mut text).await.expect("the log is whole");
        let (header, verified) = archive::verify(&text[..]).expect("the archive is whole");
        assert_eq!((head, header.head, verified.head), (log.head(), log.head(), log.head()));
        assert_eq!((header.log_id, header.epoch), (log.log_id(), log.epoch()));
        assert_eq!(verify(&**log, None).await.expect("the log is whole"), verified);
        verified
    };
    let log = opened(backend).await;
    assert_eq!(export(&log).await.events, 0);
    closed(log).await;
    let log = filled(backend).await;
    assert_eq!(export(&log).await.sealed_dropped, 0);
    closed(log).await;
    drop_sealed(backend, 10);
    let log = opened(backend).await;
    let verified = export(&log).await;
    assert_eq!((verified.events, verified.sealed_dropped), (10, 1));
    closed(log).await;
}

/// In the first, a middle and the last frame, at its start, in its body and at its end.
pub async fn a_flipped_byte_is_found(backend: &dyn Backend) {
    closed(filled(backend).await).await;
    for position in [1, 5, 10] {
        for part in [0, 1, 2, 3] {
            let mut whole = Bytes::new();
            backend.tamper(&mut |frames| {
                let frame = frames.get_mut(&position).expect("the event is there");
                whole = frame.clone();
                let mut bytes = frame.to_vec();
                let at = (bytes.len() - 1) * part / 3;
                bytes[at] ^= 0x40;
                *frame = bytes.into();
            });
            let found = backend.open().await.err().expect("the log does not open");
            assert_eq!(found.position, Position(position));
            let expected = if part == 0 { FrameError::Format(0x41) } else { FrameError::Checksum };
            assert_eq!(found.kind, FaultKind::Frame(expected));
            backend.tamper(&mut |frames| drop(frames.insert(position, whole.clone())));
        }
    }
    closed(opened(backend).await).await;
}

/// Anywhere but at the end, where only a checkpoint can tell.
pub async fn a_missing_frame_is_found(backend: &dyn Backend) {
    let found = fault(backend, |frames| drop(frames.remove(&5))).await;
    assert_eq!(found, Fault { position: Position(5), kind: FaultKind::Missing });
    // Closing the gap does not help.
    backend.tamper(&mut |frames| {
        for position in 6..=10 {
            let frame = frames.remove(&position).expect("the event is there");
            frames.insert(position - 1, frame);
        }
    });
    let found = backend.open().await.err().expect("the log does not open");
    assert_eq!(found, Fault { position: Position(5), kind: FaultKind::Position(Position(6)) });
}

/// As they are, and with their positions made to fit.
pub async fn swapped_frames_are_found(backend: &dyn Backend) {
    let found = fault(backend, |frames| {
        let (five, six) = (frames[&5].clone(), frames[&6].clone());
        frames.extend([(5, six), (6, five)]);
    })
    .await;
    assert_eq!(found, Fault { position: Position(5), kind: FaultKind::Position(Position(6)) });
    backend.tamper(&mut |frames| {
        rewrite(frames, 5, |event| event.position = Position(5));
        rewrite(frames, 6, |event| event.position = Position(6));
    });
    let found = backend.open().await.err().expect("the log does not open");
    assert!(matches!(found.kind, FaultKind::Chain { .. }), "{found}");
}

/// With all checksums right: the next event's chain tells, or what the event itself says.
pub async fn a_rewritten_event_is_found(backend: &dyn Backend) {
    closed(filled(backend).await).await;
    type Change = fn(&mut Recorded);
    let changes: [(u64, u64, Change); 7] = [
        (5, 6, |event| event.payload = Bytes::from_static(b"forged")),
        (5, 6, |event| event.actor.principal = crate::Label::truncated("somebody else")),
        (5, 5, |event| event.prev_hash = Hash([0; 32])),
        (5, 5, |event| event.time_ms -= 1_000),
        (5, 5, |event| event.revision = crate::Revision(9)),
        (5, 5, |event| event.claims = vec![take("alice")]),
        (2, 2, |event| event.batch_index = 2),
    ];
    for (position, found_at, change) in changes {
        let mut whole = Bytes::new();
        backend.tamper(&mut |frames| {
            whole = frames[&position].clone();
            rewrite(frames, position, change);
        });
        let found = backend.open().await.err().expect("the log does not open");
        assert_eq!(found.position, Position(found_at), "{found}");
        assert!(!matches!(found.kind, FaultKind::Frame(_)), "{found}");
        backend.tamper(&mut |frames| drop(frames.insert(position, whole.clone())));
    }
    closed(opened(backend).await).await;
}

/// Half a command is none.
pub async fn a_cut_batch_is_found(backend: &dyn Backend) {
    let found = fault(backend, |frames| drop(frames.split_off(&3))).await;
    assert_eq!(found, Fault { position: Position(3), kind: FaultKind::Batch });
}

/// The first event is chained to its log.
pub async fn another_logs_event_is_found(backend: &dyn Backend) {
    let found = fault(backend, |frames| {
        rewrite(frames, 1, |event| event.prev_hash = crate::genesis(uuid::Uuid::nil()));
    })
    .await;
    assert_eq!(found.position, Position(1));
    assert!(matches!(found.kind, FaultKind::Chain { .. }), "{found}");
}

/// Dropping it is allowed; putting another in its place is not.
pub async fn a_dropped_sealed_part_leaves_the_chain_whole(backend: &dyn Backend) {
    let log = filled(backend).await;
    let head = log.head();
    closed(log).await;
    drop_sealed(backend, 10);
    let log = opened(backend).await;
    let verified = verify(&*log, None).await.expect("the log is whole");
    assert_eq!((verified.head, verified.sealed_dropped), (head, 1));
    let last = all(&log).await.pop().expect("there are events");
    assert_eq!((last.sealed, last.sealed_hash), (None, Some(Hash::of(b"ciphertext"))));
    closed(log).await;

    backend.tamper(&mut |frames| {
        let frame = &frames[&10];
        let mut forged = frame[..frame.len() - 5].to_vec(); // without tag and checksum
        forged.extend([1, 3, 0, 0, 0]);
        forged.extend(b"abc");
        forged.extend(crc32c::crc32c(&forged).to_le_bytes());
        frames.insert(10, forged.into());
    });
    let found = backend.open().await.err().expect("the log does not open");
    assert_eq!(found, Fault { position: Position(10), kind: FrameError::Sealed.into() });
}

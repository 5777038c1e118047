//! A disk that is full, or becomes so: nothing is lost, nothing fails, and it goes on once there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_store::conformance::{batch, event, event_at, take};
use event_store::{
    AppendError, Appended, Batch, EventLog, Position, RoomFn, SledLog, SledOptions, verify,
};
use futures::StreamExt;

/// Room while the flag says so.
fn room(full: &Arc<AtomicBool>) -> RoomFn {
    let full = Arc::clone(full);
    Box::new(move |bytes| {
        assert!(bytes > 0);
        Ok(!full.load(Ordering::SeqCst))
    })
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_nothing_else_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let options = SledOptions::new(dir.path()).room(room(&full));
    let log = SledLog::open(options).await.unwrap();
    let first = Batch { claims: vec![take("alice")], ..batch([event("user/1", "a")]) };
    let at = log.append(first.clone()).await.unwrap();
    full.store(true, Ordering::SeqCst);

    let head = log.head();
    let waiting = batch([event_at("user/1", 1, "b")]);
    for _ in 0..3 {
        let error = log.append(waiting.clone()).await.unwrap_err();
        assert!(matches!(error, AppendError::Full), "{error}");
    }
    assert_eq!(log.head(), head);
    assert_eq!(log.read(Position::START, 10).await.unwrap().len(), 1);
    let mut subscription = log.subscribe(Position::START);
    assert_eq!(subscription.next().await.unwrap().unwrap().position, Position(1));
    verify(&log, None).await.unwrap();
    // What needs no room is answered as ever.
    assert_eq!(log.append(first).await.unwrap(), Appended { duplicate: true, ..at });
    let error = log.append(batch([event_at("user/1", 7, "c")])).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
    assert!(matches!(log.append(batch([])).await.unwrap_err(), AppendError::Empty));

    full.store(false, Ordering::SeqCst);
    let again = log.append(waiting).await.unwrap();
    assert_eq!((again.first, again.duplicate), (Position(2), false), "nothing was numbered");
    assert_eq!(subscription.next().await.unwrap().unwrap().position, Position(2));
    verify(&log, None).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_does_not_answer_fails_the_log_with_nothing_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let gone = || Err(std::io::Error::other("disk is gone"));
    let options = SledOptions::new(dir.path()).room(Box::new(move |_| gone()));
    let log = SledLog::open(options).await.unwrap();
    let error = log.append(batch([event("user/1", "a")])).await.unwrap_err();
    assert!(matches!(&error, AppendError::Unavailable(why) if why.contains("disk is gone")));
    assert!(log.failed().await.contains("disk is gone"));
}

#[tokio::test]
async fn with_less_than_its_reserve_the_disk_counts_as_full() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledOptions::new(dir.path()).reserve_bytes(u64::MAX);
    let log = SledLog::open(options).await.unwrap();
    let error = log.append(batch([event("user/1", "a")])).await.unwrap_err();
    assert!(matches!(error, AppendError::Full), "{error}");
}

//! Reading and subscribing.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;

use super::{Backend, all, appended, batch, closed, event, opened, reopened, text, texts};
use crate::{EventLog, Position, READ_EVENTS_MAX, ReadError, Subscription};

async fn fill(log: &Arc<dyn EventLog>, payloads: std::ops::Range<u64>) {
    let payloads: Vec<_> = payloads.map(|n| n.to_string()).collect();
    for chunk in payloads.chunks(crate::EVENTS_PER_BATCH_MAX) {
        appended(log, batch(chunk.iter().map(|payload| event("user/1", payload)))).await;
    }
}

/// Takes the next `count` events, which must follow `after`.
async fn next(subscription: &mut Subscription, after: Position, count: usize) -> Position {
    let mut last = after;
    for _ in 0..count {
        let event = subscription.next().await.expect("the subscription goes on");
        let event = event.expect("the log is read");
        assert_eq!(event.position, last.next(), "no gap, none twice");
        assert_eq!(text(&event), (event.position.0 - 1).to_string());
        last = event.position;
    }
    last
}

/// From anywhere, at most what was asked for, nothing at the head.
pub async fn reading_is_bounded_and_in_order(backend: &dyn Backend) {
    let log = opened(backend).await;
    assert!(log.read(Position::START, 10).await.expect("the log is read").is_empty());
    fill(&log, 0..5000).await;
    let read =
        async |after, limit| log.read(Position(after), limit).await.expect("the log is read");
    assert_eq!(texts(&read(0, 3).await), ["0", "1", "2"]);
    assert_eq!(texts(&read(4998, 10).await), ["4998", "4999"]);
    assert!(read(5000, 10).await.is_empty());
    assert!(read(0, 0).await.is_empty());
    assert_eq!(read(0, usize::MAX).await.len(), READ_EVENTS_MAX);
    assert_eq!(all(&log).await.len(), 5000);
}

/// What is there, then what comes, without a seam.
pub async fn a_subscriber_catches_up_and_goes_on_live(backend: &dyn Backend) {
    let log = opened(backend).await;
    let mut early = log.subscribe(Position::START);
    fill(&log, 0..300).await;
    let mut late = log.subscribe(Position::START);
    let (early_at, late_at) =
        (next(&mut early, Position::START, 300).await, next(&mut late, Position::START, 300).await);
    fill(&log, 300..310).await;
    next(&mut early, early_at, 10).await;
    next(&mut late, late_at, 10).await;

    // Appending goes on while one catches up.
    let log = reopened(backend, log).await;
    let mut following = log.subscribe(Position::START);
    let (_, last) =
        tokio::join!(fill(&log, 310..2000), next(&mut following, Position::START, 2000));
    assert_eq!(last, Position(2000));
    drop(following);
    closed(log).await;
}

/// From the start, the middle, the head; opened again, so that nothing is in memory.
pub async fn a_subscriber_may_start_anywhere(backend: &dyn Backend) {
    let log = opened(backend).await;
    fill(&log, 0..1000).await;
    let log = reopened(backend, log).await;
    let from = [0, 1, 499, 998, 999, 1000];
    let subscriptions = from.map(|after| (Position(after), log.subscribe(Position(after))));
    fill(&log, 1000..1100).await;
    join_all(subscriptions.map(|(after, mut subscription)| async move {
        let left = usize::try_from(1100 - after.0).expect("small");
        next(&mut subscription, after, left).await;
    }))
    .await;
    closed(log).await;
}

/// More than is kept in memory passes by while it does not look.
pub async fn a_slow_subscriber_loses_nothing(backend: &dyn Backend) {
    let log = opened(backend).await;
    fill(&log, 0..1).await;
    let mut subscription = log.subscribe(Position::START);
    let at = next(&mut subscription, Position::START, 1).await;
    fill(&log, 1..6000).await;
    let at = next(&mut subscription, at, 100).await;
    fill(&log, 6000..11_000).await;
    let at = next(&mut subscription, at, 11_000 - 101).await;
    assert_eq!(at, log.head().position);
}

/// After the last event, not before.
pub async fn a_subscription_ends_when_the_log_is_closed(backend: &dyn Backend) {
    let log = opened(backend).await;
    fill(&log, 0..10).await;
    let mut subscription = log.subscribe(Position::START);
    let at = next(&mut subscription, Position::START, 9).await;
    log.close().await;
    next(&mut subscription, at, 1).await;
    assert!(subscription.next().await.is_none());
}

/// It followed something else, and must not wait for events that it takes for its own.
pub async fn a_reader_ahead_of_the_log_is_told(backend: &dyn Backend) {
    let log = opened(backend).await;
    fill(&log, 0..10).await;
    let is_ahead =
        |error| matches!(error, ReadError::AheadOfLog { after: Position(11), head: Position(10) });
    assert!(is_ahead(log.read(Position(11), 1).await.expect_err("it is ahead")));
    let mut subscription = log.subscribe(Position(11));
    let first = subscription.next().await.expect("it is told");
    assert!(is_ahead(first.expect_err("it is ahead")));
    assert!(subscription.next().await.is_none());
}

/// The same for ever, and no two alike.
pub async fn a_log_keeps_its_identity(backend: &dyn Backend) {
    let log = opened(backend).await;
    let identity = (log.log_id(), log.epoch());
    assert!(!log.log_id().is_nil());
    assert_eq!(log.epoch(), 1);
    let log = reopened(backend, log).await;
    assert_eq!((log.log_id(), log.epoch()), identity);
    closed(log).await;
}

/// However the appenders and subscribers meet, none of these sees an end that is not there.
pub async fn subscribers_keep_up_with_a_race_of_appenders(backend: &dyn Backend) {
    const APPENDERS: u64 = 4;
    const BATCHES: u64 = 250;
    let log = opened(backend).await;
    let followers: Vec<_> = (0..4)
        .map(|_| {
            let mut events = log.subscribe(Position::START);
            tokio::spawn(async move {
                let mut last = Position::START;
                while last.0 < APPENDERS * BATCHES {
                    let event = events.next().await.expect("goes on").expect("no false end");
                    assert_eq!(event.position, last.next());
                    last = event.position;
                }
            })
        })
        .collect();
    let appenders = (0..APPENDERS).map(|appender| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for n in 0..BATCHES {
                appended(&log, batch([event(&format!("user/{appender}"), &n.to_string())])).await;
            }
        })
    });
    for task in appenders.collect::<Vec<_>>().into_iter().chain(followers) {
        task.await.expect("no panic");
    }
}

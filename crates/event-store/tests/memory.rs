//! The log in memory passes the suite.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event_store::conformance::{Backend, START_MS, batch, event};
use event_store::{
    EventLog, Fault, FaultKind, ManualClock, MemoryFrames, MemoryLog, Position, ReadError, verify,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use uuid::Uuid;

struct Memory {
    clock: Arc<ManualClock>,
    stored: Mutex<Option<(Uuid, MemoryFrames)>>,
}

fn memory() -> Memory {
    Memory { clock: Arc::new(ManualClock::new(START_MS)), stored: Mutex::default() }
}

impl Backend for Memory {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, Fault>> {
        Box::pin(async move {
            let mut stored = self.stored.lock().unwrap();
            let log = match &*stored {
                Some((log_id, frames)) => {
                    MemoryLog::open(*log_id, Arc::clone(frames), self.clock.clone())?
                }
                None => MemoryLog::new(self.clock.clone()),
            };
            *stored = Some((log.log_id(), log.stored()));
            Ok(Arc::new(log) as Arc<dyn EventLog>)
        })
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn tamper(&self, change: &mut dyn FnMut(&mut BTreeMap<u64, Bytes>)) {
        let stored = self.stored.lock().unwrap();
        let (_, frames) = stored.as_ref().expect("it was opened before");
        change(&mut frames.lock().unwrap());
    }
}

event_store::conformance_tests!(memory());

#[tokio::test]
async fn what_goes_missing_under_an_open_log_is_found_by_readers_and_verify() {
    let log = MemoryLog::new(Arc::new(ManualClock::new(START_MS)));
    for n in 0..5000 {
        log.append(batch([event("user/1", &n.to_string())])).await.unwrap();
    }
    let missing = |position| Fault { position: Position(position), kind: FaultKind::Missing };
    let is = |error: ReadError, position| matches!(error, ReadError::Fault(fault) if fault == missing(position));
    let last = log.stored().lock().unwrap().remove(&5000).unwrap();
    assert!(is(verify(&log, None).await.unwrap_err(), 5000));
    log.stored().lock().unwrap().insert(5000, last);
    log.stored().lock().unwrap().remove(&10);
    assert!(is(verify(&log, None).await.unwrap_err(), 10));
    assert!(is(log.read(Position(5), 10).await.unwrap_err(), 10));
    assert_eq!(log.read(Position(5), 4).await.unwrap().len(), 4);
    let mut subscription = log.subscribe(Position(5));
    assert!(is(subscription.next().await.unwrap().unwrap_err(), 10));
    assert!(subscription.next().await.is_none());
    log.stored().lock().unwrap().clear();
    assert!(is(verify(&log, None).await.unwrap_err(), 1));
    assert!(is(log.read(Position(100), 10).await.unwrap_err(), 101));
    assert!(is(log.subscribe(Position(100)).next().await.unwrap().unwrap_err(), 101));
}

//! Which requests of a connection are under way.

use std::time::Duration;

use tokio::sync::watch;

/// How many requests more than it lets be answered a client may give up. One that begins requests and
/// resets them makes work, of others too, and has none itself (CVE-2023-44487).
const GIVEN_UP_MAX: u64 = 100;

/// The requests of one connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(watch::Sender<Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Whose answer has not ended.
    now: usize,
    begun: u64,
    answered: u64,
    given_up: u64,
}

/// One request, under way until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    of: UnderWay,
    is_answered: bool,
}

impl UnderWay {
    pub(super) fn begin(&self) -> Turn {
        self.0.send_modify(|counts| {
            counts.now += 1;
            counts.begun += 1;
        });
        Turn { of: self.clone(), is_answered: false }
    }

    /// Ends when there has been none for that long.
    pub(super) async fn none_for(&self, long: Duration) {
        let mut counts = self.0.subscribe();
        loop {
            // The sender is there for as long as `self` is.
            let none = counts.wait_for(|counts| counts.now == 0).await;
            let before = none.map_or(0, |counts| counts.begun);
            // One that has ended since has begun, too.
            let begun = counts.wait_for(|counts| counts.begun != before);
            if tokio::time::timeout(long, begun).await.is_err() {
                return;
            }
        }
    }

    /// Ends when the client has given up too many.
    pub(super) async fn given_up_too_often(&self) {
        let too_often = |counts: &Counts| counts.given_up > counts.answered + GIVEN_UP_MAX;
        let _ = self.0.subscribe().wait_for(too_often).await;
    }
}

impl Turn {
    /// Notes that an answer has begun.
    pub(super) fn answer(&mut self) {
        self.is_answered = true;
        self.of.0.send_modify(|counts| counts.answered += 1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let given_up = u64::from(!self.is_answered);
        self.of.0.send_modify(|counts| {
            counts.now -= 1;
            counts.given_up += given_up;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_once_nothing_has_been_under_way_for_long() {
        let long = Duration::from_secs(30);
        let under_way = UnderWay::default();
        let turn = under_way.begin();
        let idle = under_way.none_for(long);
        tokio::pin!(idle);
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, &mut idle).await.is_err(), "one is under way");
        drop(turn);
        assert!(tokio::time::timeout(long / 2, &mut idle).await.is_err(), "not for long");
        drop(under_way.begin());
        assert!(tokio::time::timeout(long / 2, &mut idle).await.is_err(), "not since the last");
        idle.await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_makes_up_for_what_is_given_up() {
        let under_way = UnderWay::default();
        let too_often = async |under_way: &UnderWay| {
            let waited = under_way.given_up_too_often();
            tokio::time::timeout(Duration::from_secs(1), waited).await.is_ok()
        };
        for _ in 0..500 {
            under_way.begin().answer();
        }
        for _ in 0..600 {
            drop(under_way.begin());
        }
        assert!(!too_often(&under_way).await);
        drop(under_way.begin());
        assert!(too_often(&under_way).await);
    }
}

//! The table that is served now, how far it is and how fresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::change::{Change, DateKeyRecord};
use crate::position::{NotApplied, applied};
use crate::table::Table;

/// The table that is served now. There is none until the first snapshot is complete.
#[derive(Debug)]
pub struct ReadModel {
    table: ArcSwapOption<Table>,
    /// The table's position, for those who wait.
    position: watch::Sender<Option<u64>>,
    /// When identity was last heard and nothing was missing, in milliseconds of a monotonic clock,
    /// and one more: 0 stands for never.
    heard_ms: AtomicU64,
}

impl Default for ReadModel {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadModel {
    /// A read model without a table.
    pub fn new() -> Self {
        Self {
            table: ArcSwapOption::empty(),
            position: watch::Sender::new(None),
            heard_ms: AtomicU64::new(0),
        }
    }

    /// The table that is served now. One request reads one table.
    pub fn table(&self) -> Guard<Option<Arc<Table>>> {
        self.table.load()
    }

    /// Serves another table, at whatever position it is: nothing of the one before goes on. Answers
    /// with that, whose end may take a while.
    pub fn replace(&self, table: Table) -> Option<Arc<Table>> {
        let position = table.position();
        let before = self.table.swap(Some(Arc::new(table)));
        self.position.send_replace(Some(position));
        before
    }

    /// Applies the change at a position to the table that is served; one that it holds already
    /// does nothing. Answers as [`Table::apply`].
    pub fn apply(&self, position: u64, change: Change) -> usize {
        let table = self.table();
        let Some(table) = table.as_ref().filter(|table| position > table.position()) else {
            return 0;
        };
        let left_out = table.apply(change);
        self.advance(position);
        left_out
    }

    /// Adds date keys to the table that is served. Answers as [`Table::add_date_keys`].
    pub fn add_date_keys(&self, records: impl IntoIterator<Item = DateKeyRecord>) -> usize {
        self.table().as_ref().map_or(0, |table| table.add_date_keys(records))
    }

    /// Says that nothing is missing up to a position.
    pub fn advance(&self, position: u64) {
        if let Some(table) = self.table().as_ref() {
            table.advance(position);
            let position = table.position();
            self.position.send_if_modified(|known| known.replace(position) != Some(position));
        }
    }

    /// The position of the table that is served; `None` before the first snapshot.
    pub fn position(&self) -> Option<u64> {
        self.table().as_ref().map(|table| table.position())
    }

    /// Tells of each change of [`ReadModel::position`].
    pub fn positions(&self) -> watch::Receiver<Option<u64>> {
        self.position.subscribe()
    }

    /// Waits until a position has been applied.
    ///
    /// # Errors
    /// [`NotApplied::Behind`] if it has not been at the deadline, [`NotApplied::OtherEpoch`] as soon
    /// as that is known.
    pub async fn wait_for(&self, position: u64, deadline: Instant) -> Result<(), NotApplied> {
        let is_settled = |held| !matches!(held, Err(NotApplied::Behind { .. }));
        let held = applied(self.position(), position);
        // Nearly always it has been, and then there is nothing to wait for.
        if is_settled(held) {
            return held;
        }
        let mut positions = self.position.subscribe();
        let settled = positions.wait_for(|known| is_settled(applied(*known, position)));
        // However the wait has ended, what there is now decides.
        let _ = tokio::time::timeout_at(deadline, settled).await;
        applied(self.position(), position)
    }

    /// Marks that identity was heard and nothing was missing, at `now` of a monotonic clock.
    pub fn heard(&self, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        self.heard_ms.store(now_ms.saturating_add(1), Ordering::Release);
    }

    /// How long identity has not been heard, at `now` of the same clock; without end if never.
    pub fn staleness(&self, now: Duration) -> Duration {
        match self.heard_ms.load(Ordering::Acquire).checked_sub(1) {
            Some(heard_ms) => now.saturating_sub(Duration::from_millis(heard_ms)),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Table {
        let table = Table::new();
        table.advance(position);
        table
    }

    #[test]
    fn a_change_that_the_snapshot_holds_is_not_applied_again() {
        let model = ReadModel::new();
        model.replace(at(5));
        let deletion = Change { deleted_users: vec![[0; 16]], ..Change::default() };
        model.apply(5, deletion.clone());
        assert_eq!(model.position(), Some(5));
        model.apply(7, deletion);
        assert_eq!(model.position(), Some(7));
    }

    #[test]
    fn a_new_table_may_stand_earlier() {
        let model = ReadModel::new();
        model.replace(at(5));
        model.replace(at(3));
        assert_eq!(model.position(), Some(3));
        assert_eq!(*model.positions().borrow(), Some(3));
    }

    #[test]
    fn a_heartbeat_never_moves_a_position_back() {
        let model = ReadModel::new();
        model.replace(at(5));
        model.advance(4);
        assert_eq!(*model.positions().borrow(), Some(5));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn waiting_ends_when_the_position_is_applied_or_the_deadline_is_reached() {
        let model = Arc::new(ReadModel::new());
        let soon = || Instant::now() + Duration::from_secs(1);
        let behind = |position| Err(NotApplied::Behind { position });
        assert_eq!(model.wait_for(0, soon()).await, behind(None));
        model.replace(at(5));
        assert_eq!(model.wait_for(5, soon()).await, Ok(()));
        assert_eq!(model.wait_for(6, soon()).await, behind(Some(5)));
        let waiting = tokio::spawn({
            let model = Arc::clone(&model);
            async move { model.wait_for(8, soon()).await }
        });
        tokio::task::yield_now().await;
        model.advance(7);
        model.advance(8);
        assert_eq!(waiting.await.expect("does not panic"), Ok(()));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_position_of_an_earlier_epoch_is_refused_at_once_also_while_it_is_waited_for() {
        let second = 1 << 48;
        let model = Arc::new(ReadModel::new());
        let started = Instant::now();
        let soon = move || started + Duration::from_secs(1);
        let other = |found, current| Err(NotApplied::OtherEpoch { found, current });
        model.replace(at(5));
        let wait = |position| {
            let model = Arc::clone(&model);
            tokio::spawn(async move { model.wait_for(position, soon()).await })
        };
        let (earlier, later) = (wait(6), wait(second | 3));
        tokio::task::yield_now().await;
        model.replace(at(second | 3));
        assert_eq!(earlier.await.expect("does not panic"), other(1, 2));
        assert_eq!(later.await.expect("does not panic"), Ok(()), "the restore was waited for");
        for position in [1, 3, 5, 6] {
            assert_eq!(model.wait_for(position, soon()).await, other(1, 2));
        }
        assert_eq!(model.wait_for(second | 3, soon()).await, Ok(()));
        assert_eq!(model.wait_for(0, soon()).await, Ok(()));
        assert_eq!(Instant::now(), started, "nothing was waited for");
    }

    #[test]
    fn staleness_counts_from_when_identity_was_last_heard() {
        let model = ReadModel::new();
        assert_eq!(model.staleness(Duration::from_secs(9)), Duration::MAX);
        model.heard(Duration::ZERO);
        assert_eq!(model.staleness(Duration::from_secs(9)), Duration::from_secs(9));
        model.heard(Duration::from_secs(10));
        assert_eq!(model.staleness(Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(model.staleness(Duration::from_millis(10_250)), Duration::from_millis(250));
    }
}

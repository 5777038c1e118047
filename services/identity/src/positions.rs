//! Reads events by where they stand in the log: what stands close together, at once.

use event_store::{Position, Recorded};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::error::Error;
use crate::writer::{Writer, read_failed};

/// The most events that are read at once where they stand apart: these stay in memory together.
const RUN_MAX: usize = 1024;
/// What stands no further apart is read with all that stands between: cheaper than to read again.
const APART_MAX: u64 = 8;
/// How many events are in a run that is read ahead, and how many such runs are under way: where each
/// event stands alone, most of the time goes by waiting for the thread that reads.
const RUN_AHEAD: usize = 256;
const RUNS_AHEAD: usize = 4;

/// The first of `positions`, which are in order, that are worth reading with what stands between
/// them: at most `limit` events together, or so.
pub(crate) fn run(positions: &[Position], limit: usize) -> &[Position] {
    let limit = limit.min(RUN_MAX);
    let close = |pair: &[Position]| pair[1].0 - pair[0].0 <= APART_MAX;
    let apart = positions.windows(2).take(limit.saturating_sub(1)).position(|pair| !close(pair));
    let length = apart.map_or(positions.len().min(limit), |at| at + 1);
    // What stands between counts too.
    &positions[..length.min(limit.div_ceil(2).max(1))]
}

/// Reads the events of one [`run`], in order.
///
/// # Errors
/// [`Error::LogCorrupt`] or [`Error::LogUnavailable`] if one of them cannot be read.
pub(crate) async fn read(writer: &Writer, run: &[Position]) -> Result<Vec<Recorded>, Error> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(vec![]) };
    let mut events = vec![];
    let mut after = Position(first.0.saturating_sub(1));
    // One read, but for a log that has failed and gives piece by piece what it still can.
    while after < *last {
        let left = usize::try_from(last.0 - after.0).unwrap_or(usize::MAX);
        let read = writer.log.read(after, left).await.map_err(read_failed)?;
        after = read.last().ok_or(Error::LogCorrupt { position: after.next().0 })?.position;
        events.extend(read.into_iter().filter(|event| run.binary_search(&event.position).is_ok()));
    }
    Ok(events)
}

/// Reads the events at `positions`, which are in order: a few runs at a time, ahead of whoever takes
/// them.
pub(crate) fn events(
    writer: &Writer,
    positions: Vec<Position>,
) -> impl Stream<Item = Result<Recorded, Error>> {
    let mut next = 0;
    let runs = std::iter::from_fn(move || {
        let run = run(&positions[next..], RUN_AHEAD);
        next += run.len();
        Some(run.to_vec()).filter(|run| !run.is_empty())
    });
    stream::iter(runs)
        .map(async |run| read(writer, &run).await)
        .buffered(RUNS_AHEAD)
        .map_ok(|events| stream::iter(events).map(Ok))
        .try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_close_together_is_read_at_once() {
        let positions: Vec<_> = [1, 2, 5, 100, 101].map(Position).to_vec();
        assert_eq!(run(&positions, 100), &positions[..3]);
        assert_eq!(run(&positions[3..], 100), &positions[3..]);
        assert_eq!(run(&positions[2..3], 100), &positions[2..3]);
        assert_eq!(run(&positions, 2).len(), 1);
        assert!(run(&[], 100).is_empty());
        let dense: Vec<_> = (1..=5000).map(Position).collect();
        assert_eq!(run(&dense, usize::MAX).len(), RUN_MAX / 2);
        let apart: Vec<_> = (1..=5000).map(|at| Position(at * APART_MAX)).collect();
        let run = run(&apart, usize::MAX);
        let span = run[run.len() - 1].0 - run[0].0 + 1;
        assert!(span <= event_store::READ_EVENTS_MAX as u64, "one read gives so many: {span}");
    }
}

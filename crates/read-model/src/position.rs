//! Positions as identity tells them: together with the epoch that they were handed out in.
//!
//! A log that is restored from a backup goes on in its next epoch, and records other events under
//! the positions that it has lost. A later epoch's positions are greater, but say nothing of what
//! was seen in an earlier one.

use std::fmt;

/// The position in the log is in the lower bits, the epoch, less one, in those above.
const PLACE_BITS: u32 = 48;

/// The epoch that a position was handed out in, from 1 on; `None` for 0, which is the beginning of
/// the log in every epoch.
pub fn epoch(position: u64) -> Option<u64> {
    (position != 0).then_some((position >> PLACE_BITS) + 1)
}

/// The position as the log counts it, without the epoch.
pub fn place(position: u64) -> u64 {
    position & ((1 << PLACE_BITS) - 1)
}

/// Whether what stands at `position`, `None` if there is nothing yet, holds what was seen at
/// `wanted`; 0 is held by all that there is.
///
/// # Errors
/// [`NotApplied`].
pub fn applied(position: Option<u64>, wanted: u64) -> Result<(), NotApplied> {
    let Some(at) = position else { return Err(NotApplied::Behind { position }) };
    match (epoch(wanted), epoch(at)) {
        (None, _) => Ok(()),
        (Some(found), Some(current)) if found < current => {
            Err(NotApplied::OtherEpoch { found, current })
        }
        // At 0 nobody has told yet which epoch it is; a later epoch is still to come.
        (Some(_), _) if at < wanted => Err(NotApplied::Behind { position }),
        (Some(_), _) => Ok(()),
    }
}

/// Why the read model does not hold what was seen at a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotApplied {
    /// It has not been applied yet. Waiting, also again, is safe.
    Behind {
        /// What has been applied; `None` before the first snapshot.
        position: Option<u64>,
    },
    /// The position was handed out before the log was restored. What was seen there may not be
    /// here, now or ever.
    OtherEpoch {
        /// The epoch that the position was handed out in.
        found: u64,
        /// The epoch that the read model is in.
        current: u64,
    },
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { position: Some(position) } => {
                write!(f, "read model is at position {position}")
            }
            Self::Behind { position: None } => f.write_str("read model is empty"),
            Self::OtherEpoch { found, current } => {
                write!(f, "position is of epoch {found}, and the read model is in epoch {current}")
            }
        }
    }
}

impl std::error::Error for NotApplied {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << PLACE_BITS;

    #[test]
    fn a_position_tells_its_epoch_and_its_place() {
        assert_eq!((epoch(0), place(0)), (None, 0));
        assert_eq!((epoch(7), place(7)), (Some(1), 7));
        assert_eq!((epoch(SECOND - 1), place(SECOND - 1)), (Some(1), SECOND - 1));
        assert_eq!((epoch(SECOND | 7), place(SECOND | 7)), (Some(2), 7));
        assert_eq!((epoch(u64::MAX), place(u64::MAX)), (Some(1 << 16), SECOND - 1));
    }

    #[test]
    fn a_position_of_an_earlier_epoch_is_refused_and_one_of_a_later_is_waited_for() {
        let behind = |position| Err(NotApplied::Behind { position });
        for at in [0, 5, SECOND | 5] {
            assert_eq!(applied(Some(at), 0), Ok(()));
        }
        for at in [5, SECOND | 5] {
            assert_eq!(applied(Some(at), at - 1), Ok(()));
            assert_eq!(applied(Some(at), at), Ok(()));
            assert_eq!(applied(Some(at), at + 1), behind(Some(at)));
        }
        let other = |found, current| Err(NotApplied::OtherEpoch { found, current });
        assert_eq!(applied(Some(SECOND | 5), 3), other(1, 2));
        assert_eq!(applied(Some(SECOND | 5), 9), other(1, 2));
        assert_eq!(applied(Some(9), SECOND | 5), behind(Some(9)));
    }

    #[test]
    fn before_the_epoch_is_known_every_position_is_waited_for() {
        for wanted in [1, SECOND | 1] {
            let behind = |position| Err(NotApplied::Behind { position });
            assert_eq!(applied(None, wanted), behind(None));
            assert_eq!(applied(Some(0), wanted), behind(Some(0)));
        }
        assert_eq!(applied(None, 0), Err(NotApplied::Behind { position: None }));
    }
}

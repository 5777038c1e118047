//! Positions as clients see them: together with the epoch that they were handed out in.
//!
//! A log that is restored from a backup may end before what it once acknowledged, and then records
//! other events under the same positions. Its epoch goes up by one, and a position from before, which
//! a client still holds, is refused and not taken for one of these.

use crate::Position;

/// The last epoch that a log can have; the first is 1.
pub const EPOCH_MAX: u64 = u16::MAX as u64;
/// The last position that a log can have: 48 bits of them.
pub const POSITION_MAX: Position = Position((1 << POSITION_BITS) - 1);

const POSITION_BITS: u32 = 48;

/// A position was handed out in another epoch of the log: before it was restored, or after, if an older
/// copy of it runs again. What was seen there may not be here: the reader starts again from
/// [`Position::START`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("position is of epoch {found}, and the log is in epoch {current}")]
pub struct OtherEpoch {
    /// The epoch that the position was handed out in.
    pub found: u64,
    /// The log's epoch.
    pub current: u64,
}

impl Position {
    /// The form that clients see: the epoch, less one, in the upper 16 bits and the position in the
    /// lower 48. [`Position::START`] is 0 in every epoch.
    ///
    /// A log that opens is within [`EPOCH_MAX`], and one that records a million events a second for
    /// eight years within [`POSITION_MAX`]; what is beyond these is taken for these.
    pub fn in_epoch(self, epoch: u64) -> u64 {
        if self == Self::START {
            return 0;
        }
        ((epoch.clamp(1, EPOCH_MAX) - 1) << POSITION_BITS) | self.min(POSITION_MAX).0
    }

    /// Reads what [`Self::in_epoch`] gave, in a log that is in `epoch`. 0 is [`Position::START`] in
    /// every epoch: who has seen nothing has seen nothing that could be gone.
    ///
    /// # Errors
    /// [`OtherEpoch`]; trying again gets the same answer.
    pub fn parse_in_epoch(value: u64, epoch: u64) -> Result<Self, OtherEpoch> {
        let found = (value >> POSITION_BITS) + 1;
        if value != 0 && found != epoch {
            return Err(OtherEpoch { found, current: epoch });
        }
        Ok(Self(value & POSITION_MAX.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_back_in_its_epoch_and_refused_in_any_other(
            position in 1..=POSITION_MAX.0,
            epoch in 1..=EPOCH_MAX,
            other in 1..=EPOCH_MAX,
        ) {
            let value = Position(position).in_epoch(epoch);
            prop_assert_eq!(Position::parse_in_epoch(value, epoch), Ok(Position(position)));
            if other != epoch {
                let refusal = OtherEpoch { found: epoch, current: other };
                prop_assert_eq!(Position::parse_in_epoch(value, other), Err(refusal));
            }
            prop_assert_eq!(Position::START.in_epoch(epoch), 0);
            prop_assert_eq!(Position::parse_in_epoch(0, epoch), Ok(Position::START));
        }

        #[test]
        fn later_positions_and_later_epochs_have_greater_values(
            at in (1..=EPOCH_MAX, 1..=POSITION_MAX.0),
            other in (1..=EPOCH_MAX, 1..=POSITION_MAX.0),
        ) {
            let value = |(epoch, position)| Position(position).in_epoch(epoch);
            prop_assert_eq!(value(at).cmp(&value(other)), at.cmp(&other));
        }

        #[test]
        fn any_value_is_read_or_refused(value: u64, epoch: u64) {
            if let Ok(position) = Position::parse_in_epoch(value, epoch) {
                prop_assert!(position <= POSITION_MAX);
                prop_assert!(value == 0 || position == Position::START || position.in_epoch(epoch) == value);
            }
        }
    }

    #[test]
    fn in_the_first_epoch_a_position_is_its_own_value() {
        assert_eq!(Position(7).in_epoch(1), 7);
        assert_eq!(Position(7).in_epoch(2), 0x1_0000_0000_0007);
        assert_eq!(Position(7).in_epoch(EPOCH_MAX), 0xfffe_0000_0000_0007);
    }
}

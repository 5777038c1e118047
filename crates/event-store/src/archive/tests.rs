use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Hash, Position};

/// Lines of the first format, for ever: what was exported once must always be read.
#[test]
fn the_first_format_is_written_as_it_was() {
    let frame = Bytes::from_static(include_bytes!("../frame/golden_1.bin"));
    let head = Head { position: Position(2), hash: Hash([7; 32]) };
    let header = Header { log_id: Uuid::from_u128(5), epoch: 3, head };
    let stored = StoredFrame { position: Position(2), bytes: frame };
    let event = event_line(&stored).expect("the frame decodes");
    let lines = [header_line(&header), event, end_line(&header)].concat();
    assert_eq!(lines, include_str!("golden_1.jsonl"));
}

#[test]
fn a_frame_has_a_line_only_where_it_stands() {
    let bytes = Bytes::from_static(include_bytes!("../frame/golden_1.bin"));
    assert!(event_line(&StoredFrame { position: Position(3), bytes }).is_err());
}

#[test]
fn a_time_beyond_four_digits_of_years_has_no_form() {
    assert_eq!(rfc_3339(1_800_000_000_001).as_deref(), Some("2027-01-15T08:00:00.001Z"));
    assert_eq!(rfc_3339(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
    assert_eq!(rfc_3339(253_402_300_800_000), None);
    assert_eq!(rfc_3339(u64::MAX), None);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_give_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[{}\":,0-9a-z\n]{0,200}",
    ) {
        let head = Head { position: Position(2), hash: Hash([7; 32]) };
        let header = header_line(&Header { log_id: Uuid::nil(), epoch: 3, head });
        prop_assert!(verify(&bytes[..]).is_err());
        prop_assert!(verify(text.as_bytes()).is_err());
        prop_assert!(verify(&[header.as_bytes(), text.as_bytes()].concat()[..]).is_err());
        prop_assert!(verify(&[header.as_bytes(), &bytes].concat()[..]).is_err());
    }
}

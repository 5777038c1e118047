use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{Batch, Expected, NewEvent};

fn label<const N: usize>() -> impl Strategy<Value = Label<N>> {
    "[ -~äß€𝄞]{0,48}".prop_map(|text| Label::truncated(&text))
}

prop_compose! {
    fn claim_op()(release in any::<bool>(), kind in label(), key in label()) -> ClaimOp {
        let claim = Claim { kind, key };
        if release { ClaimOp::Release(claim) } else { ClaimOp::Take(claim) }
    }
}

prop_compose! {
    fn actor()(principal in label(), facade in label(), source_address in label(), request_id in label())
        -> Actor { Actor { principal, facade, source_address, request_id } }
}

prop_compose! {
    fn event()(
        numbers in any::<[u64; 3]>(),
        (event_type, schema_version) in any::<(u32, u16)>(),
        (account, command_id) in any::<(u128, u128)>(),
        (prev_hash, command_digest) in any::<([u8; 32], [u8; 32])>(),
        (batch_index, batch_len) in any::<(u32, u32)>(),
        stream in "[!-~]{1,128}",
        actor in actor(),
        claims in vec(claim_op(), 0..4),
        payload in vec(any::<u8>(), 0..300),
        sealed in option::of(vec(any::<u8>(), 0..100)),
    ) -> Recorded {
        Recorded {
            position: Position(numbers[0]),
            prev_hash: Hash(prev_hash),
            hash: Hash([0; 32]),
            time_ms: numbers[1],
            account: Uuid::from_u128(account),
            stream: StreamId::parse(stream).unwrap(),
            revision: Revision(numbers[2]),
            event_type,
            schema_version,
            command_id: Uuid::from_u128(command_id),
            command_digest,
            batch_index,
            batch_len,
            actor,
            claims,
            payload: payload.into(),
            sealed: sealed.map(Bytes::from),
            sealed_hash: None,
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes(mut event in event()) {
        let frame = encode(&mut event);
        prop_assert_eq!(decode(frame), Ok(event));
    }

    #[test]
    fn without_its_sealed_part_an_event_has_the_same_hash(mut event in event()) {
        let frame = encode(&mut event);
        let dropped = decode(without_sealed(frame).unwrap()).unwrap();
        prop_assert_eq!(dropped, Recorded { sealed: None, ..event });
    }

    /// Room is made for what a batch says; it must not come to more.
    #[test]
    fn a_batch_tells_at_least_the_bytes_of_its_frames(mut event in event()) {
        let batch = Batch {
            command_id: event.command_id,
            command_digest: event.command_digest,
            account: event.account,
            actor: event.actor.clone(),
            events: vec![NewEvent {
                stream: event.stream.clone(),
                expected: Expected::Any,
                event_type: event.event_type,
                schema_version: event.schema_version,
                payload: event.payload.clone(),
                sealed: event.sealed.clone(),
            }],
            claims: event.claims.clone(),
        };
        prop_assert!(encode(&mut event).len() <= batch.frame_bytes());
    }

    #[test]
    fn each_hash_stands_for_all_before_it(mut event in event(), prev_hash in any::<[u8; 32]>()) {
        let mut other = Recorded { prev_hash: Hash(prev_hash), ..event.clone() };
        encode(&mut event);
        encode(&mut other);
        prop_assert_ne!(event.hash, other.hash);
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_noticed(mut event in event(), at: prop::sample::Index, bit in 0_u32..8) {
        let frame = encode(&mut event);
        let at = at.index(frame.len());
        let mut changed = frame.to_vec();
        changed[at] ^= 1_u8 << bit;
        prop_assert!(decode(changed.into()).is_err());
        prop_assert!(decode(frame.slice(..at)).is_err());
    }

    #[test]
    fn any_bytes_give_an_error_and_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(bytes.into()).is_err());
    }

    /// Past the checksum, where the parser is.
    #[test]
    fn any_bytes_with_a_right_checksum_give_no_panic(
        mut event in event(),
        at: prop::sample::Index,
        put in vec(any::<u8>(), 0..20),
        cut in 0_usize..20,
    ) {
        let frame = encode(&mut event);
        let mut bytes = frame[..frame.len() - 4].to_vec();
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        if let Ok(decoded) = decode(bytes.into()) {
            prop_assert!(decoded.sealed.is_none() || decoded.sealed_hash.is_some());
        }
    }
}

/// A recorded frame of format 1, for ever: what was written once must always be read.
#[test]
fn the_first_format_is_read_for_ever() {
    let mut event = Recorded {
        position: Position(2),
        prev_hash: Hash([1; 32]),
        hash: Hash([0; 32]),
        time_ms: 1_800_000_000_000,
        account: Uuid::from_u128(3),
        stream: StreamId::parse("user/4").unwrap(),
        revision: Revision(5),
        event_type: 6,
        schema_version: 7,
        command_id: Uuid::from_u128(8),
        command_digest: [9; 32],
        batch_index: 0,
        batch_len: 1,
        actor: Actor {
            principal: Label::truncated("alice"),
            facade: Label::truncated("grpc"),
            source_address: Label::truncated("192.0.2.1"),
            request_id: Label::truncated("r1"),
        },
        claims: vec![ClaimOp::Take(Claim {
            kind: Label::truncated("user-name"),
            key: Label::truncated("bob"),
        })],
        payload: Bytes::from_static(b"payload"),
        sealed: Some(Bytes::from_static(b"sealed")),
        sealed_hash: None,
    };
    let frame = encode(&mut event);
    let golden = include_bytes!("golden_1.bin");
    assert_eq!(decode(Bytes::from_static(golden)), Ok(event));
    assert_eq!(frame, golden[..], "and is written as it was");
}

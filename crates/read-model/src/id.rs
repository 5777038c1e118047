//! Access key IDs as the table keeps them.

use std::hash::{Hash, Hasher};

use papaya::Equivalent;

/// The characters of an ID that can be packed: all that Claviger and AWS make, and all that may be imported.
const PACKED_CHARACTERS: usize = 20;

/// An access key ID in 16 bytes, without a further allocation for those that can be packed.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum KeyId {
    /// Of 6 bits a character.
    Packed([u8; 15]),
    /// Any that cannot be packed. In two boxes, since the outer one takes 8 bytes.
    Boxed(Box<Box<[u8]>>),
}

impl KeyId {
    pub(crate) fn new(text: &str) -> Self {
        let boxed = || Self::Boxed(Box::new(text.as_bytes().into()));
        pack(text.as_bytes()).map_or_else(boxed, Self::Packed)
    }
}

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Packed(packed) => KeyText(&unpack(packed)).hash(state),
            Self::Boxed(text) => KeyText(text).hash(state),
        }
    }
}

/// The text of an access key ID, by which it is found. It has the hash of the text, so that one that is looked
/// up is packed while the memory of the table is waited for.
pub(crate) struct KeyText<'a>(&'a [u8]);

impl<'a> KeyText<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl Hash for KeyText<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

impl Equivalent<KeyId> for KeyText<'_> {
    fn equivalent(&self, key: &KeyId) -> bool {
        match key {
            KeyId::Packed(packed) => pack(self.0).is_some_and(|own| own == *packed),
            KeyId::Boxed(text) => ***text == *self.0,
        }
    }
}

/// Twenty characters in 15 bytes, if they are of ASCII from the space to `_`: digits and capitals are.
fn pack(text: &[u8]) -> Option<[u8; 15]> {
    let text: &[u8; PACKED_CHARACTERS] = text.try_into().ok()?;
    let (eights, four) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..4].copy_from_slice(four);
    let [first, second] = eights else { return None };
    let [first, second, last] = [pack_eight(*first)?, pack_eight(*second)?, pack_eight(last)?];
    let bits = u128::from(first) | u128::from(second) << 48 | u128::from(last) << 96;
    let [packed @ .., _] = bits.to_le_bytes();
    Some(packed)
}

fn unpack(packed: &[u8; 15]) -> [u8; PACKED_CHARACTERS] {
    let mut bits = [0; 16];
    bits[..15].copy_from_slice(packed);
    let bits = u128::from_le_bytes(bits);
    let mut text = [0; PACKED_CHARACTERS];
    for (place, characters) in text.chunks_mut(8).enumerate() {
        let eight = unpack_eight((bits >> (48 * place)) as u64);
        characters.copy_from_slice(&eight[..characters.len()]);
    }
    text
}

/// The same byte in all eight places.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Eight such characters in the lower 48 bits, the first lowest; all at once, as every look-up does it.
fn pack_eight(characters: [u8; 8]) -> Option<u64> {
    let eights = u64::from_le_bytes(characters);
    // Of bits 5 and 6 of such a character exactly one is set, so that one of them tells both.
    let is_packable = eights & all(0x80) == 0 && (eights ^ eights << 1) & all(0x40) == all(0x40);
    let sixes = eights & all(0x1f) | eights >> 1 & all(0x20);
    let twelves = sixes & 0x003f_003f_003f_003f | sixes >> 2 & 0x0fc0_0fc0_0fc0_0fc0;
    let twenty_fours = twelves & 0x0000_0fff_0000_0fff | twelves >> 4 & 0x00ff_f000_00ff_f000;
    is_packable.then_some(twenty_fours & 0x00ff_ffff | twenty_fours >> 8 & 0xffff_ff00_0000)
}

/// What [`pack_eight`] has packed, whatever the upper 16 bits are.
fn unpack_eight(bits: u64) -> [u8; 8] {
    let twenty_fours = bits & 0x00ff_ffff | bits << 8 & 0x00ff_ffff_0000_0000;
    let twelves = twenty_fours & 0x0000_0fff_0000_0fff | twenty_fours << 4 & 0x0fff_0000_0fff_0000;
    let sixes = twelves & 0x003f_003f_003f_003f | twelves << 2 & 0x3f00_3f00_3f00_3f00;
    (sixes & all(0x1f) | sixes << 1 & all(0x40) | !sixes & all(0x20)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_20_capitals_and_digits_are_packed_and_all_take_16_bytes() {
        for (text, packed) in [
            ("AKIAIOSFODNN7EXAMPLE", true),
            ("HJAKU28M3SXTE2UXUACV", true),
            ("01234567890189ABCXYZ", true),
            (" !\"#$%&'()*+,-./?@[_", true),
            ("AKIAIOSFODNN7EXAMPL", false),
            ("AKIAIOSFODNN7EXAMPLE2", false),
            ("AKIAIOSFODNN7EXAMPLe", false),
            ("AKIAIOSFODNN7EXAMPL\u{1f}", false),
            ("aKIAIOSFODNN7EXAMPLE", false),
            ("AKIAIOSFODNN7EXAMP\u{e9}", false),
            ("", false),
        ] {
            assert_eq!(matches!(KeyId::new(text), KeyId::Packed(_)), packed, "{text}");
        }
        assert_eq!(size_of::<KeyId>(), 16);
    }

    #[test]
    fn each_byte_in_each_place_is_packed_and_unpacked() {
        for place in 0..PACKED_CHARACTERS {
            let with = |byte| {
                let mut text = *b"AKIAIOSFODNN7EXAMPLE";
                text[place] = byte;
                text
            };
            for byte in 0..=u8::MAX {
                let unpacked = pack(&with(byte)).map(|packed| unpack(&packed));
                assert_eq!(unpacked, (b' '..=b'_').contains(&byte).then(|| with(byte)));
            }
        }
    }

    /// IDs as they are made, and others that are like them.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ABab01_ ]{19,21}", "[A-Z0-9]{20}", "[AB]{0,3}", "[A@`é]{18,20}", ".{0,30}"]
    }

    proptest! {
        #[test]
        fn ids_are_told_apart_as_their_texts_are(
            texts in prop::collection::vec(text(), 0..40), asked in prop::collection::vec(text(), 0..40)
        ) {
            let (by_id, mut by_text) = (papaya::HashMap::new(), HashMap::new());
            for (n, text) in texts.iter().enumerate() {
                by_id.pin().insert(KeyId::new(text), n);
                by_text.insert(text, n);
            }
            prop_assert_eq!(by_id.len(), by_text.len());
            for text in texts.iter().chain(&asked) {
                let found = by_id.pin().get(&KeyText::new(text)).copied();
                prop_assert_eq!(found, by_text.get(text).copied());
            }
        }

        #[test]
        fn two_ids_are_equal_only_if_their_texts_are(one in "[A-B0-1_ ]{20}", other in "[A-B0-1_ ]{20}") {
            for other in [&one, &other] {
                prop_assert_eq!(KeyId::new(&one) == KeyId::new(other), one == *other);
                prop_assert_eq!(KeyText::new(&one).equivalent(&KeyId::new(other)), one == *other);
            }
        }
    }
}

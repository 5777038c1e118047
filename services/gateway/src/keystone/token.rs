//! Tokens: signed, and kept nowhere, so that each gateway with the same passwords knows them all.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// For how long a token is good, in seconds.
pub(super) const LIFETIME_SECONDS: u64 = 3600;
/// How far the clocks of gateways and of whoever shows a token may be apart, in seconds: for so long it is good after
/// its end, which services go by on clocks of their own.
const ALLOWANCE_SECONDS: u64 = 300;

/// How a token is laid out; whatever changes that changes this too.
const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;
const BYTES: usize = 1 + 16 + 8 + 8 + 16 + MAC_BYTES;
/// Parts what is signed here from whatever else is by the same key.
const CONTEXT: &[u8] = b"claviger keystone token";

/// What tells one service from another: hexadecimal, it is its user id.
pub(super) type Id = [u8; 16];

/// What signs the tokens of a service: derived from its password, so that they end with it.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// The key of the service of this id with this password.
    pub(super) fn derive(password: &[u8], service: &Id) -> Self {
        Self(Zeroizing::new(mac(password, &[b"claviger keystone service", service])))
    }

    /// Whether it is the same, in a time that tells nothing of either.
    pub(super) fn is(&self, other: &Self) -> subtle::Choice {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// What a token says. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Token {
    pub(super) service: Id,
    pub(super) issued: u64,
    pub(super) expires: u64,
    /// What tells it from others in logs: Keystone's `audit_id`.
    pub(super) audit: [u8; 16],
}

/// What is said to be a token, and not proven yet.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) token: Token,
    payload: [u8; BYTES - MAC_BYTES],
    mac: [u8; MAC_BYTES],
}

impl Token {
    /// A new one.
    pub(super) fn issue(service: Id, now: u64) -> Self {
        let audit = uuid::Uuid::new_v4().into_bytes();
        Self { service, issued: now, expires: now + LIFETIME_SECONDS, audit }
    }

    /// The text that is shown.
    pub(super) fn seal(&self, key: &Key) -> Zeroizing<String> {
        let payload = self.payload();
        let mac = mac(key.0.as_slice(), &[CONTEXT, &payload]);
        Zeroizing::new(URL_SAFE_NO_PAD.encode([&payload[..], &mac].concat()))
    }

    fn payload(&self) -> [u8; BYTES - MAC_BYTES] {
        let mut payload = [0; BYTES - MAC_BYTES];
        payload[0] = VERSION;
        payload[1..17].copy_from_slice(&self.service);
        payload[17..25].copy_from_slice(&self.issued.to_be_bytes());
        payload[25..33].copy_from_slice(&self.expires.to_be_bytes());
        payload[33..].copy_from_slice(&self.audit);
        payload
    }

    /// Whether it is good at a time.
    pub(super) fn is_good_at(&self, now: u64) -> bool {
        self.issued <= now.saturating_add(ALLOWANCE_SECONDS)
            && now < self.expires.saturating_add(ALLOWANCE_SECONDS)
            && self.expires.saturating_sub(self.issued) <= LIFETIME_SECONDS
    }
}

impl Shown {
    /// Takes a text apart; `None` if it is of another form.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; BYTES];
        // Of any other length, it does not fit.
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if len != BYTES || bytes[0] != VERSION {
            return None;
        }
        let (payload, mac) = bytes.split_first_chunk()?;
        let number = |at: usize| Some(u64::from_be_bytes(payload[at..at + 8].try_into().ok()?));
        let token = Token {
            service: payload[1..17].try_into().ok()?,
            issued: number(17)?,
            expires: number(25)?,
            audit: payload[33..].try_into().ok()?,
        };
        Some(Self { token, payload: *payload, mac: mac.try_into().ok()? })
    }

    /// Whether this key signed it.
    pub(super) fn is_by(&self, key: &Key) -> bool {
        let expected = mac(key.0.as_slice(), &[CONTEXT, &self.payload]);
        subtle::ConstantTimeEq::ct_eq(&expected[..], &self.mac[..]).into()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.expect("a key of any length is one");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> Key {
        Key::derive(b"s3cr3t-of-twenty-bytes", &[7; 16])
    }

    #[test]
    fn a_token_is_read_again_and_by_its_key_alone() {
        let token = Token::issue([7; 16], NOW);
        let text = token.seal(&key());
        assert!(text.len() <= 128, "{}", text.len());
        let shown = Shown::read(text.as_bytes()).expect("a token");
        assert_eq!(shown.token, token);
        assert!(shown.is_by(&key()));
        for other in [
            Key::derive(b"s3cr3t-of-twenty-byteS", &[7; 16]),
            Key::derive(b"s3cr3t-of-twenty-bytes", &[8; 16]),
        ] {
            assert!(!shown.is_by(&other));
            assert!(!bool::from(key().is(&other)));
        }
        assert_eq!(format!("{:?}", key()), "Key(redacted)");
    }

    #[test]
    fn a_token_is_good_for_an_hour_and_little_more_either_way() {
        let token = Token::issue([7; 16], NOW);
        for (now, expected) in [
            (NOW, true),
            (NOW - 300, true),
            (NOW - 301, false),
            (NOW + 3600 + 299, true),
            (NOW + 3600 + 300, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(token.is_good_at(now), expected, "{now}");
        }
        let long = Token { expires: NOW + 3601, ..token };
        assert!(!long.is_good_at(NOW));
    }

    proptest! {
        #[test]
        fn whatever_was_changed_is_no_token(at in 0..BYTES, flip in 1..=255u8) {
            let text = Token::issue([7; 16], NOW).seal(&key());
            let mut bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).expect("base64");
            bytes[at] ^= flip;
            let text = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert!(!Shown::read(text.as_bytes()).is_some_and(|shown| shown.is_by(&key())));
        }

        #[test]
        fn no_text_makes_it_fail(text: Vec<u8>) {
            prop_assert!(!Shown::read(&text).is_some_and(|shown| shown.is_by(&key())));
        }
    }
}

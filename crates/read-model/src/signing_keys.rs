//! Signing keys that were derived already.

use std::fmt;

use once_cell::race::OnceBox;
use sigv4::SigningKey;

/// An access key keeps this many signing keys, over secrets, days, regions and services.
///
/// In use are one or two. The table of a day is replaced before its successor is needed, so that
/// nothing must ever be put out to make room.
const SIGNING_KEYS_MAX: usize = 8;

/// The signing keys of one access key: a list that only grows, up to its bound, and dies with the
/// record it belongs to.
#[derive(Default)]
pub(crate) struct SigningKeys {
    first: OnceBox<Entry>,
}

struct Entry {
    generation: u32,
    day: u32,
    region: Box<str>,
    service: Box<str>,
    key: SigningKey,
    next: OnceBox<Entry>,
}

impl SigningKeys {
    pub(crate) fn find(
        &self,
        generation: u32,
        day: u32,
        region: &str,
        service: &str,
    ) -> Option<&SigningKey> {
        let mut slot = &self.first;
        while let Some(entry) = slot.get() {
            if entry.is(generation, day, region, service) {
                return Some(&entry.key);
            }
            slot = &entry.next;
        }
        None
    }

    /// Keeps a key unless it is there already or there is no room.
    pub(crate) fn keep(
        &self,
        generation: u32,
        day: u32,
        region: &str,
        service: &str,
        key: SigningKey,
    ) {
        let next = OnceBox::new();
        let (region, service) = (region.into(), service.into());
        let mut new = Box::new(Entry { generation, day, region, service, key, next });
        let mut slot = &self.first;
        for _ in 0..SIGNING_KEYS_MAX {
            let Err(back) = slot.set(new) else { return };
            new = back;
            let Some(entry) = slot.get() else { return };
            if entry.is(generation, day, &new.region, &new.service) {
                return;
            }
            slot = &entry.next;
        }
    }
}

impl Entry {
    fn is(&self, generation: u32, day: u32, region: &str, service: &str) -> bool {
        self.generation == generation
            && self.day == day
            && *self.region == *region
            && *self.service == *service
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn a_key_is_found_by_all_that_it_was_derived_from() {
        let keys = SigningKeys::default();
        keys.keep(1, 20_000, "us-east-1", "s3", key(1));
        assert!(keys.find(1, 20_000, "us-east-1", "s3").is_some());
        for (generation, day, region, service) in [
            (2, 20_000, "us-east-1", "s3"),
            (1, 20_001, "us-east-1", "s3"),
            (1, 20_000, "us-east-2", "s3"),
            (1, 20_000, "us-east-1", "iam"),
        ] {
            assert!(keys.find(generation, day, region, service).is_none());
        }
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_first() {
        let keys = SigningKeys::default();
        for generation in 0..100 {
            keys.keep(generation, 1, "r", "s3", key(1));
            keys.keep(generation, 1, "r", "s3", key(1));
        }
        let kept = (0..100).filter(|generation| keys.find(*generation, 1, "r", "s3").is_some());
        assert_eq!(kept.collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }
}

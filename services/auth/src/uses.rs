//! With which access keys requests were signed, on their way to identity.
//!
//! Whoever signs right waits for nobody here and allocates nothing. A word says of each secret what was noted of
//! it last; most requests find that it tells nothing new: no more is noted of a secret than once a minute, or
//! once a second while it is used from different places. What is noted stands in a slot of its own until it is
//! collected, which is some seconds; so much is lost at the most when the process ends without a word.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use api::identity::v1::{AccessKeyUse, UseRecord};
use prost_types::Timestamp;

use crate::verify::Now;

/// Words that say what was noted last. Two secrets that share one are noted more often: at worst each time that
/// they take turns.
const WORDS: usize = 1 << 18;
/// Where in a word it is said which secret it is of: 14 bits, then 18 of what it is used with, then the second.
const TAG_SHIFT: u32 = 50;
/// What can be noted between two collections. What finds no slot is noted when it is used again.
const SLOTS: usize = 1 << 14;
/// So many slots are tried.
const TRIED: usize = 4;
/// Uses that are collected and not reported yet. Of more, those are lost that are not there.
const COLLECTED_MAX: usize = 1 << 16;
/// How often a use is noted that tells nothing new but its time.
const NOTE_INTERVAL_SECONDS: u32 = 60;
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
const USER_AGENT_BYTES_MAX: usize = 256;
const REGION_BYTES_MAX: usize = 64;
const SERVICE_BYTES_MAX: usize = 32;

/// A use of an access key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use<'a> {
    pub(crate) access_key_id: &'a str,
    /// Which of its secrets.
    pub(crate) generation: u32,
    pub(crate) address: Option<IpAddr>,
    /// As the client sent it; empty if it did not.
    pub(crate) user_agent: &'a [u8],
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// Notes uses, and collects what was noted.
pub(crate) struct Uses {
    /// With a random key: what is hashed comes from clients.
    hasher: RandomState,
    /// Of each secret: what it was used with, hashed, and the second.
    words: Box<[AtomicU64]>,
    slots: Box<[Mutex<Noted>]>,
    collected: Mutex<HashMap<(Box<str>, u32), AccessKeyUse>>,
    lost: AtomicU64,
}

/// What is noted of a use.
struct Noted {
    /// None if there is nothing.
    unix_ms: Option<i64>,
    generation: u32,
    address: Option<IpAddr>,
    access_key_id: Text<ACCESS_KEY_ID_BYTES_MAX>,
    user_agent: Text<USER_AGENT_BYTES_MAX>,
    region: Text<REGION_BYTES_MAX>,
    service: Text<SERVICE_BYTES_MAX>,
}

/// The beginning of a text, in place.
struct Text<const N: usize> {
    len: u16,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    fn set(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(N)];
        self.bytes[..text.len()].copy_from_slice(text);
        self.len = text.len() as u16; // N at most
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The text, with `?` for what could not be shown everywhere.
    fn shown(&self) -> String {
        let is_shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let bytes = self.as_bytes().iter().copied();
        bytes.map(|byte| if is_shown(byte) { char::from(byte) } else { '?' }).collect()
    }
}

impl Noted {
    const NOTHING: Self = Self {
        unix_ms: None,
        generation: 0,
        address: None,
        access_key_id: Text::EMPTY,
        user_agent: Text::EMPTY,
        region: Text::EMPTY,
        service: Text::EMPTY,
    };

    fn is_of(&self, used: &Use<'_>) -> bool {
        self.generation == used.generation
            && self.access_key_id.as_bytes() == used.access_key_id.as_bytes()
    }

    fn set(&mut self, used: &Use<'_>, unix_ms: i64) {
        self.unix_ms = Some(unix_ms);
        self.generation = used.generation;
        self.address = used.address;
        self.access_key_id.set(used.access_key_id.as_bytes());
        self.user_agent.set(used.user_agent);
        self.region.set(used.region.as_bytes());
        self.service.set(used.service.as_bytes());
    }

    fn told(&self, unix_ms: i64) -> AccessKeyUse {
        let nanos = unix_ms.rem_euclid(1000) as i32 * 1_000_000; // below a second
        AccessKeyUse {
            time: Some(Timestamp { seconds: unix_ms.div_euclid(1000), nanos }),
            source_address: self.address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: self.user_agent.shown(),
            region: self.region.shown(),
            service: self.service.shown(),
        }
    }
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            words: std::iter::repeat_with(AtomicU64::default).take(WORDS).collect(),
            slots: std::iter::repeat_with(|| Mutex::new(Noted::NOTHING)).take(SLOTS).collect(),
            collected: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }
}

impl Uses {
    /// Notes a use, unless it tells nothing new.
    pub(crate) fn note(&self, used: &Use<'_>, now: Now) {
        let secret = self.hasher.hash_one((used.access_key_id, used.generation));
        let word = &self.words[secret as usize % WORDS];
        // The seconds of 136 years.
        let second = now.monotonic.as_secs() as u32;
        let with = self.with(secret, used);
        let noted = word.load(Ordering::Relaxed);
        if noted >> TAG_SHIFT == with >> TAG_SHIFT && noted != 0 {
            let since = second.wrapping_sub(noted as u32);
            let same = noted >> 32 == with >> 32;
            if since < if same { NOTE_INTERVAL_SECONDS } else { 1 } {
                return;
            }
        }
        if self.put(secret, used, now.unix_ms) {
            word.store(with | u64::from(second), Ordering::Relaxed);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Which secret it is, and what it is used with, hashed: the upper half of a word, never 0.
    fn with(&self, secret: u64, used: &Use<'_>) -> u64 {
        let Use { access_key_id: _, generation: _, address, user_agent, region, service } = used;
        let with = self.hasher.hash_one((secret, address, user_agent, region, service));
        // Of the secret's hash, bits that say neither which word it has nor which slot.
        let tag = (secret / WORDS as u64) & 0x3fff;
        tag << TAG_SHIFT | (with & 0x3_ffff).max(1) << 32
    }

    /// Puts a use into the slot of its secret, or into one that is free. Whether it could.
    fn put(&self, secret: u64, used: &Use<'_>, unix_ms: i64) -> bool {
        let first = (secret >> 32) as usize;
        let slots = (0..TRIED).map(|tried| &self.slots[(first + tried) % SLOTS]);
        let mut free = None;
        for slot in slots {
            let mut slot = match slot.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Somebody is at it: nobody waits here.
                Err(TryLockError::WouldBlock) => continue,
            };
            match slot.unix_ms {
                Some(_) if slot.is_of(used) => {
                    slot.set(used, unix_ms);
                    return true;
                }
                Some(_) => {}
                None if free.is_none() => free = Some(slot),
                None => {}
            }
        }
        match free {
            Some(mut slot) => {
                slot.set(used, unix_ms);
                true
            }
            None => false,
        }
    }

    /// Collects what was noted. For one at a time.
    pub(crate) fn collect(&self) {
        let mut collected = self.collected();
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(unix_ms) = slot.unix_ms.take() else { continue };
            let of = (slot.access_key_id.shown().into_boxed_str(), slot.generation);
            if collected.len() >= COLLECTED_MAX && !collected.contains_key(&of) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            collected.insert(of, slot.told(unix_ms));
        }
    }

    /// Up to `max` of what was collected, to be reported.
    pub(crate) fn take(&self, max: usize) -> Vec<UseRecord> {
        let mut collected = self.collected();
        let taken: Vec<_> = collected.keys().take(max).cloned().collect();
        let record = |of: (Box<str>, u32)| {
            let told = collected.remove(&of);
            UseRecord { access_key_id: of.0.into(), generation: of.1, r#use: told }
        };
        taken.into_iter().map(record).collect()
    }

    /// Takes back what could not be reported, where nothing newer was collected meanwhile.
    pub(crate) fn give_back(&self, records: Vec<UseRecord>) {
        let mut collected = self.collected();
        for record in records {
            let Some(told) = record.r#use else { continue };
            if collected.len() >= COLLECTED_MAX {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let of = (record.access_key_id.into_boxed_str(), record.generation);
            collected.entry(of).or_insert(told);
        }
    }

    /// How many uses were not noted, or noted and not reported.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn collected(&self) -> MutexGuard<'_, HashMap<(Box<str>, u32), AccessKeyUse>> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

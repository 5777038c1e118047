//! What was written, and what is so after each event.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use api::identity::v1 as pb;
use sigv4::{Date, DateKey, Expected, Head, Timestamp, authenticate};

/// 2026-03-01T12:00:00Z, where the wall clock stands.
pub(super) const NOW_MS: i64 = 1_772_366_400_000;
const DAY_SECONDS: i64 = 86_400;
/// Keys belong to them in turn.
const USERS: usize = 2;

/// Numbers that are the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to less than `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Created { key: usize },
    Rotated { key: usize },
    Deleted { key: usize },
    Locked { user: usize, locked: bool },
}

/// What is so.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// The generation of the secret of each key that there is.
    pub(super) keys: BTreeMap<usize, u32>,
    locked: [bool; USERS],
    /// So many keys were ever made.
    pub(super) made: usize,
}

impl State {
    fn evolve(&mut self, event: Event) {
        match event {
            Event::Created { key } => {
                self.keys.insert(key, 1);
                self.made = key + 1;
            }
            Event::Rotated { key } => {
                self.keys.entry(key).and_modify(|generation| *generation += 1);
            }
            Event::Deleted { key } => {
                self.keys.remove(&key);
            }
            Event::Locked { user, locked } => self.locked[user] = locked,
        }
    }

    pub(super) fn is_locked(&self, key: usize) -> bool {
        self.locked[key % USERS]
    }

    /// What a signature by this secret of a key is answered: its generation, or the error code.
    pub(super) fn verdict(&self, key: usize, generation: u32) -> Result<u32, &'static str> {
        match self.keys.get(&key) {
            None => Err("InvalidAccessKeyId"),
            Some(current) if *current != generation => Err("SignatureDoesNotMatch"),
            Some(_) if self.is_locked(key) => Err("AccessDenied"),
            Some(_) => Ok(generation),
        }
    }

    fn user(&self, user: usize) -> pb::UserRecord {
        pb::UserRecord {
            user_id: vec![user as u8; 16],
            account_id: vec![9; 16],
            account_number: "123456789012".into(),
            user_name: format!("user-{user}"),
            root: false,
            locked: self.locked[user],
        }
    }

    fn key(&self, key: usize) -> pb::AccessKeyRecord {
        let generation = self.keys[&key];
        let date_key = pb::DateKey {
            day: (NOW_MS / 1000 / DAY_SECONDS) as u32,
            key: date_key(key, generation).expose().to_vec(),
        };
        pb::AccessKeyRecord {
            access_key_id: id(key),
            user_id: vec![(key % USERS) as u8; 16],
            active: true,
            not_before_time_ms: None,
            expire_time_ms: None,
            secrets: vec![pb::SecretRecord {
                generation,
                expire_time_ms: None,
                date_keys: vec![date_key],
            }],
        }
    }

    pub(super) fn records(&self) -> pb::CredentialRecords {
        pb::CredentialRecords {
            users: (0..USERS).map(|user| self.user(user)).collect(),
            access_keys: self.keys.keys().map(|key| self.key(*key)).collect(),
            ..Default::default()
        }
    }
}

/// The log, which outlives every process. Position 0 is before the first event.
#[derive(Debug)]
pub(super) struct Log(Mutex<Vec<(Option<Event>, State)>>);

impl Default for Log {
    fn default() -> Self {
        Self(Mutex::new(vec![(None, State::default())]))
    }
}

impl Log {
    fn states(&self) -> MutexGuard<'_, Vec<(Option<Event>, State)>> {
        self.0.lock().expect("not poisoned")
    }

    /// The position of the last event.
    pub(super) fn written(&self) -> u64 {
        self.states().len() as u64 - 1
    }

    /// What is so at a position, which must have been written.
    pub(super) fn at(&self, position: u64) -> Option<State> {
        let position = usize::try_from(position).ok()?;
        self.states().get(position).map(|(_, state)| state.clone())
    }

    /// What the event at a position changed, as identity tells it.
    pub(super) fn change(&self, position: u64) -> pb::CredentialChange {
        let states = self.states();
        let (event, state) = &states[position as usize];
        let mut change = pb::CredentialChange { position, ..Default::default() };
        let mut records = pb::CredentialRecords::default();
        match event {
            Some(Event::Created { key } | Event::Rotated { key }) => {
                records.access_keys.push(state.key(*key));
            }
            Some(Event::Locked { user, .. }) => records.users.push(state.user(*user)),
            Some(Event::Deleted { key }) => change.deleted_access_key_ids.push(id(*key)),
            None => {}
        }
        change.records = Some(records);
        change
    }

    /// Something that may happen next.
    pub(super) fn write(&self, random: &mut Random) {
        let mut states = self.states();
        let mut state = states[states.len() - 1].1.clone();
        let keys: Vec<_> = state.keys.keys().copied().collect();
        let event = match (random.below(6), keys.as_slice()) {
            (0, _) | (_, []) => Event::Created { key: state.made },
            (1, _) => {
                let user = random.below(USERS);
                Event::Locked { user, locked: !state.locked[user] }
            }
            (2 | 3, keys) => Event::Rotated { key: keys[random.below(keys.len())] },
            (_, keys) if keys.len() < 4 => Event::Created { key: state.made },
            (_, keys) => Event::Deleted { key: keys[random.below(keys.len())] },
        };
        state.evolve(event);
        states.push((Some(event), state));
    }
}

/// The ID of a key, which is never given to another.
pub(super) fn id(key: usize) -> String {
    format!("AKIA{key:016}")
}

fn date_key(key: usize, generation: u32) -> DateKey {
    let secret = format!("secret {generation} of key {key}");
    DateKey::derive(secret.as_bytes(), &Date::from_unix_seconds(NOW_MS / 1000))
}

/// A GET that is signed by a secret of a key.
pub(super) fn signed(key: usize, generation: u32) -> String {
    let at = Timestamp::from_unix_seconds(NOW_MS / 1000);
    let head = |signature: &str| {
        format!(
            "GET /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\nx-amz-date: {}\r\n\
             x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={}/{}/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n\r\n",
            at.as_str(),
            id(key),
            at.date(),
        )
    };
    let unsigned = head(&"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let expected = Expected::s3("us-east-1", NOW_MS / 1000);
    let request = authenticate(&parsed, &expected).expect("is complete");
    let signing_key = date_key(key, generation).signing_key("us-east-1", "s3");
    let signature = signing_key.sign(&request.string_to_sign()).to_hex();
    head(std::str::from_utf8(&signature).expect("is hexadecimal"))
}

//! The table against a naive one, and under readers that do not wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use read_model::{
    AccessKeyRecord, AccountRecord, Change, DateKeyRecord, LockoutMode, ReadModel, SecretRecord,
    Table, UserRecord,
};
use sigv4::DateKey;

fn user(id: u8, name: &str, locked: bool) -> UserRecord {
    UserRecord {
        user_id: [id; 16],
        account_id: [0; 16],
        account_number: "123456789012".into(),
        user_name: name.into(),
        root: id == 0,
        locked,
    }
}

fn key_id(key: u8) -> String {
    // Some are packed, those of 20 characters, some are not.
    format!("AKIA{key:X>width$}", width = usize::from(key % 3) * 16)
}

fn date_key(byte: u8) -> DateKey {
    DateKey::from_bytes([byte; 32])
}

fn access_key(key: u8, user: u8, state: State, generations: &[u32]) -> AccessKeyRecord {
    let secret = |generation: &u32| SecretRecord {
        generation: *generation,
        expires_at_ms: None,
        date_keys: vec![(100, date_key(*generation as u8))],
    };
    AccessKeyRecord {
        access_key_id: key_id(key),
        user_id: [user; 16],
        active: state != State::Inactive,
        not_before_ms: (state == State::BeginsLater).then_some(BEGIN_MS),
        expires_at_ms: None,
        secrets: generations.iter().map(secret).collect(),
    }
}

/// When an access key can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Active,
    Inactive,
    BeginsLater,
}

const BEGIN_MS: i64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    User { id: u8, name: u8, locked: bool },
    Key { key: u8, user: u8, state: State, generations: Vec<u32> },
    DateKey { key: u8, generation: u32, day: u32, byte: u8 },
    DeleteKey { key: u8 },
    DeleteUser { id: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let (id, key) = (0..4_u8, 0..8_u8);
    let generations = prop::collection::vec(0..4_u32, 0..=2).prop_map(|mut generations| {
        generations.dedup();
        generations
    });
    let state = prop_oneof![Just(State::Active), Just(State::Inactive), Just(State::BeginsLater)];
    prop_oneof![
        3 => (id.clone(), 0..3_u8, any::<bool>())
            .prop_map(|(id, name, locked)| Step::User { id, name, locked }),
        5 => (key.clone(), id.clone(), state, generations)
            .prop_map(|(key, user, state, generations)| Step::Key { key, user, state, generations }),
        4 => (key.clone(), 0..4_u32, 96..106_u32, any::<u8>())
            .prop_map(|(key, generation, day, byte)| Step::DateKey { key, generation, day, byte }),
        2 => key.prop_map(|key| Step::DeleteKey { key }),
        1 => id.prop_map(|id| Step::DeleteUser { id }),
    ]
}

/// What a reader can see of an access key.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    user_name: String,
    locked: bool,
    state: State,
    secrets: Vec<(u32, BTreeMap<u32, u8>)>,
}

/// The same in the most obvious way.
#[derive(Default)]
struct Naive {
    users: BTreeMap<u8, (String, bool)>,
    keys: BTreeMap<u8, NaiveKey>,
}

struct NaiveKey {
    user: u8,
    state: State,
    secrets: Vec<(u32, BTreeMap<u32, u8>)>,
}

impl Naive {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::User { id, name, locked } => {
                self.users.insert(*id, (format!("user{name}"), *locked));
            }
            Step::Key { key, user, .. } if !self.users.contains_key(user) => {
                self.keys.remove(key);
            }
            Step::Key { key, user, state, generations } => {
                let secret =
                    |generation: &u32| (*generation, BTreeMap::from([(100, *generation as u8)]));
                let secrets = generations.iter().map(secret).collect();
                self.keys.insert(*key, NaiveKey { user: *user, state: *state, secrets });
            }
            Step::DateKey { key, generation, day, byte } => {
                let Some(key) = self.keys.get_mut(key) else { return };
                let mut secrets = key.secrets.iter_mut();
                let Some((_, days)) = secrets.find(|(of, _)| of == generation) else { return };
                days.insert(*day, *byte);
                let newest = days.keys().max().copied().unwrap_or_default();
                days.retain(|day, _| day + 3 > newest);
            }
            Step::DeleteKey { key } => {
                self.keys.remove(key);
            }
            Step::DeleteUser { id } => {
                self.users.remove(id);
                self.keys.retain(|_, key| key.user != *id);
            }
        }
    }

    fn see(&self, key: u8) -> Option<Seen> {
        let NaiveKey { user, state, secrets } = self.keys.get(&key)?;
        let (user_name, locked) = self.users.get(user)?.clone();
        Some(Seen { user_name, locked, state: *state, secrets: secrets.clone() })
    }
}

fn apply(table: &Table, step: Step) {
    let change = match step {
        Step::User { id, name, locked } => {
            Change { users: vec![user(id, &format!("user{name}"), locked)], ..Change::default() }
        }
        Step::Key { key, user, state, generations } => Change {
            access_keys: vec![access_key(key, user, state, &generations)],
            ..Change::default()
        },
        Step::DateKey { key, generation, day, byte } => {
            let (access_key_id, date_key) = (key_id(key), date_key(byte));
            table.add_date_keys([DateKeyRecord { access_key_id, generation, day, date_key }]);
            return;
        }
        Step::DeleteKey { key } => {
            Change { deleted_access_keys: vec![key_id(key)], ..Change::default() }
        }
        Step::DeleteUser { id } => Change { deleted_users: vec![[id; 16]], ..Change::default() },
    };
    table.apply(change);
}

fn see(table: &Table, key: u8) -> Option<Seen> {
    let keys = table.pin();
    let key = keys.access_key(&key_id(key))?;
    let secret = |secret: &read_model::Secret| {
        let days = (90..110).filter_map(|day| Some((day, secret.date_key(day)?.expose()[0])));
        (secret.generation(), days.collect())
    };
    Some(Seen {
        user_name: key.user().profile().user_name.clone(),
        locked: key.user().is_locked(),
        state: match (key.is_usable(BEGIN_MS - 1), key.is_usable(BEGIN_MS)) {
            (true, true) => State::Active,
            (false, false) => State::Inactive,
            (false, true) => State::BeginsLater,
            (true, false) => panic!("ends"),
        },
        secrets: key.live_secrets(0).map(secret).collect(),
    })
}

proptest! {
    #[test]
    fn after_any_steps_readers_see_what_a_naive_table_shows(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let (table, mut naive) = (Table::new(), Naive::default());
        for step in steps {
            naive.apply(&step);
            apply(&table, step);
            for key in 0..8 {
                prop_assert_eq!(see(&table, key), naive.see(key));
            }
            prop_assert_eq!(table.len(), naive.keys.len());
        }
    }
}

#[test]
fn locking_a_user_locks_all_its_keys_at_once() {
    let table = Table::new();
    let access_keys = (0..200).map(|key| access_key(key, 1, State::Active, &[1])).collect();
    table.apply(Change { users: vec![user(1, "a", false)], access_keys, ..Change::default() });
    let keys = table.pin();
    let held: Vec<_> =
        (0..200).map(|key| keys.access_key(&key_id(key)).expect("is known")).collect();
    assert!(held.iter().all(|key| !key.user().is_locked()));
    table.apply(Change { users: vec![user(1, "a", true)], ..Change::default() });
    // Also for those who found the access key before.
    assert!(held.iter().all(|key| key.user().is_locked()));
    table.apply(Change { users: vec![user(1, "a", false)], ..Change::default() });
    assert!(held.iter().all(|key| !key.user().is_locked()));
}

#[test]
fn readers_see_whole_records_and_never_go_back_behind_a_position() {
    let model = ReadModel::new();
    let table = Table::new();
    table.apply(Change { users: vec![user(1, "a", false)], ..Change::default() });
    model.replace(table);
    let last = 5_000;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 0;
                while !done.load(Ordering::Acquire) {
                    let table = model.table();
                    let table = table.as_ref().expect("is there");
                    let position = table.position();
                    let keys = table.pin();
                    let Some(key) = keys.access_key("KEY") else {
                        assert_eq!(position, 0);
                        continue;
                    };
                    let secret = key.live_secrets(0).next().expect("has one");
                    let generation = secret.generation();
                    // Key and generation of one record; no older than the position says.
                    let byte = secret.date_key(100).expect("is there").expose()[0];
                    assert_eq!(byte, generation as u8);
                    assert!(u64::from(generation) >= position && generation >= newest);
                    newest = generation;
                }
            });
        }
        for generation in 1..=last {
            let mut record = access_key(0, 1, State::Active, &[generation]);
            record.access_key_id = "KEY".into();
            let change = Change { access_keys: vec![record], ..Change::default() };
            model.apply(u64::from(generation), change);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(model.position(), Some(u64::from(last)));
}

#[test]
fn an_access_key_of_an_unknown_user_is_left_out_and_ends_what_it_was() {
    let table = Table::new();
    let known = Change {
        users: vec![user(1, "a", false)],
        access_keys: vec![access_key(0, 1, State::Active, &[1])],
        ..Change::default()
    };
    assert_eq!(table.apply(known), 0);
    let unknown =
        Change { access_keys: vec![access_key(0, 2, State::Active, &[1])], ..Change::default() };
    assert_eq!(table.apply(unknown), 1);
    assert!(see(&table, 0).is_none() && table.is_empty());
}

#[test]
fn an_access_key_may_come_back_under_its_id() {
    let table = Table::new();
    let create = || Change {
        users: vec![user(1, "a", false)],
        access_keys: vec![access_key(0, 1, State::Active, &[1])],
        ..Change::default()
    };
    table.apply(create());
    table.apply(Change { deleted_users: vec![[1; 16]], ..Change::default() });
    assert!(see(&table, 0).is_none());
    table.apply(create());
    assert!(see(&table, 0).is_some());
}

#[test]
fn what_an_account_asks_holds_for_all_its_users_at_once() {
    let table = Table::new();
    let tell = |lockout| {
        let accounts = vec![AccountRecord { account_id: [0; 16], lockout }];
        table.apply(Change { accounts, ..Change::default() });
    };
    let lockout = || table.pin().access_key(&key_id(0)).expect("is known").user().lockout();
    table.apply(Change {
        users: vec![user(1, "alice", false)],
        access_keys: vec![access_key(0, 1, State::Active, &[1])],
        ..Change::default()
    });
    assert_eq!(lockout(), LockoutMode::PerSource, "what was not told is the default");
    for mode in [LockoutMode::PerKey, LockoutMode::Off, LockoutMode::PerSource] {
        tell(mode);
        assert_eq!(lockout(), mode);
    }
}

use std::collections::HashMap;

use domain::{
    AccessKeyChanges, AccessKeyId, AccountEvent, AccountId, AccountNumber, AccountSettings,
    AdminTokenEvent, AdminTokenId, BucketEvent, BucketName, BucketRegion, DisplayName, Event,
    Expiry, Label, NewAccessKey, SealedSecret, Slot, Tag, Tags, TimeToLive, Timestamp, TokenHash,
    UserEvent, UserId, UserName, account, admin_token, bucket, user,
};
use event_store::{Actor, Recorded, Revision};
use sealing::{KeyEncryptionKey, Keyring, Keystore};

use super::*;
use crate::model::time;
use crate::stream::Stream;

const LOG: LogIdentity = LogIdentity { log_id: Uuid::from_u128(0xC1A5), epoch: 1 };
const START_MS: u64 = 1_767_268_800_000;

/// SplitMix64: the same numbers from the same seed, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        if choices.is_empty() {
            return None;
        }
        choices.get(usize::try_from(self.below(choices.len() as u64)).ok()?).copied()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        [0; N].map(|_| self.next().to_le_bytes()[0])
    }

    fn id(&mut self) -> Uuid {
        Uuid::from_bytes(self.bytes())
    }
}

/// A log in memory, the model of it, and whom commands may be given on.
struct Life {
    random: Random,
    now_ms: u64,
    names: u32,
    events: Vec<Recorded>,
    revisions: HashMap<Stream, u64>,
    model: Model,
    accounts: Vec<AccountId>,
    users: Vec<UserId>,
    tokens: Vec<AdminTokenId>,
    /// All that there ever were, to look up.
    numbers: Vec<AccountNumber>,
    access_keys: Vec<AccessKeyId>,
    hashes: Vec<TokenHash>,
}

fn empty() -> Model {
    Model::new(Head { position: Position::START, hash: event_store::genesis(LOG.log_id) })
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a label")
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now_ms: START_MS,
            names: 0,
            events: vec![],
            revisions: HashMap::new(),
            model: empty(),
            accounts: vec![],
            users: vec![],
            tokens: vec![],
            numbers: vec![],
            access_keys: vec![],
            hashes: vec![],
        }
    }

    fn now(&self) -> Timestamp {
        time(self.now_ms)
    }

    /// Records the events of one command.
    fn record(&mut self, account: AccountId, events: Vec<(Stream, Event)>) {
        let batch_len = u32::try_from(events.len()).expect("few");
        let bytes = self.random.bytes();
        let repeatable = self.random.below(2) == 0;
        let command_id = if repeatable {
            uuid::Builder::from_custom_bytes(bytes).into_uuid()
        } else {
            uuid::Builder::from_unix_timestamp_millis(self.now_ms, &[7; 10]).into_uuid()
        };
        let command_digest = self.random.bytes();
        for (batch_index, (stream, event)) in (0..).zip(events) {
            let revision = self.revisions.entry(stream).or_default();
            *revision += 1;
            let position = Position(self.model.position().0 + 1);
            let payload = event_store::payload::encode(&event);
            let recorded = Recorded {
                position,
                prev_hash: self.model.head().hash,
                hash: Hash(Sha256::digest(position.0.to_be_bytes()).into()),
                time_ms: self.now_ms,
                account: account.0,
                stream: stream.id(),
                revision: Revision(*revision),
                event_type: payload.event_type,
                schema_version: event_store::payload::SCHEMA_VERSION,
                command_id,
                command_digest,
                batch_index,
                batch_len,
                actor: Actor::default(),
                claims: vec![],
                payload: payload.bytes,
                sealed: payload.sealed,
                sealed_hash: None,
            };
            self.model.apply(&recorded).expect("fits");
            self.events.push(recorded);
        }
    }

    fn new_key(&mut self) -> NewAccessKey {
        let id = AccessKeyId::from_random(self.random.bytes());
        self.access_keys.push(id.clone());
        let hour = chrono::TimeDelta::hours(1);
        let ttl = |text| Expiry::After(TimeToLive::parse(text).expect("a duration"));
        let expiry = match self.random.below(4) {
            0 => Expiry::At(self.now() + hour * 3),
            1 => ttl("PT90M"),
            2 => ttl("P30D"),
            _ => Expiry::Never,
        };
        NewAccessKey {
            id,
            secret: SealedSecret(Box::new(self.random.bytes::<69>())),
            imported: self.random.below(4) == 0,
            label: label(if self.random.below(2) == 0 { "" } else { "key" }),
            slot: self.random.of(&[None, None, None, Some(Slot::One), Some(Slot::Two)]).flatten(),
            state: domain::AccessKeyState::Active,
            not_before: (self.random.below(4) == 0).then(|| self.now() + hour),
            expiry,
            lifetime_seconds_max: None,
        }
    }

    fn new_name(&mut self) -> UserName {
        self.names += 1;
        UserName::parse(&format!("User-{}", self.names)).expect("a name")
    }

    fn new_user(&mut self, root: bool) -> user::Command {
        let tag = |n: u64| Tag::parse(&format!("Tag {n}"), "value").expect("a tag");
        let tags = (0..self.random.below(5)).map(tag);
        user::Command::Create(user::NewUser {
            name: self.new_name(),
            root,
            label: label("label"),
            comment: label("comment"),
            path: domain::UserPath::parse("/a/b/").expect("a path"),
            email: domain::Email::parse("a@b.c").expect("an address"),
            tags: Tags::new(tags).expect("few"),
        })
    }

    fn make_account(&mut self) {
        let id = AccountId(self.random.id());
        let number = AccountNumber::from_random(self.random.next());
        let settings = AccountSettings {
            retention_seconds: self.random.of(&[0, 3600, 86_400]).expect("one"),
            expiry_notice_seconds: vec![7200, 600],
            rotation_due_days: 1,
            spelling: domain::Spelling::Outscale,
            default_grace_period_seconds: 7_776_000,
            ..AccountSettings::default()
        };
        let display_name = DisplayName::parse("Acme").expect("a name");
        let command = account::Command::Create { number, display_name, settings };
        let events = account::decide(None, command, self.now()).expect("made");
        let stream = Stream::Account(id);
        self.record(id, events.into_iter().map(|event| (stream, Event::Account(event))).collect());
        self.accounts.push(id);
        self.numbers.push(number);
        self.make_user(id, true);
    }

    fn make_user(&mut self, account: AccountId, root: bool) {
        let id = UserId(self.random.id());
        let settings = self.model.settings(account);
        let command = self.new_user(root);
        let events = user::decide(None, command, &settings, self.now()).expect("made");
        self.record_user(account, id, events);
        self.users.push(id);
    }

    fn record_user(&mut self, account: AccountId, id: UserId, events: Vec<UserEvent>) {
        let stream = Stream::User(id);
        self.record(
            account,
            events.into_iter().map(|event| (stream, Event::User(event))).collect(),
        );
    }

    /// What `command` makes of a user, if it is not refused.
    fn change_user(&mut self, id: UserId, command: user::Command) {
        let Some(entry) = self.model.user(id).cloned() else { return };
        let settings = self.model.settings(entry.account);
        let decided = user::decide(Some(&entry.user), command, &settings, self.now());
        if let Ok(events) = decided
            && !events.is_empty()
        {
            self.record_user(entry.account, id, events);
        }
    }

    fn change_account(&mut self, id: AccountId) {
        let Some(entry) = self.model.account(id).cloned() else { return };
        let users: Vec<_> =
            self.model.users_from(id, std::ops::Bound::Unbounded).map(|user| user.id).collect();
        let command = match self.random.below(3) {
            0 => account::Command::Delete {
                users: users.len() - 1,
                buckets: self.model.buckets().count(id),
            },
            1 => account::Command::Update {
                display_name: Some(DisplayName::parse(&format!("{}", self.names)).expect("a name")),
                settings: None,
                longest_lived: None,
            },
            _ => account::Command::Update {
                display_name: None,
                settings: Some(AccountSettings {
                    retention_seconds: self.random.of(&[0, 60, 86_400]).expect("one"),
                    ..entry.account.settings.clone()
                }),
                longest_lived: None,
            },
        };
        let Ok(decided) = account::decide(Some(&entry.account), command, self.now()) else {
            return;
        };
        let mut events = vec![];
        if decided.contains(&AccountEvent::Deleted) {
            for user in users {
                let entry = self.model.user(user).expect("there");
                let whole = user::delete_whole(&entry.user);
                events.extend(
                    whole.into_iter().map(|event| (Stream::User(user), Event::User(event))),
                );
            }
        }
        let stream = Stream::Account(id);
        events.extend(decided.into_iter().map(|event| (stream, Event::Account(event))));
        if !events.is_empty() {
            self.record(id, events);
        }
    }

    /// Claims a bucket, or releases it, or gives it to another account.
    fn change_buckets(&mut self) {
        let name = BucketName::parse(&format!("bucket-{}", self.random.below(30))).expect("a name");
        let accounts = &self.accounts;
        let there: Vec<_> =
            accounts.iter().copied().filter(|id| self.model.account(*id).is_some()).collect();
        let Some(account) = self.random.of(&there) else { return };
        let held = self.model.buckets().count(account);
        let known = self.model.buckets().get(&name).cloned();
        let command = match (&known, self.random.below(3)) {
            (None, _) => bucket::Command::Claim {
                account,
                region: BucketRegion::parse("eu").ok().filter(|_| held.is_multiple_of(2)),
                held,
            },
            (Some(_), 0) => bucket::Command::Release,
            (Some(bucket), _) => {
                bucket::Command::Transfer { from: bucket.account, to: account, held }
            }
        };
        let settings = self.model.settings(account);
        let Ok(events) = bucket::decide(&name, known.as_ref(), command, &settings) else { return };
        let of = |(account, event)| (Stream::Buckets(account), Event::Bucket(event));
        self.record(AccountId(Uuid::nil()), events.into_iter().map(of).collect());
    }

    fn change_tokens(&mut self) {
        let known = self.random.of(&self.tokens);
        let (id, state, command) = match known.and_then(|id| self.model.admin_token(id)) {
            Some(entry) => (entry.id, Some(entry.token.clone()), admin_token::Command::Revoke),
            None => {
                let hash = TokenHash(self.random.bytes());
                self.hashes.push(hash);
                let command = admin_token::Command::Create {
                    name: self.new_name(),
                    hash,
                    account: self.random.of(&self.accounts),
                    read_only: self.random.below(2) == 0,
                    expires_at: Some(self.now() + chrono::TimeDelta::days(1)),
                };
                (AdminTokenId(self.random.id()), None, command)
            }
        };
        let events = admin_token::decide(state.as_ref(), command, self.now()).expect("decided");
        let stream = Stream::AdminToken(id);
        let events = events.into_iter().map(|event| (stream, Event::AdminToken(event))).collect();
        self.record(AccountId(Uuid::nil()), events);
        self.tokens.push(id);
    }

    /// An access key of a user, one that was deleted and can be undeleted among them.
    fn some_key(&mut self, user: UserId) -> Option<AccessKeyId> {
        let entry = self.model.user(user)?.clone();
        let deleted = entry.user.deleted_access_keys.iter().map(|key| &key.access_key);
        let ids: Vec<_> = entry.user.access_keys.iter().chain(deleted).map(|key| &key.id).collect();
        self.random.of(&ids).cloned()
    }

    /// Some command, some time later.
    fn step(&mut self) {
        self.now_ms += self.random.below(1_200_000);
        if self.accounts.is_empty() || self.random.below(40) == 0 {
            return self.make_account();
        }
        if self.random.below(40) == 0 {
            let account = self.random.of(&self.accounts).expect("some");
            return self.change_account(account);
        }
        if self.random.below(60) == 0 {
            return self.change_tokens();
        }
        if self.random.below(20) == 0 {
            return self.change_buckets();
        }
        if self.random.below(8) == 0 {
            let account = self.random.of(&self.accounts).expect("some");
            if self.model.account(account).is_some() {
                self.make_user(account, false);
            }
            return;
        }
        let Some(user) = self.random.of(&self.users) else { return };
        let key = self.some_key(user);
        let command = match (self.random.below(16), key) {
            (0, _) => user::Command::Update(user::UserChanges {
                name: Some(self.new_name()),
                label: Some(label("other")),
                comment: Some(label("other")),
                path: Some(domain::UserPath::default()),
                email: Some(domain::Email::default()),
                tags: Some(Tags::default()),
            }),
            (1, _) => user::Command::Lock,
            (2, _) => user::Command::Unlock,
            (3, _) => user::Command::Delete { force: true },
            (4 | 5, _) => user::Command::Tick,
            (6, Some(id)) => user::Command::UpdateAccessKey {
                id,
                changes: AccessKeyChanges {
                    label: Some(label("changed")),
                    state: self
                        .random
                        .of(&[domain::AccessKeyState::Active, domain::AccessKeyState::Inactive]),
                    expiry: Some(Expiry::At(self.now() + chrono::TimeDelta::hours(4))),
                    ..Default::default()
                },
            },
            (7 | 8, Some(id)) => user::Command::RotateSecretAccessKey {
                id,
                secret: SealedSecret(Box::new(self.random.bytes::<69>())),
                grace_period_seconds: None,
                expiry: None,
                lifetime_seconds_max: None,
            },
            (9, Some(id)) => user::Command::EndGracePeriod { id },
            (10, Some(id)) => user::Command::ReplaceAccessKey {
                id,
                replacement: self.new_key(),
                grace_period_seconds: None,
            },
            (11, Some(id)) => user::Command::DeleteAccessKey { id, replacement: None },
            (12, Some(id)) => user::Command::UndeleteAccessKey { id },
            (13, Some(id)) => user::Command::PurgeAccessKey { id },
            _ => user::Command::CreateAccessKey(self.new_key()),
        };
        self.change_user(user, command);
    }

    /// What is not written but made again: what can be looked up by another name.
    fn looked_up(&self, model: &Model) -> Vec<String> {
        let numbers =
            self.numbers.iter().map(|number| format!("{:?}", model.account_by_number(*number)));
        let pasts = self.accounts.iter().map(|id| format!("{:?}", model.past(*id)));
        let names = self.accounts.iter().map(|id| {
            let users = model.users_from(*id, std::ops::Bound::Unbounded);
            let names: Vec<_> =
                users.map(|entry| (entry.id, entry.user.name.to_string())).collect();
            format!("{names:?}")
        });
        let holders = self.access_keys.iter().map(|id| {
            format!(
                "{:?} {}",
                model.holder(id).map(|holder| holder.id),
                model.access_key(id).is_some()
            )
        });
        let tokens = self
            .hashes
            .iter()
            .map(|hash| format!("{:?}", model.admin_token_by_hash(hash).map(|entry| entry.id)));
        let buckets = self.accounts.iter().map(|id| {
            let buckets = model.buckets().from(*id, std::ops::Bound::Unbounded);
            format!("{:?} {:?}", model.buckets().count(*id), Vec::from_iter(buckets))
        });
        numbers.chain(pasts).chain(names).chain(holders).chain(tokens).chain(buckets).collect()
    }
}

/// A folder for checkpoints, and the key that signs them.
struct Folder {
    dir: tempfile::TempDir,
    key: SigningKey,
}

impl Folder {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let keyring = Keyring::new(KeyEncryptionKey::generate().expect("randomness"));
        let keystore = Keystore::open(dir.path().join("keystore"), keyring).await.expect("made");
        let key = SigningKey::of(&keystore).await.expect("made");
        Self { dir, key }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("checkpoint")
    }

    fn write(&self, model: &Model) {
        write(&self.path(), LOG, &model.snapshot(), &self.key).expect("written");
    }

    fn read(&self, log: LogIdentity) -> anyhow::Result<Option<Model>> {
        let signed = read(&self.path(), &self.key.public_key())?;
        signed.map(|signed| signed.model_of(log)).transpose()
    }

    /// Why what stands there is of no use.
    fn refused(&self, log: LogIdentity) -> String {
        format!("{:#}", self.read(log).expect_err("is of no use"))
    }
}

fn digest_of(model: &Model) -> String {
    hex::encode(digest(LOG, &model.snapshot()).expect("a sink takes all"))
}

/// A life in which every kind of event and of state occurs.
fn long_life() -> Life {
    let mut life = Life::new(0xC1A5_1EE5);
    while life.events.len() < 12_000 {
        life.step();
    }
    life
}

#[tokio::test]
async fn a_checkpoint_and_what_follows_make_the_same_as_all_from_the_start() {
    let folder = Folder::new().await;
    let life = long_life();
    let kinds: std::collections::BTreeSet<_> =
        life.events.iter().map(|event| event.event_type).collect();
    assert_eq!(kinds.len(), 33, "{kinds:?}");

    let mut replayed = empty();
    let mut restored = empty();
    for (n, event) in life.events.iter().enumerate() {
        replayed.apply(event).expect("fits");
        restored.apply(event).expect("fits");
        if n % 997 == 0 {
            folder.write(&restored);
            restored = folder.read(LOG).expect("is of use").expect("is there");
            assert_eq!(digest_of(&restored), digest_of(&replayed), "after {n} events");
            assert_eq!(life.looked_up(&restored), life.looked_up(&replayed), "after {n} events");
        }
    }
    assert_eq!(restored.head(), life.model.head());
    assert_eq!(digest_of(&restored), digest_of(&life.model));
    assert_eq!(life.looked_up(&restored), life.looked_up(&life.model));
}

#[tokio::test]
async fn a_model_that_differs_in_one_event_has_another_digest() {
    let mut life = Life::new(7);
    while life.events.len() < 300 {
        life.step();
    }
    let mut model = empty();
    let mut digests = std::collections::HashSet::new();
    for event in &life.events {
        model.apply(event).expect("fits");
        assert!(digests.insert(digest_of(&model)));
    }
    let another = LogIdentity { epoch: 2, ..LOG };
    let another = digest(another, &model.snapshot()).expect("a sink takes all");
    assert!(digests.insert(hex::encode(another)));
}

#[tokio::test]
async fn what_was_changed_or_cut_short_is_not_used() {
    let folder = Folder::new().await;
    assert!(folder.read(LOG).expect("no file is no fault").is_none());
    let mut life = Life::new(3);
    while life.events.len() < 40 {
        life.step();
    }
    folder.write(&life.model);
    let whole = fs::read(folder.path()).expect("read");
    // Each byte of the header and of the end, and some between.
    let ends = whole.len() - DIGEST_BYTES - SIGNATURE_BYTES;
    for at in (0..whole.len()).filter(|at| *at < 100 || *at >= ends || at % 61 == 0) {
        for bit in [1, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            fs::write(folder.path(), changed).expect("written");
            assert!(folder.read(LOG).is_err(), "byte {at} was changed");
        }
        fs::write(folder.path(), &whole[..at]).expect("written");
        assert!(folder.read(LOG).is_err(), "it ends at {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(folder.path(), longer).expect("written");
    assert_eq!(folder.refused(LOG), "something follows it");
    fs::write(folder.path(), whole).expect("written");
    assert!(folder.read(LOG).expect("is of use").is_some());
}

#[tokio::test]
async fn what_is_of_another_log_epoch_version_or_key_is_not_used() {
    let folder = Folder::new().await;
    let mut life = Life::new(3);
    while life.events.len() < 40 {
        life.step();
    }
    folder.write(&life.model);
    for other in
        [LogIdentity { log_id: Uuid::from_u128(1), ..LOG }, LogIdentity { epoch: 2, ..LOG }]
    {
        assert_eq!(folder.refused(other), "it is of another log or epoch");
    }
    let stranger = Folder::new().await;
    fs::copy(folder.path(), stranger.path()).expect("copied");
    assert!(stranger.refused(LOG).starts_with("its signature is wrong"));

    // The same of another version, and well signed.
    let mut bytes = fs::read(folder.path()).expect("read");
    bytes.truncate(bytes.len() - DIGEST_BYTES - SIGNATURE_BYTES);
    assert_eq!(u32::from(bytes[4]), VERSION, "stands first, after the record's length");
    bytes[4] += 1;
    let digest: [u8; DIGEST_BYTES] = Sha256::digest(&bytes).into();
    let (head, time_ms) = (life.model.head(), life.model.time_ms());
    bytes.extend(digest);
    bytes.extend(statement(LOG, head, time_ms, digest).sign(&folder.key));
    fs::write(folder.path(), bytes).expect("written");
    assert_eq!(folder.refused(LOG), format!("it is of version {}", VERSION + 1));
}

/// Something of everything that a model holds, from fixed events.
fn of_everything() -> Model {
    let mut life = Life::new(1);
    let (account, alice) = (AccountId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let (bob, token) = (UserId(Uuid::from_u128(3)), AdminTokenId(Uuid::from_u128(4)));
    let later = |hours| time(START_MS) + chrono::TimeDelta::hours(hours);
    let secret = |byte| SealedSecret(Box::new([byte; 69]));
    let [kept, deleted, gone] = [[1; 10], [2; 10], [3; 10]].map(AccessKeyId::from_random);
    let created = |name: &str| UserEvent::Created {
        name: UserName::parse(name).expect("a name"),
        root: name == "root",
        label: label("label"),
        comment: label("comment"),
        path: domain::UserPath::parse("/a/").expect("a path"),
        email: domain::Email::parse("a@b.c").expect("an address"),
    };
    let tags =
        domain::TagsChange { set: vec![Tag::parse("Team", "a").expect("a tag")], removed: vec![] };
    let key_created = |id: &AccessKeyId| UserEvent::AccessKeyCreated {
        id: id.clone(),
        secret: secret(1),
        imported: true,
        label: label("key"),
        slot: Some(Slot::Two),
        not_before: Some(later(1)),
        expires_at: Some(later(3)),
        time_to_live: Some(TimeToLive::parse("PT2H").expect("a duration")),
    };
    let of_account = [
        AccountEvent::Created {
            number: AccountNumber::parse("123456789012").expect("a number"),
            display_name: DisplayName::parse("Acme").expect("a name"),
        },
        AccountEvent::SettingsChanged {
            settings: AccountSettings {
                access_keys_per_user_max: 2,
                access_key_lifetime_seconds_max: Some(86_400),
                default_grace_period_seconds: 60,
                lockout: domain::LockoutMode::PerKey,
                retention_seconds: 3600,
                expiry_notice_seconds: vec![7200, 600],
                rotation_due_days: 30,
                spelling: domain::Spelling::Outscale,
                buckets_max: 7,
            },
        },
    ];
    let of_alice = [
        created("root"),
        UserEvent::TagsChanged(tags),
        UserEvent::Locked,
        UserEvent::PasswordSet { generation: 1, sealed: secret(3) },
        key_created(&kept),
        UserEvent::AccessKeyDeactivated { id: kept.clone() },
        UserEvent::SecretAccessKeyRotated {
            id: kept.clone(),
            generation: 2,
            secret: secret(2),
            previous_expires_at: later(2),
        },
        UserEvent::AccessKeyExpiring {
            id: kept.clone(),
            expires_at: later(3),
            notice_seconds: 7200,
        },
        UserEvent::AccessKeyRotationDue { id: kept, generation: 2, secret_created_at: later(0) },
        key_created(&deleted),
        UserEvent::AccessKeyDeleted { id: deleted, purge_at: Some(later(1)) },
    ];
    let of_token = [AdminTokenEvent::Created {
        name: UserName::parse("ci").expect("a name"),
        hash: TokenHash([7; 32]),
        account: Some(account),
        read_only: true,
        expires_at: Some(later(24)),
    }];
    life.record(
        account,
        of_account.map(|event| (Stream::Account(account), Event::Account(event))).into(),
    );
    life.record_user(account, alice, of_alice.into());
    life.record_user(account, bob, vec![created("bob"), key_created(&gone), UserEvent::Deleted]);
    let claimed = BucketEvent::Claimed {
        name: BucketName::parse("data").expect("a name"),
        region: BucketRegion::parse("eu").ok(),
    };
    life.record(AccountId(Uuid::nil()), vec![(Stream::Buckets(account), Event::Bucket(claimed))]);
    let of_token = of_token.map(|event| (Stream::AdminToken(token), Event::AdminToken(event)));
    life.record(AccountId(Uuid::nil()), of_token.into());
    life.model
}

/// If this fails, what is written of a model has another form than before: raise [`VERSION`], and
/// put here what is then found.
#[test]
fn the_form_of_a_checkpoint_changes_only_with_its_version() {
    let model = of_everything();
    let snapshot = model.snapshot();
    let filled = [
        snapshot.accounts.len(),
        snapshot.account_events.len(),
        snapshot.users.len(),
        snapshot.former_users.len(),
        snapshot.former_access_keys.len(),
        snapshot.buckets.len(),
        snapshot.bucket_revisions.len(),
        snapshot.admin_tokens.len(),
        snapshot.commands.len(),
    ];
    assert!(!filled.contains(&0), "{filled:?}");
    let golden = "a9040a0294ef2fd6034706a9bb6edb088eb105269c9aea4967d5f2edd00ed5b1";
    assert_eq!((VERSION, digest_of(&model).as_str()), (5, golden));
}

//! The power fails below the keystore, or the disk does: what was acknowledged holds, and what was
//! shredded stays shredded.
//!
//! A child makes, shreds and wraps anew with the layer of `fault-disk` below it; what it did is played
//! up to many places, and cut there. What the model leaves of a disk is told in that crate.
//!
//! `SEALING_POWER_CUT_ROUNDS` asks for more rounds than the few of every day, and
//! `SEALING_POWER_CUT_SEED` for others.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fault_disk::{
    Call, Disk, Failure, Image, Layer, Random, Record, Rule, When, environment, lower, raise, said,
};
use sealing::{Context, Error, KeyEncryptionKey, Keyring, Keystore};
use uuid::Uuid;

const KEKS: &str = "SEALING_POWER_CUT_KEKS";
const RING: &str = "SEALING_POWER_CUT_RING";
const SHRED: &str = "SEALING_POWER_CUT_SHRED";
const ROUNDS: u64 = 5;
const CUTS_PER_ROUND: usize = 20;
const WORKERS: usize = 16;
/// Below a disk; its folder is there.
const FOLDER: &str = "keys";
const KEYSTORE: &str = "keys/keystore";
/// How many slots a keystore grows by.
const SLOTS: usize = 1024;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Key-encryption keys in files, by number.
struct Keks(tempfile::TempDir);

impl Keks {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A ring of the newest of so many keys, then the others.
    fn ring(dir: &Path, newest: u64, oldest: u64) -> Keyring {
        let key = |number: u64| {
            let path = dir.join(number.to_string());
            if !path.exists() {
                let key = KeyEncryptionKey::generate().unwrap();
                fs::write(&path, &*key.expose_hex()).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            KeyEncryptionKey::from_file(&path).unwrap()
        };
        (oldest..newest).rev().fold(Keyring::new(key(newest)), |ring, older| {
            ring.with(key(older)).expect("another key")
        })
    }
}

/// What a child said up to some moment.
#[derive(Clone, Debug, Default)]
struct Told {
    /// What the data key of each access key has sealed.
    created: BTreeMap<String, Vec<u8>>,
    shredding: BTreeSet<String>,
    shredded: BTreeSet<String>,
    /// The oldest key-encryption key that is still needed.
    oldest: u64,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["created", id, sealed] => {
                self.created.insert(id.to_owned(), hex::decode(sealed).unwrap());
            }
            ["shredding", id] => drop(self.shredding.insert(id.to_owned())),
            ["shredded", id] => drop(self.shredded.insert(id.to_owned())),
            ["rewrapped", oldest] => self.oldest = oldest.parse().unwrap(),
            _ => {}
        }
    }
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn context(access_key_id: &str) -> Context<'_> {
    Context { log_id: Uuid::nil(), account: Uuid::nil(), access_key_id, generation: 1 }
}

fn disk_with_a_folder() -> Image {
    Image([(FOLDER.to_owned(), None)].into())
}

/// The half below which the layer is, with its ring.
fn child(layer: &Layer, keks: &Keks, test: &str, ring: (u64, u64)) -> std::process::Command {
    let mut command = layer.command(&env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(KEKS, keks.0.path())
        .env(RING, format!("{} {}", ring.0, ring.1))
        .stdout(Stdio::piped());
    command
}

/// Runs the half that is killed, until it has said so many things.
fn run(mut command: std::process::Command, layer: &Layer, lines_min: usize) -> Vec<Record> {
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut lines, mut line) = (0, String::new());
    while output.read_line(&mut line).unwrap() > 0 {
        lines += 1;
        if lines == lines_min {
            layer.stop().unwrap(); // and read on, to its end
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(lines >= lines_min, "it ended by itself");
    layer.records().unwrap()
}

async fn open_here() -> Result<Keystore, Error> {
    let keks = PathBuf::from(env::var_os(KEKS).unwrap());
    let ring = env::var(RING).unwrap();
    let (newest, oldest) = ring.split_once(' ').unwrap();
    let ring = Keks::ring(&keks, newest.parse().unwrap(), oldest.parse().unwrap());
    let disk = PathBuf::from(env::var_os(environment::FOLDER).unwrap());
    Keystore::open(disk.join(KEYSTORE), ring).await
}

async fn create(keystore: &Keystore, id: &str) -> Result<(), Error> {
    let data_key = keystore.create(id).await?;
    let sealed = data_key.seal(id.as_bytes(), &context(id))?;
    say(&format!("created {id} {}", hex::encode(sealed)));
    Ok(())
}

async fn shred(keystore: &Keystore, id: &str) -> Result<(), Error> {
    say(&format!("shredding {id}"));
    keystore.shred(id).await?;
    say(&format!("shredded {id}"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn changes_until_killed() {
    say("");
    let keystore = Arc::new(open_here().await.unwrap());
    say("opened");
    let workers = (0..WORKERS).map(|_| {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move {
            let name = Uuid::new_v4().simple().to_string();
            for n in 0.. {
                let id = format!("{name}N{n}");
                create(&keystore, &id).await.unwrap();
                if n % 3 != 2 {
                    shred(&keystore, &id).await.unwrap();
                }
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    let newest = env::var(RING).unwrap();
    let newest = newest.split(' ').next().unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    keystore.rewrap().await.unwrap();
    say(&format!("rewrapped {newest}"));
    for worker in workers {
        worker.await.unwrap();
    }
}

/// What is left when the power is cut after so many records, and what was said until then.
struct Cut {
    after: usize,
    seed: u64,
    image: Image,
    told: Told,
}

/// Plays what a child did to what was on the disk before, and cuts it at some places.
fn cut(
    before: (&Image, &Told),
    records: &[Record],
    mut places: Vec<usize>,
    random: &mut Random,
) -> Vec<Cut> {
    places.sort_unstable();
    let (mut disk, mut played, mut cuts) = (Disk::new(before.0), 0, Vec::new());
    for after in places {
        records[played..after].iter().try_for_each(|record| disk.apply(record)).unwrap();
        played = after;
        let mut told = before.1.clone();
        said(&records[..after]).iter().for_each(|line| told.hear(line));
        let seed = random.any();
        cuts.push(Cut { after, seed, image: disk.cut(seed), told });
    }
    cuts
}

/// A folder whose syncs take no time, where there is one: what is checked there is not cut again.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Opens a keystore. A child that another test starts holds all open files for a moment, and their
/// locks.
async fn open_free(path: &Path, ring: impl Fn() -> Keyring) -> Result<Keystore, Error> {
    loop {
        match Keystore::open(path, ring()).await {
            Err(Error::InUse(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            opened => return opened,
        }
    }
}

/// Opens what a cut left: all that was told holds, and it goes on.
async fn check(image: &Image, told: &Told, keks: &Keks, newest: u64) -> Result<(), String> {
    let dir = in_memory();
    image.store(dir.path()).unwrap();
    let wrong = |error: Error| error.to_string();
    let path = dir.path().join(KEYSTORE);
    let ring = || Keks::ring(keks.0.path(), newest, told.oldest);
    let keystore = open_free(&path, ring).await.map_err(wrong)?;
    check_keys(&keystore, told)?;
    keystore.scrub().await.map_err(wrong)?;
    keystore.create("more").await.map_err(wrong)?;
    keystore.create("less").await.map_err(wrong)?;
    keystore.shred("less").await.map_err(wrong)?;
    drop(keystore);
    let keystore = open_free(&path, ring).await.map_err(wrong)?;
    check_keys(&keystore, told)?;
    let goes_on = keystore.get("more").is_some() && keystore.get("less").is_none();
    if goes_on && keystore.damaged() == 0 { Ok(()) } else { Err("it does not go on".to_owned()) }
}

fn check_keys(keystore: &Keystore, told: &Told) -> Result<(), String> {
    for id in &told.shredded {
        if keystore.get(id).is_some() {
            return Err(format!("{id} was shredded"));
        }
    }
    for (id, sealed) in &told.created {
        let opened = keystore.get(id).map(|data_key| data_key.open(sealed, &context(id)));
        match opened {
            Some(Ok(secret)) if secret.expose() == id.as_bytes() => {}
            Some(_) => return Err(format!("{id} has another data key")),
            None if told.shredding.contains(id) => {}
            None => return Err(format!("{id} was created")),
        }
    }
    Ok(())
}

async fn must_hold(cuts: Vec<Cut>, keks: &Keks, newest: u64, what: &str) {
    for Cut { after, seed, image, told } in cuts {
        if let Err(wrong) = check(&image, &told, keks, newest).await {
            let dir = tempfile::tempdir().unwrap().keep();
            image.store(&dir).unwrap();
            panic!(
                "{what}, cut after {after} records (seed {seed}): {wrong}; the disk is in {}",
                dir.display()
            );
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_holds_when_the_power_fails() {
    let mut random = Random::new(number("SEALING_POWER_CUT_SEED", 1));
    let keks = Keks::new();
    let (mut disk, mut before) = (disk_with_a_folder(), Told::default());
    for newest in 0..number("SEALING_POWER_CUT_ROUNDS", ROUNDS) {
        let dir = tempfile::tempdir().unwrap();
        let layer = Layer::new(dir.path(), &disk).unwrap();
        let child = child(&layer, &keks, "changes_until_killed", (newest, before.oldest));
        let records = run(child, &layer, 400 + random.up_to(300) as usize);
        let count = records.len() as u64;
        // Half of the cuts while it opens, made by it or cut before, and begins to wrap anew.
        let places = (0..CUTS_PER_ROUND).map(|n| match n % 2 {
            0 => random.up_to(count) as usize,
            _ => random.up_to(count.min(100)) as usize,
        });
        let places = places.collect();
        let cuts = cut((&disk, &before), &records, places, &mut random);
        // The next child finds what one of the cuts left, and its power fails again.
        let next = &cuts[random.up_to(cuts.len() as u64 - 1) as usize];
        (disk, before) = (next.image.clone(), next.told.clone());
        must_hold(cuts, &keks, newest, &format!("round {newest}")).await;
    }
}

/// Each step of the making of a keystore, several times.
#[tokio::test]
async fn a_keystore_whose_making_was_cut_is_made_all_the_same() {
    let mut random = Random::new(number("SEALING_POWER_CUT_SEED", 1));
    let keks = Keks::new();
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap();
    let records = run(child(&layer, &keks, "changes_until_killed", (0, 0)), &layer, 40);
    let places = (0..records.len().min(40)).flat_map(|place| [place; 6]).collect();
    let before = (&disk_with_a_folder(), &Told::default());
    must_hold(cut(before, &records, places, &mut random), &keks, 0, "in the making").await;
}

/// With a drive that says that all is well and makes nothing durable, these tests must find losses.
#[tokio::test]
async fn without_its_syncs_the_keystore_does_not_hold() {
    let mut random = Random::new(number("SEALING_POWER_CUT_SEED", 1));
    let keks = Keks::new();
    let dir = tempfile::tempdir().unwrap();
    let rules = [rule(Call::Sync, "keystore", When::From(1), Failure::Lie)];
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().rules(rules);
    let records = run(child(&layer, &keks, "changes_until_killed", (0, 0)), &layer, 300);
    let places = (0..60).map(|_| random.up_to(records.len() as u64) as usize).collect();
    let before = (&disk_with_a_folder(), &Told::default());
    let mut found = BTreeMap::<&str, u32>::new();
    for Cut { image, told, .. } in cut(before, &records, places, &mut random) {
        let checked = check(&image, &told, &keks, 0).await;
        let whats = ["was shredded", "was created", "has another"];
        let what = checked.map_or_else(
            |wrong| *whats.iter().find(|what| wrong.contains(**what)).expect(&wrong),
            |()| "nothing",
        );
        *found.entry(what).or_default() += 1;
    }
    assert!(found.contains_key("was shredded") && found.contains_key("was created"), "{found:?}");
}

fn rule(call: Call, file: &str, when: When, failure: Failure) -> Rule {
    Rule { call, file: file.to_owned(), when, failure }
}

fn finish(mut command: std::process::Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the half below which the disk fails, to its end, and checks what is left of it.
async fn outlive(rule: Rule) -> Vec<String> {
    let (dir, keks) = (tempfile::tempdir().unwrap(), Keks::new());
    let what = rule.to_string();
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().rules([rule]);
    finish(child(&layer, &keks, "changes_while_the_disk_fails", (1, 0)));
    let records = layer.records().unwrap();
    let seed = number("SEALING_POWER_CUT_SEED", 1);
    let before = (&disk_with_a_folder(), &Told::default());
    let places = vec![records.len(); 8];
    let mut cuts = cut(before, &records, places, &mut Random::new(seed));
    let image = Image::load(&layer.disk()).unwrap();
    cuts.push(Cut { image, after: records.len(), seed, told: cuts[0].told.clone() });
    assert!(cuts[0].told.created.len() >= 4 * WORKERS, "{what}");
    must_hold(cuts, &keks, 1, &what).await;
    said(&records)
}

fn count(said: &[String], word: &str) -> usize {
    said.iter().filter(|line| line.split(' ').next() == Some(word)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn changes_while_the_disk_fails() {
    say("");
    let keystore = Arc::new(open_here().await.unwrap());
    let workers = (0..WORKERS).map(|worker| {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move {
            let name = Uuid::new_v4().simple().to_string();
            for n in 0..20 {
                if n == 5 && worker == 0 {
                    raise("bad").unwrap();
                }
                let id = format!("{name}N{n}");
                let mut done = create(&keystore, &id).await;
                if n % 3 != 2 && done.is_ok() {
                    done = shred(&keystore, &id).await;
                }
                match done {
                    Ok(()) => {}
                    Err(Error::Unavailable(why)) => return say(&format!("unavailable {why}")),
                    // Nothing was changed, and nothing has failed.
                    Err(Error::Full) => return say("full"),
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    // The disk is well again. What it lost cannot be known: a keystore that has failed stays failed.
    lower("bad").unwrap();
    let again = create(&keystore, "again").await;
    let failed = tokio::time::timeout(Duration::ZERO, keystore.failed()).await;
    match failed {
        Err(_) => again.unwrap(),
        Ok(why) => {
            assert!(matches!(again, Err(Error::Unavailable(_))), "{again:?}");
            say(&format!("failed {why}"));
        }
    }
    // What is there can be read until the process ends.
    assert!(keystore.ids().all(|id| keystore.get(&id).is_some()));
}

fn while_bad() -> When {
    When::While("bad".to_owned())
}

#[tokio::test]
async fn a_failed_sync_or_write_fails_the_keystore_for_good_and_loses_nothing_acknowledged() {
    for (call, failure) in [
        (Call::Sync, Failure::Io),
        (Call::Write, Failure::Io),
        // What is half written has failed: a slot is no longer as it was.
        (Call::Write, Failure::NoRoom(700)),
    ] {
        let said = outlive(rule(call, "keystore", while_bad(), failure)).await;
        assert_eq!(count(&said, "failed"), 1, "{failure:?}");
        assert!(count(&said, "unavailable") > 0, "{failure:?}");
    }
}

/// As on a file system that copies on write, whose disk is full: also what is there is not written over.
#[tokio::test]
async fn what_finds_no_room_is_refused_whole_and_the_keystore_goes_on() {
    let said = outlive(rule(Call::Write, "keystore", while_bad(), Failure::NoRoom(0))).await;
    assert_eq!((count(&said, "failed"), count(&said, "unavailable")), (0, 0));
    assert!(count(&said, "full") > 0);
}

#[tokio::test]
async fn on_a_disk_without_room_keys_are_shredded_and_made_again_with_room() {
    let (dir, keks) = (tempfile::tempdir().unwrap(), Keks::new());
    let full = When::While("full".to_owned());
    let rules = [rule(Call::Grow, "", full, Failure::NoRoom(0))];
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().rules(rules);
    finish(child(&layer, &keks, "fills_its_disk", (0, 0)));
    let records = layer.records().unwrap();
    let said = said(&records);
    assert!(count(&said, "full") > WORKERS && count(&said, "created") > SLOTS, "{said:?}");
    let before = (&disk_with_a_folder(), &Told::default());
    let mut random = Random::new(number("SEALING_POWER_CUT_SEED", 1));
    let mut places = vec![records.len(); 4];
    places.extend((0..16).map(|_| random.up_to(records.len() as u64) as usize));
    must_hold(cut(before, &records, places, &mut random), &keks, 0, "full at times").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the test above"]
async fn fills_its_disk() {
    say("");
    let keystore = Arc::new(open_here().await.unwrap());
    let full = async |id: &str| {
        let error = create(&keystore, id).await.unwrap_err();
        assert!(matches!(error, Error::Full), "{error:?}");
        say("full");
    };
    raise("full").unwrap(); // before the file has any slot
    full("never").await;
    lower("full").unwrap();
    create(&keystore, "first").await.unwrap();
    raise("full").unwrap();
    let workers = (0..WORKERS).map(|worker| {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move {
            for n in 0.. {
                match create(&keystore, &format!("{worker}N{n}")).await {
                    Ok(()) => {}
                    Err(Error::Full) => return say("full"),
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(keystore.ids().count(), SLOTS, "as many as there is room for");
    // Shredding needs no room, and makes some.
    shred(&keystore, "first").await.unwrap();
    create(&keystore, "second").await.unwrap();
    full("third").await;
    assert!(keystore.get("third").is_none() && keystore.get("second").is_some());
    drop(keystore);
    let keystore = Arc::new(open_here().await.unwrap());
    shred(&keystore, "second").await.unwrap();
    lower("full").unwrap();
    for id in ["third", "fourth"] {
        create(&keystore, id).await.unwrap();
    }
}

#[tokio::test]
async fn short_writes_are_gone_on_with() {
    let said = outlive(rule(Call::Write, "keystore", When::From(1), Failure::Short)).await;
    assert_eq!((count(&said, "failed"), count(&said, "created")), (0, 20 * WORKERS + 1));
}

/// A process is killed between the write and the sync of a shredding. The next one finds nothing to
/// shred, and says so; then that must be durable.
#[tokio::test]
async fn what_was_shredded_after_a_kill_stays_shredded_when_the_power_fails_then() {
    let (dir, keks) = (tempfile::tempdir().unwrap(), Keks::new());
    // Longer than the first process lives after it has written.
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().sync_micros(200_000);
    finish(child(&layer, &keks, "creates_and_begins_to_shred", (0, 0)));
    shred_again(&layer, &keks).await;
}

/// The kernel holds for clean what it could not write: a restart finds it, and no sync writes it.
#[tokio::test]
async fn what_was_shredded_after_a_failed_sync_stays_shredded_when_the_power_fails_then() {
    let (dir, keks) = (tempfile::tempdir().unwrap(), Keks::new());
    let rules = [rule(Call::Sync, "keystore", while_bad(), Failure::Io)];
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().rules(rules);
    finish(child(&layer, &keks, "creates_and_fails_to_shred", (0, 0)));
    shred_again(&layer.without_rules(), &keks).await;
}

/// What an earlier child began to shred, another shreds; then the power fails.
async fn shred_again(layer: &Layer, keks: &Keks) {
    let mut begun = Told::default();
    said(&layer.records().unwrap()).iter().for_each(|line| begun.hear(line));
    let ids: Vec<_> = begun.shredding.difference(&begun.shredded).cloned().collect();
    let mut again = child(layer, keks, "shreds", (0, 0));
    again.env(SHRED, ids.join(" "));
    finish(again);
    let records = layer.records().unwrap();
    let places = vec![records.len(); 20];
    let before = (&disk_with_a_folder(), &Told::default());
    let cuts = cut(before, &records, places, &mut Random::new(1));
    assert!(!ids.is_empty() && ids.iter().all(|id| cuts[0].told.shredded.contains(id)));
    must_hold(cuts, keks, 0, "shredded again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn creates_and_begins_to_shred() {
    say("");
    let keystore = Arc::new(open_here().await.unwrap());
    create(&keystore, "AKIA").await.unwrap();
    let slow = Arc::clone(&keystore);
    let shredding = tokio::spawn(async move { shred(&slow, "AKIA").await });
    // Gone from memory, and then from the file, before the sync begins.
    while keystore.get("AKIA").is_some() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!shredding.is_finished());
    std::process::exit(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn creates_and_fails_to_shred() {
    say("");
    let keystore = open_here().await.unwrap();
    create(&keystore, "AKIA").await.unwrap();
    raise("bad").unwrap();
    let Err(Error::Unavailable(_)) = shred(&keystore, "AKIA").await else { panic!("shredded") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn shreds() {
    say("");
    let keystore = open_here().await.unwrap();
    for id in env::var(SHRED).unwrap().split(' ') {
        shred(&keystore, id).await.unwrap();
    }
}

/// A process ends between the naming of a new keystore and the sync of its folder. The next one finds
/// the name there.
#[tokio::test]
async fn a_keystore_whose_making_failed_is_there_when_the_power_fails_later() {
    let (dir, keks) = (tempfile::tempdir().unwrap(), Keks::new());
    let first = [rule(Call::Sync, FOLDER, When::At(1), Failure::Io)];
    let layer = Layer::new(dir.path(), &disk_with_a_folder()).unwrap().rules(first);
    finish(child(&layer, &keks, "does_not_open", (0, 0)));
    let layer = layer.without_rules();
    let records = run(child(&layer, &keks, "changes_until_killed", (0, 0)), &layer, 300);
    let places = vec![records.len(); 20];
    let before = (&disk_with_a_folder(), &Told::default());
    let cuts = cut(before, &records, places, &mut Random::new(1));
    must_hold(cuts, &keks, 0, "its making failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn does_not_open() {
    say("");
    let Err(Error::Io { .. }) = open_here().await else { panic!("it opens") };
}

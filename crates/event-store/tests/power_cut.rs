//! The power fails below the log, or the disk does: what was acknowledged is there, and the chain is
//! whole.
//!
//! A child appends with the layer of `fault-disk` below it; what it did is played up to many places,
//! and cut there. What the model leaves of a disk is told in that crate.
//!
//! `EVENT_STORE_POWER_CUT_ROUNDS` asks for more rounds than the few of every day, and
//! `EVENT_STORE_POWER_CUT_SEED` for others.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use event_store::conformance::{Backend, START_MS, batch, event, release, take};
use event_store::{
    AppendError, Appended, Batch, EventLog, Fault, ManualClock, OpenError, Position, ReadError,
    Recorded, SledLog, SledOptions, verify,
};
use fault_disk::{
    Call, Disk, Failure, Image, Layer, Random, Record, Rule, When, environment, lower, raise, said,
    sync_all,
};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use uuid::Uuid;

const NO_SYNC: &str = "EVENT_STORE_POWER_CUT_NO_SYNC";
const ROUNDS: u64 = 4;
/// Then another log is begun.
const ROUNDS_OF_A_LOG: u64 = 8;
const CUTS_PER_ROUND: usize = 16;
const WRITERS: usize = 16;
const EVENTS_PER_BATCH: u32 = 3;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What a child said up to some moment.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Log, position and hash that it found when it opened the log.
    opened: Option<(Uuid, u64, String)>,
    /// First and last position, and command.
    acknowledged: Vec<(u64, u64, Uuid)>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["opened", log, position, hash] => {
                let log = log.parse().unwrap();
                self.opened = Some((log, position.parse().unwrap(), hash.to_owned()));
            }
            ["acknowledged", first, last, command] => {
                let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
                self.acknowledged.push((first, last, command.parse().unwrap()));
            }
            _ => {}
        }
    }
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Where the log is below a disk.
const LOG: &str = "log";
/// Where a child has it, if elsewhere.
const ELSEWHERE: &str = "EVENT_STORE_POWER_CUT_LOG";

fn log_dir() -> PathBuf {
    let log = env::var(ELSEWHERE).unwrap_or(LOG.to_owned());
    Path::new(&env::var_os(environment::FOLDER).unwrap()).join(log)
}

/// What events of a command hold: long or short, and nothing that another's would.
fn payload(command: Uuid, index: u32) -> String {
    let length = (command.as_u128() >> 32) as usize % 1500;
    format!("{command} {index} {}", "x".repeat(length))
}

fn command(name: &str, taken: bool) -> Batch {
    let claims = if taken { vec![release(name)] } else { vec![take(name)] };
    let empty = batch([name, "everybody", name].map(|stream| event(stream, "")));
    let id = empty.command_id;
    let filled = empty.events.into_iter().zip(0..);
    let events = filled.map(|(event, index)| event_store::NewEvent {
        payload: payload(id, index).into(),
        ..event
    });
    Batch { events: events.collect(), claims, ..empty }
}

/// Runs the half that is killed, until it has acknowledged so many batches.
fn run(layer: &Layer, acknowledged: usize, variable: Option<(&str, &str)>) -> Vec<Record> {
    let mut command = layer.command(&env::current_exe().unwrap());
    command.args(["--exact", "appends_until_killed", "--ignored", "--nocapture"]);
    command.envs(variable);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut heard, mut line) = (Told::default(), String::new());
    while lines.read_line(&mut line).unwrap() > 0 {
        heard.hear(&line);
        if heard.acknowledged.len() >= acknowledged {
            layer.stop().unwrap(); // and read on, to its end
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(heard.acknowledged.len() >= acknowledged, "{heard:?}");
    layer.records().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn appends_until_killed() {
    let mut options = SledOptions::new(log_dir());
    if env::var_os(NO_SYNC).is_some() {
        options = options.sync(Box::new(|| Ok(())));
    }
    say("");
    let log = Arc::new(SledLog::open(options).await.unwrap());
    let head = log.head();
    say(&format!("opened {} {} {}", log.log_id(), head.position, head.hash));
    let writers = (0..WRITERS).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let name = Uuid::new_v4().to_string();
            for n in 0_u64.. {
                let command = command(&name, n % 2 == 1);
                let id = command.command_id;
                let at = log.append(command).await.unwrap();
                say(&format!("acknowledged {} {} {id}", at.first, at.last));
            }
        })
    });
    join_all(writers).await;
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
    before: &Image,
    records: &[Record],
    mut places: Vec<usize>,
    random: &mut Random,
) -> Vec<Cut> {
    places.sort_unstable();
    let (mut disk, mut played, mut cuts) = (Disk::new(before), 0, Vec::new());
    for after in places {
        records[played..after].iter().try_for_each(|record| disk.apply(record)).unwrap();
        played = after;
        let mut told = Told::default();
        said(&records[..after]).iter().for_each(|line| told.hear(line));
        let seed = random.any();
        cuts.push(Cut { after, seed, image: disk.cut(seed), told });
    }
    cuts
}

/// Places to cut at: just before a sync has ended, just after it, or anywhere.
fn places(
    records: &[Record],
    from: usize,
    to: usize,
    count: usize,
    random: &mut Random,
) -> Vec<usize> {
    let is_sync = |place: &usize| matches!(records[*place], Record::Synced { .. });
    let syncs: Vec<usize> = (from..to).filter(is_sync).collect();
    let place = |n| match n % 3 {
        0 => from + random.up_to((to - from) as u64) as usize,
        which => syncs[random.up_to(syncs.len() as u64 - 1) as usize] + which - 1,
    };
    (0..count).map(place).collect()
}

/// After how many records the last child had opened its log.
fn opened_after(records: &[Record]) -> usize {
    let is_opened =
        |record: &Record| matches!(record, Record::Said { bytes } if bytes.starts_with(b"opened"));
    records.iter().rposition(is_opened).unwrap()
}

/// Why a log that was opened after a cut is not as it should be.
type Wrong = String;

/// A folder whose syncs take no time, where there is one: what is checked there is not cut again.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Opens a log. A child that another test starts holds all open files for a moment, and their locks.
async fn open_free(dir: &Path) -> Result<SledLog, OpenError> {
    loop {
        match SledLog::open(SledOptions::new(dir)).await {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            opened => return opened,
        }
    }
}

/// Opens what a cut left: all that was told is there, all that is there is whole, and it goes on.
async fn check(image: &Image, told: &Told) -> Result<u64, Wrong> {
    let dir = in_memory();
    image.store(dir.path()).unwrap();
    let wrong = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let path = dir.path().join(LOG);
    let log = open_free(&path).await.map_err(|error| wrong(&error))?;
    let verified = verify(&log, None).await.map_err(|error| wrong(&error))?;
    if verified.head != log.head() {
        return Err("verified to another head".to_owned());
    }
    check_events(&log, told).await?;
    let mut last = log.head().position.0;
    for n in 0..2 {
        let at = log.append(command(&Uuid::new_v4().to_string(), false)).await;
        let at = at.map_err(|error| wrong(&error))?;
        if (at.first.0, at.duplicate) != (last + 1, false) {
            return Err(format!("append {n} is {at:?}, after {last}"));
        }
        last = at.last.0;
    }
    log.close().await;
    drop(log);
    let log = open_free(&path).await.map_err(|error| wrong(&error))?;
    check_events(&log, told).await?;
    if log.head().position.0 == last { Ok(last) } else { Err("what went on is lost".to_owned()) }
}

async fn check_events(log: &SledLog, told: &Told) -> Result<(), Wrong> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = log.read(after, 4096).await.map_err(|error| format!("{error:?}"))?;
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    for event in &events {
        let whole = payload(event.command_id, event.batch_index);
        if event.payload != whole.as_bytes() || event.batch_len != EVENTS_PER_BATCH {
            return Err(format!("event {} is not as it was given", event.position));
        }
    }
    if !events.len().is_multiple_of(EVENTS_PER_BATCH as usize) {
        return Err("a batch is half there".to_owned());
    }
    for &(first, last, command) in &told.acknowledged {
        let recorded = events.get(first as usize - 1..last as usize);
        if !recorded.is_some_and(|events| events.iter().all(|event| event.command_id == command)) {
            return Err(format!("{first} to {last} were acknowledged, of {}", events.len()));
        }
    }
    if let Some((log_id, position, hash)) = &told.opened {
        let seen = position.checked_sub(1).map(|index| events.get(index as usize));
        let is_there =
            seen.is_none_or(|event| event.is_some_and(|event| event.hash.to_string() == *hash));
        if !is_there || log.log_id() != *log_id {
            return Err(format!("the log was shown up to {position}, of {}", events.len()));
        }
    }
    Ok(())
}

async fn must_hold(cuts: Vec<Cut>, what: &str) {
    for Cut { after, seed, image, told } in cuts {
        let count = told.acknowledged.len();
        if let Err(wrong) = check(&image, &told).await {
            let dir = tempfile::tempdir().unwrap().keep();
            image.store(&dir).unwrap();
            panic!(
                "{what}, cut after {after} records (seed {seed}), {count} acknowledged: {wrong}; \
                 the disk is in {}",
                dir.display()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let (mut disk, mut before) = (Image::default(), Told::default());
    for round in 0..number("EVENT_STORE_POWER_CUT_ROUNDS", ROUNDS) {
        if round % ROUNDS_OF_A_LOG == 0 {
            (disk, before) = (Image::default(), Told::default());
        }
        let dir = tempfile::tempdir().unwrap();
        let layer = Layer::new(dir.path(), &disk).unwrap();
        let records = run(&layer, 150, None);
        let opened = opened_after(&records);
        let mut at = places(&records, opened, records.len() - 1, CUTS_PER_ROUND, &mut random);
        at.extend([opened + 1, opened + 2].repeat(2)); // it is open, and nothing is appended yet
        if before.opened.is_some() {
            // While it opens a log that was cut before. Its making is another test's.
            at.extend(places(&records, 0, opened, CUTS_PER_ROUND / 2, &mut random));
        }
        let mut cuts = cut(&disk, &records, at, &mut random);
        for cut in &mut cuts {
            cut.told.acknowledged.extend(&before.acknowledged);
            cut.told.opened = cut.told.opened.take().or(before.opened.clone());
        }
        // The next child finds what one of the cuts left, and its power fails again.
        let next = &cuts[random.up_to(cuts.len() as u64 - 1) as usize];
        (disk, before) = (next.image.clone(), next.told.clone());
        must_hold(cuts, &format!("round {round}")).await;
    }
}

/// Each step of the making of a log, several times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_making_was_cut_is_made_all_the_same() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let records = run(&layer, 1, None);
    let steps = 0..opened_after(&records) + 2;
    let places = steps.flat_map(|place| [place; 6]).collect();
    must_hold(cut(&Image::default(), &records, places, &mut random), "in the making").await;
}

/// sled writes its settings once, and never syncs them.
#[tokio::test]
async fn a_log_opens_however_its_settings_were_torn() {
    let dir = in_memory();
    drop(open_free(dir.path()).await.unwrap());
    let path = dir.path().join("conf");
    let whole = fs::read(&path).unwrap();
    for written in 0..whole.len() {
        for length in [written, whole.len()] {
            let mut torn = whole[..written].to_vec();
            torn.resize(length, 0);
            fs::write(&path, torn).unwrap();
            let log = open_free(dir.path()).await;
            assert!(log.is_ok(), "{written} of {length}: {:?}", log.err());
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }
}

/// Whoever makes the folders that lead to the log makes their names durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_made_for_a_log_are_there_with_it() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let records = run(&layer, 20, Some((ELSEWHERE, "some/folder/log")));
    let mut cuts = cut(&Image::default(), &records, vec![records.len(); 10], &mut random);
    for cut in &mut cuts {
        cut.image = cut.image.below("some/folder");
    }
    must_hold(cuts, "in a folder made for it").await;
}

/// What a process wrote and did not sync is seen by the next one, and gone with the power.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_log_shows_after_a_kill_is_not_lost_when_the_power_fails_then() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    for round in 0..number("EVENT_STORE_POWER_CUT_ROUNDS", ROUNDS) {
        let dir = tempfile::tempdir().unwrap();
        // Long syncs, so that most processes are killed within one.
        let layer = Layer::new(dir.path(), &Image::default()).unwrap().sync_micros(5000);
        run(&layer, 20, None);
        layer.go_on().unwrap();
        let records = run(&layer, 1, None);
        let opened = opened_after(&records);
        let started = records.iter().rposition(|record| *record == Record::Started).unwrap();
        let mut at = vec![opened + 1; 4];
        at.extend(places(&records, started, opened, 4, &mut random));
        at.extend(places(&records, opened, records.len() - 1, 4, &mut random));
        let cuts = cut(&Image::default(), &records, at, &mut random);
        must_hold(cuts, &format!("round {round}")).await;
    }
}

/// sled's own flush is a `sync_file_range`: with nothing but that, these tests must find losses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_own_sync_acknowledged_events_are_lost() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let records = run(&layer, 100, Some((NO_SYNC, "")));
    let opened = opened_after(&records);
    let (mut lost, mut kept) = (0, 0);
    let at = (0..20).map(|_| opened + random.up_to((records.len() - opened) as u64) as usize);
    for Cut { image, told, .. } in cut(&Image::default(), &records, at.collect(), &mut random) {
        match check(&image, &told).await {
            Ok(_) => kept += 1,
            Err(wrong) => {
                let told = ["were acknowledged", "Shortened"].iter().any(|why| wrong.contains(why));
                assert!(told, "{wrong}");
                lost += 1;
            }
        }
    }
    assert!(lost >= 5, "{lost} lost, {kept} kept");
}

fn rule(call: Call, file: &str, when: When, failure: Failure) -> Rule {
    Rule { call, file: file.to_owned(), when, failure }
}

fn while_bad() -> When {
    When::While("bad".to_owned())
}

/// Runs the half below which the disk fails, to its end. Gives what is on the disk if the process
/// alone ends, and what a loss of power then leaves, some ways.
async fn outlive(rule: Rule) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let what = rule.to_string();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap().rules([rule]);
    finish(&layer, "appends_while_the_disk_fails").await;
    let records = layer.records().unwrap();
    let seed = number("EVENT_STORE_POWER_CUT_SEED", 1);
    let mut cuts = cut(&Image::default(), &records, vec![records.len(); 8], &mut Random::new(seed));
    let image = Image::load(&layer.disk()).unwrap();
    cuts.push(Cut { image, after: records.len(), seed, told: cuts[0].told.clone() });
    assert!(cuts[0].told.acknowledged.len() >= 2 * WRITERS, "{what}");
    must_hold(cuts, &what).await;
    let said = said(&records);
    assert!(count(&said, "refused") == 0 || what.contains("no-room"), "{what}");
    said
}

fn count(said: &[String], word: &str) -> usize {
    said.iter().filter(|line| line.split(' ').next() == Some(word)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the tests here"]
async fn appends_while_the_disk_fails() {
    say("");
    let log = Arc::new(SledLog::open(SledOptions::new(log_dir())).await.unwrap());
    say(&format!("opened {} {} {}", log.log_id(), log.head().position, log.head().hash));
    let bad = Arc::new(AtomicBool::new(false));
    let writers = (0..WRITERS).map(|writer| {
        let (log, bad) = (Arc::clone(&log), Arc::clone(&bad));
        tokio::spawn(async move {
            let name = Uuid::new_v4().to_string();
            for n in 0..20 {
                if n == 10 && writer == 0 {
                    bad.store(true, Ordering::SeqCst);
                    raise("bad").unwrap();
                }
                let command = command(&name, n % 2 == 1);
                let id = command.command_id;
                match log.append(command).await {
                    Ok(Appended { first, last, .. }) => {
                        say(&format!("acknowledged {first} {last} {id}"));
                    }
                    Err(AppendError::OutcomeUnknown(why)) => {
                        say(&format!("unknown {why}"));
                        break;
                    }
                    Err(AppendError::Unavailable(why)) => {
                        say(&format!("unavailable {why}"));
                        break;
                    }
                    Err(refusal) => {
                        say(&format!("refused {refusal}"));
                        break;
                    }
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    // The disk is well again. What it lost cannot be known: a log that has failed takes no more.
    if bad.load(Ordering::SeqCst) {
        lower("bad").unwrap();
    }
    let head = log.head().position;
    let again = log.append(command("again", false)).await;
    match futures::future::FutureExt::now_or_never(log.failed()) {
        None => assert!(again.is_ok(), "{again:?}"),
        Some(why) => {
            assert!(matches!(again, Err(AppendError::Unavailable(_))), "{again:?}");
            assert_eq!(log.head().position, head);
            say(&format!("failed {why}"));
        }
    }
    // Reading goes on, whether the log has failed or not.
    assert_eq!(log.read(Position::START, 4096).await.unwrap().len() as u64, log.head().position.0);
    assert_eq!(verify(&*log, None).await.unwrap().head, log.head());
    let followed = log.subscribe(Position::START).take(log.head().position.0 as usize);
    let followed: Vec<_> = followed.map(|event| event.unwrap().position.0).collect().await;
    assert_eq!(followed, (1..=log.head().position.0).collect::<Vec<_>>());
    log.close().await;
    let closed = log.read(Position::START, 1).await;
    assert!(matches!(closed, Err(ReadError::Unavailable(_))), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_fails_the_log_for_good_and_loses_nothing_acknowledged() {
    let said = outlive(rule(Call::Sync, "db", while_bad(), Failure::Io)).await;
    assert_eq!(count(&said, "failed"), 1);
    assert!(count(&said, "unknown") > 0, "those in the group that failed");
    // Once only: a disk that is well again does not mend it.
    let said = outlive(rule(Call::Sync, "db", When::At(15), Failure::Io)).await;
    assert_eq!(count(&said, "failed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_writes_are_gone_on_with() {
    let said = outlive(rule(Call::Write, "db", When::From(3), Failure::Short)).await;
    assert_eq!((count(&said, "failed"), count(&said, "acknowledged")), (0, 20 * WRITERS));
    let said = outlive(rule(Call::Write, "anchor", while_bad(), Failure::Short)).await;
    assert_eq!((count(&said, "failed"), count(&said, "acknowledged")), (0, 20 * WRITERS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_acknowledged() {
    for room in [0, 10, 700, 30_000] {
        let said = outlive(rule(Call::Write, "db", while_bad(), Failure::NoRoom(room))).await;
        assert!(count(&said, "failed") <= 1, "a log may fail, or refuse and go on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_loses_nothing_acknowledged() {
    for file in ["db", "anchor"] {
        let said = outlive(rule(Call::Write, file, while_bad(), Failure::Io)).await;
        assert_eq!(count(&said, "failed"), 1);
    }
}

/// A log in a folder of its own on the disk below which the layer is. Opening it again goes through a
/// loss of power: it is then in another folder, with what was left in the one before.
struct OnThisDisk {
    clock: Arc<ManualClock>,
    name: String,
    cuts: Mutex<u64>,
}

fn on_this_disk() -> OnThisDisk {
    let clock = Arc::new(ManualClock::new(START_MS));
    OnThisDisk { clock, name: Uuid::new_v4().to_string(), cuts: Mutex::new(0) }
}

impl OnThisDisk {
    fn folder(&self, cut: u64) -> PathBuf {
        let disk = env::var_os(environment::FOLDER).expect("a test above runs this");
        Path::new(&disk).join(format!("{}-{cut}", self.name))
    }

    /// Where the log is now.
    fn dir(&self) -> PathBuf {
        self.folder(*self.cuts.lock().unwrap())
    }

    fn cut_power(&self) {
        let mut cuts = self.cuts.lock().unwrap();
        let (before, after) = (self.folder(*cuts), self.folder(*cuts + 1));
        if !before.exists() {
            return; // not made yet
        }
        let journal = env::var_os(environment::JOURNAL).unwrap();
        let mut disk = Disk::new(&Image::default());
        let records = fault_disk::read(Path::new(&journal)).unwrap();
        records.iter().try_for_each(|record| disk.apply(record)).unwrap();
        let left = disk.cut(number("EVENT_STORE_POWER_CUT_SEED", 1) + records.len() as u64);
        left.below(before.file_name().unwrap().to_str().unwrap()).store(&after).unwrap();
        sync_all(&after).unwrap();
        File::open(after.parent().unwrap()).unwrap().sync_all().unwrap();
        *cuts += 1;
    }
}

impl Backend for OnThisDisk {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, Fault>> {
        Box::pin(async move {
            self.cut_power();
            let options = SledOptions::new(self.dir()).clock(self.clock.clone());
            let options = options.checkpoint_key([7; 32]);
            match SledLog::open(options).await {
                Ok(log) => Ok(Arc::new(log) as Arc<dyn EventLog>),
                Err(OpenError::Fault(fault)) => Err(fault),
                Err(other) => panic!("{other:?}"),
            }
        })
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn tamper(&self, change: &mut dyn FnMut(&mut BTreeMap<u64, Bytes>)) {
        // On what a loss of power left: whoever had the log open may hold on to its files.
        self.cut_power();
        let config = sled::Config::new().path(self.dir()).flush_every_ms(None);
        let database = config.open().unwrap();
        let tree = database.open_tree("events").unwrap();
        let mut frames = BTreeMap::new();
        for entry in &tree {
            let (key, value) = entry.unwrap();
            let position = u64::from_be_bytes(key.as_ref().try_into().unwrap());
            frames.insert(position, Bytes::copy_from_slice(&value));
        }
        change(&mut frames);
        tree.clear().unwrap();
        for (position, frame) in frames {
            tree.insert(position.to_be_bytes(), frame.as_ref()).unwrap();
        }
        database.flush().unwrap();
        sync_all(&self.dir()).unwrap();
    }
}

mod suite {
    event_store::conformance_tests!(
        super::on_this_disk(),
        #[ignore = "runs with the layer below it; by the test beside"]
    );
}

#[test]
fn the_suite_passes_when_the_power_fails_before_each_opening() {
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let mut command = layer.command(&env::current_exe().unwrap());
    let output = command.args(["suite::", "--ignored", "--test-threads=2"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed =
        text.lines().filter(|line| line.starts_with("test suite::") && line.ends_with(" ok"));
    assert!(passed.count() >= 36, "{text}");
    let records = layer.records().unwrap();
    assert!(records.iter().any(|record| matches!(record, Record::Synced { .. })));
}

/// Runs a half that ends by itself.
async fn finish(layer: &Layer, test: &str) {
    let mut command = layer.command(&env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The kernel holds for clean what it could not write: a restart finds it, and no sync writes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_after_a_failed_sync_and_then_a_loss_of_power_lose_nothing_acknowledged() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    for when in [while_bad(), When::At(9), When::At(15)] {
        let dir = tempfile::tempdir().unwrap();
        let what = format!("restarted after {when:?}");
        let rules = [rule(Call::Sync, "db", when, Failure::Io)];
        let layer = Layer::new(dir.path(), &Image::default()).unwrap().rules(rules);
        finish(&layer, "appends_while_the_disk_fails").await;
        let layer = layer.without_rules();
        let records = run(&layer, 50, None);
        let started = records.iter().rposition(|record| *record == Record::Started).unwrap();
        let opened = opened_after(&records);
        let mut at = vec![records.len(); 6];
        at.extend(vec![opened + 1; 6]);
        at.extend(places(&records, started, opened, 6, &mut random));
        at.extend(places(&records, opened, records.len() - 1, 6, &mut random));
        must_hold(cut(&Image::default(), &records, at, &mut random), &what).await;
    }
}

/// What could not be made durable by one restart is made so by the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_upon_a_disk_that_still_fails_does_not_open_and_the_next_one_does() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let fails = |when| [rule(Call::Sync, "db", when, Failure::Io)];
    let layer = Layer::new(dir.path(), &Image::default()).unwrap().rules(fails(while_bad()));
    finish(&layer, "appends_while_the_disk_fails").await;
    let layer = layer.without_rules().rules(fails(When::From(1)));
    finish(&layer, "does_not_open").await;
    let layer = layer.without_rules();
    let records = run(&layer, 50, None);
    let mut at = vec![records.len(); 6];
    at.extend(vec![opened_after(&records) + 1; 6]);
    must_hold(cut(&Image::default(), &records, at, &mut random), "restarted twice").await;
}

#[tokio::test]
#[ignore = "the half below which the layer is; run by the test above"]
async fn does_not_open() {
    say("");
    let opened = SledLog::open(SledOptions::new(log_dir())).await;
    assert!(matches!(opened, Err(OpenError::Io { .. })), "{:?}", opened.err());
}

/// How often a file was written to by the last child, before it had opened its log.
fn writes_at_opening(records: &[Record], name: &str) -> usize {
    let started = records.iter().rposition(|record| *record == Record::Started).unwrap();
    let records = &records[started..opened_after(records)];
    let is_opened = |file: &u64| {
        records.iter().any(|record| {
            matches!(record, Record::Opened { file: number, path, .. }
                if number == file && path.ends_with(name))
        })
    };
    let is_write =
        |record: &&Record| matches!(record, Record::Wrote { file, .. } if is_opened(file));
    records.iter().filter(is_write).count()
}

/// To make durable what there is costs a pass over it: only where it must be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_closed_in_order_is_opened_without_writing_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    finish(&layer, "appends_while_the_disk_fails").await; // and it does not
    assert!(layer.disk().join(LOG).join("closed").exists());
    let records = run(&layer, 1, None);
    let closed = writes_at_opening(&records, "/db");
    assert!(!layer.disk().join(LOG).join("closed").exists());
    layer.go_on().unwrap();
    let records = run(&layer, 1, None);
    let killed = writes_at_opening(&records, "/db");
    assert!(killed > closed, "{killed} and {closed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_refuses_what_it_cannot_keep_and_goes_on_with_room() {
    let mut random = Random::new(number("EVENT_STORE_POWER_CUT_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let full = Rule {
        call: Call::Grow,
        file: String::new(),
        when: When::While("full".to_owned()),
        failure: Failure::NoRoom(0),
    };
    let layer = Layer::new(dir.path(), &Image::default()).unwrap().rules([full]);
    finish(&layer, "appends_on_a_disk_that_is_full_at_times").await;
    let records = layer.records().unwrap();
    let said = said(&records);
    assert!(count(&said, "full") > 0 && count(&said, "acknowledged") > 2 * WRITERS, "{said:?}");
    let opened = opened_after(&records);
    let mut at = vec![records.len(); 2];
    at.extend(places(&records, opened, records.len() - 1, 3, &mut random));
    let mut cuts = cut(&Image::default(), &records, at, &mut random);
    let image = Image::load(&layer.disk()).unwrap();
    let told = cuts.last().unwrap().told.clone();
    cuts.push(Cut { image, after: records.len(), seed: 0, told });
    must_hold(cuts, "full at times").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half below which the layer is; run by the test above"]
async fn appends_on_a_disk_that_is_full_at_times() {
    say("");
    let log = Arc::new(SledLog::open(SledOptions::new(log_dir())).await.unwrap());
    say(&format!("opened {} {} {}", log.log_id(), log.head().position, log.head().hash));
    let mut subscription = log.subscribe(Position::START);
    for round in 0..2_u64 {
        if round == 0 {
            raise("full").unwrap(); // before any room is taken ahead
        }
        let filled = append_until_full(&log, round).await;
        assert_eq!(filled == 0, round == 0);
        // Nothing failed, and reading goes on.
        let head = log.head();
        assert_eq!(verify(&*log, None).await.unwrap().head, head);
        for _ in 0..filled {
            subscription.next().await.unwrap().unwrap();
        }
        assert!(futures::future::FutureExt::now_or_never(log.failed()).is_none());
        lower("full").unwrap();
        let at = append(&log, &format!("room-{round}")).await.unwrap();
        assert_eq!(at.first.0, head.position.0 + 1);
        for _ in at.first.0..=at.last.0 {
            subscription.next().await.unwrap().unwrap();
        }
        raise("full").unwrap();
    }
    // It is full as the log is closed. To open it takes some of the reserve: there is none here.
    let head = log.head();
    log.close().await;
    drop((log, subscription));
    lower("full").unwrap();
    let log = open_free(&log_dir()).await.unwrap();
    assert_eq!(log.head(), head);
    append(&log, "at-last").await.unwrap();
    log.close().await;
}

async fn append(log: &SledLog, name: &str) -> Result<Appended, AppendError> {
    let command = command(name, false);
    let id = command.command_id;
    let at = log.append(command).await;
    match &at {
        Ok(Appended { first, last, .. }) => say(&format!("acknowledged {first} {last} {id}")),
        Err(why) => say(&format!("full {why}")),
    }
    at
}

/// Appends, many at once, until each of the writers has found the disk full. Gives how many events
/// came to the log.
async fn append_until_full(log: &Arc<SledLog>, round: u64) -> u64 {
    let before = log.head().position.0;
    let writers = (0..WRITERS).map(|writer| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for n in 0_u64.. {
                match append(&log, &format!("{round}-{writer}-{n}")).await {
                    Ok(_) => {}
                    Err(AppendError::Full) => return,
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    // One by one, as there may be room for less than was asked for at once.
    for n in 0.. {
        let head = log.head();
        if let Err(refused) = append(log, &format!("{round}-more-{n}")).await {
            assert!(matches!(refused, AppendError::Full), "{refused:?}");
            assert_eq!(log.head(), head, "nothing was numbered");
            break;
        }
    }
    log.head().position.0 - before
}

//! The layer below a real process: it sees what is done, in whatever way, and fails what it should.

#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fault_disk::{
    Call, Disk, Failure, Image, Layer, Record, Rule, When, environment, lower, raise, said,
    sync_all,
};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// Runs a test of this file that is ignored otherwise, with the layer below it.
#[track_caller]
fn child(layer: &Layer, test: &str) -> Vec<Record> {
    let mut command = layer.command(&env::current_exe().unwrap());
    let run = command.args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    layer.records().unwrap()
}

fn disk() -> PathBuf {
    env::var_os(environment::FOLDER).unwrap().into()
}

fn played(image: &Image, records: &[Record]) -> Disk {
    let mut disk = Disk::new(image);
    records.iter().try_for_each(|record| disk.apply(record)).unwrap();
    disk
}

#[test]
fn what_a_process_wrote_and_synced_is_what_a_cut_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("log", "0123456789"), ("gone", "x"), ("old", "y"), ("folder/in", "z")];
    let mut image =
        Image(files.iter().map(|(path, text)| (path.to_string(), Some((*text).into()))).collect());
    image.0.insert("folder".to_owned(), None);
    let layer = Layer::new(dir.path(), &image).unwrap();
    let records = child(&layer, "writes_in_every_way_and_syncs");
    let disk = played(&image, &records);
    let seen = Image::load(&layer.disk()).unwrap();
    assert_eq!(seen.0["log"].as_deref(), Some(&b"ab23cdeABC-!"[..]));
    assert_eq!(seen.0["appended"].as_deref(), Some(&b"onetwo"[..]));
    for seed in 0..100 {
        assert_eq!(disk.cut(seed), seen, "all of it was synced");
    }
    assert!(said(&records).contains(&"done".to_owned()));
}

#[test]
#[ignore = "the half below which the layer is; run by the test above"]
fn writes_in_every_way_and_syncs() {
    let disk = disk();
    let log = OpenOptions::new().read(true).write(true).open(disk.join("log")).unwrap();
    log.write_all_at(b"cd", 4).unwrap();
    let mut again = log.try_clone().unwrap();
    again.write_all(b"ab").unwrap();
    again.seek(SeekFrom::Start(6)).unwrap();
    assert_eq!(again.write_vectored(&[IoSlice::new(b"e"), IoSlice::new(b"ABC")]).unwrap(), 4);
    again.write_all(b"-!-").unwrap();
    log.set_len(12).unwrap();
    let append = |text: &[u8]| {
        let mut options = OpenOptions::new();
        options.append(true).create(true).open(disk.join("appended")).unwrap().write_all(text)
    };
    append(b"one").unwrap();
    append(b"two").unwrap();
    fs::create_dir(disk.join("made")).unwrap();
    fs::write(disk.join("made/a"), "long").unwrap();
    fs::write(disk.join("made/a"), "new").unwrap();
    fs::write(disk.join("made/b"), "b").unwrap();
    fs::rename(disk.join("made/a"), disk.join("made/b")).unwrap();
    env::set_current_dir(&disk).unwrap();
    fs::write("./folder/../relative", "r").unwrap();
    fs::rename("old", "new").unwrap();
    fs::remove_file("gone").unwrap();
    fs::remove_file("folder/in").unwrap();
    fs::remove_dir("folder").unwrap();
    sync_all(&disk).unwrap();
    println!("\ndone");
}

#[test]
fn what_a_process_did_not_sync_may_be_gone() {
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let records = child(&layer, "writes_and_syncs_half");
    let disk = played(&Image::default(), &records);
    let cuts: Vec<_> = (0..200).map(|seed| disk.cut(seed).0.remove("a")).collect();
    assert!(cuts.contains(&None), "its name was not synced");
    let bytes = |text: &[u8]| Some(Some(text.to_vec()));
    assert!(cuts.contains(&bytes(b"one")) && cuts.contains(&bytes(b"onetwo")));
    assert!(cuts.iter().flatten().flatten().all(|bytes| bytes.starts_with(b"one")));
}

#[test]
#[ignore = "the half below which the layer is; run by the test above"]
fn writes_and_syncs_half() {
    let mut file = File::create(disk().join("a")).unwrap();
    file.write_all(b"one").unwrap();
    file.sync_data().unwrap();
    file.write_all(b"two").unwrap();
}

#[test]
fn calls_fail_as_they_are_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let rule = |call, file: &str, when, failure| {
        let file = file.to_owned();
        Rule { call, file, when, failure }
    };
    let layer = Layer::new(dir.path(), &Image::default()).unwrap().rules([
        rule(Call::Sync, "sync", When::At(2), Failure::Io),
        rule(Call::Write, "short", When::At(1), Failure::Short),
        rule(Call::Write, "room", When::From(1), Failure::NoRoom(5)),
        rule(Call::Write, "flag", When::While("bad".to_owned()), Failure::Io),
        rule(Call::Grow, "", When::While("full".to_owned()), Failure::NoRoom(0)),
    ]);
    let records = child(&layer, "meets_faults");
    let failed = records
        .iter()
        .filter(|record| matches!(record, Record::Synced { durable, .. } if !durable));
    assert_eq!(failed.count(), 1);
    let seen = Image::load(&layer.disk()).unwrap();
    assert_eq!(seen.0["room"].as_deref(), Some(&b"12345"[..]));
}

#[test]
#[ignore = "the half below which the layer is; run by the test above"]
fn meets_faults() {
    let file = |name: &str| File::create(disk().join(name)).unwrap();
    let synced = file("sync");
    let codes = [(); 3].map(|()| synced.sync_data().err().and_then(|error| error.raw_os_error()));
    assert_eq!(codes, [None, Some(5), None]);
    let mut short = file("short");
    assert_eq!([short.write(b"123456").unwrap(), short.write(b"123456").unwrap()], [3, 6]);
    let mut room = file("room");
    room.write_all(b"123").unwrap();
    assert_eq!(room.write_all(b"4567").unwrap_err().kind(), ErrorKind::StorageFull);
    let flagged = |path: &Path| -> io::Result<()> { fs::write(path, "x") };
    let path = disk().join("flag");
    flagged(&path).unwrap();
    raise("bad").unwrap();
    assert_eq!(flagged(&path).unwrap_err().raw_os_error(), Some(5));
    lower("bad").unwrap();
    flagged(&path).unwrap();

    // What has blocks is written over on a full disk, too.
    let grown = file("grown");
    let grow = |at: u64, bytes: u64| fallocate(&grown, FallocateFlags::KEEP_SIZE, at, bytes);
    let available = || statvfs(disk()).unwrap().f_bavail;
    grow(0, 8192).unwrap();
    assert!(available() > 0);
    raise("full").unwrap();
    assert_eq!((grow(8192, 4096), available()), (Err(Errno::NOSPC), 0));
    assert_eq!(grown.write_at(&[1; 9000], 0).unwrap(), 8192);
    assert_eq!(grown.write_at(b"x", 8192).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file("new").write(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    lower("full").unwrap();
    assert_eq!(grown.write_at(b"x", 8192).unwrap(), 1);
    assert!(grow(8192, 4096).is_ok() && available() > 0);
}

#[test]
fn what_is_not_modelled_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new(dir.path(), &Image::default()).unwrap();
    let records = child(&layer, "makes_a_link");
    let mut disk = Disk::new(&Image::default());
    let played: Result<(), _> = records.iter().try_for_each(|record| disk.apply(record));
    assert_eq!(played.unwrap_err().0, "link");
}

#[test]
#[ignore = "the half below which the layer is; run by the test above"]
fn makes_a_link() {
    fs::write(disk().join("a"), "x").unwrap();
    fs::hard_link(disk().join("a"), disk().join("b")).unwrap();
}

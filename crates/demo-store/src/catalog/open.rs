//! Reading everything back when a store is opened, after a clean end or a crash.

use super::{Bucket, Catalog, Object, Part, Upload};
use crate::files::{self, Files};
use crate::record::{BucketRecord, ObjectRecord, PartRecord, Segment, UploadRecord};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::RandomState;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use uuid::Uuid;

impl Catalog {
    /// Reads everything back that is written down in `dir` and sweeps what is left over.
    ///
    /// # Errors
    /// As for [`Files::open`], and `InvalidData` if a record cannot be understood.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let files = Files::open(dir)?;
        let mut recorded = HashSet::new();
        let mut buckets = BTreeMap::new();
        for path in files::entries(&files.buckets())? {
            match files::read_record::<BucketRecord>(&path.join("bucket.json"))? {
                Some(record) => {
                    let bucket = open_bucket(&files, record, &mut recorded)?;
                    buckets.insert(bucket.record.name.clone(), bucket);
                }
                None => fs::remove_dir_all(&path)?,
            }
        }
        let swept = files.sweep(&recorded)?;
        tracing::debug!(buckets = buckets.len(), swept, "opened the store");
        Ok(Self {
            files,
            buckets: RwLock::new(buckets),
            bucket_gate: RwLock::new(()),
            key_gates: [const { Mutex::new(()) }; 64],
            key_hash: RandomState::new(),
        })
    }
}

fn open_bucket(
    files: &Files,
    record: BucketRecord,
    recorded: &mut HashSet<Uuid>,
) -> io::Result<Bucket> {
    let mut objects = BTreeMap::new();
    for record in files::read_records::<ObjectRecord>(&files.objects(&record.name), None)? {
        recorded.extend(record.segments.iter().map(|segment| segment.blob));
        let blob = |segment: &Segment| files.recorded_blob(segment.blob);
        let blobs = record.segments.iter().map(blob).collect();
        objects.insert(record.key.clone(), Arc::new(Object { record, blobs }));
    }
    let mut uploads = BTreeMap::new();
    for dir in files::entries(&files.uploads(&record.name))? {
        let upload = files::read_record::<UploadRecord>(&dir.join("upload.json"))?;
        let parts = files::read_records::<PartRecord>(&dir, Some("upload.json"))?;
        // A part that an object has by now belongs to an upload that was just being completed.
        let completed = parts.iter().any(|part| recorded.contains(&part.segment.blob));
        let Some(record) = upload.filter(|_| !completed) else {
            fs::remove_dir_all(&dir)?;
            continue;
        };
        recorded.extend(parts.iter().map(|part| part.segment.blob));
        let part = |record: PartRecord| {
            let blob = files.recorded_blob(record.segment.blob);
            (record.number, Arc::new(Part { record, blob }))
        };
        let parts = RwLock::new(parts.into_iter().map(part).collect());
        let name = (record.key.clone(), record.id.clone());
        uploads.insert(name, Arc::new(Upload { record, parts }));
    }
    Ok(Bucket { record, objects, uploads })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksums;
    use crate::condition::WriteCondition;
    use crate::files::Blob;
    use crate::record::{Properties, now};
    use crate::tagging::Tags;

    fn bucket(name: &str) -> BucketRecord {
        BucketRecord { name: name.into(), created: now(), location: None }
    }

    fn bytes(catalog: &Catalog, text: &str) -> (Segment, Arc<Blob>) {
        let blob = catalog.files.new_blob();
        fs::write(blob.path(), text).expect("writes");
        (Segment { blob: blob.id(), size: text.len() as u64 }, blob)
    }

    fn put(catalog: &Catalog, key: &str, text: &str) -> Arc<Object> {
        let (segment, blob) = bytes(catalog, text);
        let record = ObjectRecord {
            key: key.into(),
            etag: text.into(),
            segments: vec![segment],
            ..ObjectRecord::default()
        };
        let object = Object { record, blobs: vec![blob] };
        catalog.put_object("b", object, &WriteCondition::Always).expect("puts")
    }

    fn files_in(dir: &Path) -> usize {
        files::entries(dir).expect("lists").len()
    }

    #[test]
    fn what_was_put_is_there_after_reopening() {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path()).expect("opens");
        catalog.create_bucket(bucket("b")).expect("creates");
        for key in ["dir", "dir/f", "../../x", "a//b"] {
            put(&catalog, key, key);
        }
        catalog.set_tags("b", "dir", Tags::from([("k".into(), "v".into())])).expect("tags");
        catalog.delete_object("b", "a//b", &WriteCondition::Always).expect("deletes");
        drop(catalog);

        let catalog = Catalog::open(dir.path()).expect("reopens");
        let keys = catalog.with_bucket("b", |b| b.objects.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys.expect("a bucket"), ["../../x", "dir", "dir/f"]);
        let object = catalog.object("b", "dir").expect("an object");
        assert_eq!(object.record.tags["k"], "v");
        assert_eq!(fs::read_to_string(object.blobs[0].path()).expect("reads"), "dir");
        assert_eq!(files_in(&catalog.files.data()), 3);
    }

    #[test]
    fn replaced_bytes_go_once_their_reader_is_done() {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path()).expect("opens");
        catalog.create_bucket(bucket("b")).expect("creates");
        let old = put(&catalog, "k", "old");
        drop(put(&catalog, "k", "new"));
        assert_eq!(fs::read_to_string(old.blobs[0].path()).expect("still there"), "old");
        drop(old);
        assert_eq!(files_in(&catalog.files.data()), 1);
    }

    #[test]
    fn leftovers_of_a_crash_are_swept_at_open() {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path()).expect("opens");
        catalog.create_bucket(bucket("b")).expect("creates");
        drop(put(&catalog, "k", "whole"));
        let half_record = catalog.files.object_record("b", "other").with_extension("new");
        fs::write(&half_record, "{\"key\":").expect("writes");
        fs::write(catalog.files.data().join(Uuid::now_v7().to_string()), "half").expect("writes");
        fs::create_dir_all(catalog.files.objects("half-a-bucket")).expect("creates");
        fs::create_dir_all(catalog.files.upload("b", "half-an-upload")).expect("creates");
        drop(catalog);

        let catalog = Catalog::open(dir.path()).expect("reopens");
        assert!(!half_record.exists());
        assert_eq!(files_in(&catalog.files.data()), 1);
        assert_eq!(files_in(&catalog.files.buckets()), 1);
        assert_eq!(files_in(&catalog.files.uploads("b")), 0);
        assert!(catalog.object("b", "k").is_ok());
    }

    #[test]
    fn a_crash_while_completing_keeps_the_object_and_drops_the_upload() {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path()).expect("opens");
        catalog.create_bucket(bucket("b")).expect("creates");
        let upload = UploadRecord {
            id: "u".into(),
            key: "k".into(),
            initiated: now(),
            properties: Properties::default(),
            tags: Tags::new(),
            algorithm: None,
            composite: false,
        };
        catalog.create_upload("b", upload).expect("starts");
        let (segment, blob) = bytes(&catalog, "part");
        let record = PartRecord {
            number: 1,
            etag: "e".into(),
            last_modified: now(),
            segment: segment.clone(),
            checksums: Checksums::default(),
        };
        let part = Part { record, blob: Arc::clone(&blob) };
        catalog.put_part("b", "k", "u", part).expect("puts a part");
        // The object's record is written, the upload's not yet removed.
        let record =
            ObjectRecord { key: "k".into(), segments: vec![segment], ..ObjectRecord::default() };
        files::write_record(&catalog.files.object_record("b", "k"), &record).expect("writes");
        drop(catalog);

        let catalog = Catalog::open(dir.path()).expect("reopens");
        assert!(catalog.upload("b", "k", "u").is_err());
        let object = catalog.object("b", "k").expect("an object");
        assert_eq!(fs::read_to_string(object.blobs[0].path()).expect("reads"), "part");
    }
}

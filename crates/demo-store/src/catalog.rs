//! What the store holds, in memory, and the only way to change it: record first, memory second.
//!
//! Looking up never waits for the disk. Everything that changes something does, and so belongs on
//! a thread that may block.

mod open;

use crate::condition::WriteCondition;
use crate::files::{self, Blob, Files};
use crate::record::{BucketRecord, ObjectRecord, PartRecord, UploadRecord};
use crate::tagging::Tags;
use s3s::{S3Error, S3Result, s3_error};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An object as it stands; whoever holds it can read its bytes even when it is replaced.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) record: ObjectRecord,
    /// One for each segment of the record.
    pub(crate) blobs: Vec<Arc<Blob>>,
}

/// A multipart upload under way.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) record: UploadRecord,
    parts: RwLock<BTreeMap<u16, Arc<Part>>>,
}

impl Upload {
    /// The parts so far, by number.
    pub(crate) fn parts(&self) -> BTreeMap<u16, Arc<Part>> {
        read(&self.parts).clone()
    }
}

/// A part of a multipart upload.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) record: PartRecord,
    pub(crate) blob: Arc<Blob>,
}

/// A bucket with what is in it.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) record: BucketRecord,
    pub(crate) objects: BTreeMap<String, Arc<Object>>,
    /// By key, then by upload ID, which grows with time.
    pub(crate) uploads: BTreeMap<(String, String), Arc<Upload>>,
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) files: Files,
    buckets: RwLock<BTreeMap<String, Bucket>>,
    /// Read while something in a bucket changes, written while a bucket comes or goes.
    bucket_gate: RwLock<()>,
    /// One is held while a key's object or uploads change: the key picks which.
    key_gates: [Mutex<()>; 64],
    key_hash: RandomState,
}

impl Catalog {
    /// Looks at all buckets at once.
    pub(crate) fn with_buckets<T>(&self, look: impl FnOnce(&BTreeMap<String, Bucket>) -> T) -> T {
        look(&read(&self.buckets))
    }

    /// Looks at one bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn with_bucket<T>(
        &self,
        name: &str,
        look: impl FnOnce(&Bucket) -> T,
    ) -> S3Result<T> {
        read(&self.buckets).get(name).map(look).ok_or_else(no_such_bucket)
    }

    fn change_bucket<T>(&self, name: &str, change: impl FnOnce(&mut Bucket) -> T) -> S3Result<T> {
        write(&self.buckets).get_mut(name).map(change).ok_or_else(no_such_bucket)
    }

    /// The object under `key`, if any.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn find(&self, bucket: &str, key: &str) -> S3Result<Option<Arc<Object>>> {
        self.with_bucket(bucket, |bucket| bucket.objects.get(key).cloned())
    }

    /// The object under `key`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.find(bucket, key)?
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// The upload `id` of `key`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`.
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Arc<Upload>> {
        let name = (key.to_owned(), id.to_owned());
        self.with_bucket(bucket, |bucket| bucket.uploads.get(&name).cloned())?
            .ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."))
    }

    /// Makes a bucket. Blocks.
    ///
    /// # Errors
    /// `BucketAlreadyOwnedByYou`, `InternalError`.
    pub(crate) fn create_bucket(&self, record: BucketRecord) -> S3Result<()> {
        let _gate = write(&self.bucket_gate);
        if read(&self.buckets).contains_key(&record.name) {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
        let name = &record.name;
        // What an earlier bucket of this name may have left behind is none of this one's.
        if self.files.bucket(name).try_exists().map_err(failed)? {
            fs::remove_dir_all(self.files.bucket(name)).map_err(failed)?;
        }
        for dir in [self.files.objects(name), self.files.uploads(name)] {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        files::sync_parent(&self.files.bucket(name)).map_err(failed)?;
        files::write_record(&self.files.bucket_record(name), &record).map_err(failed)?;
        let bucket = Bucket { record, objects: BTreeMap::new(), uploads: BTreeMap::new() };
        write(&self.buckets).insert(bucket.record.name.clone(), bucket);
        Ok(())
    }

    /// Removes an empty bucket, and with it the uploads under way in it. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty`, `InternalError`.
    pub(crate) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let _gate = write(&self.bucket_gate);
        if !self.with_bucket(name, |bucket| bucket.objects.is_empty())? {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        files::remove_record(&self.files.bucket_record(name)).map_err(failed)?;
        if let Some(bucket) = write(&self.buckets).remove(name) {
            bucket.uploads.values().for_each(|upload| upload.release());
        }
        clear_away(&self.files.bucket(name));
        Ok(())
    }

    /// Puts an object in place of what is under its key. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, what the condition says, `InternalError`.
    pub(crate) fn put_object(
        &self,
        bucket: &str,
        object: Object,
        condition: &WriteCondition,
    ) -> S3Result<Arc<Object>> {
        let _gates = self.gates(bucket, &object.record.key);
        self.replace(bucket, object, condition)
    }

    /// Puts an object in place; the caller holds the gates.
    fn replace(
        &self,
        bucket: &str,
        object: Object,
        condition: &WriteCondition,
    ) -> S3Result<Arc<Object>> {
        let key = object.record.key.clone();
        let old = self.find(bucket, &key)?;
        condition.check(old.as_ref().map(|old| &old.record))?;
        object.blobs.iter().for_each(|blob| blob.keep());
        files::write_record(&self.files.object_record(bucket, &key), &object.record)
            .map_err(failed)?;
        let object = Arc::new(object);
        self.change_bucket(bucket, |bucket| bucket.objects.insert(key, Arc::clone(&object)))?;
        if let Some(old) = old {
            old.blobs.iter().for_each(|blob| blob.release());
        }
        Ok(object)
    }

    /// Removes the object under `key`, if there is one. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, what the condition says, `InternalError`.
    pub(crate) fn delete_object(
        &self,
        bucket: &str,
        key: &str,
        condition: &WriteCondition,
    ) -> S3Result<()> {
        let _gates = self.gates(bucket, key);
        let old = self.find(bucket, key)?;
        condition.check(old.as_ref().map(|old| &old.record))?;
        if let Some(old) = old {
            files::remove_record(&self.files.object_record(bucket, key)).map_err(failed)?;
            self.change_bucket(bucket, |bucket| bucket.objects.remove(key))?;
            old.blobs.iter().for_each(|blob| blob.release());
        }
        Ok(())
    }

    /// Gives the object under `key` other tags. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `InternalError`.
    pub(crate) fn set_tags(&self, bucket: &str, key: &str, tags: Tags) -> S3Result<()> {
        let _gates = self.gates(bucket, key);
        let old = self.object(bucket, key)?;
        let record = ObjectRecord { tags, ..old.record.clone() };
        files::write_record(&self.files.object_record(bucket, key), &record).map_err(failed)?;
        let object = Arc::new(Object { record, blobs: old.blobs.clone() });
        self.change_bucket(bucket, |bucket| bucket.objects.insert(key.to_owned(), object))?;
        Ok(())
    }

    /// Starts a multipart upload. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `InternalError`.
    pub(crate) fn create_upload(&self, bucket: &str, record: UploadRecord) -> S3Result<()> {
        let _gates = self.gates(bucket, &record.key);
        self.with_bucket(bucket, |_| ())?;
        let dir = self.files.upload(bucket, &record.id);
        fs::create_dir(&dir).and_then(|()| files::sync_parent(&dir)).map_err(failed)?;
        files::write_record(&self.files.upload_record(bucket, &record.id), &record)
            .map_err(failed)?;
        let name = (record.key.clone(), record.id.clone());
        let upload = Arc::new(Upload { record, parts: RwLock::default() });
        self.change_bucket(bucket, |bucket| bucket.uploads.insert(name, upload))?;
        Ok(())
    }

    /// Adds a part to an upload, in place of one of the same number. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`, `InternalError`.
    pub(crate) fn put_part(&self, bucket: &str, key: &str, id: &str, part: Part) -> S3Result<()> {
        let _gates = self.gates(bucket, key);
        let upload = self.upload(bucket, key, id)?;
        let number = part.record.number;
        part.blob.keep();
        files::write_record(&self.files.part_record(bucket, id, number), &part.record)
            .map_err(failed)?;
        if let Some(old) = write(&upload.parts).insert(number, Arc::new(part)) {
            old.blob.release();
        }
        Ok(())
    }

    /// Ends an upload and lets its parts go. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`, `InternalError`.
    pub(crate) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let _gates = self.gates(bucket, key);
        let upload = self.upload(bucket, key, id)?;
        self.end_upload(bucket, &upload)?;
        upload.release();
        Ok(())
    }

    /// Puts the object made of an upload's `parts` in place and ends the upload. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`, `InvalidPart` if a part was uploaded again in the meantime,
    /// what the condition says, `InternalError`.
    pub(crate) fn complete_upload(
        &self,
        bucket: &str,
        id: &str,
        parts: &[Arc<Part>],
        object: Object,
        condition: &WriteCondition,
    ) -> S3Result<Arc<Object>> {
        let _gates = self.gates(bucket, &object.record.key);
        let upload = self.upload(bucket, &object.record.key, id)?;
        let mut left = upload.parts();
        for part in parts {
            let current = left.remove(&part.record.number);
            if !current.is_some_and(|current| Arc::ptr_eq(&current, part)) {
                return Err(s3_error!(InvalidPart));
            }
        }
        let object = self.replace(bucket, object, condition)?;
        // A crash before this leaves the upload beside its object, which the next open clears up.
        self.end_upload(bucket, &upload)?;
        left.values().for_each(|part| part.blob.release());
        Ok(object)
    }

    /// Takes an upload off the books; the caller holds the gates.
    fn end_upload(&self, bucket: &str, upload: &Upload) -> S3Result<()> {
        let UploadRecord { id, key, .. } = &upload.record;
        files::remove_record(&self.files.upload_record(bucket, id)).map_err(failed)?;
        let name = (key.clone(), id.clone());
        self.change_bucket(bucket, |bucket| bucket.uploads.remove(&name))?;
        clear_away(&self.files.upload(bucket, id));
        Ok(())
    }

    fn gates(&self, bucket: &str, key: &str) -> (RwLockReadGuard<'_, ()>, MutexGuard<'_, ()>) {
        let hash = self.key_hash.hash_one((bucket, key));
        let gate = usize::try_from(hash % 64).unwrap_or_default();
        let bucket_gate = read(&self.bucket_gate);
        let key_gate = self.key_gates[gate].lock().unwrap_or_else(PoisonError::into_inner);
        (bucket_gate, key_gate)
    }
}

impl Upload {
    fn release(&self) {
        read(&self.parts).values().for_each(|part| part.blob.release());
    }
}

/// Removes a directory whose record is gone; what cannot be removed now is at the next open.
fn clear_away(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(%error, dir = %dir.display(), "left a directory behind");
    }
}

/// The answer to a client when the disk fails; the cause is logged, not sent.
pub(crate) fn failed(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}

fn no_such_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

// A panic while a lock is held leaves nothing half changed: every change is one insert or remove.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

//! The S3 operations there are; s3s answers `NotImplemented` to all others.

mod bucket;
mod copy;
mod list;
mod multipart;
mod object;
mod tags;
mod upload_list;

use crate::catalog::{Catalog, Object};
use crate::checksum::Checksums;
use crate::record::{ObjectRecord, Properties, Segment, now};
use crate::tagging::Tags;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Buckets and objects in a directory.
///
/// Cheap to clone; clones share what they hold. One process at a time may have a directory open.
#[derive(Clone, Debug)]
pub struct DemoStore {
    catalog: Arc<Catalog>,
    region: Arc<str>,
}

impl DemoStore {
    /// Opens the store in `dir`, a directory of its own that is made if need be.
    ///
    /// Reads every object's metadata, so takes time and memory in proportion to their number.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` if `dir` holds something else, `ResourceBusy` if another process has
    /// the store open, `InvalidData` if the metadata cannot be understood, else what the file
    /// system says.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { catalog: Arc::new(Catalog::open(dir)?), region: "us-east-1".into() })
    }

    /// The same store, whose buckets are in `region` unless their creator said otherwise.
    pub(crate) fn in_region(self, region: &str) -> Self {
        Self { region: region.into(), ..self }
    }

    /// Changes something, on a thread that may wait for the disk.
    ///
    /// Once begun, the change is carried through even if the client goes away.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Catalog) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let catalog = Arc::clone(&self.catalog);
        let changed = tokio::task::spawn_blocking(move || change(&catalog)).await;
        changed.map_err(S3Error::internal_error)?
    }
}

/// The object that a received body makes.
fn object_of(
    key: String,
    received: crate::body::Received,
    properties: Properties,
    tags: Tags,
) -> Object {
    let record = ObjectRecord {
        key,
        etag: hex::encode(received.md5),
        size: received.size,
        last_modified: now(),
        segments: vec![Segment { blob: received.blob.id(), size: received.size }],
        multipart: false,
        properties,
        tags,
        checksums: received.checksums,
    };
    Object { record, blobs: vec![received.blob] }
}

/// Refuses to read or remove a version: there are none but the `null` version.
fn refuse_version(version_id: Option<&str>) -> S3Result<()> {
    match version_id {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
    }
}

/// Refuses to store in the clear what a client wants encrypted under its own key.
fn refuse_customer_key(algorithm: Option<&str>) -> S3Result<()> {
    match algorithm {
        None => Ok(()),
        Some(_) => {
            Err(s3_error!(NotImplemented, "encryption with customer keys is not implemented"))
        }
    }
}

fn checksum_type(checksums: &Checksums) -> Option<ChecksumType> {
    checksums.kind().map(ChecksumType::from_static)
}

fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

/// A length as the protocol's fields have it.
fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A small count as the protocol's fields have it.
fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// The one owner of everything.
fn owner() -> Owner {
    Owner { display_name: Some(OWNER_NAME.to_owned()), id: Some(OWNER_ID.to_owned()) }
}

const OWNER_NAME: &str = "demo-store";
/// In the form of a canonical user ID.
const OWNER_ID: &str = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a";

/// Passes operations on to the functions that carry them out.
macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident = $function:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for DemoStore {
            $(
                async fn $name(
                    &self,
                    request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    $function(self, request).await
                }
            )*
        }
    };
}

operations! {
    create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket::create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = bucket::head;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket::delete;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = bucket::list;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = bucket::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = bucket::versioning;
    put_object(PutObjectInput) -> PutObjectOutput = object::put;
    get_object(GetObjectInput) -> GetObjectOutput = object::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = object::head;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = object::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = object::delete_many;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::object;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy::part;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list::objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list::objects_v2;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    list_parts(ListPartsInput) -> ListPartsOutput = upload_list::parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = upload_list::uploads;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tags::put;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tags::get;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tags::delete;
}

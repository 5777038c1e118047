//! What the store writes down about buckets, objects, uploads and parts, as JSON.

use crate::checksum::{Algorithm, Checksums};
use crate::tagging::Tags;
use s3s::dto::Timestamp;
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// A bucket.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct BucketRecord {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    /// The location constraint that its creator gave.
    pub(crate) location: Option<String>,
}

/// An object: everything about it but its bytes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ObjectRecord {
    /// The key, byte for byte; no file name is ever made of it but by hashing.
    pub(crate) key: String,
    /// The ETag without quotes: an MD5 in hex, for a multipart object `<md5 of md5s>-<parts>`.
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) last_modified: Timestamp,
    /// Where the bytes are, in order.
    pub(crate) segments: Vec<Segment>,
    /// Whether the segments are the parts of a multipart upload.
    pub(crate) multipart: bool,
    pub(crate) properties: Properties,
    pub(crate) tags: Tags,
    pub(crate) checksums: Checksums,
}

/// A run of an object's bytes, in a file of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Segment {
    pub(crate) blob: Uuid,
    pub(crate) size: u64,
}

/// A multipart upload under way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct UploadRecord {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) initiated: Timestamp,
    pub(crate) properties: Properties,
    pub(crate) tags: Tags,
    /// The checksum that every part and the object get.
    pub(crate) algorithm: Option<Algorithm>,
    /// Whether the object's checksum is the checksum of the parts' checksums.
    pub(crate) composite: bool,
}

/// A part of a multipart upload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PartRecord {
    /// 1 to 10,000.
    pub(crate) number: u16,
    /// The MD5 in hex.
    pub(crate) etag: String,
    pub(crate) last_modified: Timestamp,
    pub(crate) segment: Segment,
    pub(crate) checksums: Checksums,
}

/// What a client says about an object and gets back with it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    /// User metadata, names without `x-amz-meta-`.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// User metadata, names and values together, may be this long (S3 user guide, "Working with object
/// metadata").
const METADATA_BYTES_MAX: usize = 2048;

impl Properties {
    /// Makes what a client sent fit to keep.
    ///
    /// # Errors
    /// `MetadataTooLarge`.
    pub(crate) fn checked(mut self) -> S3Result<Self> {
        let bytes: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > METADATA_BYTES_MAX {
            return Err(s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size"
            ));
        }
        // `aws-chunked` was about the request's body, which is decoded by now.
        self.content_encoding = self.content_encoding.and_then(|encodings| {
            let kept: Vec<&str> = encodings
                .split(',')
                .map(str::trim)
                .filter(|encoding| !encoding.is_empty() && *encoding != "aws-chunked")
                .collect();
            (!kept.is_empty()).then(|| kept.join(","))
        });
        Ok(self)
    }
}

/// Takes the [`Properties`] out of the input of a put, a copy or a new upload, which name them alike.
macro_rules! take_properties {
    ($input:ident) => {
        $crate::record::Properties {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            expires: $input.expires.take(),
            storage_class: $input.storage_class.take().map(|class| class.as_str().to_owned()),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
        .checked()
    };
}

/// Sets the fields for the [`Properties`] in the output of a get or head, which name them alike.
macro_rules! set_properties {
    ($output:ident, $properties:expr) => {
        let properties: &$crate::record::Properties = $properties;
        let content_type = properties.content_type.as_deref().unwrap_or("binary/octet-stream");
        $output.content_type = Some(content_type.to_owned());
        $output.cache_control = properties.cache_control.clone();
        $output.content_disposition = properties.content_disposition.clone();
        $output.content_encoding = properties.content_encoding.clone();
        $output.content_language = properties.content_language.clone();
        $output.expires = properties.expires.clone();
        $output.storage_class = properties.storage_class.clone().map(Into::into);
        $output.metadata = Some(properties.metadata.clone().into_iter().collect());
    };
}

pub(crate) use {set_properties, take_properties};

/// The time, in whole seconds, as S3 keeps it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_no_encoding_of_the_object() {
        for (sent, kept) in [
            ("aws-chunked", None),
            ("gzip, aws-chunked", Some("gzip")),
            ("gzip", Some("gzip")),
            ("aws-chunked,gzip,br", Some("gzip,br")),
        ] {
            let properties =
                Properties { content_encoding: Some(sent.into()), ..Properties::default() };
            let checked = properties.checked().expect("short");
            assert_eq!(checked.content_encoding.as_deref(), kept, "{sent}");
        }
    }

    #[test]
    fn metadata_over_two_kilobytes_is_refused() {
        let of = |bytes: usize| Properties {
            metadata: BTreeMap::from([("k".into(), "v".repeat(bytes - 1))]),
            ..Properties::default()
        };
        assert!(of(2048).checked().is_ok());
        assert!(of(2049).checked().is_err());
    }

    #[test]
    fn an_object_comes_back_from_json_as_it_was() {
        let record = ObjectRecord {
            key: "a//b\u{1}é".into(),
            last_modified: now(),
            segments: vec![Segment { blob: Uuid::now_v7(), size: 3 }],
            ..ObjectRecord::default()
        };
        let json = serde_json::to_vec(&record).expect("serialises");
        let back: ObjectRecord = serde_json::from_slice(&json).expect("parses");
        assert_eq!(format!("{back:?}"), format!("{record:?}"));
    }
}

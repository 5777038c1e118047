//! A server that takes upload forms, and a client that signs them with nothing of the library's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sigv4::{DateKey, Denial, Expected, PostForm, SignedPost, authenticate_post};

use super::{ACCESS_KEY_ID, SECRET};

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// A form and the bucket that it is sent to.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) bucket: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) file_name: Option<String>,
}

impl Form {
    /// A form that is signed on 2013-05-24 with these further conditions and fields.
    pub(crate) fn signed(conditions: &str, fields: &[(&str, &str)]) -> Self {
        let policy = format!(
            r#"{{"expiration": "2013-05-24T01:00:00Z", "conditions": [{{"bucket": "bucket"}},
            ["starts-with", "$key", "user/"], {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}},
            {{"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"}},
            {{"x-amz-date": "20130524T000000Z"}}{conditions}]}}"#
        );
        let mut form = Self {
            bucket: "bucket".to_owned(),
            fields: vec![],
            file_name: Some("photo.jpg".to_owned()),
        };
        form.set("key", "user/photo.jpg");
        form.set("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
        form.set("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request");
        form.set("X-Amz-Date", "20130524T000000Z");
        for (name, value) in fields {
            form.set(name, value);
        }
        form.sign(&policy);
        form
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| known != name);
    }

    pub(crate) fn sign(&mut self, policy: &str) {
        let policy = BASE64.encode(policy);
        let key = hmac(format!("AWS4{SECRET}").as_bytes(), "20130524");
        let key =
            ["us-east-1", "s3", "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &policy));
        self.set("Policy", &policy);
        self.set("X-Amz-Signature", &signature);
    }

    /// What the server says, and makes of a form that it accepts.
    pub(crate) fn verdict<T>(
        &self,
        now: i64,
        then: impl FnOnce(&SignedPost<'_>) -> T,
    ) -> Result<T, Denial> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let fields: Vec<_> = fields.collect();
        let file_name = self.file_name.as_ref().map(String::as_bytes);
        let form = PostForm { fields: &fields, file_name };
        let post = authenticate_post(&form, &self.bucket, &Expected::s3("us-east-1", now))?;
        if post.access_key_id() != ACCESS_KEY_ID {
            return Err(Denial::invalid_access_key_id(post.access_key_id()));
        }
        let date_key = DateKey::derive(SECRET.as_bytes(), &post.scope().date());
        if post.is_signed_by(&date_key.signing_key_of(post.scope())) {
            Ok(then(&post))
        } else {
            Err(post.signature_does_not_match())
        }
    }
}

//! Authentication of a browser's upload form up to the point where a key is needed.

use std::fmt;
use std::ops::RangeInclusive;

use crate::bytes::{is_token, text};
use crate::credential::{AccessKeyId, Scope};
use crate::date::Timestamp;
use crate::denial::{Denial, ErrorCode};
use crate::expected::{EXPIRES_SECONDS_MAX, Expected, Scheme, check_dates};
use crate::key::{Signature, SigningKey};
use crate::mechanism::Mechanism;
use crate::policy::{Condition, Policy};
use crate::request::octets;
use crate::spelling::Spelling;

/// The fields of a form before the file may hold 20 KiB, names and values together.
pub const FORM_BYTES_MAX: usize = 20_480;
/// A form may have 128 fields.
pub const FORM_FIELDS_MAX: usize = 128;

/// A `multipart/form-data` body up to its file, as its parts say: nothing is decoded.
#[derive(Clone, Copy)]
pub struct PostForm<'a> {
    /// Names and values of the fields before the file, in order. What comes after the file is no part of the form.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// The name that the browser gave the file.
    pub file_name: Option<&'a [u8]>,
}

/// Makes every check of an upload form that needs no key: the form, its credential and dates, its policy, and
/// that the policy allows the form.
///
/// What is left is to find the keys of [`SignedPost::access_key_id`], to ask [`SignedPost::is_signed_by`], and to hold
/// the file to [`SignedPost::check_content_length`]. Until the second is true nothing in the answer can be believed.
/// Where `expected` has a dialect or another spelling, that is of no meaning: the policy is what is signed.
///
/// * Names of fields have no case, and each may stand in the form once.
/// * Each field needs a condition, but for `policy`, `x-amz-signature` and `x-ignore-*`; so does the bucket.
/// * `${filename}` in the key is replaced before the key is held against the policy.
/// * The form's date is good for a week, and its policy until it expires, whichever is first.
///
/// # Errors
/// The [`Denial`] to answer with. Only a later date can change it, and only for a form from the future.
pub fn authenticate_post<'a>(
    form: &PostForm<'a>,
    bucket: &str,
    expected: &Expected<'a>,
) -> Result<SignedPost<'a>, Denial> {
    let fields = Fields::read(form)?;
    if fields.get("awsaccesskeyid").is_some() || fields.get("signature").is_some() {
        return Err(Denial::unsupported_mechanism());
    }
    let names = ["policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
    if names.iter().all(|name| fields.get(name).is_none()) {
        return Err(Denial::access_denied("Access Denied"));
    }
    let key = fields.required("key")?;
    let [policy_text, algorithm, credential, date, signature] = {
        let mut values = [""; 5];
        for (value, name) in values.iter_mut().zip(names) {
            *value = fields.required(name)?;
        }
        values
    };
    if algorithm == "AWS4-ECDSA-P256-SHA256" {
        return Err(Denial::unsupported_mechanism());
    }
    let mechanism = Mechanism::Query; // whose words speak of parameters, not of a header
    if algorithm != Spelling::Aws4.algorithm() {
        return Err(mechanism.malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let (access_key_id, scope) = expected.check_credential(
        credential.as_bytes(),
        mechanism,
        Scheme::Symmetric(Spelling::Aws4),
    )?;
    let timestamp = Timestamp::parse(date.as_bytes()).ok_or_else(|| {
        mechanism
            .malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    check_dates(scope.date(), timestamp, mechanism)?;
    expected.check_expiry(timestamp, EXPIRES_SECONDS_MAX)?;
    let session_token = fields.get("x-amz-security-token");
    if session_token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(Denial::invalid_token());
    }
    let policy = Policy::parse(policy_text.as_bytes())?;
    if expected.now_unix_seconds >= policy.expires_unix_seconds {
        return Err(against_policy("Policy expired."));
    }
    let key = key_of_object(key, form.file_name)?;
    let content_length = fields.check(&policy, bucket, &key)?;
    Ok(SignedPost {
        access_key_id,
        scope,
        timestamp,
        expires_unix_seconds: policy.expires_unix_seconds,
        session_token,
        key,
        content_length,
        policy_text,
        signature_text: signature,
        signature: Signature::from_hex(signature.as_bytes()),
    })
}

/// 403 `AccessDenied` with what the policy has against the form.
fn against_policy(what: &str) -> Denial {
    Denial::access_denied(format!("Invalid according to Policy: {what}"))
}

fn malformed_form() -> Denial {
    let message = "The body of your POST request is not well-formed multipart/form-data.";
    Denial::new(ErrorCode::MalformedPostRequest, message)
}

/// Puts the last part of the file's path, which some browsers send whole, in place of `${filename}`.
fn key_of_object(key: &str, file_name: Option<&[u8]>) -> Result<String, Denial> {
    const VARIABLE: &str = "${filename}";
    if !key.contains(VARIABLE) {
        return Ok(key.to_owned());
    }
    let path = std::str::from_utf8(file_name.unwrap_or_default()).map_err(|_| malformed_form())?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.len() > FORM_BYTES_MAX || key.matches(VARIABLE).count() > 1 {
        return Err(malformed_form()); // one name must not become many
    }
    let key = key.replace(VARIABLE, name);
    if key.is_empty() { Err(malformed_form()) } else { Ok(key) }
}

/// The fields of a form that was found to be one.
struct Fields<'a>(Vec<(String, &'a str)>);

impl<'a> Fields<'a> {
    /// Reads names, in lower case, and values. Bounds come first.
    fn read(form: &PostForm<'a>) -> Result<Self, Denial> {
        let bytes = form.fields.iter().map(|(name, value)| name.len() + value.len());
        let is_too_large = form.fields.len() > FORM_FIELDS_MAX
            || bytes.fold(0, usize::saturating_add) > FORM_BYTES_MAX;
        if is_too_large {
            let message = "Your POST request fields preceding the upload file were too large.";
            return Err(Denial::new(ErrorCode::MaxPostPreDataLengthExceeded, message));
        }
        let mut fields: Vec<(String, &'a str)> = Vec::with_capacity(form.fields.len());
        for &(name, value) in form.fields {
            let name = text(name).to_ascii_lowercase();
            let value = std::str::from_utf8(value).map_err(|_| malformed_form())?;
            // All but the key may become headers.
            let is_header = !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
            let is_known = fields.iter().any(|(known, _)| *known == name);
            if is_known || !is_token(name.as_bytes()) || !(is_header || name == "key") {
                return Err(malformed_form());
            }
            if name == "file" {
                let message = "POST requires exactly one file upload per request.";
                return Err(Denial::invalid_argument(message, "file", String::new()));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    fn required(&self, name: &str) -> Result<&'a str, Denial> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            let message = format!(
                "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order \
                 of the fields."
            );
            Denial::new(ErrorCode::InvalidArgument, message)
                .with("ArgumentName", name)
                .with("ArgumentValue", "")
        })
    }

    /// Checks that the policy allows these fields and speaks of each; gives the lengths that a file may have.
    fn check(
        &self,
        policy: &Policy,
        bucket: &str,
        key: &str,
    ) -> Result<RangeInclusive<u64>, Denial> {
        let mut lengths = (0, u64::MAX);
        for condition in &policy.conditions {
            let given = match condition.field() {
                Some("bucket") => Some(bucket),
                Some("key") => Some(key),
                Some(name) => self.get(name),
                None => None,
            };
            if !condition.allows(given) {
                return Err(against_policy(&format!("Policy Condition failed: {condition}")));
            }
            if let Condition::ContentLengthRange { min, max } = *condition {
                lengths = (lengths.0.max(min), lengths.1.min(max));
            }
        }
        if self.get("bucket").is_some_and(|given| given != bucket) {
            return Err(against_policy("the field 'bucket' names another bucket."));
        }
        let is_exempt = |name: &str| {
            matches!(name, "policy" | "x-amz-signature") || name.starts_with("x-ignore-")
        };
        let is_covered =
            |name: &str| policy.conditions.iter().any(|some| some.field() == Some(name));
        let names = self.0.iter().map(|(name, _)| name.as_str());
        let extra: Vec<_> = names
            .filter(|name| *name != "bucket")
            .chain(["bucket"])
            .filter(|name| !is_exempt(name) && !is_covered(name))
            .collect();
        if !extra.is_empty() {
            return Err(against_policy(&format!("Extra input fields: {}", extra.join(", "))));
        }
        Ok(lengths.0..=lengths.1)
    }
}

/// An upload form that says who signed it and is fit to be verified.
#[derive(Clone)]
pub struct SignedPost<'a> {
    access_key_id: AccessKeyId<'a>,
    scope: Scope<'a>,
    timestamp: Timestamp,
    expires_unix_seconds: i64,
    session_token: Option<&'a str>,
    key: String,
    content_length: RangeInclusive<u64>,
    policy_text: &'a str,
    signature_text: &'a str,
    signature: Signature,
}

impl<'a> SignedPost<'a> {
    /// Who claims to have signed: 1 to 128 graphic ASCII characters without a comma.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.as_str()
    }

    /// Day, region and service of the signing key; the latter two are the expected ones.
    #[must_use]
    pub fn scope(&self) -> &Scope<'a> {
        &self.scope
    }

    /// When the form says that it was signed.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// When the policy ends, in seconds since 1970-01-01T00:00:00Z: good before, not at, this instant.
    #[must_use]
    pub fn expires_at_unix_seconds(&self) -> i64 {
        self.expires_unix_seconds
    }

    /// The session token of a temporary credential: signed by way of the policy, not checked here.
    #[must_use]
    pub fn session_token(&self) -> Option<&'a str> {
        self.session_token
    }

    /// The key of the object, with the file's name in it if the form asks for that. Never empty.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The lengths that the policy allows the file, in bytes.
    #[must_use]
    pub fn content_length(&self) -> RangeInclusive<u64> {
        self.content_length.clone()
    }

    /// Checks the length of the file, in bytes, which only who has seen all of it knows.
    ///
    /// # Errors
    /// `EntityTooSmall` and `EntityTooLarge`.
    pub fn check_content_length(&self, bytes: u64) -> Result<(), Denial> {
        let (min, max) = (*self.content_length.start(), *self.content_length.end());
        let denial = |code, message, name, bound: u64| {
            Denial::new(code, message)
                .with("ProposedSize", bytes.to_string())
                .with(name, bound.to_string())
        };
        if bytes > max {
            let message = "Your proposed upload exceeds the maximum allowed size";
            return Err(denial(ErrorCode::EntityTooLarge, message, "MaxSizeAllowed", max));
        }
        if bytes < min {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(denial(ErrorCode::EntityTooSmall, message, "MinSizeAllowed", min));
        }
        Ok(())
    }

    /// The text that the client must have signed: the policy as it was sent.
    #[must_use]
    pub fn string_to_sign(&self) -> &'a str {
        self.policy_text
    }

    /// The signature that the client sent.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether the client's signature is that of this key, in constant time.
    #[must_use]
    pub fn is_signed_by(&self, key: &SigningKey) -> bool {
        key.verify_text(self.policy_text.as_bytes(), &self.signature)
    }

    /// 403 `SignatureDoesNotMatch` with the elements by which a client can find its mistake, all of them its own text.
    #[must_use]
    pub fn signature_does_not_match(&self) -> Denial {
        Denial::signature_does_not_match()
            .with("AWSAccessKeyId", self.access_key_id())
            .with("StringToSign", self.policy_text)
            .with("SignatureProvided", self.signature_text)
            .with("StringToSignBytes", octets(self.policy_text.as_bytes()))
    }
}

/// Leaves out signature, policy and session token, which are as good as a password while they last.
impl fmt::Debug for SignedPost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedPost")
            .field("access_key_id", &self.access_key_id())
            .field("scope", &self.scope)
            .field("timestamp", &self.timestamp)
            .field("expires_unix_seconds", &self.expires_unix_seconds)
            .field("key", &self.key)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

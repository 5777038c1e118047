//! AWS Signature Version 4 for requests to S3: parsed, canonicalised, derived and compared.
//!
//! Pure: no clock, no network, no storage. Knows the dialect of S3 (the path is encoded once and never
//! normalised), that of every other service of AWS, and OUTSCALE's [`Spelling`] of the latter. Accepting a request to S3 allocates nothing,
//! but for an access key ID that came percent-encoded in a query; a denial may.
//!
//! ```
//! use sigv4::{DateKey, Denial, Expected, Head, authenticate};
//!
//! # fn verify(raw: &[u8], now_unix_seconds: i64) -> Result<(), Denial> {
//! let head = Head::parse(raw)?;
//! let request = authenticate(&head, &Expected::s3("us-east-1", now_unix_seconds))?;
//! let secret: Option<&[u8]> = match request.access_key_id() {
//!     "AKIAIOSFODNN7EXAMPLE" => Some(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
//!     _ => None,
//! };
//! // For an unknown key verify with some key too: the answer then takes as long.
//! let scope = request.scope();
//! let date_key = DateKey::derive(secret.unwrap_or(b"nobody"), &scope.date());
//! let signing_key = date_key.signing_key(scope.region(), scope.service()); // worth keeping: 64 bytes
//! let string_to_sign = request.string_to_sign(); // once, for however many live secrets
//! let is_signed = signing_key.verify(&string_to_sign, request.signature());
//! if secret.is_none() {
//!     return Err(Denial::invalid_access_key_id(request.access_key_id()));
//! }
//! if !is_signed {
//!     return Err(request.signature_does_not_match());
//! }
//! // Now hold the body to `request.payload_mode()` and act on `head.path()` as it is.
//! # Ok(())
//! # }
//! # let get_object = b"GET /test.txt HTTP/1.1\r\n\
//! #     Host: examplebucket.s3.amazonaws.com\r\n\
//! #     Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
//! #     SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
//! #     Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n\
//! #     Range: bytes=0-9\r\n\
//! #     x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n\
//! #     x-amz-date: 20130524T000000Z\r\n\r\n";
//! # verify(get_object, 1_369_353_600).unwrap();
//! # assert_eq!(verify(get_object, 1_369_354_501).unwrap_err().code.as_str(), "RequestTimeTooSkewed");
//! ```
//!
//! Signatures of Version 4A, which a [`PublicKey`] verifies ([`SignedRequest::is_signed_for`]), are refused unless
//! [`Expected::accepts_sigv4a`] says otherwise: a [`SigningKey`] never verifies one of them, nor a public key one
//! of Version 4. [`explain`] tells why a request is refused.
//!
//! Who canonicalises elsewhere sends a [`StringToSign`]: it is parsed, held against [`Expected`] and verified
//! by [`SigningKey::verify`] alike.
//!
//! Requests signed by Version 2, which is no longer safe enough to be asked for, are refused by [`authenticate`]; who must
//! accept them still asks [`authenticate_version_2`] before, or [`parse_version_2`] of a string to sign.
//!
//! A verified head says nothing of its body yet. A body in chunks is read through [`ChunkedBody`], which proves at its
//! end that all of it was signed, complete and of the checksum in its trailer. A browser's upload form has no signed
//! head: [`authenticate_post`] is to it what [`authenticate`] is to a head.
//!
//! # Rules where AWS leaves room
//!
//! * **Path.** For S3 each escape is decoded and encoded again, once, but `%2F` stays `%2F`: it is no separator, so
//!   a signature for `a%2Fb` is none for `a/b`. `+` is a plus sign. Nothing is normalised or collapsed. For
//!   other services empty and dot segments go, as in RFC 3986, section 5.2.4, and what was sent is encoded
//!   as it is, escapes too.
//! * **Query.** Names and values are decoded as forms are, `+` being a space, and encoded again. `k` is `k=`,
//!   empty pieces are nothing, repeated names are kept and sorted by value.
//! * **Header values.** Spaces and tabs around a value are no part of it; runs of spaces inside become one
//!   space, tabs inside stay; values of a repeated name are joined by commas in the order received.
//! * **Signed headers.** Lower-case, sorted, each once, `host` and every `x-amz-*` header of the request
//!   among them, also in a presigned URL. Each must be in the request; a query parameter does not stand for it.
//! * **Once only.** `Authorization`, `Host`, `Date`, `x-amz-date`, `x-amz-content-sha256`, `x-amz-region-set`,
//!   `x-amz-security-token` and the `X-Amz-*` parameters of a presigned URL may be given once. Header and query
//!   never mix.
//! * **Regions of Version 4A.** `X-Amz-Region-Set` is a signed header or, in a presigned URL, a parameter: names
//!   with commas between, in which `*` stands for any text. The credential scope has no region.
//! * **Presigned payload.** `UNSIGNED-PAYLOAD`, unless `x-amz-content-sha256` is given as a signed header or
//!   as the parameter `X-Amz-Content-Sha256`; if it is given as both, they must be the same.
//! * **Chunks.** A chunk that is followed by another with data has at least 8192 bytes, signed or not. A size has at most
//!   16 digits, and no extension but `chunk-signature` where chunks are signed. A trailer is exactly one checksum, as
//!   announced; its line may end in CRLF, in LF, or in LF and then CRLF, as AWS's documentation has it.
//! * **Version 2.** A parameter that is neither a sub-resource, and so signed, nor one of a listing is refused, as is a
//!   signed one with `&` in it, which could be read as two. A URL may end a week ahead at most.
//! * **Forms.** Every field needs a condition, and so does the bucket; a condition needs its field. `${filename}` is
//!   replaced before the key is held against the policy. The form's date is good for a week.

mod announced;
mod asymmetric;
mod authorization;
mod bytes;
mod canonical;
mod chain;
mod checksum;
mod chunked;
mod credential;
mod date;
mod denial;
mod expected;
pub mod explain;
mod head;
mod key;
mod marked;
mod mechanism;
mod names;
mod payload;
mod percent;
mod policy;
mod post;
mod query;
mod region_set;
mod request;
mod signed_headers;
mod sink;
mod spelling;
mod string_to_sign;
mod trailer;
mod version_2;

pub use announced::{AnnouncedChunks, DECODED_BYTES_MAX};
pub use asymmetric::{AsymmetricSignature, PrivateKey, PublicKey};
pub use authorization::AUTHORIZATION_BYTES_MAX;
pub use chain::SignatureChain;
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use chunked::{CHUNK_BYTES_MIN, ChunkPiece, ChunkedBody, ChunkedProof};
pub use credential::Scope;
pub use date::{Date, Timestamp};
pub use denial::{Denial, ErrorCode};
pub use expected::{Dialect, EXPIRES_SECONDS_MAX, Expected, SKEW_SECONDS_MAX};
pub use head::{
    HEAD_BYTES_MAX, HEADERS_MAX, Head, HeadError, PARAMETERS_MAX, TARGET_BYTES_MAX, write_head,
};
pub use key::{DateKey, Signature, SigningKey};
pub use mechanism::Mechanism;
pub use payload::PayloadMode;
pub use post::{FORM_BYTES_MAX, FORM_FIELDS_MAX, PostForm, SignedPost, authenticate_post};
pub use request::{SignedRequest, authenticate};
pub use signed_headers::SIGNED_HEADERS_MAX;
pub use spelling::Spelling;
pub use string_to_sign::StringToSign;
pub use version_2::{SignedVersion2, authenticate_version_2, parse_version_2, verify_version_2};

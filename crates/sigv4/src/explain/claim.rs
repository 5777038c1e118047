//! What a request says of itself.

use crate::authorization::Authorization;
use crate::bytes::{text, trim};
use crate::credential::Credential;
use crate::date::{Date, Timestamp};
use crate::expected::Expected;
use crate::head::Head;
use crate::marked::split;
use crate::mechanism::{Authentication, Headers};
use crate::percent;
use crate::request;
use crate::spelling::Spelling;

/// What a request says of who signed it, when, and for whom. Nothing of it is checked, and it must not be
/// acted upon: it is there to explain a request, or to expect of it what it says where nobody knows better.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who is said to have signed; empty if the credential cannot be read.
    pub access_key_id: String,
    /// The region of the credential; in Version 4A one of those that the region set has, with `x` for `*`.
    pub region: String,
    /// The service of the credential.
    pub service: String,
    /// When it says it was signed, if it does.
    pub timestamp: Option<Timestamp>,
    /// Whether the signature is of Version 4A.
    pub is_asymmetric: bool,
    /// Whether it stands in the query.
    pub is_presigned: bool,
    pub(super) date: Option<Date>,
    pub(super) signature: Vec<u8>,
}

impl Claim {
    /// Reads what is there; `None` if no signature of Version 4 or 4A is, or more than one.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Option<Self> {
        let headers = Headers::find(head).ok()?;
        let any = Expected { accepts_osc4: true, accepts_sigv4a: true, ..Expected::s3("", 0) };
        let decode = |value: &[u8]| percent::decoded(value).collect::<Vec<u8>>();
        let is_presigned;
        let (credential, is_asymmetric, signature, timestamp, region_set);
        match Authentication::of(head, &headers).ok()? {
            Authentication::Header(value) => {
                let found = Authorization::parse(value, &any).ok()?;
                is_presigned = false;
                credential = found.credential.to_vec();
                is_asymmetric = found.is_asymmetric;
                signature = found.signature.to_vec();
                timestamp = request::timestamp(&headers, found.spelling).ok();
                region_set = headers.region_set.map(<[u8]>::to_vec);
            }
            Authentication::Query(parameters) => {
                let algorithm = parameters.algorithm?;
                is_presigned = true;
                is_asymmetric = algorithm != Spelling::Aws4.algorithm().as_bytes();
                credential = decode(parameters.credential?);
                signature = parameters.signature?.to_vec();
                timestamp = parameters.date.and_then(Timestamp::parse);
                region_set = parameters.region_set.map(decode);
            }
        }
        let parts = Credential::parse(&credential, !is_asymmetric);
        let set = region_set.unwrap_or_default();
        let first = split(&set, b',').map(trim).next().unwrap_or_default();
        let in_set = text(first).replace('*', "x");
        Some(Self {
            access_key_id: parts
                .as_ref()
                .map_or("", |parts| parts.access_key_id.as_str())
                .to_owned(),
            region: parts.as_ref().and_then(|parts| parts.region).map_or(in_set, text),
            service: parts.as_ref().map(|parts| text(parts.service)).unwrap_or_default(),
            timestamp,
            is_asymmetric,
            is_presigned,
            date: parts.as_ref().and_then(|parts| Date::parse(parts.date)),
            signature,
        })
    }

    /// The same expectation, but for what the request says of itself: its region, service and time.
    #[must_use]
    pub fn expected<'a>(&'a self, expected: &Expected<'a>) -> Expected<'a> {
        let now = self.timestamp.map(Timestamp::unix_seconds);
        Expected {
            region: &self.region,
            service: &self.service,
            now_unix_seconds: now.unwrap_or(expected.now_unix_seconds),
            accepts_osc4: true,
            accepts_sigv4a: true,
            ..*expected
        }
    }
}

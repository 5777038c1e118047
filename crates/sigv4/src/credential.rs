//! `AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request`: an access key ID and a credential scope.

use std::borrow::Cow;
use std::fmt;

use crate::asymmetric;
use crate::bytes::{find_no_word, is_part, same};
use crate::date::Date;
use crate::marked::Marked;
use crate::spelling::Spelling;

/// An access key ID may have 128 bytes (IAM API reference, `accessKeyIdType`).
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// A region may have 64 bytes; the longest of AWS has 14.
const REGION_BYTES_MAX: usize = 64;
/// A service may have 32 bytes.
const SERVICE_BYTES_MAX: usize = 32;
/// Room for the longest credential: the parts above, date, terminal and four slashes.
pub(crate) const CREDENTIAL_BYTES_MAX: usize =
    ACCESS_KEY_ID_BYTES_MAX + REGION_BYTES_MAX + SERVICE_BYTES_MAX + 8 + 12 + 4;

/// The day, region and service that a signing key is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope<'a> {
    date: Date,
    region: &'a str,
    service: &'a str,
    spelling: Spelling,
    is_asymmetric: bool,
}

impl<'a> Scope<'a> {
    /// Makes a scope in AWS's spelling. Region: 1 to 64, service: 1 to 32 graphic ASCII characters, no `/`; else `None`.
    #[must_use]
    pub fn new(date: Date, region: &'a str, service: &'a str) -> Option<Self> {
        let fits = |part: &str, bytes_max| {
            (1..=bytes_max).contains(&part.len()) && is_part(part.as_bytes())
        };
        (fits(region, REGION_BYTES_MAX) && fits(service, SERVICE_BYTES_MAX)).then_some(Self {
            date,
            region,
            service,
            spelling: Spelling::Aws4,
            is_asymmetric: false,
        })
    }

    /// Reads `YYYYMMDD/region/service/aws4_request`, and nothing else.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (date, rest) = std::str::from_utf8(text).ok()?.split_at_checked(8)?;
        let rest = rest.strip_prefix('/')?.strip_suffix(Spelling::Aws4.terminal())?;
        let (region, service) = rest.strip_suffix('/')?.split_once('/')?;
        Self::new(Date::parse(date.as_bytes())?, region, service)
    }

    /// The same scope in another spelling.
    #[must_use]
    pub const fn spelled(self, spelling: Spelling) -> Self {
        Self { spelling, ..self }
    }

    /// The scope of a signature of Version 4A, which does not name the region: it is good for a set of them.
    #[must_use]
    pub const fn asymmetric(self) -> Self {
        Self { is_asymmetric: true, ..self }
    }

    /// Whether it is that of a signature of Version 4A, which only a public key verifies.
    #[must_use]
    pub const fn is_asymmetric(&self) -> bool {
        self.is_asymmetric
    }

    /// What the string to sign begins with.
    pub(crate) const fn algorithm(&self) -> &'static str {
        if self.is_asymmetric { asymmetric::ALGORITHM } else { self.spelling.algorithm() }
    }

    /// How the scope is spelled.
    #[must_use]
    pub fn spelling(&self) -> Spelling {
        self.spelling
    }

    /// The UTC day.
    #[must_use]
    pub fn date(&self) -> Date {
        self.date
    }

    /// The region, such as `us-east-1`; in Version 4A one that the signature is good for.
    #[must_use]
    pub fn region(&self) -> &'a str {
        self.region
    }

    /// The service, such as `s3`.
    #[must_use]
    pub fn service(&self) -> &'a str {
        self.service
    }

    /// Writes `YYYYMMDD/region/service/terminal`, piece by piece; in Version 4A without the region.
    #[inline]
    pub(crate) fn write(&self, write: &mut impl FnMut(&[u8])) {
        write(self.date.as_bytes());
        if !self.is_asymmetric {
            write(b"/");
            write(self.region.as_bytes());
        }
        write(b"/");
        write(self.service.as_bytes());
        write(b"/");
        write(self.spelling.terminal().as_bytes());
    }
}

/// `YYYYMMDD/region/service/terminal`; in Version 4A without the region.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.date)?;
        if !self.is_asymmetric {
            write!(f, "{}/", self.region)?;
        }
        write!(f, "{}/{}", self.service, self.spelling.terminal())
    }
}

/// The text of an access key ID: 1 to 128 graphic ASCII characters without a comma.
#[derive(Clone)]
pub(crate) struct AccessKeyId<'t>(Cow<'t, str>);

impl<'t> AccessKeyId<'t> {
    pub(crate) fn parse(text: &'t [u8]) -> Option<Self> {
        let is_text = find_no_word(text, 0) == text.len()
            || text.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',');
        let is_its = is_text && (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&text.len());
        let text = std::str::from_utf8(text).ok().filter(|_| is_its)?;
        Some(Self(Cow::Borrowed(text)))
    }

    /// The same out of the text that it was decoded from. Allocates if that has it escaped.
    pub(crate) fn out_of<'a>(&self, encoded: &'a [u8]) -> AccessKeyId<'a> {
        let start = encoded.get(..self.0.len()).filter(|start| *start == self.0.as_bytes());
        match start.and_then(|start| std::str::from_utf8(start).ok()) {
            Some(start) => AccessKeyId(Cow::Borrowed(start)),
            None => self.to_owned(),
        }
    }

    pub(crate) fn to_owned(&self) -> AccessKeyId<'static> {
        AccessKeyId(Cow::Owned(self.0.as_ref().to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A credential taken apart, before its parts are held against what the server expects.
pub(crate) struct Credential<'t> {
    pub(crate) access_key_id: AccessKeyId<'t>,
    pub(crate) date: &'t [u8],
    /// `None` in Version 4A.
    pub(crate) region: Option<&'t [u8]>,
    pub(crate) service: &'t [u8],
    pub(crate) terminal: &'t [u8],
}

impl<'t> Credential<'t> {
    /// Splits from the right, because an access key ID of some systems has slashes in it.
    pub(crate) fn parse(text: &'t [u8], has_region: bool) -> Option<Self> {
        // Where the last four slashes stand, the last one last.
        let (mut slashes, mut count) = ([0; 4], 0);
        let mut marked = Marked::new(text, |bytes| same(bytes, b'/'));
        let mut slash = marked.at_or_after(0);
        while slash < text.len() {
            slashes = [slashes[1], slashes[2], slashes[3], slash];
            count += 1;
            slash = marked.at_or_after(slash + 1);
        }
        let [first, second, before_service, before_terminal] = slashes;
        let (before_date, date_end) =
            if has_region { (first, second) } else { (second, before_service) };
        if count < if has_region { 4 } else { 3 } {
            return None;
        }
        Some(Self {
            access_key_id: AccessKeyId::parse(&text[..before_date])?,
            date: &text[before_date + 1..date_end],
            region: has_region.then(|| &text[second + 1..before_service]),
            service: &text[before_service + 1..before_terminal],
            terminal: &text[before_terminal + 1..],
        })
    }

    pub(crate) fn has_terminal(&self, spelling: Spelling) -> bool {
        self.terminal == spelling.terminal().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_split_from_the_right() {
        let credential =
            Credential::parse(b"team/a/key/20130524/us-east-1/s3/aws4_request", true).unwrap();
        assert_eq!(credential.access_key_id.as_str(), "team/a/key");
        assert_eq!(
            (credential.date, credential.region),
            (&b"20130524"[..], Some(&b"us-east-1"[..]))
        );
        let credential = Credential::parse(b"a/key/20130524/s3/aws4_request", false).unwrap();
        assert_eq!((credential.access_key_id.as_str(), credential.region), ("a/key", None));
        assert!(credential.has_terminal(Spelling::Aws4));
        assert!(!credential.has_terminal(Spelling::Osc4));
    }

    #[test]
    fn a_credential_needs_five_parts_and_a_readable_access_key_id() {
        let check = |text: &[u8]| assert!(Credential::parse(text, true).is_none());
        check(b"");
        check(b"20130524/us-east-1/s3/aws4_request");
        check(b"/20130524/us-east-1/s3/aws4_request");
        check(b"a b/20130524/us-east-1/s3/aws4_request");
        check("é/20130524/us-east-1/s3/aws4_request".as_bytes());
        check(format!("{}/20130524/us-east-1/s3/aws4_request", "A".repeat(129)).as_bytes());
    }

    #[test]
    fn a_scope_reads_back() {
        let text = "20130524/us-east-1/s3/aws4_request";
        assert_eq!(Scope::parse(text.as_bytes()).unwrap().to_string(), text);
        for text in [
            "20130524/us-east-1/s3/aws4_requestX",
            "20130524/us-east-1/aws4_request",
            "20130524/us-east-1/s3/x/aws4_request",
            "20130524//s3/aws4_request",
            "20130532/us-east-1/s3/aws4_request",
        ] {
            assert_eq!(Scope::parse(text.as_bytes()), None, "{text}");
        }
    }
}

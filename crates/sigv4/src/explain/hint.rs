//! What to look at first.

use std::fmt;

use super::claim::Claim;
use crate::bytes::text;
use crate::expected::Expected;
use crate::head::Head;
use crate::request::SignedRequest;

/// Something that may be what is wrong with a request. Its text is a sentence for people.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hint {
    /// The signature is right but for what the request is denied for.
    RightOtherwise,
    /// The signature is right with another `Host`.
    Host {
        /// What was sent.
        sent: String,
        /// What was signed.
        signed: String,
    },
    /// The signature is right with another method.
    Method {
        /// What was signed.
        signed: &'static str,
    },
    /// The signature is right with the path encoded once more than it was sent.
    PathEncodedTwice,
    /// The signature is right with the path encoded once.
    PathEncodedOnce,
    /// The signature is right with the path as it was sent, characters that must be escaped too.
    PathNotEncoded,
    /// The signature is right with empty and dot segments taken out of the path.
    PathNormalised,
    /// The signature is right with the path as it was sent, empty and dot segments too.
    PathNotNormalised,
    /// The signature is right with each `+` of the query a plus sign.
    PlusIsNoSpace,
    /// The signature is right without one parameter of the query.
    ParameterAdded {
        /// Its name, as it was sent.
        name: String,
    },
    /// The signature is right with another hash of the body.
    Payload {
        /// What was signed, such as `UNSIGNED-PAYLOAD`.
        signed: String,
    },
    /// The signature is right with a secret that has other spaces or line ends around it.
    SecretSpaces,
    /// The signature was made for another region.
    Region {
        /// What the request names.
        given: String,
        /// What is expected.
        expected: String,
    },
    /// The signature was made for another service.
    Service {
        /// What the request names.
        given: String,
        /// What is expected.
        expected: String,
    },
    /// The request was signed at another time than it is checked at.
    Time {
        /// When it says it was signed.
        signed: String,
        /// How many seconds later it is checked; less than zero if earlier.
        later_seconds: i64,
    },
    /// The credential scope has another day than the request.
    ScopeDate {
        /// The day of the scope.
        scope: String,
        /// That of the request.
        request: String,
    },
    /// Headers are in the request that must be signed and are not.
    UnsignedHeaders {
        /// Their names, in lower case.
        names: Vec<String>,
    },
    /// What is given as signature cannot be one.
    SignatureForm,
    /// The path has segments that normalising would take out.
    Segments,
    /// A signed header is of those that proxies change.
    ChangeableHeader {
        /// Its name, in lower case.
        name: String,
    },
    /// The query has a `+`.
    Plus,
    /// The body differs from what the request says of it.
    Body,
    /// Nothing else was found.
    Secret,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RightOtherwise => f.write_str("the signature is right: nothing else is wrong"),
            Self::Host { sent, signed } => write!(
                f,
                "the signature is right for the host {signed}, but the request has {sent}: look for a proxy \
                 that changes Host, or a client that signs another port than it sends"
            ),
            Self::Method { signed } => {
                write!(f, "the signature is right for {signed}: the method is not the one signed")
            }
            Self::PathEncodedTwice => f.write_str(
                "the signature is right with the path encoded twice: for s3 it is encoded once",
            ),
            Self::PathEncodedOnce => f.write_str(
                "the signature is right with the path encoded once: only for s3 is that so",
            ),
            Self::PathNotEncoded => f.write_str(
                "the signature is right with the path as it was sent: all but letters, digits and `-._~/` must be \
                 signed, and better sent, percent-encoded",
            ),
            Self::PathNormalised => f.write_str(
                "the signature is right with `//`, `/./` and `/../` taken out of the path: it must be signed \
                 as it is sent",
            ),
            Self::PathNotNormalised => f.write_str(
                "the signature is right with the path as it was sent: it must be signed without `//`, `/./` \
                 and `/../` for services other than s3",
            ),
            Self::PlusIsNoSpace => f.write_str(
                "the signature is right with `+` in the query as a plus sign: that must be sent as %2B",
            ),
            Self::ParameterAdded { name } => write!(
                f,
                "the signature is right without the query parameter {name}: it was added after signing"
            ),
            Self::Payload { signed } => write!(
                f,
                "the signature is right with {signed} as the hash of the body: the body, or what the request \
                 says of it, is not what was signed"
            ),
            Self::SecretSpaces => f.write_str(
                "the signature is right with other spaces or line ends around the secret access key: look at \
                 how the client reads it",
            ),
            Self::Region { given, expected } => {
                write!(f, "it was signed for the region {given}, and {expected} is expected")
            }
            Self::Service { given, expected } => {
                write!(f, "it was signed for the service {given}, and {expected} is expected")
            }
            Self::Time { signed, later_seconds } => write!(
                f,
                "it was signed at {signed}, {} seconds {} the time it is checked at: look at the clocks, or \
                 check it as of then",
                later_seconds.unsigned_abs(),
                if *later_seconds < 0 { "after" } else { "before" }
            ),
            Self::ScopeDate { scope, request } => {
                write!(f, "the credential is for {scope}, and the request is of {request}")
            }
            Self::UnsignedHeaders { names } => write!(
                f,
                "these headers are not signed and must be: {}: look for a proxy that adds them",
                names.join(", ")
            ),
            Self::SignatureForm => f.write_str(
                "the signature cannot be one: it must be lower-case hexadecimal, of 64 digits for \
                 AWS4-HMAC-SHA256",
            ),
            Self::Segments => f.write_str(
                "the path has empty or dot segments: look for a client or proxy that takes them out",
            ),
            Self::ChangeableHeader { name } => {
                write!(f, "the header {name} is signed, which proxies often change on the way")
            }
            Self::Plus => f.write_str("the query has a `+`, which is a space; a plus sign is %2B"),
            Self::Body => f.write_str("the body is not the one whose hash the request gives"),
            Self::Secret => f.write_str(
                "compare the canonical request with the client's, line by line: if they are the same, the \
                 client signed with another secret access key",
            ),
        }
    }
}

/// Headers that proxies and HTTP libraries add to, rewrite or leave out.
const CHANGEABLE: [&str; 12] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "te",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-amzn-trace-id",
];

/// What the request itself shows that often makes signatures wrong.
pub(super) fn of_mismatch(
    head: &Head<'_>,
    request: &SignedRequest<'_>,
    claim: Option<&Claim>,
) -> Vec<Hint> {
    let mut hints = vec![];
    let is_lower_hex = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let is_signature = |claim: &Claim| {
        claim.signature.iter().all(is_lower_hex)
            && (claim.is_asymmetric || claim.signature.len() == 64)
    };
    if !claim.is_some_and(is_signature) {
        hints.push(Hint::SignatureForm);
    }
    let mut segments = head.path().split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if matches!(segment, b"." | b"..") || (segment.is_empty() && !is_last) {
            hints.push(Hint::Segments);
            break;
        }
    }
    if head.query().contains(&b'+') {
        hints.push(Hint::Plus);
    }
    let is_changeable = |name: &&str| CHANGEABLE.contains(name) || name.starts_with("x-forwarded-");
    let changeable = request.signed_headers().filter(is_changeable);
    hints.extend(changeable.map(|name| Hint::ChangeableHeader { name: name.to_owned() }));
    hints.push(Hint::Secret);
    hints
}

/// What of a request's claim is not as expected. Whether its time is not, the denial says.
pub(super) fn of_denial(
    claim: &Claim,
    expected: &Expected<'_>,
    unsigned: Vec<String>,
    is_of_time: bool,
) -> Vec<Hint> {
    let mut hints = vec![];
    if !unsigned.is_empty() {
        hints.push(Hint::UnsignedHeaders { names: unsigned });
    }
    let (given, wanted) = (&claim.service, expected.service);
    if given != wanted && !given.is_empty() {
        hints.push(Hint::Service { given: given.clone(), expected: wanted.to_owned() });
    }
    let (given, wanted) = (&claim.region, expected.region);
    if given != wanted && !given.is_empty() && !claim.is_asymmetric {
        hints.push(Hint::Region { given: given.clone(), expected: wanted.to_owned() });
    }
    let Some(timestamp) = claim.timestamp else { return hints };
    let (request, scope) = (timestamp.date(), claim.date);
    if let Some(scope) = scope.filter(|scope| *scope != request) {
        hints.push(Hint::ScopeDate { scope: scope.to_string(), request: request.to_string() });
    }
    if is_of_time {
        let later_seconds = expected.now_unix_seconds.saturating_sub(timestamp.unix_seconds());
        hints.push(Hint::Time { signed: timestamp.to_extended(), later_seconds });
    }
    hints
}

/// What was signed of the body, for a sentence.
pub(super) fn payload(signed: &[u8]) -> Hint {
    Hint::Payload { signed: text(signed) }
}

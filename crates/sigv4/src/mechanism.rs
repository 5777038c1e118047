//! The ways in which a request can carry credentials, and the words in which S3 finds fault with each.

use crate::bytes::text;
use crate::denial::{Denial, ErrorCode};
use crate::head::Head;
use crate::names::{is_same, tag};
use crate::query::{NAME_BYTES_MAX, parameters};

/// Where a Signature Version 4 stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mechanism {
    /// In the `Authorization` header.
    Header,
    /// In query parameters: a presigned URL.
    Query,
}

impl Mechanism {
    /// Something in the header or the parameters is wrong.
    pub(crate) fn malformed(self, what: &str) -> Denial {
        match self {
            Self::Header => Denial::new(
                ErrorCode::AuthorizationHeaderMalformed,
                format!("The authorization header is malformed; {what}"),
            ),
            Self::Query => {
                Denial::new(ErrorCode::AuthorizationQueryParametersError, what.to_owned())
            }
        }
    }

    /// The credential is wrong.
    pub(crate) fn malformed_credential(self, what: &str) -> Denial {
        match self {
            Self::Header => self.malformed(what),
            Self::Query => {
                self.malformed(&format!("Error parsing the X-Amz-Credential parameter; {what}"))
            }
        }
    }

    /// The list of signed headers is wrong.
    pub(crate) fn malformed_signed_headers(self, what: &str) -> Denial {
        match self {
            Self::Header => self.malformed(&format!("the SignedHeaders are mal-formed; {what}")),
            Self::Query => {
                self.malformed(&format!("Error parsing the X-Amz-SignedHeaders parameter; {what}"))
            }
        }
    }
}

/// The headers that authentication reads.
#[derive(Default)]
pub(crate) struct Headers<'a> {
    pub(crate) authorization: Option<&'a [u8]>,
    pub(crate) content_sha256: Option<&'a [u8]>,
    pub(crate) date: Option<&'a [u8]>,
    pub(crate) region_set: Option<&'a [u8]>,
    pub(crate) security_token: Option<&'a [u8]>,
    pub(crate) x_amz_date: Option<&'a [u8]>,
    pub(crate) x_osc_date: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// Finds them. Each may stand in a request once, and `host` too, so that nobody downstream can take
    /// another one of them than the one that was verified.
    pub(crate) fn find(head: &Head<'a>) -> Result<Self, Denial> {
        const HOST: u8 = tag(b"host");
        const DATE: u8 = tag(b"date");
        const X_AMZ_DATE: u8 = tag(b"x-amz-date");
        const X_OSC_DATE: u8 = tag(b"x-osc-date");
        const AUTHORIZATION: u8 = tag(b"authorization");
        const REGION_SET: u8 = tag(b"x-amz-region-set");
        const CONTENT_SHA256: u8 = tag(b"x-amz-content-sha256");
        const SECURITY_TOKEN: u8 = tag(b"x-amz-security-token");
        let mut found = Self::default();
        let mut host = None;
        for (index, line_tag) in head.tags().iter().enumerate() {
            let is = |known: &str| is_same(head.name(index), known.as_bytes());
            let slot = match *line_tag {
                HOST if is("host") => &mut host,
                DATE if is("date") => &mut found.date,
                X_AMZ_DATE if is("x-amz-date") => &mut found.x_amz_date,
                X_OSC_DATE if is("x-osc-date") => &mut found.x_osc_date,
                AUTHORIZATION if is("authorization") => &mut found.authorization,
                REGION_SET if is("x-amz-region-set") => &mut found.region_set,
                CONTENT_SHA256 if is("x-amz-content-sha256") => &mut found.content_sha256,
                SECURITY_TOKEN if is("x-amz-security-token") => &mut found.security_token,
                _ => continue,
            };
            let value = head.value(index);
            if slot.replace(value).is_some() {
                let name = head.name(index);
                return Err(if is("authorization") {
                    only_one_mechanism(value)
                } else {
                    let name = text(name).to_ascii_lowercase();
                    Denial::invalid_request(format!(
                        "The header '{name}' was given more than once."
                    ))
                });
            }
        }
        Ok(found)
    }
}

/// The query parameters that authentication reads, as they were sent.
#[derive(Default)]
pub(crate) struct Parameters<'a> {
    pub(crate) algorithm: Option<&'a [u8]>,
    pub(crate) content_sha256: Option<&'a [u8]>,
    pub(crate) credential: Option<&'a [u8]>,
    pub(crate) date: Option<&'a [u8]>,
    pub(crate) expires: Option<&'a [u8]>,
    pub(crate) region_set: Option<&'a [u8]>,
    pub(crate) security_token: Option<&'a [u8]>,
    pub(crate) signature: Option<&'a [u8]>,
    pub(crate) signed_headers: Option<&'a [u8]>,
    /// Whether a parameter is there that only a URL presigned by Version 2 has.
    pub(crate) has_version_2: bool,
    has_duplicates: bool,
}

impl<'a> Parameters<'a> {
    /// Finds them. Names have one case; escapes in them do not hide them.
    pub(crate) fn find(head: &Head<'a>) -> Self {
        let mut found = Self::default();
        for parameter in parameters(head.query()) {
            let mut buffer = [0; NAME_BYTES_MAX];
            let slot = match parameter.decoded_name(&mut buffer) {
                b"X-Amz-Algorithm" => &mut found.algorithm,
                b"X-Amz-Content-Sha256" => &mut found.content_sha256,
                b"X-Amz-Credential" => &mut found.credential,
                b"X-Amz-Date" => &mut found.date,
                b"X-Amz-Expires" => &mut found.expires,
                b"X-Amz-Region-Set" => &mut found.region_set,
                b"X-Amz-Security-Token" => &mut found.security_token,
                b"X-Amz-Signature" => &mut found.signature,
                b"X-Amz-SignedHeaders" => &mut found.signed_headers,
                b"AWSAccessKeyId" | b"Signature" => {
                    found.has_version_2 = true;
                    continue;
                }
                _ => continue,
            };
            found.has_duplicates |= slot.replace(parameter.value).is_some();
        }
        found
    }

    /// Whether any parameter of a presigned URL is there. The payload's hash or a region set alone makes none.
    pub(crate) fn has_version_4(&self) -> bool {
        self.algorithm.is_some()
            || self.credential.is_some()
            || self.date.is_some()
            || self.expires.is_some()
            || self.security_token.is_some()
            || self.signature.is_some()
            || self.signed_headers.is_some()
    }
}

/// The one mechanism that a request uses, with its text.
pub(crate) enum Authentication<'a> {
    /// The value of the `Authorization` header, of any scheme.
    Header(&'a [u8]),
    /// The parameters of a presigned URL, some of which may be missing.
    Query(Parameters<'a>),
}

impl<'a> Authentication<'a> {
    /// Tells which mechanism a request uses: exactly one, or it is refused.
    pub(crate) fn of(head: &Head<'a>, headers: &Headers<'a>) -> Result<Self, Denial> {
        if let (Some(value), b"") = (headers.authorization, head.query()) {
            return Ok(Self::Header(value));
        }
        let parameters = Parameters::find(head);
        match (headers.authorization, parameters.has_version_4(), parameters.has_version_2) {
            (Some(value), false, false) => Ok(Self::Header(value)),
            (None, true, false) if parameters.has_duplicates => Err(Mechanism::Query
                .malformed("Query-string authentication takes each X-Amz- parameter only once.")),
            (None, true, false) => Ok(Self::Query(parameters)),
            (None, false, true) => Err(Denial::unsupported_mechanism()),
            (None, false, false) => Err(Denial::access_denied("Access Denied")),
            (value, _, _) => Err(only_one_mechanism(value.unwrap_or_default())),
        }
    }
}

fn only_one_mechanism(authorization: &[u8]) -> Denial {
    let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                   Signature query string parameter or the Authorization header should be specified";
    Denial::invalid_argument(message, "Authorization", text(authorization))
}

//! What a server expects of every request: region, service and time.

use crate::bytes::text;
use crate::credential::{AccessKeyId, Credential, Scope};
use crate::date::{Date, Timestamp};
use crate::denial::{Denial, ErrorCode};
use crate::mechanism::Mechanism;
use crate::region_set::{self, covers};
use crate::spelling::Spelling;

/// A request may be dated 15 minutes off, in seconds: S3's `MaxAllowedSkewMilliseconds` of 900000.
pub const SKEW_SECONDS_MAX: u32 = 900;
/// A presigned URL may live a week, in seconds.
pub const EXPIRES_SECONDS_MAX: u32 = 604_800;

/// What a server expects of every request.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The region that is served, such as `us-east-1`; compared exactly.
    pub region: &'a str,
    /// The service that is served, such as `s3`; compared exactly.
    pub service: &'a str,
    /// The server's time, in seconds since 1970-01-01T00:00:00Z.
    pub now_unix_seconds: i64,
    /// How far a request's date may be from the server's time, in seconds, either way and inclusive.
    pub skew_seconds_max: u32,
    /// How requests to this service are canonicalised.
    pub dialect: Dialect<'a>,
    /// Whether OUTSCALE's spelling of a signature is accepted beside AWS's.
    pub accepts_osc4: bool,
    /// Whether signatures of Version 4A are accepted beside those of Version 4: who verifies them needs
    /// [`PublicKey`](crate::PublicKey)s.
    pub accepts_sigv4a: bool,
    /// Whether a [`Dialect::General`] path is normalised, as it is by every service of AWS that is known.
    pub normalizes_path: bool,
}

/// By which kind of key a request is signed, and where it says for which regions.
#[derive(Clone, Copy)]
pub(crate) enum Scheme<'r> {
    /// By a shared one, for the region in the credential scope.
    Symmetric(Spelling),
    /// By a private one.
    Asymmetric {
        /// The value of `X-Amz-Region-Set`.
        region_set: Option<&'r [u8]>,
    },
}

/// How a service has its requests canonicalised.
///
/// Source: AWS IAM user guide, "Create a signed AWS API request", which tells where S3 differs.
#[derive(Clone, Copy, Debug)]
pub enum Dialect<'a> {
    /// S3's own: the path is encoded once and never normalised, and what is signed of the body stands in
    /// `x-amz-content-sha256`.
    S3,
    /// Every other service's: the path is normalised, and encoded once more than it was sent; and what is
    /// signed of the body is its SHA-256, whatever `x-amz-content-sha256` says.
    General {
        /// The SHA-256 of the body as it was received, in lower-case hexadecimal.
        body_sha256: &'a [u8; 64],
    },
}

impl<'a> Expected<'a> {
    /// What an S3 endpoint of one region expects at one instant.
    #[must_use]
    pub const fn s3(region: &'a str, now_unix_seconds: i64) -> Self {
        Self {
            region,
            service: "s3",
            now_unix_seconds,
            skew_seconds_max: SKEW_SECONDS_MAX,
            dialect: Dialect::S3,
            accepts_osc4: false,
            accepts_sigv4a: false,
            normalizes_path: true,
        }
    }

    /// What an endpoint of another service expects at one instant of a request with this body.
    #[must_use]
    pub const fn service(
        region: &'a str,
        service: &'a str,
        now_unix_seconds: i64,
        body_sha256: &'a [u8; 64],
    ) -> Self {
        Self {
            region,
            service,
            now_unix_seconds,
            skew_seconds_max: SKEW_SECONDS_MAX,
            dialect: Dialect::General { body_sha256 },
            accepts_osc4: false,
            accepts_sigv4a: false,
            normalizes_path: true,
        }
    }

    /// Checks what a string to sign says of itself: region, service, and its two dates against each other.
    ///
    /// # Errors
    /// `AuthorizationHeaderMalformed` or `AuthorizationQueryParametersError`, by where the signature stood: a
    /// string to sign does not say.
    pub fn check_scope(
        &self,
        scope: &Scope<'_>,
        timestamp: Timestamp,
        mechanism: Mechanism,
    ) -> Result<(), Denial> {
        self.check_service(scope.service().as_bytes(), mechanism)?;
        self.check_region(scope.region().as_bytes(), mechanism)?;
        check_dates(scope.date(), timestamp, mechanism)
    }

    /// Checks the date of a request that is meant to arrive at once.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed` if it is more than [`Expected::skew_seconds_max`] off.
    pub fn check_skew(&self, timestamp: Timestamp) -> Result<(), Denial> {
        let off_seconds = self.now_unix_seconds.abs_diff(timestamp.unix_seconds());
        if off_seconds <= u64::from(self.skew_seconds_max) {
            return Ok(());
        }
        let message = "The difference between the request time and the current time is too large.";
        let skew_milliseconds_max = u64::from(self.skew_seconds_max) * 1000;
        Err(Denial::new(ErrorCode::RequestTimeTooSkewed, message)
            .with("RequestTime", timestamp.as_str())
            .with("ServerTime", self.server_time())
            .with("MaxAllowedSkewMilliseconds", skew_milliseconds_max.to_string()))
    }

    /// Checks that a presigned URL is in force: not dated in the future, beyond the allowed skew, and
    /// `now < date + expires`.
    ///
    /// # Errors
    /// `AccessDenied`, with S3's texts for the two cases.
    pub fn check_expiry(&self, timestamp: Timestamp, expires_seconds: u32) -> Result<(), Denial> {
        let start = timestamp.unix_seconds();
        if start > self.now_unix_seconds.saturating_add(i64::from(self.skew_seconds_max)) {
            return Err(Denial::access_denied("Request is not valid yet")
                .with("X-Amz-Date", timestamp.as_str())
                .with("ServerTime", self.server_time()));
        }
        let end = start + i64::from(expires_seconds);
        if self.now_unix_seconds < end {
            return Ok(());
        }
        Err(Denial::access_denied("Request has expired")
            .with("X-Amz-Expires", expires_seconds.to_string())
            .with("Expires", Timestamp::from_unix_seconds(end).to_extended())
            .with("ServerTime", self.server_time()))
    }

    /// Takes a credential apart and checks its parts in the order of S3: form, service, terminal, date, region.
    pub(crate) fn check_credential<'t>(
        &self,
        text_: &'t [u8],
        mechanism: Mechanism,
        scheme: Scheme<'_>,
    ) -> Result<(AccessKeyId<'t>, Scope<'a>), Denial> {
        let malformed = |what: String| mechanism.malformed_credential(&what);
        let (spelling, region) = match scheme {
            Scheme::Symmetric(spelling) => (spelling, "REGION/"),
            Scheme::Asymmetric { .. } => (Spelling::Aws4, ""),
        };
        let expected = spelling.terminal();
        let shape = || {
            malformed(format!(
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/{region}SERVICE/{expected}\"."
            ))
        };
        let credential = Credential::parse(text_, !region.is_empty()).ok_or_else(shape)?;
        self.check_service(credential.service, mechanism)?;
        if !credential.has_terminal(spelling) {
            let terminal = text(credential.terminal);
            return Err(malformed(format!(
                "incorrect terminal \"{terminal}\". This endpoint uses \"{expected}\"."
            )));
        }
        let date = Date::parse(credential.date).ok_or_else(|| {
            malformed(format!(
                "incorrect date format \"{}\". This date in the credential must be in the format \"yyyyMMdd\".",
                text(credential.date)
            ))
        })?;
        match (scheme, credential.region) {
            (Scheme::Symmetric(_), region) => {
                self.check_region(region.unwrap_or_default(), mechanism)?;
            }
            (Scheme::Asymmetric { region_set }, _) => {
                self.check_region_set(region_set, mechanism)?
            }
        }
        // The scope's own limits: a server that expects a longer region than they allow serves nobody.
        let scope = Scope::new(date, self.region, self.service).ok_or_else(shape)?;
        let scope = match scheme {
            Scheme::Symmetric(spelling) => scope.spelled(spelling),
            Scheme::Asymmetric { .. } => scope.asymmetric(),
        };
        Ok((credential.access_key_id, scope))
    }

    fn check_service(&self, service: &[u8], mechanism: Mechanism) -> Result<(), Denial> {
        if service == self.service.as_bytes() {
            return Ok(());
        }
        let (given, expected) = (text(service), self.service);
        Err(mechanism.malformed_credential(&format!(
            "incorrect service \"{given}\". This endpoint belongs to \"{expected}\"."
        )))
    }

    fn check_region(&self, region: &[u8], mechanism: Mechanism) -> Result<(), Denial> {
        if region == self.region.as_bytes() {
            return Ok(());
        }
        let (given, expected) = (text(region), self.region);
        Err(mechanism
            .malformed_credential(&format!("the region '{given}' is wrong; expecting '{expected}'"))
            .with("Region", expected))
    }

    /// Checks that a signature of Version 4A is good for the region: `X-Amz-Region-Set` must be there.
    fn check_region_set(&self, set: Option<&[u8]>, mechanism: Mechanism) -> Result<(), Denial> {
        let Some(set) = set.filter(|set| (1..=region_set::BYTES_MAX).contains(&set.len())) else {
            return Err(mechanism.malformed(&format!(
                "X-Amz-Region-Set must be given, with 1 to {} bytes.",
                region_set::BYTES_MAX
            )));
        };
        if covers(set, self.region.as_bytes()) {
            return Ok(());
        }
        let (given, expected) = (text(set), self.region);
        Err(mechanism
            .malformed_credential(&format!(
                "the region set '{given}' is wrong; expecting '{expected}'"
            ))
            .with("Region", expected))
    }

    pub(crate) fn server_time(&self) -> String {
        Timestamp::from_unix_seconds(self.now_unix_seconds).to_extended()
    }
}

/// The date of the credential must be the day of the request.
pub(crate) fn check_dates(
    date: Date,
    timestamp: Timestamp,
    mechanism: Mechanism,
) -> Result<(), Denial> {
    if date == timestamp.date() {
        return Ok(());
    }
    Err(match mechanism {
        Mechanism::Header => {
            mechanism.malformed("Invalid credential date. Date is not the same as X-Amz-Date.")
        }
        Mechanism::Query => mechanism.malformed(&format!(
            "Invalid credential date \"{date}\". This date is not the same as X-Amz-Date: \"{}\".",
            timestamp.date()
        )),
    })
}

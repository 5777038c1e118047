//! `claviger verify`: whether a request is signed right, and why not.

mod keys;
mod local;
mod remote;
mod report;
mod request;

use std::io::{self, Read};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sigv4::explain::{Claim, Explanation};
use sigv4::{Denial, Dialect, Expected, Head};

use self::keys::Keys;
use self::report::Report;
use self::request::Request;
use crate::cli::{Switch, VerifyArgs};
use crate::exit::{Failure, Outcome};

/// More than any head has, and bodies that one would paste or save. 64 MiB.
const REQUEST_BYTES_MAX: u64 = 64 << 20;
/// The services whose requests are canonicalised as those of S3.
const S3_SERVICES: [&str; 4] = ["s3", "s3express", "s3-object-lambda", "s3-outposts"];

/// Does what was asked for.
pub(crate) async fn run(args: VerifyArgs) -> Outcome {
    let is_remote = args.endpoint.is_some();
    // Before stdin is waited for.
    let keys = if is_remote { None } else { Some(Keys::of(&args)?) };
    let request = Request::parse(&read()?)?;
    let head = match Head::parse_lenient(&request.head) {
        Ok(head) => head,
        Err(error) => return Report::of(Explanation::denied(Denial::from(error))).print(&args),
    };
    let claim = Claim::of(&head);
    let asked = Asked::of(&args, &request, claim.as_ref())?;
    let report = match keys {
        Some(keys) => local::verify(&head, &asked, &keys, args.session_token.as_deref())?,
        None => remote::verify(&args, &request, &head, &asked).await?,
    };
    report.print(&args)
}

fn read() -> anyhow::Result<Vec<u8>> {
    let mut raw = vec![];
    let stdin = io::stdin().lock();
    stdin.take(REQUEST_BYTES_MAX + 1).read_to_end(&mut raw).context("cannot read stdin")?;
    anyhow::ensure!(
        raw.len() as u64 <= REQUEST_BYTES_MAX,
        "the request has more than {REQUEST_BYTES_MAX} bytes"
    );
    Ok(raw)
}

/// What is expected of the request.
struct Asked {
    region: String,
    service: String,
    now_unix_seconds: i64,
    normalizes_path: bool,
    body_sha256: [u8; 64],
    /// Whether there is a body.
    has_body: bool,
}

impl Asked {
    fn of(args: &VerifyArgs, request: &Request, claim: Option<&Claim>) -> Outcome<Self> {
        let own = |given: &Option<String>, own: fn(&Claim) -> &String, default: &str| {
            let own = claim.map(own).filter(|own| !own.is_empty()).cloned();
            given.clone().or(own).unwrap_or_else(|| default.to_owned())
        };
        let region = own(&args.region, |claim| &claim.region, "us-east-1");
        let service = own(&args.service, |claim| &claim.service, "s3");
        if args.path_normalization.is_some() && S3_SERVICES.contains(&service.as_str()) {
            let message = "--path-normalization is for services other than s3, whose paths are never \
                           normalised";
            return Err(Failure::usage(message));
        }
        let now = || chrono::Utc::now().timestamp();
        let mut body_sha256 = [0; 64];
        hex::encode_to_slice(Sha256::digest(&request.body), &mut body_sha256)
            .context("a hash has 64 digits")?;
        Ok(Self {
            region,
            service,
            now_unix_seconds: args.at.map_or_else(now, |at| at.seconds),
            normalizes_path: args.path_normalization != Some(Switch::Off),
            body_sha256,
            has_body: !request.body.is_empty(),
        })
    }

    fn is_s3(&self) -> bool {
        S3_SERVICES.contains(&self.service.as_str())
    }

    fn expected(&self) -> Expected<'_> {
        let now = self.now_unix_seconds;
        let expected = Expected::service(&self.region, &self.service, now, &self.body_sha256);
        Expected {
            dialect: if self.is_s3() { Dialect::S3 } else { expected.dialect },
            accepts_osc4: !self.is_s3(),
            accepts_sigv4a: true,
            normalizes_path: self.normalizes_path,
            ..expected
        }
    }

    /// The hash of the body, unless it is S3's and may have been left out.
    fn known_body_sha256(&self) -> Option<&[u8; 64]> {
        (self.has_body || !self.is_s3()).then_some(&self.body_sha256)
    }
}

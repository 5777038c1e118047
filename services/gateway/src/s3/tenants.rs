//! Whose buckets are whose: what a request may reach, and what becomes of claims.
//!
//! The upstream's credential sees every bucket there. So each request is looked at before it goes on: the
//! buckets that it names, in its target or as the source of a copy, must be those of the account whose user signed it.
//! A request that could name a bucket in its body, where it is not looked at, does not go on at all.
//!
//! A bucket is claimed before it is made, and released after it was deleted. Whatever comes between, a claim may
//! be there without a bucket, which a further CreateBucket or DeleteBucket puts right; but no bucket is anybody's
//! that did not make it: a name that the store has and nobody claimed can be claimed by operators only.

use std::net::IpAddr;
use std::time::Duration;

use api::auth::v1::Principal;
use api::error::v1::Reason;
use api::identity::v1::{Bucket, ClaimBucketRequest, GetBucketRequest, ReleaseBucketRequest};
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use uuid::Uuid;

use super::error_xml::S3Error;
use super::forward::Forwarder;
use super::owners::Owners;
use super::target::{Resource, Target, authenticates};
use super::verify::Verified;
use super::{buckets, copy_source};
use crate::body::{self, BoxBody};
use crate::config::Config;
use crate::identity::{Acting, Identity, Origin, Who};
use crate::upstream;

/// The interface that identity lets users claim and release buckets by.
const FACADE: &str = "s3";
/// The one region in which to make a bucket again that one has is no mistake (S3 API reference, `CreateBucket`).
const US_EAST_1: &str = "us-east-1";
/// What is written to a bucket or an object and may name another bucket in its body.
const NAMES_BUCKETS: [&str; 5] = ["analytics", "inventory", "logging", "replication", "restore"];

/// Whose buckets are whose.
#[derive(Debug)]
pub(crate) enum Tenants {
    /// All are one account's, and nobody else is served.
    One(Uuid),
    /// Each is the account's that claimed it.
    Claims(Box<Claims>),
}

/// What identity knows of buckets.
#[derive(Debug)]
pub(crate) struct Claims {
    identity: Identity,
    owners: Owners,
    region: String,
    /// How long identity may take to say whose a bucket is.
    timeout: Duration,
}

/// A verified request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Target,
    /// Those that go on.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) verified: &'a Verified,
    pub(crate) client: IpAddr,
    pub(crate) request_id: &'a str,
}

/// What is to become of a request.
#[derive(Debug)]
pub(crate) enum Course {
    /// It is answered, and does not go on.
    Answered(Response<BoxBody>),
    /// It goes on; when it is answered, the claim is to be seen to.
    Onward(After),
}

/// What a claim may need after the upstream's answer.
#[derive(Debug)]
pub(crate) enum After {
    /// Nothing.
    Nothing,
    /// The bucket was claimed for this request, and is to be released if the upstream refuses to make it.
    Claimed(String, Acting),
    /// The bucket is to be released if it is gone.
    Deleted(String, Acting),
}

/// Whose a bucket is, to whoever asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    /// Its own.
    Own,
    /// Another account's.
    Other,
    Nobody,
}

impl Tenants {
    /// # Errors
    /// If there is neither the one account nor an identity to ask.
    pub(crate) fn new(config: &Config, identity: Option<&Identity>) -> anyhow::Result<Self> {
        match (config.account_id, identity) {
            (Some(account), _) => Ok(Self::One(account)),
            (None, Some(identity)) => Ok(Self::Claims(Box::new(Claims {
                identity: identity.clone(),
                owners: Owners::new(config.limits.buckets_silence_max),
                region: config.region.clone(),
                timeout: config.limits.auth_timeout,
            }))),
            (None, None) => anyhow::bail!(
                "buckets belong to accounts by claims, which identity keeps: say where identity is, \
                 or which one account is served"
            ),
        }
    }

    /// Lets those pass who may have buckets here.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn admit(&self, account: Uuid) -> Result<(), S3Error> {
        match self {
            Self::One(one) if *one != account => Err(S3Error::access_denied()),
            Self::One(_) | Self::Claims(_) => Ok(()),
        }
    }

    /// Whose bucket it is of which somebody reads an object that anybody may read.
    ///
    /// # Errors
    /// `NoSuchBucket` if it is nobody's, `ServiceUnavailable` if that cannot be told without asking: nobody is there in
    /// whose name identity could be asked. `InvalidURI` for a key that climbs out of the bucket.
    pub(crate) fn owner_for_anybody(&self, target: &Target) -> Result<Uuid, S3Error> {
        copy_source::refuse_climbing(target)?;
        match self {
            Self::One(account) => Ok(*account),
            Self::Claims(claims) if !claims.owners.is_fresh() => Err(S3Error::unavailable()),
            Self::Claims(claims) => {
                let bucket = target.resource().bucket().unwrap_or_default();
                claims.owners.of(bucket).ok_or_else(|| no_such_bucket(bucket))
            }
        }
    }

    /// Follows whose buckets are, until `shutdown`.
    pub(crate) async fn follow(&self, shutdown: &CancellationToken) {
        match self {
            Self::One(_) => {}
            Self::Claims(claims) => claims.owners.follow(claims.identity.channel(), shutdown).await,
        }
    }

    /// What is to become of a request.
    ///
    /// # Errors
    /// `AccessDenied` if a bucket that it names is another account's, `NoSuchBucket` if nobody's;
    /// `ServiceUnavailable` if that cannot be told; S3's refusals to make a bucket.
    pub(crate) async fn course(
        &self,
        asked: Asked<'_>,
        forwarder: &Forwarder,
    ) -> Result<Course, S3Error> {
        match self {
            Self::One(_) => Ok(Course::Onward(After::Nothing)),
            Self::Claims(claims) => claims.course(asked, forwarder).await,
        }
    }

    /// Sees to the claim after the upstream's answer, which goes back as it is.
    ///
    /// # Errors
    /// The answer's.
    pub(crate) async fn settle(
        &self,
        after: After,
        answer: Result<Response<BoxBody>, S3Error>,
        forwarder: &Forwarder,
        identity: upstream::Identity,
    ) -> Result<Response<BoxBody>, S3Error> {
        match (self, after) {
            (Self::One(_), _) | (Self::Claims(_), After::Nothing) => answer,
            (Self::Claims(claims), After::Claimed(bucket, acting)) => {
                let status = answer.as_ref().map_or_else(S3Error::status, Response::status);
                // Another outcome than a refusal is not known to be one.
                let is_refused = status.is_client_error();
                if is_refused && forwarder.has_bucket(&bucket, identity).await == Ok(false) {
                    claims.release(&bucket, &acting).await;
                }
                answer
            }
            (Self::Claims(claims), After::Deleted(bucket, acting)) => {
                let (answer, is_gone) = is_gone(answer?).await?;
                if is_gone {
                    claims.release(&bucket, &acting).await;
                }
                Ok(answer)
            }
        }
    }
}

impl Claims {
    async fn course(&self, asked: Asked<'_>, forwarder: &Forwarder) -> Result<Course, S3Error> {
        let Asked { method, target, verified, .. } = asked;
        let account = verified.account_id;
        let acting = asked.acting();
        let (bucket, is_bare) = match target.resource() {
            Resource::Service => {
                let failed = |status: &Status| refused(status);
                let list =
                    buckets::list(&self.identity, &acting, account, method, target, failed).await?;
                return Ok(Course::Answered(list));
            }
            Resource::Bucket(bucket) => (bucket, names_no_part(target)),
            Resource::Object(bucket) => (bucket, false),
        };
        copy_source::refuse_climbing(target)?;
        refuse_names_in_body(method, target)?;
        let sources = copy_source::buckets(asked.headers, target)?;
        if is_bare && *method == Method::PUT {
            return self.make(bucket, acting, verified, forwarder).await;
        }
        self.check(bucket, &acting, account).await?;
        for source in sources {
            if source.as_str() != bucket {
                self.check(source.as_str(), &acting, account).await?;
            }
        }
        let deletes = is_bare && *method == Method::DELETE;
        Ok(Course::Onward(match deletes {
            true => After::Deleted(bucket.to_owned(), acting),
            false => After::Nothing,
        }))
    }

    /// Lets the account pass to its own bucket.
    async fn check(&self, bucket: &str, acting: &Acting, account: Uuid) -> Result<(), S3Error> {
        match self.owner(bucket, acting, account).await? {
            Owner::Own => Ok(()),
            Owner::Other => Err(S3Error::access_denied()),
            Owner::Nobody => Err(no_such_bucket(bucket)),
        }
    }

    /// Whose a bucket is: as the watch tells, or else as identity does now. That it is nobody's, only
    /// identity says.
    async fn owner(&self, bucket: &str, acting: &Acting, account: Uuid) -> Result<Owner, S3Error> {
        if self.owners.is_fresh()
            && let Some(owner) = self.owners.of(bucket)
        {
            return Ok(if owner == account { Owner::Own } else { Owner::Other });
        }
        let request = GetBucketRequest { name: name_of(bucket), min_position: 0 };
        let answer = tokio::time::timeout(self.timeout, self.identity.get_bucket(acting, request));
        let answer = answer.await.map_err(|_| {
            tracing::warn!("identity does not say in time whose a bucket is");
            S3Error::unavailable()
        })?;
        match answer {
            // It tells users of their own only.
            Ok(answer) => {
                let owner = answer.bucket.unwrap_or_default().account;
                Ok(if owner == name_in(account) { Owner::Own } else { Owner::Other })
            }
            Err(status) => match api::reason(&status) {
                Some(Reason::NoSuchBucket) => Ok(Owner::Nobody),
                Some(Reason::CallerNotAllowed) => Ok(Owner::Other),
                _ => Err(refused(&status)),
            },
        }
    }

    /// What is to become of a request for a new bucket.
    ///
    /// The store is asked first, and what it has is claimed by nobody: so a claim that is cut off here is never one
    /// on what somebody else has left in the store.
    async fn make(
        &self,
        bucket: &str,
        acting: Acting,
        verified: &Verified,
        forwarder: &Forwarder,
    ) -> Result<Course, S3Error> {
        let account = verified.account_id;
        let owner = self.owner(bucket, &acting, account).await?;
        if owner == Owner::Other {
            return Err(taken(bucket));
        }
        match (owner, forwarder.has_bucket(bucket, verified.identity()).await?) {
            (Owner::Own, true) if self.region == US_EAST_1 => Ok(Course::Answered(made(bucket))),
            (Owner::Own, true) => Err(owned(bucket)),
            // An earlier request was cut off.
            (Owner::Own, false) => Ok(Course::Onward(After::Nothing)),
            (Owner::Nobody | Owner::Other, true) => Err(taken(bucket)),
            (Owner::Nobody | Owner::Other, false) => {
                let is_new = self.claim(bucket, &acting, account).await?;
                Ok(Course::Onward(match is_new {
                    true => After::Claimed(bucket.to_owned(), acting),
                    false => After::Nothing,
                }))
            }
        }
    }

    /// Claims a bucket. False if the account has claimed it meanwhile, by another request.
    async fn claim(&self, bucket: &str, acting: &Acting, account: Uuid) -> Result<bool, S3Error> {
        let asked = Bucket {
            bucket_name: bucket.to_owned(),
            region: self.region.clone(),
            ..Bucket::default()
        };
        let request = ClaimBucketRequest {
            parent: name_in(account),
            bucket: Some(asked),
            request_id: String::new(),
        };
        match self.identity.claim_bucket(acting, request).await {
            Ok(answer) => {
                self.owners.set(bucket, Some(account), answer.position);
                Ok(true)
            }
            Err(status) => match api::reason(&status) {
                Some(Reason::BucketAlreadyOwned) => Ok(false),
                Some(Reason::BucketAlreadyExists) => Err(taken(bucket)),
                Some(Reason::BucketLimit) => {
                    let message = "You have attempted to create more buckets than allowed";
                    Err(S3Error::new(StatusCode::BAD_REQUEST, "TooManyBuckets", message))
                }
                _ => Err(refused(&status)),
            },
        }
    }

    /// Releases a bucket that is not there. If that fails, the claim stays: the client has its answer, and
    /// a further DeleteBucket releases it.
    async fn release(&self, bucket: &str, acting: &Acting) {
        let account = acting.user().map(|user| format!("accounts/{}", user.account_id));
        let request = ReleaseBucketRequest {
            name: name_of(bucket),
            account: account.unwrap_or_default(),
            request_id: String::new(),
        };
        match self.identity.release_bucket(acting, request).await {
            Ok(answer) => self.owners.set(bucket, None, answer.position),
            Err(status) => {
                let (code, message) = (status.code(), status.message());
                tracing::warn!(?code, message, "a bucket that is gone could not be released");
            }
        }
    }
}

impl Asked<'_> {
    /// On whose behalf identity is asked.
    fn acting(&self) -> Acting {
        let principal = Principal {
            account_id: self.verified.account_id.to_string(),
            user_id: self.verified.user_id.clone(),
            ..Principal::default()
        };
        let origin =
            Origin { facade: FACADE, client: self.client, request_id: self.request_id.to_owned() };
        Acting { who: Who::User(principal), origin }
    }
}

fn no_such_bucket(bucket: &str) -> S3Error {
    let message = "The specified bucket does not exist";
    S3Error::new(StatusCode::NOT_FOUND, "NoSuchBucket", message).with("BucketName", bucket)
}

/// Whether a request for a bucket is for the bucket itself: its query names no part of it, but at most headers.
fn names_no_part(target: &Target) -> bool {
    target.query_names().filter(|name| !authenticates(name)).all(|name| {
        let name = name.to_ascii_lowercase();
        name == b"x-id" || name.starts_with(b"x-amz-")
    })
}

/// Refuses what may name another bucket in its body.
fn refuse_names_in_body(method: &Method, target: &Target) -> Result<(), S3Error> {
    let writes = matches!(*method, Method::PUT | Method::POST);
    if writes && NAMES_BUCKETS.iter().any(|part| target.query_value(part).is_some()) {
        let message = "What may name another bucket in its body is not implemented.";
        return Err(S3Error::not_implemented(message));
    }
    Ok(())
}

/// Whether an answer to DeleteBucket says that there is no such bucket any more, and the answer.
async fn is_gone(answer: Response<BoxBody>) -> Result<(Response<BoxBody>, bool), S3Error> {
    if answer.status() != StatusCode::NOT_FOUND {
        let is_gone = answer.status().is_success();
        return Ok((answer, is_gone));
    }
    // A proxy that does not find the store says so, too. The document has been read: it is short.
    let (parts, document) = answer.into_parts();
    let document = document.collect().await.map_err(|_| S3Error::unavailable())?.to_bytes();
    let code = b"<Code>NoSuchBucket</Code>";
    let is_gone = document.windows(code.len()).any(|window| window == code);
    Ok((Response::from_parts(parts, body::full(document)), is_gone))
}

/// What identity's refusal is to a client of S3.
fn refused(status: &Status) -> S3Error {
    match (api::reason(status), status.code()) {
        (Some(Reason::CallerNotAllowed), _) => S3Error::access_denied(),
        (Some(Reason::Overloaded | Reason::TooManyRequests), _) => S3Error::slow_down(),
        // Unknown is how tonic names a connection that broke. A full disk is nobody's fault, and may be over.
        (
            _,
            Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Unavailable
            | Code::ResourceExhausted,
        ) => {
            let (code, message) = (status.code(), status.message());
            tracing::warn!(?code, message, "identity does not answer about buckets");
            S3Error::unavailable()
        }
        (
            _,
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated,
        ) => {
            let (code, message) = (status.code(), status.message());
            tracing::error!(?code, message, "identity refuses us");
            S3Error::internal()
        }
    }
}

/// The answer to who makes a bucket again that it has, where that is no mistake. Nothing of it is changed.
fn made(bucket: &str) -> Response<BoxBody> {
    let mut response = Response::new(body::empty());
    if let Ok(location) = HeaderValue::try_from(format!("/{bucket}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

fn taken(bucket: &str) -> S3Error {
    let message = "The requested bucket name is not available. The bucket namespace is shared by all \
                   users of the system. Please select a different name and try again.";
    S3Error::new(StatusCode::CONFLICT, "BucketAlreadyExists", message).with("BucketName", bucket)
}

fn owned(bucket: &str) -> S3Error {
    let message =
        "Your previous request to create the named bucket succeeded and you already own it.";
    S3Error::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", message)
        .with("BucketName", bucket)
}

fn name_of(bucket: &str) -> String {
    format!("buckets/{bucket}")
}

fn name_in(account: Uuid) -> String {
    format!("accounts/{account}")
}

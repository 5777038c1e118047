//! Buckets: names in the one name space of S3, each of which belongs to one account at the most.
//!
//! What a bucket holds is the store's; here it is known whose it is. What happens to a bucket is recorded
//! with the account that it happens to: of a transfer, each account has its part.

mod name;

pub use name::{BucketName, BucketRegion};

use chrono::serde::ts_milliseconds;
use serde::{Deserialize, Serialize};

use crate::{AccountId, AccountSettings, BucketEvent, Refusal, Timestamp};

/// What is known of a bucket that is claimed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bucket {
    /// Whose it is.
    pub account: AccountId,
    /// Where it is, if that was said when it was claimed.
    pub region: Option<BucketRegion>,
    /// When it was claimed. A transfer does not change it.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
}

/// What can be asked of a bucket.
#[derive(Clone, Debug)]
pub enum Command {
    /// Claim it for an account.
    Claim {
        /// The account.
        account: AccountId,
        /// Where it is.
        region: Option<BucketRegion>,
        /// How many buckets the account has. That nobody else claims this one is for the log to ensure.
        held: usize,
    },
    /// Give its name up: anybody may claim it.
    Release,
    /// Give it from one account to another.
    Transfer {
        /// Whose it must be.
        from: AccountId,
        /// Whose it is to be.
        to: AccountId,
        /// How many buckets that account has.
        held: usize,
    },
}

/// Decides what `command` does to the bucket of this name, which is `None` unless it is claimed:
/// the events to record, and the account that each happens to. `settings` are those of the account that
/// is to have it.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(
    name: &BucketName,
    bucket: Option<&Bucket>,
    command: Command,
    settings: &AccountSettings,
) -> Result<Vec<(AccountId, BucketEvent)>, Refusal> {
    let name = || name.clone();
    match (bucket, command) {
        (None, Command::Claim { account, region, held }) => {
            refuse_more(held, settings)?;
            Ok(vec![(account, BucketEvent::Claimed { name: name(), region })])
        }
        (Some(bucket), Command::Claim { account, .. }) if bucket.account == account => {
            Err(Refusal::BucketOwned)
        }
        (Some(_), Command::Claim { .. }) => Err(Refusal::BucketExists),
        (None, Command::Release | Command::Transfer { .. }) => Err(Refusal::NoSuchBucket),
        (Some(bucket), Command::Release) => {
            Ok(vec![(bucket.account, BucketEvent::Released { name: name() })])
        }
        (Some(bucket), Command::Transfer { from, .. }) if bucket.account != from => {
            Err(Refusal::BucketOwnerChanged)
        }
        (Some(_), Command::Transfer { from, to, .. }) if from == to => Err(Refusal::BucketOwned),
        (Some(bucket), Command::Transfer { from, to, held }) => {
            refuse_more(held, settings)?;
            let Bucket { region, created_at, .. } = bucket.clone();
            // In this order it is somebody's at every moment.
            Ok(vec![
                (to, BucketEvent::Received { name: name(), region, created_at }),
                (from, BucketEvent::Given { name: name() }),
            ])
        }
    }
}

/// Refuses one more bucket than an account may have.
fn refuse_more(held: usize, settings: &AccountSettings) -> Result<(), Refusal> {
    let max = settings.buckets_max;
    if usize::try_from(max).is_ok_and(|max| held >= max) {
        return Err(Refusal::BucketLimit { max });
    }
    Ok(())
}

/// Applies one event, recorded at `at`, that happened to `account`. Total: what is in the log has happened and
/// cannot be refused; an event that does not fit the state leaves it as it is.
pub fn evolve(
    bucket: Option<Bucket>,
    account: AccountId,
    event: &BucketEvent,
    at: Timestamp,
) -> Option<Bucket> {
    match event {
        BucketEvent::Claimed { region, .. } => {
            bucket.or_else(|| Some(Bucket { account, region: region.clone(), created_at: at }))
        }
        BucketEvent::Received { region, created_at, .. } => {
            Some(Bucket { account, region: region.clone(), created_at: *created_at })
        }
        BucketEvent::Released { .. } | BucketEvent::Given { .. } => {
            bucket.filter(|bucket| bucket.account != account)
        }
    }
}

#[cfg(test)]
mod tests;

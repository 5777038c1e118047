//! What comes of a claim: the verdict, unless whoever asks is locked out, and what is kept of it.

use std::net::IpAddr;
use std::sync::Arc;

use api::auth::v1::Denied;
use read_model::Profile;

use crate::answer;
use crate::lockout::{Lockouts, Place};
use crate::source::Source;
use crate::uses::{Use, Uses};
use crate::verifier::NoVerdict;
use crate::verify::{Claim, Judged, Now, Proof, Verdict};

/// What is kept of verdicts.
pub(crate) struct Kept {
    pub(crate) uses: Arc<Uses>,
    pub(crate) lockouts: Arc<Lockouts>,
}

/// Whose request it is, and what is kept of it.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) address: Option<IpAddr>,
    /// What the client says that it is; empty if it does not.
    pub(crate) user_agent: &'a [u8],
    pub(crate) now: Now,
}

/// What comes of a claim.
pub(crate) enum Outcome {
    /// It is right, the access key may be used, and that it was used is noted.
    Verified {
        /// Who signed.
        profile: Arc<Profile>,
        /// With which secret of the access key.
        generation: u32,
    },
    /// It is refused; and may be a failed authentication.
    Denied(Denied, Option<Failure>),
}

/// A failed authentication that is to be counted.
pub(crate) struct Failure {
    place: Place,
    access_key_id: String,
    print: u64,
}

impl Failure {
    /// Counts it. Once for a request, however many hosts were tried.
    pub(crate) fn count(&self, lockouts: &Lockouts, now: Now) {
        lockouts.fail(self.place, &self.access_key_id, self.print, now);
    }
}

/// Settles what was judged of a claim.
///
/// # Errors
/// [`NoVerdict::NeedsKeys`] if they are needed first; nothing was then kept.
pub(crate) fn settle(
    claim: &Claim<'_>,
    judged: Judged,
    client: Client<'_>,
) -> Result<Outcome, NoVerdict> {
    let Client { kept: Kept { uses, lockouts }, address, user_agent, now } = client;
    let Judged { verdict, proof } = judged;
    let place = match proof {
        Proof::None => None,
        Proof::Right(mode) | Proof::Wrong(mode) | Proof::Pending(mode) => {
            lockouts.place(mode, claim.access_key_id, address.map(Source::of))
        }
    };
    // The same for a right signature as for a wrong one, and before anything is told of the key.
    if let Some(locked_out) = place.and_then(|place| lockouts.locked_out(place, now)) {
        return Ok(Outcome::Denied(answer::locked_out(locked_out), None));
    }
    match verdict {
        Verdict::Verified { profile, generation } => {
            if let Some(place) = place {
                lockouts.succeed(place, now);
            }
            let used = Use {
                access_key_id: claim.access_key_id,
                generation,
                address,
                user_agent,
                region: claim.scope.region(),
                service: claim.scope.service(),
            };
            uses.note(&used, now);
            Ok(Outcome::Verified { profile, generation })
        }
        Verdict::Denied(denial) => {
            let place = place.filter(|_| matches!(proof, Proof::Wrong(_)));
            let failure = place.map(|place| Failure {
                place,
                access_key_id: claim.access_key_id.to_owned(),
                print: lockouts.print(claim.signed),
            });
            Ok(Outcome::Denied(answer::denied(denial), failure))
        }
        Verdict::NeedsKeys(needed) => Err(NoVerdict::NeedsKeys(needed)),
    }
}

//! What comes of a request: the verdict, unless whoever asks is locked out, and what is kept of it.

use std::net::IpAddr;
use std::sync::Arc;

use api::auth::v1::verify_signature_response::Verdict as Answer;
use read_model::Table;
use sigv4::{Expected, Head};

use crate::answer;
use crate::lockout::{Lockouts, Place};
use crate::source::Source;
use crate::uses::{Use, Uses};
use crate::verify::{Judged, NeededDay, Now, Proof, Verdict, verify};

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
    pub(crate) now: Now,
}

/// A verdict, and the failed authentication that it may stand for.
pub(crate) struct Decided {
    pub(crate) verdict: Answer,
    pub(crate) failure: Option<Failure>,
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

impl From<Answer> for Decided {
    fn from(verdict: Answer) -> Self {
        Self { verdict, failure: None }
    }
}

/// Decides on the head of a request, for the one host that stands in it.
///
/// # Errors
/// [`NeededDay`] if that is needed first; nothing was then kept.
pub(crate) fn of(
    table: &Table,
    head: &Head<'_>,
    expected: &Expected<'_>,
    client: Client<'_>,
) -> Result<Decided, NeededDay> {
    let signed = match sigv4::authenticate(head, expected) {
        Ok(signed) => signed,
        Err(denial) => return Ok(answer::denied(denial).into()),
    };
    let Client { kept: Kept { uses, lockouts }, address, now } = client;
    let Judged { verdict, proof } = verify(table, &signed, now);
    let place = match proof {
        Proof::None => None,
        Proof::Right(mode) | Proof::Wrong(mode) => {
            lockouts.place(mode, signed.access_key_id(), address.map(Source::of))
        }
    };
    // The same for a right signature as for a wrong one, and before anything is told of the key.
    if let Some(locked_out) = place.and_then(|place| lockouts.locked_out(place, now)) {
        return Ok(answer::locked_out(locked_out).into());
    }
    match verdict {
        Verdict::Verified { profile, generation } => {
            if let Some(place) = place {
                lockouts.succeed(place, now);
            }
            let used = Use {
                access_key_id: signed.access_key_id(),
                generation,
                address,
                user_agent: user_agent(head),
                region: signed.scope().region(),
                service: signed.scope().service(),
            };
            uses.note(&used, now);
            Ok(answer::verified(&signed, &profile, generation).into())
        }
        Verdict::Denied(denial) => {
            let place = place.filter(|_| matches!(proof, Proof::Wrong(_)));
            let failure = place.map(|place| Failure {
                place,
                access_key_id: signed.access_key_id().to_owned(),
                print: lockouts.print(&signed),
            });
            Ok(Decided { verdict: answer::denied(denial), failure })
        }
        Verdict::NeedsDateKeys(day) => Err(day),
    }
}

/// What the client says that it is; empty if it does not.
fn user_agent<'a>(head: &Head<'a>) -> &'a [u8] {
    let mut headers = head.headers();
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(b"user-agent"));
    found.map_or(&[], |(_, value)| value)
}

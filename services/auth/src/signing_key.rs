//! `GetSigningKey`: the key by which the chunks of an upload are signed, for whoever shows its head's signature.

use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::{Denied, Scope, SigningKey, VerifyStringToSignRequest};
use prost_types::Timestamp;
use read_model::{Profile, Table};
use sigv4::{Denial, SKEW_SECONDS_MAX};

use crate::answer;
use crate::status::Error;
use crate::string_to_sign::{check, decide};
use crate::verifier::{Accepted, Look, NoVerdict, Question};
use crate::verify::{self, Claim, Now};

const DAY_SECONDS: i64 = 86_400;

/// Asks for the key that made a signature.
pub(crate) struct SigningKeyOf<'r>(pub(crate) &'r VerifyStringToSignRequest);

/// The key, or why it is not given.
pub(crate) struct Answer(pub(crate) Given);

impl From<Denied> for Answer {
    fn from(denied: Denied) -> Self {
        Self(Given::Denied(denied))
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        answer::denied(denial).into()
    }
}

impl Question<Answer> for SigningKeyOf<'_> {
    fn min_position(&self) -> u64 {
        self.0.min_position
    }

    fn check(&self, _: Accepted) -> Result<(), Error> {
        check(self.0)
    }

    fn decide(&self, look: Look<'_>) -> Result<Answer, NoVerdict> {
        let Look { table, kept, now, .. } = look;
        decide(self.0, table, kept, now, |claim, profile, generation, _| {
            give(table, claim, profile, generation, now)
        })
    }
}

fn give(table: &Table, claim: &Claim<'_>, profile: &Profile, generation: u32, now: Now) -> Answer {
    let Some((key, end_ms)) = verify::signing_key(table, claim, generation, now) else {
        // It was there a moment ago, and is no longer.
        return Denial::invalid_access_key_id(claim.access_key_id).into();
    };
    let day_end = claim.scope.date().start_unix_seconds() + DAY_SECONDS;
    let scope_end_ms = (day_end + i64::from(SKEW_SECONDS_MAX)) * 1000;
    let not_after_ms = end_ms.map_or(scope_end_ms, |end| end.min(scope_end_ms));
    Answer(Given::SigningKey(SigningKey {
        key: key.to_vec(),
        scope: Some(Scope {
            date: claim.scope.date().as_str().to_owned(),
            region: claim.scope.region().to_owned(),
            service: claim.scope.service().to_owned(),
        }),
        principal: Some(answer::principal(profile)),
        access_key_id: claim.access_key_id.to_owned(),
        secret_generation: generation,
        not_after: Some(Timestamp {
            seconds: not_after_ms.div_euclid(1000),
            nanos: not_after_ms.rem_euclid(1000) as i32 * 1_000_000, // below 10^9
        }),
    }))
}

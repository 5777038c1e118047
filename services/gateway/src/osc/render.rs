//! Users, access keys and the policy as OUTSCALE shows them.

use api::identity::v1::{AccessKey, AccessKeyState, User};
use prost_types::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::iam;

/// The path of a user that has none.
const NO_PATH: &str = "/";
pub(super) const ACTIVE: &str = "ACTIVE";
pub(super) const INACTIVE: &str = "INACTIVE";

/// What OUTSCALE tells of a user. Its id is that of the form API, in which the same user may be asked for.
pub(super) fn user(user: &User) -> Value {
    let mut shown = json!({
        "UserId": iam::user_id(&user.user_id),
        "UserName": user.user_name,
        "Path": if user.path.is_empty() { NO_PATH } else { &user.path },
        "CreationDate": date(user.create_time.as_ref()),
        "LastModificationDate": date(user.update_time.as_ref()),
        // By a password, on the calls that take one.
        "OutscaleLoginAllowed": user.password_set_time.is_some(),
    });
    if !user.email.is_empty() {
        shown["UserEmail"] = user.email.as_str().into();
    }
    shown
}

/// What OUTSCALE tells of an access key. It has no date where it does not end, and no tag where it has none.
pub(super) fn access_key(key: &AccessKey) -> Value {
    let mut shown = json!({
        "AccessKeyId": key.access_key_id,
        "State": state(key),
        "CreationDate": date(key.create_time.as_ref()),
        "LastModificationDate": date(key.update_time.as_ref()),
    });
    if key.expire_time.is_some() {
        shown["ExpirationDate"] = date(key.expire_time.as_ref()).into();
    }
    if !key.label.is_empty() {
        shown["Tag"] = key.label.as_str().into();
    }
    shown
}

/// "ACTIVE if the key is valid for API calls, or INACTIVE if not": one that has ended is not.
pub(super) fn state(key: &AccessKey) -> &'static str {
    match key.state() {
        AccessKeyState::Active => ACTIVE,
        AccessKeyState::Inactive
        | AccessKeyState::Expired
        | AccessKeyState::NotYetValid
        | AccessKeyState::Deleted
        | AccessKeyState::Unspecified => INACTIVE,
    }
}

/// An instant as OUTSCALE writes it: `2063-04-05T00:00:00.000+0000`.
pub(super) fn date(at: Option<&Timestamp>) -> String {
    let instant = |at: &Timestamp| {
        chrono::DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or_default())
    };
    let at = at.and_then(instant).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// The UUID that a user's id stands for, if it is one of [`user`].
pub(super) fn uuid_of(user_id: &str) -> Option<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = user_id.strip_prefix("AIDA").filter(|digits| digits.len() == 26)?;
    let bits = digits.bytes().try_fold(0_u128, |bits, letter| {
        let digit = LETTERS.iter().position(|known| *known == letter)?;
        let digit = u128::try_from(digit).ok()?;
        bits.checked_mul(32)?.checked_add(digit)
    })?;
    Some(Uuid::from_u128(bits).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_have_milliseconds_and_an_offset_without_a_colon() {
        let check = |seconds, nanos, expected| {
            assert_eq!(date(Some(&Timestamp { seconds, nanos })), expected);
        };
        check(2_942_956_800, 0, "2063-04-05T00:00:00.000+0000");
        check(1_285_936_496, 789_000_000, "2010-10-01T12:34:56.789+0000");
        check(0, 1, "1970-01-01T00:00:00.000+0000");
    }

    #[test]
    fn a_key_that_cannot_be_used_is_inactive() {
        for (state_, expected) in [
            (AccessKeyState::Active, ACTIVE),
            (AccessKeyState::Inactive, INACTIVE),
            (AccessKeyState::Expired, INACTIVE),
            (AccessKeyState::NotYetValid, INACTIVE),
        ] {
            let key = AccessKey { state: state_.into(), ..Default::default() };
            assert_eq!(state(&key), expected);
            let shown = access_key(&key);
            assert!(shown.get("ExpirationDate").is_none() && shown.get("Tag").is_none());
        }
    }

    proptest! {
        #[test]
        fn a_users_id_leads_back_to_it(bits: u128) {
            let uuid = Uuid::from_u128(bits).to_string();
            prop_assert_eq!(uuid_of(&iam::user_id(&uuid)), Some(uuid));
        }

        #[test]
        fn no_other_text_makes_it_panic(text in "(AIDA)?[A-Z2-9]{0,30}") {
            let _ = uuid_of(&text);
        }
    }
}

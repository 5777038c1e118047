//! What is asked of an access key, as it is sent.

use api::identity::v1::{AccessKey, AccessKeyState};

use crate::cli::{End, ExpiryArgs, KeyChanges, LifetimeArgs, NewKeyArgs};
use crate::config::secret;
use crate::exit::{Failure, Outcome};

/// Holds the secret of an access key that is brought along.
const SECRET_VARIABLE: &str = "CLAVIGER_SECRET_ACCESS_KEY";

/// A new access key.
pub(super) struct New {
    pub(super) access_key: AccessKey,
    /// Of one that is brought along; else empty.
    pub(super) secret_access_key: String,
    pub(super) lifetime_days_max: u32,
}

impl New {
    /// # Errors
    /// If the secret of an access key that is brought along cannot be had.
    pub(super) fn of(args: NewKeyArgs) -> Outcome<Self> {
        let secret_access_key = secret_access_key(&args)?;
        let NewKeyArgs { label, slot, not_before, expiry, limit, inactive, access_key_id, .. } =
            args;
        let state = if inactive { AccessKeyState::Inactive } else { AccessKeyState::Unspecified };
        let access_key = AccessKey {
            access_key_id: access_key_id.unwrap_or_default(),
            state: state.into(),
            label,
            slot: slot.unwrap_or_default(),
            not_before_time: not_before,
            ..self::expiry(expiry).unwrap_or_default()
        };
        Ok(Self { access_key, secret_access_key, lifetime_days_max: limit.max_lifetime_days })
    }
}

/// An access key with nothing but an end, if one was given.
pub(super) fn expiry(args: ExpiryArgs) -> Option<AccessKey> {
    let ExpiryArgs { expires_at, ttl } = args;
    (expires_at.is_some() || ttl.is_some()).then(|| AccessKey {
        expiration_date: expires_at.unwrap_or_default(),
        time_to_live: ttl.unwrap_or_default(),
        ..Default::default()
    })
}

fn secret_access_key(args: &NewKeyArgs) -> Outcome<String> {
    if args.access_key_id.is_none() {
        return Ok(String::new());
    }
    let found = secret::find(SECRET_VARIABLE, args.secret_file.as_deref(), None)
        .map_err(|error| Failure::usage(format!("{error:#}")))?;
    // The message that it goes into is no safer than this copy.
    found.map(|secret| secret.to_string()).ok_or_else(|| {
        Failure::usage(format!(
            "no secret for the access key: give --secret-file, or set {SECRET_VARIABLE}"
        ))
    })
}

/// A change of an access key: new values, and the paths of an update mask that names them.
pub(super) struct Change {
    pub(super) access_key: AccessKey,
    pub(super) paths: Vec<String>,
    pub(super) lifetime_days_max: u32,
}

impl Change {
    fn to<const N: usize>(access_key: AccessKey, paths: [&str; N]) -> Self {
        Self { access_key, paths: paths.map(str::to_owned).into(), lifetime_days_max: 0 }
    }

    pub(super) fn of(changes: KeyChanges) -> Self {
        let KeyChanges { label, slot, no_slot } = changes;
        let given = [("label", label.is_some()), ("slot", slot.is_some() || no_slot)];
        let paths = given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned());
        let paths = paths.collect();
        let access_key = AccessKey {
            label: label.unwrap_or_default(),
            slot: slot.unwrap_or_default(),
            ..Default::default()
        };
        Self { access_key, paths, lifetime_days_max: 0 }
    }

    pub(super) fn to_state(state: AccessKeyState) -> Self {
        Self::to(AccessKey { state: state.into(), ..Default::default() }, ["state"])
    }

    pub(super) fn to_end(end: End, limit: &LifetimeArgs) -> Self {
        let change = match end {
            End { at: Some(expiration_date), .. } => {
                Self::to(AccessKey { expiration_date, ..Default::default() }, ["expiration_date"])
            }
            End { ttl: Some(time_to_live), .. } => {
                Self::to(AccessKey { time_to_live, ..Default::default() }, ["time_to_live"])
            }
            // In the mask and not in the access key: it is removed.
            End { at: None, ttl: None, .. } => Self::to(AccessKey::default(), ["expire_time"]),
        };
        Self { lifetime_days_max: limit.max_lifetime_days, ..change }
    }
}

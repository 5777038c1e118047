//! Admin tokens: what operators show to be let in.

use chrono::serde::{ts_milliseconds, ts_milliseconds_option};
use serde::{Deserialize, Serialize};

use crate::{AccountId, AdminTokenEvent, Refusal, Timestamp, UserName};

/// SHA-256 of a token. Tokens have 256 random bits, so that nothing slower is needed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct TokenHash(pub [u8; 32]);

/// What is known of an admin token. The token itself is not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AdminToken {
    /// Its name, unique among admin tokens without regard to case.
    pub name: UserName,
    /// What is kept of the token itself.
    pub hash: TokenHash,
    /// The one account that it is good for; all if not given.
    pub account: Option<AccountId>,
    /// Whether it may only read.
    pub read_only: bool,
    /// When it ends: it is worth nothing at every `t >= expires_at`.
    #[serde(with = "ts_milliseconds_option")]
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
}

impl AdminToken {
    /// Whether it has expired at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// What can be asked of an admin token.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the token.
    Create {
        /// Its name. That no other token has it is for the log to ensure.
        name: UserName,
        /// What is kept of the token itself.
        hash: TokenHash,
        /// The one account that it is good for; all if not given.
        account: Option<AccountId>,
        /// Whether it may only read.
        read_only: bool,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
    },
    /// Make it worth nothing.
    Revoke,
}

/// Decides what `command`, given at `now`, does to `token`, which is `None` until it was made and
/// after it was revoked.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(
    token: Option<&AdminToken>,
    command: Command,
    now: Timestamp,
) -> Result<Vec<AdminTokenEvent>, Refusal> {
    match (token, command) {
        (Some(_), Command::Create { .. }) => Err(Refusal::AdminTokenExists),
        (None, Command::Create { expires_at: Some(end), .. }) if end <= now => {
            Err(Refusal::ExpiryInPast)
        }
        (None, Command::Create { name, hash, account, read_only, expires_at }) => {
            Ok(vec![AdminTokenEvent::Created { name, hash, account, read_only, expires_at }])
        }
        (Some(_), Command::Revoke) => Ok(vec![AdminTokenEvent::Revoked]),
        (None, Command::Revoke) => Err(Refusal::NoSuchAdminToken),
    }
}

/// Applies one event, recorded at `at`. Total: what is in the log has happened.
pub fn evolve(
    token: Option<AdminToken>,
    event: &AdminTokenEvent,
    at: Timestamp,
) -> Option<AdminToken> {
    match event {
        AdminTokenEvent::Created { name, hash, account, read_only, expires_at } => {
            Some(token.unwrap_or_else(|| AdminToken {
                name: name.clone(),
                hash: *hash,
                account: *account,
                read_only: *read_only,
                expires_at: *expires_at,
                created_at: at,
            }))
        }
        AdminTokenEvent::Revoked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).expect("in range")
    }

    fn create(end: Option<i64>) -> Command {
        Command::Create {
            name: UserName::parse("ci").expect("valid"),
            hash: TokenHash([7; 32]),
            account: None,
            read_only: true,
            expires_at: end.map(at),
        }
    }

    #[test]
    fn a_token_is_made_once_and_ends_when_it_expires_or_is_revoked() {
        assert_eq!(decide(None, create(Some(0)), at(0)), Err(Refusal::ExpiryInPast));
        let events = decide(None, create(Some(10)), at(0)).expect("accepted");
        let token = events.iter().fold(None, |token, event| evolve(token, event, at(0)));
        let made = token.clone().expect("made");
        assert!(!made.is_expired(at(9)) && made.is_expired(at(10)));
        assert_eq!(decide(token.as_ref(), create(None), at(1)), Err(Refusal::AdminTokenExists));
        let events = decide(token.as_ref(), Command::Revoke, at(1)).expect("accepted");
        assert_eq!(evolve(token, &events[0], at(1)), None);
        assert_eq!(decide(None, Command::Revoke, at(1)), Err(Refusal::NoSuchAdminToken));
    }
}

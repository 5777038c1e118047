//! Names of the streams: one for each account, one for the buckets of each, one for each user with its
//! access keys, one for each admin token.

use domain::{AccountId, AdminTokenId, UserId};
use event_store::{Recorded, StreamId};

/// What a stream is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Stream {
    /// An account.
    Account(AccountId),
    /// The buckets of an account.
    Buckets(AccountId),
    /// A user and its access keys.
    User(UserId),
    /// An admin token.
    AdminToken(AdminTokenId),
}

impl Stream {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.split_once('/')? {
            ("account", id) => AccountId::parse(id).map(Self::Account),
            ("buckets", id) => AccountId::parse(id).map(Self::Buckets),
            ("user", id) => UserId::parse(id).map(Self::User),
            ("admin-token", id) => AdminTokenId::parse(id).map(Self::AdminToken),
            _ => None,
        }
    }

    pub(crate) fn id(self) -> StreamId {
        let name = match self {
            Self::Account(id) => format!("account/{id}"),
            Self::Buckets(id) => format!("buckets/{id}"),
            Self::User(id) => format!("user/{id}"),
            Self::AdminToken(id) => format!("admin-token/{id}"),
        };
        StreamId::parse(name).expect("a word, a slash and a UUID are visible ASCII under 128 bytes")
    }
}

/// The account that an event happened in; the nil UUID for events of admin tokens. Claims on the names of buckets
/// are no account's, and so neither are the batches that hold them: their streams tell.
pub(crate) fn account_of(recorded: &Recorded) -> AccountId {
    match Stream::parse(recorded.stream.as_str()) {
        Some(Stream::Buckets(account)) => account,
        Some(Stream::Account(_) | Stream::User(_) | Stream::AdminToken(_)) | None => {
            AccountId(recorded.account)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_name() {
        for stream in [
            Stream::Account(AccountId(uuid::Uuid::from_u128(1))),
            Stream::User(UserId(uuid::Uuid::from_u128(2))),
            Stream::Buckets(AccountId(uuid::Uuid::from_u128(4))),
            Stream::AdminToken(AdminTokenId(uuid::Uuid::from_u128(3))),
        ] {
            assert_eq!(Stream::parse(stream.id().as_str()), Some(stream));
        }
        for bad in ["", "user", "user/", "group/01935a3c-0000-7000-8000-000000000000"] {
            assert_eq!(Stream::parse(bad), None, "{bad}");
        }
    }
}

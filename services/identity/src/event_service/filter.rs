//! Which events a client asks to see.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use api::event::v1::Event;
use api::identity::v1::{ListEventsRequest, WatchEventsRequest};
use domain::{AccessKeyId, AccountId, UserId};
use event_store::{Position, Recorded};
use prost::Message;

use crate::caller::Call;
use crate::error::Error;
use crate::model::Model;
use crate::stream::{self, Stream};
use crate::writer::{Writer, decode};
use crate::{positions, render, resource};

/// The most kinds that a filter may name.
const KINDS_MAX: usize = 64;
/// The longest principal that is recorded, in bytes.
const PRINCIPAL_BYTES_MAX: usize = 256;

/// Which events to show. What is not given matches everything.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    account: Option<AccountId>,
    /// And the account that the filter says it is of.
    user: Option<(AccountId, UserId)>,
    access_key_id: Option<AccessKeyId>,
    /// Types of events.
    kinds: BTreeSet<u32>,
    principal: Option<String>,
}

/// The fields of a filter as they were sent.
struct Asked<'a> {
    account: &'a str,
    user: &'a str,
    access_key_id: &'a str,
    kinds: &'a [String],
    principal: &'a str,
}

impl Filter {
    pub(super) fn of_list(call: &Call, request: &ListEventsRequest) -> Result<Self, Error> {
        let ListEventsRequest { account, user, access_key_id, kinds, principal, .. } = request;
        Self::of(call, &Asked { account, user, access_key_id, kinds, principal })
    }

    pub(super) fn of_watch(call: &Call, request: &WatchEventsRequest) -> Result<Self, Error> {
        let WatchEventsRequest { account, user, access_key_id, kinds, principal, .. } = request;
        Self::of(call, &Asked { account, user, access_key_id, kinds, principal })
    }

    fn of(call: &Call, asked: &Asked<'_>) -> Result<Self, Error> {
        let given = |text: &&str| !text.is_empty();
        let account = Some(asked.account)
            .filter(given)
            .map(|name| resource::account_id("account", name))
            .transpose()?;
        // Whoever has to do with one account only is shown the events of no other.
        let account = match call.account() {
            Some(own) => {
                call.reads_account(account.unwrap_or(own))?;
                Some(own)
            }
            None => {
                call.reads_all()?;
                account
            }
        };
        if asked.kinds.len() > KINDS_MAX {
            return Err(Error::invalid("kinds", "must be at most 64"));
        }
        if asked.principal.len() > PRINCIPAL_BYTES_MAX {
            return Err(Error::invalid("principal", "must be at most 256 bytes"));
        }
        Ok(Self {
            account,
            user: Some(asked.user)
                .filter(given)
                .map(|name| resource::user_id("user", name))
                .transpose()?,
            access_key_id: Some(asked.access_key_id)
                .filter(given)
                .map(AccessKeyId::parse)
                .transpose()
                .map_err(|error| Error::invalid("access_key_id", error.to_string()))?,
            kinds: asked.kinds.iter().map(|name| kind(name)).collect::<Result<_, _>>()?,
            principal: Some(asked.principal).filter(given).map(str::to_owned),
        })
    }

    /// Where the events stand that may match, in order, if that is known.
    pub(super) fn candidates(&self, writer: &Writer) -> Option<Vec<Position>> {
        self.known(&writer.model()).map(<[_]>::to_vec)
    }

    /// The first [`positions::run`] after `after` of where the events stand that may match, and up to
    /// where that is known; none if it is not.
    pub(super) fn run_after(
        &self,
        writer: &Writer,
        after: Position,
        limit: usize,
    ) -> Option<(Vec<Position>, Position)> {
        let model = writer.model();
        let known = self.known(&model)?;
        let from = known.partition_point(|position| *position <= after);
        Some((positions::run(&known[from..], limit).to_vec(), model.position()))
    }

    fn known<'a>(&self, model: &'a Model) -> Option<&'a [Position]> {
        // The events of an access key are among those of whoever holds it or ever held it.
        let holder = |id| model.holder_ever(id).map(|(_, user)| user);
        let user = self.user.map(|(_, user)| user);
        if let Some(user) = user.or_else(|| self.access_key_id.as_ref().and_then(holder)) {
            return Some(model.user_past(user).map_or(&[], |(_, events)| events));
        }
        let account = self.account?;
        Some(model.past(account).map_or(&[], |past| past.events.as_slice()))
    }

    /// The event, if it is to be shown.
    pub(super) fn pass(
        &self,
        writer: &Writer,
        recorded: &Recorded,
    ) -> Result<Option<Event>, Error> {
        let account = self.account.is_none_or(|account| account == stream::account_of(recorded));
        let kind = self.kinds.is_empty() || self.kinds.contains(&recorded.event_type);
        let principal =
            self.principal.as_ref().is_none_or(|name| *name == recorded.actor.principal.as_str());
        if !(account && kind && principal) {
            return Ok(None);
        }
        let stream = Stream::parse(recorded.stream.as_str());
        let of = |(account, user): (AccountId, UserId)| {
            account.0 == recorded.account && stream == Some(Stream::User(user))
        };
        if self.user.is_some_and(|user| !of(user)) {
            return Ok(None);
        }
        if let Some(id) = &self.access_key_id {
            let domain::Event::User(event) = decode(recorded)? else { return Ok(None) };
            if event.access_key_id() != Some(id) {
                return Ok(None);
            }
        }
        render::event(writer, recorded).map(Some)
    }
}

/// The type of event that has this name.
fn kind(name: &str) -> Result<u32, Error> {
    static KINDS: OnceLock<HashMap<String, u32>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET);
        let files = set.map(|set| set.file).unwrap_or_default();
        let events = files.into_iter().filter(|file| file.package() == "claviger.event.v1");
        let payload = events
            .flat_map(|file| file.message_type)
            .find(|message| message.name() == "Payload")
            .unwrap_or_default();
        let number = |field: prost_types::FieldDescriptorProto| {
            Some((field.name().to_owned(), u32::try_from(field.number()).ok()?))
        };
        payload.field.into_iter().filter_map(number).collect()
    });
    kinds.get(name).copied().ok_or_else(|| {
        Error::invalid("kinds", "must be names of fields of Payload, such as user_locked")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_as_its_field() {
        assert_eq!(kind("account_created").expect("known"), 1);
        assert_eq!(kind("admin_token_revoked").expect("known"), 29);
        assert!(kind("UserLocked").is_err() && kind("").is_err());
    }
}

//! How things stood before: states made anew from the events up to some point.

use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;

use domain::{Account, AccountId, Timestamp, User, UserId, account, user};
use event_store::{Position, Recorded, Revision};
use futures::TryStreamExt;

use crate::error::Error;
use crate::model::{UserEntry, time};
use crate::positions;
use crate::stream::Stream;
use crate::writer::{Outcome, Writer, decode, read_failed};

/// Up to where events count.
#[derive(Clone, Copy, Debug)]
enum Until {
    Position(Position),
    Time(Timestamp),
}

/// The instant that a client asks to read at.
///
/// # Errors
/// If it is no instant, or lies in the future: what will be is not known.
pub(crate) fn read_time(
    writer: &Writer,
    asked: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Error> {
    let Some(asked) = asked else { return Ok(None) };
    let nanos = u32::try_from(asked.nanos).ok();
    let instant = nanos.and_then(|nanos| Timestamp::from_timestamp(asked.seconds, nanos));
    let instant = instant.ok_or_else(|| Error::invalid("read_time", "must be an instant"))?;
    if instant > writer.now() {
        return Err(Error::ReadTimeInFuture);
    }
    Ok(Some(instant))
}

/// A user as it was right after a command on it.
///
/// # Errors
/// [`Error::NoSuchUser`] if that command deleted it.
pub(crate) async fn user_after(
    writer: &Writer,
    id: UserId,
    outcome: Outcome,
) -> Result<Arc<UserEntry>, Error> {
    let present = writer.model().user(id).map(Arc::clone);
    match present {
        Some(entry) if entry.events.last() <= Some(&outcome.last) => Ok(entry),
        Some(_) | None => {
            let entry = user_until(writer, id, Until::Position(outcome.last)).await?;
            entry.map(Arc::new).ok_or(Error::NoSuchUser)
        }
    }
}

/// An account as it was right after a command that changed it and nothing else.
///
/// Takes time in proportion to what the account recorded, if it has been changed since.
///
/// # Errors
/// [`Error::RequestIdReused`] if the command changed no account.
pub(crate) async fn account_after(
    writer: &Writer,
    outcome: Outcome,
) -> Result<(AccountId, Account), Error> {
    let last = recorded_at(writer, outcome.last).await?;
    let Some(Stream::Account(id)) = Stream::parse(last.stream.as_str()) else {
        return Err(Error::RequestIdReused);
    };
    let present = {
        let model = writer.model();
        let unchanged = model.account(id).filter(|entry| entry.revision == last.revision);
        unchanged.map(|entry| entry.account.clone())
    };
    if let Some(account) = present {
        return Ok((id, account));
    }
    let positions = writer.model().past(id).map_or(vec![], |past| {
        let events = &past.events;
        events[..events.partition_point(|position| *position <= outcome.last)].to_vec()
    });
    let mut state = None;
    let mut events = pin!(positions::events(writer, positions));
    while let Some(recorded) = events.try_next().await? {
        if let domain::Event::Account(event) = decode(&recorded)? {
            state = account::evolve(state, &event, time(recorded.time_ms));
        }
    }
    state.map(|account| (id, account)).ok_or(Error::NoSuchAccount)
}

async fn recorded_at(writer: &Writer, position: Position) -> Result<Recorded, Error> {
    let before = Position(position.0.saturating_sub(1));
    let read = writer.log.read(before, 1).await.map_err(read_failed)?;
    read.into_iter().next().ok_or(Error::LogCorrupt { position: position.0 })
}

/// A user as it was at an instant; none if it was not there.
pub(crate) async fn user_at(
    writer: &Writer,
    id: UserId,
    at: Timestamp,
) -> Result<Option<UserEntry>, Error> {
    user_until(writer, id, Until::Time(at)).await
}

async fn user_until(writer: &Writer, id: UserId, until: Until) -> Result<Option<UserEntry>, Error> {
    let past = writer.model().user_past(id).map(|(account, events)| {
        let count = match until {
            Until::Position(last) => events.partition_point(|position| *position <= last),
            Until::Time(_) => events.len(),
        };
        (account, events[..count].to_vec())
    });
    let Some((account, positions)) = past else { return Ok(None) };
    let mut state: Option<User> = None;
    let mut revision = Revision::NONE;
    let mut events = vec![];
    let mut past = pin!(positions::events(writer, positions));
    while let Some(recorded) = past.try_next().await? {
        let (position, at) = (recorded.position, time(recorded.time_ms));
        if matches!(until, Until::Time(instant) if instant < at) {
            break;
        }
        let corrupt = || Error::LogCorrupt { position: position.0 };
        if Stream::parse(recorded.stream.as_str()) != Some(Stream::User(id)) {
            return Err(corrupt());
        }
        let domain::Event::User(event) = decode(&recorded)? else { return Err(corrupt()) };
        state = user::evolve(state, &event, at);
        revision = recorded.revision;
        events.push(position);
    }
    Ok(state.map(|user| UserEntry { id, account, user, revision, events }))
}

/// Users that an account ever had from `from` on, oldest first, at most `limit`.
pub(crate) fn users_ever(
    writer: &Writer,
    account: AccountId,
    from: Bound<UserId>,
    limit: usize,
) -> Vec<UserId> {
    let model = writer.model();
    let users = model.past(account).map(|past| &past.users);
    let users = users.into_iter().flat_map(|users| users.range((from, Bound::Unbounded)));
    users.take(limit).copied().collect()
}

//! Commands on buckets.
//!
//! What happens to the buckets of an account stands in one stream. Commands on it are done one after another, and
//! side by side with those on the account's users. That a name is nobody else's is a claim, which is held by no
//! account, so that a transfer leaves it as it is.

use std::ops::Bound;
use std::sync::Arc;

use domain::{AccountId, BucketEvent, BucketName, BucketRegion, Event, Refusal, account, bucket};
use event_store::Revision;

use super::{Fresh, NO_ACCOUNT, Outcome, Rights, Writer};
use crate::answer;
use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::model::AccountEntry;
use crate::stream::Stream;
use crate::turn::{Held, Intent, Place};

/// Buckets that are released at once: the names of no more fit the claims of one command.
const RELEASED_AT_ONCE: usize = 20;

/// The turn of a command on the buckets of one account, or of two, until this is dropped.
struct BucketTurn {
    _places: Vec<Place<Stream>>,
    _held: Vec<Held<Stream>>,
    _rights: Rights,
}

impl Writer {
    /// Waits for the turn of a command on the buckets of these accounts.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`].
    async fn turn_on_buckets(
        &self,
        call: &Call,
        mut accounts: Vec<AccountId>,
    ) -> Result<BucketTurn, Error> {
        // In one order, so that two that give each other something do not wait for each other.
        accounts.sort_unstable();
        accounts.dedup();
        let (mut places, mut held) = (vec![], vec![]);
        for account in &accounts {
            places.push(self.places.take(
                Stream::Buckets(*account),
                &call.principal(),
                Intent::Change,
            )?);
        }
        for account in &accounts {
            held.push(self.locks.alone(Stream::Buckets(*account)).await);
        }
        for account in &accounts {
            held.push(self.locks.shared(Stream::Account(*account)).await);
        }
        let rights = self.rights(call, None).await;
        Ok(BucketTurn { _places: places, _held: held, _rights: rights })
    }

    /// Makes a bucket an account's.
    pub(crate) async fn claim_bucket(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        account: AccountId,
        name: BucketName,
        region: Option<BucketRegion>,
    ) -> Result<Outcome, Error> {
        let turn = self.turn_on_buckets(call, vec![account]).await?;
        let command = move |held| bucket::Command::Claim { account, region, held };
        self.change_bucket(call, fresh, turn, name, account, command).await
    }

    /// Gives up the name of a bucket, which is this account's.
    pub(crate) async fn release_bucket(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        account: AccountId,
        name: BucketName,
    ) -> Result<Outcome, Error> {
        let turn = self.turn_on_buckets(call, vec![account]).await?;
        let is_its =
            self.model().buckets().get(&name).is_none_or(|bucket| bucket.account == account);
        if !is_its {
            return Err(Refusal::BucketOwnerChanged.into());
        }
        self.change_bucket(call, fresh, turn, name, account, |_| bucket::Command::Release).await
    }

    /// Gives a bucket from one account to another.
    pub(crate) async fn transfer_bucket(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        name: BucketName,
        from: AccountId,
        to: AccountId,
    ) -> Result<Outcome, Error> {
        let turn = self.turn_on_buckets(call, vec![from, to]).await?;
        let command = move |held| bucket::Command::Transfer { from, to, held };
        self.change_bucket(call, fresh, turn, name, to, command).await
    }

    /// Does to a bucket what `command` makes of how many buckets `account` has, which is to have it.
    async fn change_bucket(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        turn: BucketTurn,
        name: BucketName,
        account: AccountId,
        command: impl FnOnce(usize) -> bucket::Command + Send + 'static,
    ) -> Result<Outcome, Error> {
        let (writer, call) = (Arc::clone(self), call.clone());
        answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let events = {
                let model = writer.model();
                let settings =
                    &model.account(account).ok_or(Error::NoSuchAccount)?.account.settings;
                let buckets = model.buckets();
                let command = command(buckets.count(account));
                bucket::decide(&name, buckets.get(&name), command, settings)?
            };
            writer.record_buckets(&call, key, events).await
        })
        .await
    }

    async fn record_buckets(
        &self,
        call: &Call,
        key: CommandKey,
        events: Vec<(AccountId, BucketEvent)>,
    ) -> Result<Outcome, Error> {
        let events: Vec<(Stream, Revision, Event)> = {
            let model = self.model();
            let recorded = |(account, event)| {
                let revision = model.buckets().revision(account);
                (Stream::Buckets(account), revision, Event::Bucket(event))
            };
            events.into_iter().map(recorded).collect()
        };
        self.commit(call, key, NO_ACCOUNT, events, None).await
    }

    /// Deletes an account that `check` lets go, first of all releasing its buckets if `force` is given.
    pub(crate) async fn delete_account(
        self: &Arc<Self>,
        call: &Call,
        fresh: Fresh,
        id: AccountId,
        force: bool,
        check: impl FnOnce(&AccountEntry) -> Result<(), Error> + Send + 'static,
    ) -> Result<Outcome, Error> {
        let turn = self.turn_on_account(call, id, Intent::EndCaller).await?;
        let (writer, call) = (Arc::clone(self), call.clone());
        let deleted = answer::whole(async move {
            let (_turn, fresh) = (turn, fresh);
            let key = fresh.key;
            call.is_still_known(&writer)?;
            let delete = |buckets| {
                let model = writer.model();
                let entry = model.account(id).ok_or(Error::NoSuchAccount)?;
                let users = model.users_from(id, Bound::Unbounded);
                let users = users.filter(|entry| !entry.user.root).count();
                let command = account::Command::Delete { users, buckets };
                account::decide(Some(&entry.account), command.clone(), writer.now())?;
                Ok::<_, Error>(command)
            };
            let held = {
                let model = writer.model();
                check(model.account(id).ok_or(Error::NoSuchAccount)?)?;
                if force { 0 } else { model.buckets().count(id) }
            };
            // Nothing is released of an account that stays.
            let command = delete(held)?;
            while let Some(events) = writer.some_released(id) {
                writer.record_buckets(&call, CommandKey::once(), events).await?;
            }
            writer.change_account_now(&call, key, id, |_, _| Ok(command)).await
        });
        deleted.await?.ok_or(Error::Internal)
    }

    /// What gives up the next buckets of an account; none if it has none.
    fn some_released(&self, account: AccountId) -> Option<Vec<(AccountId, BucketEvent)>> {
        let model = self.model();
        let names = model.buckets().from(account, Bound::Unbounded).take(RELEASED_AT_ONCE);
        let released: Vec<_> = names
            .map(|(name, _)| (account, BucketEvent::Released { name: name.clone() }))
            .collect();
        Some(released).filter(|released| !released.is_empty())
    }
}

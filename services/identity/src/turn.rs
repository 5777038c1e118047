//! Who goes when: locks of whatever has a key, and places in the queues before them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::error::Error;

/// How many commands of one caller may wait for one user, account or admin token, of each intent.
const PLACES_MAX: usize = 32;

/// Locks of whatever has a key, such as a user. Each is given in the order in which it was asked
/// for; who no longer waits is out of the queue. A lock is there as long as somebody wants it.
pub(crate) struct Locks<K: Eq + Hash>(Arc<Mutex<HashMap<K, Lock>>>);

struct Lock {
    lock: Arc<RwLock<()>>,
    /// How many hold it or wait for it.
    wanted: usize,
}

/// A lock that is held, shared or alone, until this is dropped.
pub(crate) struct Held<K: Clone + Eq + Hash> {
    // First, so that it is free before it may be removed: a lock is never there twice.
    _guard: Guard,
    _wanted: Wanted<K>,
}

enum Guard {
    Shared(#[expect(dead_code, reason = "is held")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "is held")] OwnedRwLockWriteGuard<()>),
}

struct Wanted<K: Clone + Eq + Hash> {
    locks: Arc<Mutex<HashMap<K, Lock>>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Locks<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Waits until nobody has the lock alone.
    pub(crate) async fn shared(&self, key: K) -> Held<K> {
        let (lock, wanted) = self.want(key);
        Held { _guard: Guard::Shared(lock.read_owned().await), _wanted: wanted }
    }

    /// Waits until nobody has the lock.
    pub(crate) async fn alone(&self, key: K) -> Held<K> {
        let (lock, wanted) = self.want(key);
        Held { _guard: Guard::Alone(lock.write_owned().await), _wanted: wanted }
    }

    fn want(&self, key: K) -> (Arc<RwLock<()>>, Wanted<K>) {
        let mut locks = guarded(&self.0);
        let entry =
            locks.entry(key.clone()).or_insert_with(|| Lock { lock: Arc::default(), wanted: 0 });
        entry.wanted += 1;
        (Arc::clone(&entry.lock), Wanted { locks: Arc::clone(&self.0), key })
    }
}

impl<K: Clone + Eq + Hash> Drop for Wanted<K> {
    fn drop(&mut self) {
        let mut locks = guarded(&self.locks);
        if let Entry::Occupied(mut entry) = locks.entry(self.key.clone()) {
            entry.get_mut().wanted -= 1;
            if entry.get().wanted == 0 {
                entry.remove();
            }
        }
    }
}

/// What a command means to do to what it waits for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Intent {
    /// Whatever takes nothing away.
    Change,
    /// Deactivate, delete or purge an access key, or end an old secret.
    EndAccessKey,
    /// Lock or delete a user, delete an account, revoke an admin token.
    EndCaller,
}

/// Places in queues. Each caller has its own, and own ones for each intent, so that nobody can keep
/// out who would stop it.
pub(crate) struct Places<K: Eq + Hash>(Arc<Mutex<HashMap<Seat<K>, usize>>>);

/// The queue, the caller and its intent.
type Seat<K> = (K, Arc<str>, Intent);

/// A place in a queue, until this is dropped: when the command is done, or given up.
pub(crate) struct Place<K: Clone + Eq + Hash> {
    places: Arc<Mutex<HashMap<Seat<K>, usize>>>,
    seat: Seat<K>,
}

impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] if the caller has all its places taken.
    pub(crate) fn take(
        &self,
        queue: K,
        principal: &str,
        intent: Intent,
    ) -> Result<Place<K>, Error> {
        let seat = (queue, Arc::from(principal), intent);
        let mut places = guarded(&self.0);
        let taken = places.entry(seat.clone()).or_default();
        if *taken >= PLACES_MAX {
            return Err(Error::TooManyRequests);
        }
        *taken += 1;
        Ok(Place { places: Arc::clone(&self.0), seat })
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut places = guarded(&self.places);
        // The seat is there: it was counted when it was taken.
        if let Some(taken) = places.get_mut(&self.seat) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.seat);
            }
        }
    }
}

/// Nothing panics while it is held.
fn guarded<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_no_longer_waits_is_out_of_the_queue_and_a_lock_goes_with_the_last() {
        let locks = Locks::new();
        let first = locks.alone(1).await;
        let other = locks.alone(2).now_or_never().expect("of another key");
        let mut given_up = Box::pin(locks.alone(1));
        let mut next = Box::pin(locks.shared(1));
        assert!(given_up.as_mut().now_or_never().is_none());
        assert!(next.as_mut().now_or_never().is_none());
        drop(given_up);
        drop(first);
        let next = next.now_or_never().expect("nobody is before it");
        let beside = locks.shared(1).now_or_never().expect("is shared");
        assert!(locks.alone(1).now_or_never().is_none());
        drop((next, beside, other));
        assert!(guarded(&locks.0).is_empty());
    }

    #[test]
    fn each_caller_has_places_of_its_own_for_each_intent() {
        let places = Places::new();
        let take = |queue, principal, intent| places.take(queue, principal, intent);
        let taken: Result<Vec<_>, _> =
            (0..PLACES_MAX).map(|_| take(1, "user/a", Intent::Change)).collect();
        assert!(taken.is_ok());
        assert!(matches!(take(1, "user/a", Intent::Change), Err(Error::TooManyRequests)));
        let others = [
            take(2, "user/a", Intent::Change),
            take(1, "user/b", Intent::Change),
            take(1, "user/a", Intent::EndAccessKey),
            take(1, "user/a", Intent::EndCaller),
        ];
        assert!(others.iter().all(Result::is_ok));
        drop(taken);
        assert!(take(1, "user/a", Intent::Change).is_ok());
        drop(others);
        assert!(guarded(&places.0).is_empty());
    }
}

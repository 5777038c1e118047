use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + second, 0).expect("in range")
}

fn account(n: u128) -> AccountId {
    AccountId(Uuid::from_u128(n))
}

fn name() -> BucketName {
    BucketName::parse("data").expect("valid")
}

fn region() -> Option<BucketRegion> {
    BucketRegion::parse("eu-west-2").ok()
}

fn claim(n: u128) -> Command {
    Command::Claim { account: account(n), region: region(), held: 0 }
}

fn transfer(from: u128, to: u128) -> Command {
    Command::Transfer { from: account(from), to: account(to), held: 0 }
}

fn claimed(n: u128) -> (AccountId, BucketEvent) {
    (account(n), BucketEvent::Claimed { name: name(), region: region() })
}

fn released(n: u128) -> (AccountId, BucketEvent) {
    (account(n), BucketEvent::Released { name: name() })
}

/// Of a bucket that was claimed at second 0.
fn moved(from: u128, to: u128) -> [(AccountId, BucketEvent); 2] {
    let received = BucketEvent::Received { name: name(), region: region(), created_at: at(0) };
    [(account(to), received), (account(from), BucketEvent::Given { name: name() })]
}

fn bucket(n: u128, second: i64) -> Bucket {
    Bucket { account: account(n), region: region(), created_at: at(second) }
}

/// State after `given`, the event at index `i` recorded at second `i`.
fn state(given: &[(AccountId, BucketEvent)]) -> Option<Bucket> {
    let given = given.iter().zip(0..);
    given.fold(None, |bucket, ((of, event), second)| evolve(bucket, *of, event, at(second)))
}

/// Asks `command` of a bucket with the history `given`.
#[track_caller]
fn check(
    given: &[(AccountId, BucketEvent)],
    command: Command,
    expected: Result<&[(AccountId, BucketEvent)], Refusal>,
) {
    let settings = AccountSettings { buckets_max: 2, ..AccountSettings::default() };
    let found = decide(&name(), state(given).as_ref(), command.clone(), &settings);
    assert_eq!(found, expected.map(<[_]>::to_vec), "{command:?}");
}

#[test]
fn a_name_is_claimed_once_and_again_when_it_was_released() {
    check(&[], claim(1), Ok(&[claimed(1)]));
    check(&[claimed(1)], claim(1), Err(Refusal::BucketOwned));
    check(&[claimed(1)], claim(2), Err(Refusal::BucketExists));
    check(&[claimed(1), released(1)], claim(2), Ok(&[claimed(2)]));
    assert_eq!(state(&[claimed(1), released(1), claimed(2)]), Some(bucket(2, 2)));
}

#[test]
fn what_nobody_has_cannot_be_released_or_transferred() {
    for given in [&[][..], &[claimed(1), released(1)]] {
        check(given, Command::Release, Err(Refusal::NoSuchBucket));
        check(given, transfer(1, 2), Err(Refusal::NoSuchBucket));
    }
    check(&[claimed(1)], Command::Release, Ok(&[released(1)]));
}

#[test]
fn a_bucket_is_transferred_from_whom_it_is_said_to_be() {
    check(&[claimed(1)], transfer(1, 2), Ok(&moved(1, 2)));
    check(&[claimed(1)], transfer(2, 3), Err(Refusal::BucketOwnerChanged));
    check(&[claimed(1)], transfer(2, 2), Err(Refusal::BucketOwnerChanged));
    check(&[claimed(1)], transfer(1, 1), Err(Refusal::BucketOwned));
    let [received, given] = moved(1, 2);
    let past = [claimed(1), received.clone(), given];
    // It keeps its age, and the old owner has nothing more to do with it.
    assert_eq!(state(&past), Some(bucket(2, 0)));
    check(&past, claim(1), Err(Refusal::BucketExists));
    check(&past, transfer(1, 3), Err(Refusal::BucketOwnerChanged));
    check(&past, Command::Release, Ok(&[released(2)]));
    // Between the two events it is the new owner's already.
    assert_eq!(state(&past[..2]), Some(bucket(2, 0)));
}

#[test]
fn an_account_has_no_more_buckets_than_it_may() {
    let full: Result<&[_], _> = Err(Refusal::BucketLimit { max: 2 });
    for (held, is_full) in [(0, false), (1, false), (2, true), (3, true)] {
        let (claimed, moved) = ([claimed(1)], moved(1, 2));
        let claim = Command::Claim { account: account(1), region: region(), held };
        check(&[], claim, if is_full { full.clone() } else { Ok(&claimed) });
        let transfer = Command::Transfer { from: account(1), to: account(2), held };
        check(&claimed, transfer, if is_full { full.clone() } else { Ok(&moved) });
    }
    // Who has it is told so, however many others there are.
    let claim = Command::Claim { account: account(1), region: None, held: 9 };
    check(&[claimed(1)], claim, Err(Refusal::BucketOwned));
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    for event in [claimed(2), released(2), (account(2), BucketEvent::Given { name: name() })] {
        assert_eq!(state(&[claimed(1), event]), Some(bucket(1, 0)));
    }
    assert_eq!(state(&[released(1)]), None);
}

fn any_command() -> impl Strategy<Value = Command> {
    let account = || (1..4_u128).prop_map(account);
    prop_oneof![
        (account(), 0..4_usize).prop_map(|(account, held)| Command::Claim {
            account,
            region: None,
            held
        }),
        Just(Command::Release),
        (account(), account(), 0..4_usize).prop_map(|(from, to, held)| Command::Transfer {
            from,
            to,
            held
        }),
    ]
}

proptest! {
    /// Whatever is asked in whatever order: what accounts would say they have, each by its own events,
    /// is what there is.
    #[test]
    fn a_bucket_is_always_one_accounts_or_nobodys(
        commands in proptest::collection::vec(any_command(), 0..30)
    ) {
        let settings = AccountSettings { buckets_max: 3, ..AccountSettings::default() };
        let mut bucket = None;
        let mut has: BTreeMap<AccountId, bool> = BTreeMap::new();
        for (command, second) in commands.into_iter().zip(0..) {
            let before = bucket.clone();
            let Ok(events) = decide(&name(), bucket.as_ref(), command.clone(), &settings) else {
                continue;
            };
            for (of, event) in &events {
                bucket = evolve(bucket, *of, event, at(second));
                has.insert(*of, match event {
                    BucketEvent::Claimed { .. } | BucketEvent::Received { .. } => true,
                    BucketEvent::Released { .. } | BucketEvent::Given { .. } => false,
                });
            }
            let owners: Vec<_> = has.iter().filter(|(_, has)| **has).map(|(of, _)| *of).collect();
            prop_assert_eq!(owners, Vec::from_iter(bucket.as_ref().map(|bucket| bucket.account)));
            if let (Command::Transfer { .. }, Some(before), Some(after)) = (command, before, &bucket) {
                prop_assert_eq!(before.created_at, after.created_at);
            }
        }
    }
}

//! Signing keys are kept once they were right. What ends a secret ends them, and nobody else can.

use api::identity::v1 as pb;

use crate::harness::*;
use crate::{auth, deletion, denied};

const NEW: &str = "a new secret";

#[tokio::test]
async fn what_ends_a_secret_ends_what_was_derived_from_it_at_once() {
    let auth = auth().await;
    let (old, new) = (signed(ID, SECRET), signed(ID, NEW));
    let with = |secrets| records(vec![], vec![pb::AccessKeyRecord { secrets, ..access_key(ID) }]);
    for position in (11..40_u64).step_by(7) {
        let at = |step: u64| position + step;
        auth.identity.send(change(at(0), with(vec![secret(1, SECRET, None)])));
        assert_eq!(auth.ask(&old, at(0)).await, Ok(1));
        assert_eq!(auth.ask(&old, at(0)).await, Ok(1), "by the signing key that was kept");
        // Rotated: with the same generation too, by which a kept key might be mistaken.
        auth.identity.send(change(at(1), with(vec![secret(1, NEW, None)])));
        assert_eq!(auth.ask(&old, at(1)).await, denied("SignatureDoesNotMatch"));
        assert_eq!(auth.ask(&new, at(1)).await, Ok(1));
        auth.identity.send(change(at(2), with(vec![secret(2, SECRET, None)])));
        assert_eq!(auth.ask(&new, at(2)).await, denied("SignatureDoesNotMatch"));
        assert_eq!(auth.ask(&old, at(2)).await, Ok(2));
        // Locked, and unlocked.
        let locked = |locked| records(vec![pb::UserRecord { locked, ..user() }], vec![]);
        auth.identity.send(change(at(3), locked(true)));
        assert_eq!(auth.ask(&old, at(3)).await, denied("AccessDenied"));
        auth.identity.send(change(at(4), locked(false)));
        assert_eq!(auth.ask(&old, at(4)).await, Ok(2));
        // Deleted, and made again under the same ID, which identity never does.
        auth.identity.send(deletion(at(5), ID));
        assert_eq!(auth.ask(&old, at(5)).await, denied("InvalidAccessKeyId"));
        auth.identity.send(change(at(6), with(vec![secret(2, NEW, None)])));
        assert_eq!(auth.ask(&old, at(6)).await, denied("SignatureDoesNotMatch"));
        assert_eq!(auth.ask(&new, at(6)).await, Ok(2));
    }
}

#[tokio::test]
async fn an_older_day_that_was_fetched_ends_with_the_key_it_was_fetched_for() {
    let auth = auth().await;
    auth.identity.know_secret(ID, 1, SECRET);
    let head = presigned(ID, SECRET, NOW_MS - 5 * DAY_MS);
    assert_eq!(auth.ask(&head, 10).await, Ok(1));
    auth.identity.know_secret(ID, 2, NEW);
    let secrets = vec![secret(2, NEW, None)];
    let rotated = pb::AccessKeyRecord { secrets, ..access_key(ID) };
    auth.identity.send(change(11, records(vec![], vec![rotated])));
    assert_eq!(auth.ask(&head, 11).await, denied("SignatureDoesNotMatch"));
    assert_eq!(auth.ask(&presigned(ID, NEW, NOW_MS - 5 * DAY_MS), 11).await, Ok(2));
    auth.identity.send(deletion(12, ID));
    assert_eq!(auth.ask(&head, 12).await, denied("InvalidAccessKeyId"));
}

#[tokio::test]
async fn a_key_that_was_asked_for_before_it_was_made_is_known_as_soon_as_it_is() {
    let auth = auth().await;
    for (position, id) in [(11, "AKIAFIRST"), (12, "AKIASECOND")] {
        let now = signed(id, SECRET);
        let older = presigned(id, SECRET, NOW_MS - 5 * DAY_MS);
        for _ in 0..50 {
            assert_eq!(auth.ask(&now, 10).await, denied("InvalidAccessKeyId"));
            assert_eq!(auth.ask(&older, 10).await, denied("InvalidAccessKeyId"));
        }
        auth.identity.know_secret(id, 1, SECRET);
        auth.identity.send(change(position, records(vec![], vec![access_key(id)])));
        assert_eq!(auth.ask(&now, position).await, Ok(1));
        assert_eq!(auth.ask(&older, position).await, Ok(1));
    }
}

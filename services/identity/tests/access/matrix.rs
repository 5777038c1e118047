//! Every RPC by every kind of caller.

use std::collections::BTreeSet;

use prost::Message;

use crate::rpcs::{self, Row};
use crate::world::{Caller, Target, World};
use crate::{
    DENIED, INVALID_FIELD, INVALID_TOKEN, MISSING_TOKEN, NO_SUCH_ACCESS_KEY, Outcome, outcome,
};

/// What is not allowed is refused, and in which words.
fn expected(row: &Row, caller: Caller) -> Outcome {
    if row.allowed.contains(&caller) {
        return Ok(());
    }
    match caller {
        Caller::Nobody => MISSING_TOKEN,
        Caller::Unknown | Caller::Garbage | Caller::Expired | Caller::Revoked => INVALID_TOKEN,
        Caller::Gateway | Caller::NoUser if row.serves_gateways() => INVALID_FIELD,
        Caller::Elsewhere | Caller::ForeignRoot if row.by_key_alone => NO_SUCH_ACCESS_KEY,
        Caller::Configured
        | Caller::All
        | Caller::ReadOnly
        | Caller::Scoped
        | Caller::ScopedReadOnly
        | Caller::Elsewhere
        | Caller::Auth
        | Caller::Gateway
        | Caller::Root
        | Caller::Itself
        | Caller::Colleague
        | Caller::ForeignRoot
        | Caller::Locked
        | Caller::Deleted
        | Caller::Stranger
        | Caller::NoUser => DENIED,
    }
}

#[tokio::test]
async fn every_rpc_answers_those_who_may_call_it_and_nobody_else() {
    let world = World::new().await;
    // What is only read or refused leaves it as it is.
    let shared = world.target().await;
    let mut wrong = vec![];
    for (at, row) in rpcs::rows().iter().enumerate() {
        let head = world.head().await;
        let (allowed, refused): (Vec<_>, Vec<_>) =
            Caller::EVERY.into_iter().partition(|caller| expected(row, *caller).is_ok());
        let mut check = async |caller, target: &Target| {
            let presented = world.metadata(caller, &target.user);
            let request = (row.request)(&world, target);
            let answer = rpcs::call(world.connection(), presented, row.rpc, request).await;
            let expected = expected(row, caller);
            if outcome(&answer) != expected {
                wrong.push(format!(
                    "row {at}, {} by {caller:?}: {answer:?}, not {expected:?}",
                    row.rpc
                ));
            }
        };
        for caller in refused {
            check(caller, &shared).await;
        }
        assert_eq!(world.head().await, head, "refused calls of {} changed something", row.rpc);
        for caller in allowed {
            if row.writes() {
                check(caller, &world.target().await).await;
            } else {
                check(caller, &shared).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rpc_has_a_row() {
    let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).expect("decodes");
    let files = set.file.iter().filter(|file| file.package() == "claviger.identity.v1");
    let methods = files.flat_map(|file| &file.service).flat_map(|service| {
        service.method.iter().map(|method| format!("{}/{}", service.name(), method.name()))
    });
    let rows = rpcs::rows().iter().map(|row| row.rpc.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(methods.collect::<BTreeSet<_>>(), rows);
}

//! Every RPC by every kind of caller.

use std::collections::BTreeSet;

use prost::Message;
use tonic::transport::Channel;

use crate::rpcs::{self, Row};
use crate::world::{By, Caller, Target, World};
use crate::{
    DENIED, INVALID_FIELD, INVALID_TOKEN, MISSING_TOKEN, NO_SUCH_ACCESS_KEY, Outcome,
    UNKNOWN_ADMIN_TOKEN, UNKNOWN_CERTIFICATE, outcome,
};

/// What is not allowed is refused, and in which words.
fn expected(row: &Row, by: By, caller: Caller) -> Outcome {
    let by_gateway = by == By::TokenAtGateway && row.rpc == rpcs::VERIFY_PASSWORD;
    if row.allowed.contains(&caller) || by_gateway {
        return Ok(());
    }
    match caller {
        Caller::Unknown | Caller::Expired | Caller::Revoked
            if by == By::TokenAtGateway && row.serves_gateways() =>
        {
            UNKNOWN_ADMIN_TOKEN
        }
        _ if by == By::TokenAtGateway && !row.serves_gateways() => DENIED,
        Caller::Nobody if by == By::Certificate => UNKNOWN_CERTIFICATE,
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
    let world = World::certified().await;
    // What is only read or refused leaves it as it is.
    let shared = world.target().await;
    let ways = [By::Token, By::TokenBesideCertificate, By::Certificate, By::TokenAtGateway];
    let ways = ways.into_iter().flat_map(|by| Caller::EVERY.map(|caller| (by, caller)));
    let ways: Vec<_> = ways
        .filter(|(by, caller)| caller.can_show(*by))
        .map(|(by, caller)| (by, caller, world.connection_by(by, caller)))
        .collect();
    let mut wrong = vec![];
    for (at, row) in rpcs::rows().iter().enumerate() {
        let head = world.head().await;
        let (allowed, refused): (Vec<_>, Vec<_>) =
            ways.iter().partition(|(by, caller, _)| expected(row, *by, *caller).is_ok());
        let mut check = async |(by, caller, connection): &(By, Caller, _), target: &Target| {
            let presented = world.metadata_by(*by, *caller, &target.user);
            let request = (row.request)(&world, target);
            let answer = rpcs::call(Channel::clone(connection), presented, row.rpc, request).await;
            let expected = expected(row, *by, *caller);
            if outcome(&answer) != expected {
                wrong.push(format!(
                    "row {at}, {} by {caller:?} by {by:?}: {answer:?}, not {expected:?}",
                    row.rpc
                ));
            }
        };
        for way in refused {
            check(way, &shared).await;
        }
        assert_eq!(world.head().await, head, "refused calls of {} changed something", row.rpc);
        for way in allowed {
            if row.writes() {
                // A certificate beside it makes nothing of a token that is not so where it reads.
                if way.0 != By::TokenBesideCertificate {
                    check(way, &world.target().await).await;
                }
            } else {
                check(way, &shared).await;
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

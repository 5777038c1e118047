//! How long an admin token is worth something, and where it is not.

use api::identity::v1::*;
use event_store::Clock;
use futures::TryStreamExt;
use prost::Message;

use crate::support::{DAY_MS, Home, Identity, at, holds, is_in_files, request_id};
use crate::world::bearer;
use crate::{INVALID_TOKEN, Outcome, outcome, rpcs};

/// Asserts what becomes of a call with this token.
async fn check(identity: &Identity, token: &str, expected: Outcome) {
    let request = ListAccountsRequest::default().encode_to_vec();
    let rpc = "AccountService/ListAccounts";
    let answer = rpcs::call(identity.connection(), bearer(token), rpc, request).await;
    assert_eq!(outcome(&answer), expected);
}

fn named(display_name: &str) -> AdminToken {
    AdminToken { display_name: display_name.into(), ..Default::default() }
}

#[tokio::test]
async fn an_admin_token_works_from_its_making_until_it_is_revoked() {
    let home = Home::new();
    let identity = home.start().await;
    let (kept, revoked) =
        (identity.admin_token(named("kept")).await, identity.admin_token(named("revoked")).await);
    check(&identity, &kept.token, Ok(())).await;
    check(&identity, &revoked.token, Ok(())).await;
    let request = RevokeAdminTokenRequest {
        name: revoked.admin_token.expect("there").name,
        ..Default::default()
    };
    identity.admin_tokens().revoke_admin_token(request).await.expect("revoked");
    check(&identity, &kept.token, Ok(())).await;
    check(&identity, &revoked.token, INVALID_TOKEN).await;

    identity.stop().await;
    let identity = home.start().await;
    check(&identity, &kept.token, Ok(())).await;
    check(&identity, &revoked.token, INVALID_TOKEN).await;
    let again = identity.admin_token(named("revoked")).await;
    check(&identity, &again.token, Ok(())).await;
    check(&identity, &revoked.token, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_revoked_admin_token_is_dead_also_when_its_request_comes_again_days_later() {
    let home = Home::new();
    let identity = home.start().await;
    let request =
        CreateAdminTokenRequest { admin_token: Some(named("leaked")), request_id: request_id(1) };
    let leaked = identity.create_admin_token(request.clone()).await.expect("created");
    assert_eq!(identity.create_admin_token(request.clone()).await.expect("repeated"), leaked);
    let name = leaked.admin_token.expect("there").name;
    let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
    identity.revoke_admin_token(revoke).await.expect("revoked");
    check(&identity, &leaked.token, INVALID_TOKEN).await;

    // The request id is forgotten by now: this is another creation.
    home.clock.advance(DAY_MS + 1);
    let anew = identity.create_admin_token(request).await.expect("created");
    assert_ne!(anew.token, leaked.token);
    check(&identity, &anew.token, Ok(())).await;
    check(&identity, &leaked.token, INVALID_TOKEN).await;
}

#[tokio::test]
async fn an_admin_token_expires_at_its_instant() {
    let home = Home::new();
    let identity = home.start().await;
    let end = home.clock.now_ms() + 1500;
    let expire_time = Some(at(end));
    let made = identity.admin_token(AdminToken { expire_time, ..named("short") }).await;
    check(&identity, &made.token, Ok(())).await;
    home.clock.set(end - 1);
    check(&identity, &made.token, Ok(())).await;
    home.clock.set(end);
    check(&identity, &made.token, INVALID_TOKEN).await;
    identity.stop().await;
    let identity = home.start().await;
    check(&identity, &made.token, INVALID_TOKEN).await;
}

#[tokio::test]
async fn only_the_token_itself_is_the_token() {
    let home = Home::new();
    let identity = home.start().await;
    let token = identity.admin_token(named("canary")).await.token;
    let hash = {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(&token))
    };
    let (upper, padded, cut) = (token.to_uppercase(), format!(" {token}"), &token[1..]);
    for like_it in [&*hash, &*upper, &*padded, cut, "canary", ""] {
        check(&identity, like_it, INVALID_TOKEN).await;
    }
    check(&identity, &token, Ok(())).await;
}

#[tokio::test]
async fn an_admin_token_is_written_down_nowhere() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.admin_token(named("canary-name")).await;
    check(&identity, &made.token, Ok(())).await;

    let events = identity.events().list_events(ListEventsRequest::default()).await;
    let events = events.expect("listed").into_inner().encode_to_vec();
    let exported = identity.events().export_log(ExportLogRequest {}).await.expect("exported");
    let lines: Vec<_> = exported.into_inner().try_collect().await.expect("whole");
    let lines: Vec<u8> = lines.into_iter().flat_map(|message| message.lines).collect();
    let listed = identity.admin_tokens().list_admin_tokens(ListAdminTokensRequest::default()).await;
    let listed = listed.expect("listed").into_inner().encode_to_vec();
    let random = hex::decode(&made.token).expect("hexadecimal");
    for secret in [made.token.as_bytes(), &random] {
        assert!([&events, &lines, &listed].iter().all(|shown| !holds(shown, secret)));
    }
    identity.stop().await;
    assert!(is_in_files(home.dir.path(), b"canary-name"), "what is recorded is found");
    for secret in [made.token.as_bytes(), &random] {
        assert!(!is_in_files(home.dir.path(), secret));
    }
}

//! Killed without a word, again and again: what was acknowledged is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::identity::v1::*;
use futures::stream::{self, StreamExt};

use crate::support::{Home, Key, denied_code, is_verified};

/// In this many data directories, one after the other: what a start reads stays short.
const HOMES: usize = 10;
/// How often the process is killed in each.
const ROUNDS: usize = 10;
const WRITERS: usize = 64;
const CHECKED_EACH_ROUND: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_key_verifies_after_kill_9() {
    for _ in 0..HOMES {
        kill_again_and_again().await;
    }
}

async fn kill_again_and_again() {
    let home = Home::new();
    let mut acknowledged: Vec<(Key, u64)> = vec![];
    let mut locked: Vec<(Key, u64)> = vec![];
    let mut last_round = 0;
    for round in 0..ROUNDS {
        let dev = home.start();
        // The last of the round before; all of them at the end.
        let some = last_round.max(acknowledged.len().saturating_sub(CHECKED_EACH_ROUND));
        for (key, position) in &acknowledged[some..] {
            let verdict = dev.verify(key, *position).await.expect("a verdict");
            assert!(is_verified(&verdict), "round {round}: {} is lost: {verdict:?}", key.id);
        }
        last_round = acknowledged.len();
        if let Some((key, position)) = locked.last() {
            let verdict = dev.verify(key, *position).await.expect("a verdict");
            assert_eq!(denied_code(&verdict), "AccessDenied", "round {round}: {}", key.id);
        }
        // Just before the end, so that it is among the last that was written.
        let (user, victim) = dev.user_with_key(&format!("locked-{round}")).await;
        let verified = dev.events().verify_log(VerifyLogRequest::default()).await;
        let head = verified.expect("the chain is whole").into_inner().head_position;
        let last = acknowledged.iter().map(|(_, position)| *position).max().unwrap_or_default();
        assert!(head >= last, "the log ends at {head}, before {last}");

        // Creates keys on many connections until the process is gone.
        let made = Arc::new(Mutex::new(vec![]));
        let gone = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (made, gone) = (Arc::clone(&made), Arc::clone(&gone));
                let (mut users, mut keys) = (dev.users(), dev.access_keys());
                let parent = dev.account();
                tokio::spawn(async move {
                    for n in 0.. {
                        let user_name = format!("user-{round}-{writer}-{n}");
                        let user = User { user_name, ..Default::default() };
                        let request = CreateUserRequest {
                            parent: parent.clone(),
                            user: Some(user),
                            ..Default::default()
                        };
                        let Ok(user) = users.create_user(request).await else { break };
                        let parent = user.into_inner().user.expect("there").name;
                        let request = CreateAccessKeyRequest { parent, ..Default::default() };
                        let Ok(key) = keys.create_access_key(request).await else { break };
                        let key = key.into_inner();
                        made.lock().expect("no panic").push((Key::from(&key), key.position));
                    }
                    assert!(gone.load(Ordering::SeqCst), "failed while the process was running");
                })
            })
            .collect();
        // A different moment each round, once there is something to lose.
        let enough = 2 + round % 31;
        while made.lock().expect("no panic").len() < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let request = LockUserRequest { name: user.name, ..Default::default() };
        let position = dev.users().lock_user(request).await.expect("locked").into_inner().position;
        locked.push((Key::from(&victim), position));
        gone.store(true, Ordering::SeqCst);
        dev.kill();
        for writer in writers {
            writer.await.expect("no panic");
        }
        acknowledged.append(&mut made.lock().expect("no panic"));
    }
    let dev = home.start();
    let dev_ref = &dev;
    stream::iter(&acknowledged)
        .for_each_concurrent(16, |(key, position)| async move {
            let verdict = dev_ref.verify(key, *position).await.expect("a verdict");
            assert!(is_verified(&verdict), "{} is lost: {verdict:?}", key.id);
        })
        .await;
    for (key, position) in &locked {
        let verdict = dev.verify(key, *position).await.expect("a verdict");
        assert_eq!(denied_code(&verdict), "AccessDenied", "{}", key.id);
    }
    // No event is half there: each command's events follow each other and are complete.
    let mut page_token = String::new();
    let mut events = vec![];
    loop {
        let request = ListEventsRequest { page_size: 1000, page_token, ..Default::default() };
        let page = dev.events().list_events(request).await.expect("listed").into_inner();
        events.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, position);
        assert!(event.payload.as_ref().is_some_and(|payload| payload.event.is_some()));
    }
    let (status, _) = dev.terminate();
    assert!(status.success());
    let data_dir = home.data_dir();
    let verify = std::process::Command::new(crate::support::claviger())
        .args(["log", "verify", "--data-dir"])
        .arg(&data_dir)
        .output()
        .expect("claviger runs");
    crate::support::succeeded("claviger log verify", verify);
}

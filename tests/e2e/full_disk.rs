//! A disk without room: writes are refused, and all else goes on.

use std::process::Stdio;

use api::error::v1::Reason;
use api::identity::v1::*;
use fault_disk::{Call, Failure, Image, Layer, Rule, When};
use futures::stream::{self, StreamExt};
use tonic::Code;

use crate::support::{Home, Key, claviger, is_verified};

const FLAG: &str = "full";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_while_reads_and_verification_go_on() {
    let home = Home::new();
    let full = Rule {
        call: Call::Grow,
        file: String::new(),
        when: When::While(FLAG.into()),
        failure: Failure::NoRoom(0),
    };
    let place = home.path().join("fault");
    let layer = Layer::new(&place, &Image::default()).expect("made").rules([full]);
    let flag = place.join("flags").join(FLAG);
    let mut command = layer.command(&claviger());
    command.args(["dev", "-o", "json", "--data-dir"]).arg(layer.disk().join("data"));
    for listener in ["s3", "rest", "identity", "auth", "admin"] {
        command.args([format!("--{listener}-listen"), "127.0.0.1:0".into()]);
    }
    let log = std::fs::File::create(home.log_path()).expect("created");
    command.stderr(log).stdout(Stdio::piped()).stdin(Stdio::null());
    let dev = home.start_with(&mut command);
    let (alice, made) = dev.user_with_key("alice").await;
    let key = Key::from(&made);

    std::fs::write(&flag, "").expect("written");
    // What room was made ahead is used up first.
    let (users, account) = (dev.users(), dev.account());
    let mut outcomes = stream::iter(0..1_000_000)
        .map(|n| {
            let (mut users, parent) = (users.clone(), account.clone());
            let label = "x".repeat(256);
            let user = User { user_name: format!("user-{n}"), label, ..Default::default() };
            async move {
                let user = Some(user);
                let request = CreateUserRequest { parent, user, ..Default::default() };
                users.create_user(request).await
            }
        })
        .buffer_unordered(256);
    let refused = loop {
        let outcome = outcomes.next().await.expect("the disk is full before long");
        if let Err(status) = outcome {
            break status;
        }
    };
    drop(outcomes);
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(api::reason(&refused), Some(Reason::StorageFull));
    let request = GetUserRequest { name: alice.name.clone(), ..Default::default() };
    dev.users().get_user(request).await.expect("is read");
    let request = ListEventsRequest { page_size: 1000, ..Default::default() };
    let listed = dev.events().list_events(request).await.expect("is read").into_inner();
    assert!(!listed.events.is_empty());
    let verdict = dev.verify(&key, made.position).await.expect("a verdict");
    assert!(is_verified(&verdict), "{verdict:?}");

    std::fs::remove_file(&flag).expect("removed");
    let request = LockUserRequest { name: alice.name, ..Default::default() };
    dev.users().lock_user(request).await.expect("there is room again");
}

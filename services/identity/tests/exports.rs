//! Exports that nobody reads: they take their places and nothing else.

mod support;

use std::fmt::Debug;

use api::error::v1::Reason;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::keystore_service_client::KeystoreServiceClient;
use api::identity::v1::*;
use futures::future::join_all;
use sealing::{Keyring, Keystore};
use support::{Home, Identity, refused};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const EXPORTS_MAX: usize = 2;

/// A client of an operator who takes little more of a stream than its beginning, unless it is read.
fn slow(identity: &Identity) -> InterceptedService<Channel, impl Interceptor + Clone> {
    let endpoint = Endpoint::from_shared(identity.uri.clone()).expect("a URI");
    let channel = endpoint.initial_stream_window_size(1024).connect_lazy();
    let token = format!("Bearer {}", identity.tokens.admin.expose());
    InterceptedService::new(channel, move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", token.parse().expect("visible ASCII"));
        Ok(request)
    })
}

/// Makes a keystore that does not fit into a few messages.
async fn fill_keystore(home: &Home) {
    std::fs::create_dir_all(home.data_dir()).expect("created");
    let path = home.data_dir().join("keystore");
    let keystore = Keystore::open(path, Keyring::new(home.kek())).await.expect("opens");
    let ids: Vec<_> = (0..2000).map(|number| format!("AKIA{number:016}")).collect();
    let made = join_all(ids.iter().map(|id| keystore.create(id))).await;
    assert!(made.iter().all(Result::is_ok));
}

/// Begins as many exports as there can be, and many more; ends one, and begins another.
async fn check<S: Debug>(
    identity: &Identity,
    user: &str,
    begin: impl AsyncFn() -> Result<S, Status>,
    read: impl AsyncFn(S) -> Result<Vec<u8>, Status>,
) {
    let mut unread = vec![];
    for _ in 0..EXPORTS_MAX {
        unread.push(begin().await.expect("begins"));
    }
    for _ in 0..600 {
        refused(begin().await, Code::ResourceExhausted, Reason::TooManyExports);
    }
    let list = ListEventsRequest { user: user.into(), page_size: 1, ..Default::default() };
    assert_eq!(identity.list_events(list).await.expect("listed").events.len(), 1);
    let made = identity.access_key(user).await.expect("created").access_key.expect("there");
    identity.delete_key(&made.name).await.expect("deleted");

    let whole = read(unread.pop().expect("there")).await.expect("goes on though it was left");
    drop(unread);
    let again = loop {
        match begin().await {
            Ok(begun) => break begun,
            Err(full) => refused::<()>(Err(full), Code::ResourceExhausted, Reason::TooManyExports),
        }
    };
    assert!(read(again).await.expect("goes on").len() >= whole.len());
}

#[tokio::test]
async fn two_copies_of_the_keystore_are_taken_at_once_and_no_more() {
    let home = Home::new();
    fill_keystore(&home).await;
    let identity = home.start().await;
    let user = identity.account("Acme").await.root_user.expect("there").name;
    let slow = KeystoreServiceClient::new(slow(&identity));
    let begin = async || {
        let begun = slow.clone().export_keystore(ExportKeystoreRequest {}).await;
        Ok(begun?.into_inner())
    };
    let read = async |mut chunks: tonic::Streaming<ExportKeystoreResponse>| {
        let mut image = vec![];
        while let Some(message) = chunks.message().await? {
            image.extend(message.chunk);
        }
        Ok(image)
    };
    check(&identity, &user, begin, read).await;
}

#[tokio::test]
async fn the_log_is_exported_twice_at_once_and_no_more() {
    let home = Home::new();
    let identity = home.start().await;
    let user = identity.account("Acme").await.root_user.expect("there").name;
    identity.flood(&user, 2000).await;
    let slow = EventServiceClient::new(slow(&identity));
    let begin = async || {
        let begun = slow.clone().export_log(ExportLogRequest {}).await;
        Ok(begun?.into_inner())
    };
    let read = async |mut lines: tonic::Streaming<ExportLogResponse>| {
        let mut archive = vec![];
        while let Some(message) = lines.message().await? {
            archive.extend(message.lines);
        }
        event_store::archive::verify(archive.as_slice()).expect("whole");
        Ok(archive)
    };
    check(&identity, &user, begin, read).await;
}

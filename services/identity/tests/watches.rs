//! Watches of events: how many there may be, and what those cost that nobody reads.

mod support;

use api::error::v1::Reason;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::*;
use rpc::Token;
use support::{Home, Identity, refused};
use tonic::{Code, Status, Streaming};

const WATCHES_PER_CALLER_MAX: usize = 16;
const WATCHES_MAX: usize = 1024;

type Watched = Streaming<WatchEventsResponse>;

/// A caller, on a connection of its own: what is not read fills the window, also of other calls.
fn caller(identity: &Identity, token: &Token) -> EventServiceClient<rpc::Channel> {
    EventServiceClient::new(rpc::channel(&identity.uri, token).expect("a URI"))
}

async fn other_operator(identity: &Identity, name: &str) -> Token {
    let token = AdminToken { display_name: name.into(), ..Default::default() };
    Token::parse(&identity.admin_token(token).await.token).expect("a token")
}

async fn watch(
    events: &EventServiceClient<rpc::Channel>,
    request: WatchEventsRequest,
) -> Result<Watched, Status> {
    Ok(events.clone().watch_events(request).await?.into_inner())
}

/// Watches as soon as there is a place again.
async fn watch_when_there_is_a_place(events: &EventServiceClient<rpc::Channel>) -> Watched {
    loop {
        match watch(events, WatchEventsRequest::default()).await {
            Ok(watched) => return watched,
            Err(full) => refused::<()>(Err(full), Code::ResourceExhausted, Reason::TooManyWatches),
        }
    }
}

async fn next(events: &mut Watched) -> WatchEventsResponse {
    events.message().await.expect("goes on").expect("there")
}

#[tokio::test]
async fn a_caller_watches_so_much_and_no_more() {
    let home = Home::new();
    let identity = home.start().await;
    let events = caller(&identity, &identity.tokens.admin);
    let all = || WatchEventsRequest::default();
    let mut watches = vec![];
    for _ in 0..WATCHES_PER_CALLER_MAX {
        watches.push(watch(&events, all()).await.expect("watches"));
    }
    let too_many = watch(&events, all()).await.map(drop);
    refused(too_many, Code::ResourceExhausted, Reason::TooManyWatches);
    let another = caller(&identity, &other_operator(&identity, "another").await);
    watch(&another, all()).await.expect("has places of its own");
    // What is refused for another reason takes no place.
    for _ in 0..=WATCHES_PER_CALLER_MAX {
        let long = WatchEventsRequest { duration_seconds: 86_401, ..all() };
        let long = watch(&another, long).await.map(drop);
        refused(long, Code::InvalidArgument, Reason::InvalidField);
    }
    watch(&another, all()).await.expect("has places still");
    watches.pop();
    watch_when_there_is_a_place(&events).await;
}

#[tokio::test]
async fn all_callers_together_watch_so_much_and_no_more_while_all_else_goes_on() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let root = made.root_user.expect("there").name;
    identity.flood(&root, 200).await;
    let kinds = vec!["admin_token_revoked".to_owned()];
    let sparse = WatchEventsRequest { kinds, ..Default::default() };
    let mut watches = vec![];
    for number in 0..WATCHES_MAX / WATCHES_PER_CALLER_MAX {
        let token = other_operator(&identity, &format!("operator-{number}")).await;
        let events = caller(&identity, &token);
        for _ in 0..WATCHES_PER_CALLER_MAX {
            watches.push(watch(&events, sparse.clone()).await.expect("watches"));
        }
    }
    let events = caller(&identity, &identity.tokens.admin);
    let too_many = watch(&events, sparse).await.map(drop);
    refused(too_many, Code::ResourceExhausted, Reason::TooManyWatches);
    let list = ListEventsRequest { page_size: 1, user: root.clone(), ..Default::default() };
    identity.list_events(list).await.expect("listed");
    identity.access_key(&root).await.expect("created");
    drop(watches.split_off(WATCHES_MAX / 2));
    watch_when_there_is_a_place(&events).await;
}

#[tokio::test]
async fn a_watch_that_is_not_read_ends_with_its_time() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    identity.flood(&made.root_user.expect("there").name, 1000).await;
    let head = identity.head().await;
    let events = caller(&identity, &identity.tokens.admin);
    let brief = |after_position| WatchEventsRequest {
        after_position,
        duration_seconds: 1,
        ..Default::default()
    };
    for account in [String::new(), made.account.expect("there").name] {
        let request = WatchEventsRequest { account: account.clone(), ..brief(0) };
        let mut unread = watch(&events, request).await.expect("watches");
        // One that begins later and is over: so must be the time of the other.
        let mut read = watch(&caller(&identity, &identity.tokens.admin), brief(head)).await;
        let read = read.as_mut().expect("watches");
        assert_eq!(next(read).await.event, None, "the last message");
        assert!(read.message().await.expect("ends well").is_none());

        let mut positions = vec![];
        let last = loop {
            let WatchEventsResponse { event, resume_position } = next(&mut unread).await;
            match event {
                Some(event) => positions.push(event.position),
                None => break resume_position,
            }
        };
        assert!(unread.message().await.expect("ends well").is_none());
        let sent: Vec<_> = (positions[0]..=last).collect();
        assert_eq!(positions, sent, "nothing is missing before the place to resume");
        assert!(last < head, "it ended before it was read");
        let request = WatchEventsRequest { account, after_position: last, ..Default::default() };
        let mut resumed = watch(&events, request).await.expect("watches");
        for position in last + 1..=head {
            assert_eq!(next(&mut resumed).await.event.expect("there").position, position);
        }
    }
}

#[tokio::test]
async fn an_account_is_watched_among_all_others_from_before_to_live_and_after_a_break() {
    const ROUNDS: usize = 3;
    let home = Home::new();
    let identity = home.start().await;
    let (mine, other) = (identity.account("Mine").await, identity.account("Other").await);
    let (mine, root) = (mine.account.expect("there").name, mine.root_user.expect("there").name);
    let other = other.root_user.expect("there").name;
    let events = caller(&identity, &identity.tokens.admin);
    let some = async || {
        identity.flood(&other, 1500).await;
        identity.flood(&root, 300).await;
        identity.flood(&other, 1500).await;
        identity.access_key(&root).await.expect("created").access_key.expect("there")
    };
    let mut key = some().await;
    let of = |access_key_id: &str, user: &str| WatchEventsRequest {
        access_key_id: access_key_id.into(),
        user: user.into(),
        account: mine.clone(),
        ..Default::default()
    };
    let key_alone = WatchEventsRequest { account: String::new(), ..of(&key.access_key_id, "") };
    let filters = [of("", ""), of("", &root), of(&key.access_key_id, ""), key_alone];
    let mut watches = vec![];
    for filter in filters {
        watches.push((filter.clone(), watch(&events, filter).await.expect("watches"), 0));
    }
    for _ in 0..ROUNDS {
        for (filter, watched, after) in &mut watches {
            let list = ListEventsRequest {
                account: filter.account.clone(),
                user: filter.user.clone(),
                access_key_id: filter.access_key_id.clone(),
                after_position: *after,
                ..Default::default()
            };
            let expected = identity.all_events(list).await;
            assert!(!expected.is_empty());
            for expected in expected {
                *after = expected.position;
                let message = next(watched).await;
                assert_eq!(message.event, Some(expected));
                assert_eq!(message.resume_position, *after);
            }
        }
        // Far more than a watch holds, while nobody reads.
        let another = some().await;
        identity.delete_key(&another.name).await.expect("deleted");
        identity.rotate(&key.name, 60).await.expect("rotated");
        key = identity.key(&key.name).await;
    }
}

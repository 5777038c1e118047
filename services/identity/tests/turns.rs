//! What waits for what: nobody keeps others from their turn.

mod support;

use api::error::v1::Reason;
use api::event::v1::Event;
use api::event::v1::payload::Event as Kind;
use api::identity::v1::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rpc::Channel;
use support::{Home, Identity, mask, refused};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};

/// The most rotations that may come before a command that was sent when others waited: the places
/// of one caller, and some, for what is recorded while the command is on its way.
const BEFORE_MAX: usize = 200;
/// Calls of one connection that are under way at once.
const CALLS_PER_CONNECTION: usize = 750;

/// A request that a gateway makes for a user.
fn acting<T>(user: &User, request: T) -> Request<T> {
    let mut request = Request::new(request);
    let id: AsciiMetadataValue = user.user_id.parse().expect("visible");
    request.metadata_mut().insert("claviger-acting-user", id);
    request.metadata_mut().insert("claviger-facade", AsciiMetadataValue::from_static("s3"));
    let address = AsciiMetadataValue::from_static("192.0.2.7");
    request.metadata_mut().insert("claviger-source-address", address);
    request
}

/// Whoever rotates the secret of a user's access key, again and again.
struct Pushing {
    user: User,
    key: String,
    connections: Vec<Channel>,
    /// The user that a gateway acts for, if it is by one.
    by: Option<User>,
}

impl Pushing {
    /// By the user itself.
    async fn new(identity: &Identity, account: &str, connections: usize) -> Self {
        let user = identity.user(account, "mallory").await.expect("created");
        let key = identity.access_key(&user.name).await.expect("created");
        let key = key.access_key.expect("there").name;
        let by = Some(user.clone());
        let token = identity.tokens.gateway.clone().expect("there");
        let connections = connect(identity, &token, connections);
        Self { user, key, connections, by }
    }

    /// Rotates once by one of the connections.
    async fn rotate(&self, connection: usize) -> Result<(), Status> {
        let channel = self.connections[connection % self.connections.len()].clone();
        let mut keys =
            api::identity::v1::access_key_service_client::AccessKeyServiceClient::new(channel);
        let request = RotateSecretAccessKeyRequest { name: self.key.clone(), ..Default::default() };
        let request = match &self.by {
            Some(user) => acting(user, request),
            None => Request::new(request),
        };
        keys.rotate_secret_access_key(request).await.map(drop)
    }

    /// Rotates without end, many at once, until the user may not.
    async fn keep_rotating(&self, at_once: usize) {
        let rotate = async |connection| {
            loop {
                match self.rotate(connection).await {
                    Ok(()) => {}
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused::<()>(
                            Err(status),
                            Code::ResourceExhausted,
                            Reason::TooManyRequests,
                        );
                    }
                    Err(status) => {
                        let ended = [Reason::CallerNotAllowed, Reason::InvalidToken];
                        assert!(ended.map(Some).contains(&api::reason(&status)), "{status}");
                        break;
                    }
                }
            }
        };
        let rotations: FuturesUnordered<_> = (0..at_once).map(rotate).collect();
        rotations.collect::<Vec<_>>().await;
    }

    /// Positions at which secrets of the user were rotated.
    async fn rotations(&self, identity: &Identity) -> Vec<u64> {
        let request = ListEventsRequest { page_size: 1000, ..Default::default() };
        let events = identity.all_events(request).await;
        let rotated = |event: &Event| {
            let kind = event.payload.as_ref().and_then(|payload| payload.event.as_ref());
            matches!(kind, Some(Kind::SecretAccessKeyRotated(_)))
        };
        events.iter().filter(|event| rotated(event)).map(|event| event.position).collect()
    }
}

fn connect(identity: &Identity, token: &rpc::Token, connections: usize) -> Vec<Channel> {
    (0..connections).map(|_| rpc::channel(&identity.uri, token).expect("a URI")).collect()
}

/// Waits until a user rotates.
async fn some_rotate(identity: &Identity) {
    let from = identity.head().await;
    while identity.head().await < from + 8 {
        tokio::task::yield_now().await;
    }
}

fn lock(user: &User) -> LockUserRequest {
    LockUserRequest { name: user.name.clone(), ..Default::default() }
}

fn between(positions: &[u64], after: u64, until: u64) -> usize {
    positions.iter().filter(|position| (after + 1..until).contains(*position)).count()
}

#[tokio::test]
async fn a_user_that_keeps_rotating_is_locked_at_once() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let pushing = Pushing::new(&identity, &account, 4).await;
    let locking = async {
        some_rotate(&identity).await;
        let sent = identity.head().await;
        (sent, identity.lock_user(lock(&pushing.user)).await.expect("locked").position)
    };
    let ((sent, locked), ()) = tokio::join!(locking, pushing.keep_rotating(256));
    let rotations = pushing.rotations(&identity).await;
    let before = between(&rotations, sent, locked);
    assert!(before < BEFORE_MAX, "{before} rotations came first");
}

#[tokio::test]
async fn what_was_given_up_before_its_turn_is_not_done_and_holds_nobody_off() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let pushing = Pushing::new(&identity, &account, 4).await;
    let mut sent: FuturesUnordered<_> =
        (0..4 * CALLS_PER_CONNECTION).map(|connection| pushing.rotate(connection)).collect();
    // All that were sent before are there by then.
    let mut shed = 0;
    while shed < 2 * CALLS_PER_CONNECTION {
        let answered = sent.next().await.expect("more are to come");
        shed += usize::from(answered.is_err());
    }
    drop(sent);
    let sent = identity.head().await;
    let locked = identity.lock_user(lock(&pushing.user)).await.expect("locked").position;
    let rotations = pushing.rotations(&identity).await;
    let before = between(&rotations, sent, locked);
    assert!(before < BEFORE_MAX, "{before} rotations came first");
}

#[tokio::test]
async fn what_was_given_up_leaves_no_data_key() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let user = identity.user(&account, "alice").await.expect("created");
    let mut sent: FuturesUnordered<_> = (0..24).map(|_| identity.access_key(&user.name)).collect();
    sent.next().await.expect("sent").expect("created");
    drop(sent);
    // What was under way is done by then.
    identity.lock_user(lock(&user)).await.expect("locked");
    let parent = format!("{account}/users/-");
    let keys = identity.all_keys(ListAccessKeysRequest { parent, ..Default::default() }).await;
    assert_eq!(identity.data_keys().await, keys.len() as u64);
}

#[tokio::test]
async fn an_account_that_waits_for_one_user_holds_off_no_other() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let other = identity.user(&account, "bob").await.expect("created");
    let pushing = Pushing::new(&identity, &account, 4).await;
    let changing = async {
        some_rotate(&identity).await;
        let mut changed = vec![];
        for round in 0..9 {
            let label = format!("{round}");
            let update = UpdateAccountRequest {
                account: Some(Account {
                    name: account.clone(),
                    display_name: label.clone(),
                    ..Default::default()
                }),
                update_mask: mask(["display_name"]),
                ..Default::default()
            };
            let relabel = UpdateUserRequest {
                user: Some(User { name: other.name.clone(), label, ..Default::default() }),
                update_mask: mask(["label"]),
                ..Default::default()
            };
            let sent = identity.head().await;
            let (account, user) =
                tokio::join!(identity.update_account(update), identity.update_user(relabel));
            let last = account.expect("updated").position.max(user.expect("updated").position);
            changed.push((sent, last));
        }
        identity.lock_user(lock(&pushing.user)).await.expect("locked");
        changed
    };
    let (changed, ()) = tokio::join!(changing, pushing.keep_rotating(64));
    let rotations = pushing.rotations(&identity).await;
    let mut before: Vec<_> =
        changed.iter().map(|(sent, last)| between(&rotations, *sent, *last)).collect();
    before.sort_unstable();
    assert!(before[before.len() / 2] < 16, "they waited for the user's queue: {before:?}");
}

/// Asserts that nothing is recorded of whoever pushes once it may not, while many of its calls wait.
async fn check_ends(
    identity: &Identity,
    pushing: &Pushing,
    end: impl AsyncFn() -> Result<u64, Status>,
) {
    let ending = async {
        some_rotate(identity).await;
        end().await.expect("may not from now on")
    };
    let (ended, ()) = tokio::join!(ending, pushing.keep_rotating(64));
    let rotations = pushing.rotations(identity).await;
    assert!(rotations.len() > 8);
    assert_eq!(between(&rotations, ended, u64::MAX), 0, "recorded after it was ended at {ended}");
}

#[tokio::test]
async fn nothing_of_a_user_is_recorded_after_its_lock() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let pushing = Pushing::new(&identity, &account, 4).await;
    for _ in 0..8 {
        let end = async || Ok(identity.lock_user(lock(&pushing.user)).await?.position);
        check_ends(&identity, &pushing, end).await;
        let name = pushing.user.name.clone();
        let unlock = UnlockUserRequest { name, ..Default::default() };
        identity.unlock_user(unlock).await.expect("unlocked");
    }
}

#[tokio::test]
async fn nothing_of_a_root_user_is_recorded_after_its_lock() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (account, root) = (made.account.expect("there").name, made.root_user.expect("there"));
    let pushing = Pushing::new(&identity, &account, 4).await;
    let pushing = Pushing { by: Some(root.clone()), ..pushing };
    for _ in 0..8 {
        let end = async || Ok(identity.lock_user(lock(&root)).await?.position);
        check_ends(&identity, &pushing, end).await;
        let unlock = UnlockUserRequest { name: root.name.clone(), ..Default::default() };
        identity.unlock_user(unlock).await.expect("unlocked");
    }
}

#[tokio::test]
async fn nothing_by_an_admin_token_is_recorded_after_its_revocation() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let mut pushing = Pushing { by: None, ..Pushing::new(&identity, &account, 4).await };
    for round in 0..8 {
        let display_name = format!("leaked-{round}");
        let leaked = AdminToken { display_name, ..Default::default() };
        let leaked = identity.admin_token(leaked).await;
        let token = rpc::Token::parse(&leaked.token).expect("a token");
        pushing.connections = connect(&identity, &token, 4);
        let name = leaked.admin_token.expect("there").name;
        let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
        let end = async || Ok(identity.revoke_admin_token(revoke.clone()).await?.position);
        check_ends(&identity, &pushing, end).await;
    }
}

#[tokio::test]
async fn who_ends_each_other_or_itself_does_not_wait_for_ever() {
    let home = Home::new();
    let identity = home.start().await;
    for round in 0..16 {
        let [one, other] = [1, 2].map(async |of| {
            let display_name = format!("token-{round}-{of}");
            let made = identity.admin_token(AdminToken { display_name, ..Default::default() });
            let made = made.await;
            (made.token, made.admin_token.expect("there").name)
        });
        let ((one, one_name), (other, other_name)) = tokio::join!(one, other);
        let revoke = async |token: &str, name: &str| {
            let token = rpc::Token::parse(token).expect("a token");
            let channel = connect(&identity, &token, 1).remove(0);
            let mut tokens =
                api::identity::v1::admin_token_service_client::AdminTokenServiceClient::new(
                    channel,
                );
            let name = name.to_owned();
            tokens.revoke_admin_token(RevokeAdminTokenRequest { name, ..Default::default() }).await
        };
        let (first, second) = tokio::join!(revoke(&one, &other_name), revoke(&other, &one_name));
        assert_eq!([first.is_ok(), second.is_ok()].into_iter().filter(|ok| *ok).count(), 1);
        let (left, name) = if first.is_ok() { (one, one_name) } else { (other, other_name) };
        revoke(&left, &name).await.expect("itself");
    }
}

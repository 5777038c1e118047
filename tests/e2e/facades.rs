//! The same request at every door: whoever asks, and by whichever contract, is told the same.

mod doors;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use api::auth::v1::ExplainSignatureRequest;
use api::auth::v1::verify_signature_response::Verdict;
use api::event::v1::{AccountSettings, LockoutMode};
use api::identity::v1::{
    AccessKey, AccessKeyState, Account, CreateAccessKeyRequest, CreateUserRequest,
    DeleteAccessKeyRequest, GetAccessKeyRequest, LockUserRequest, UpdateAccessKeyRequest,
    UpdateAccountRequest, User,
};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, Method};
use prost_types::FieldMask;

use self::doors::{Door, Doors, Seen, Told, Whole};
use crate::envoy::AWKWARD;
use crate::support::{Dev, Home, Key, PATIENCE, presigned, scoped, signed};

/// A request, and what a string to sign cannot tell of it.
struct Case {
    name: String,
    request: Whole,
    /// Whether its fault is in what is hashed or left out: who is shown the string to sign alone sees none.
    is_hidden: bool,
}

fn case(name: impl Into<String>, request: Whole) -> Case {
    Case { name: name.into(), request, is_hidden: false }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Of `X-Amz-Date`.
const DATE: &str = "%Y%m%dT%H%M%SZ";
/// Beside the keys that proxies like to change.
const TARGETS: [&str; 3] = [
    "plain",
    "key?response-cache-control=a%20b%2B%2F&response-content-language=",
    "?prefix=x%20y%2Bz%2F&list-type=2&max-keys=1",
];

/// Access keys, most of which must not be used.
struct Keys {
    alice: Key,
    others: Vec<(&'static str, Key)>,
}

impl Keys {
    async fn make(dev: &Dev) -> Self {
        let (alice, made) = dev.user_with_key("alice").await;
        let of_alice = Key::from(&made);
        let more = async || {
            let made = dev.key(&alice.name).await;
            (made.access_key.as_ref().expect("there").name.clone(), Key::from(&made))
        };
        let (name, inactive) = more().await;
        let state = AccessKeyState::Inactive.into();
        let request = UpdateAccessKeyRequest {
            access_key: Some(AccessKey { name, state, ..Default::default() }),
            update_mask: mask("state"),
            ..Default::default()
        };
        dev.access_keys().update_access_key(request).await.expect("deactivated");
        let (bob, made) = dev.user_with_key("bob").await;
        let of_locked_user = Key::from(&made);
        let request = LockUserRequest { name: bob.name, ..Default::default() };
        dev.users().lock_user(request).await.expect("locked");
        let (name, deleted) = more().await;
        let request = DeleteAccessKeyRequest { name, ..Default::default() };
        let answer = dev.access_keys().delete_access_key(request).await.expect("deleted");
        dev.verify(&of_alice, answer.into_inner().position).await.expect("auth has seen it all");
        let wrong = Key { secret: "another secret".into(), ..of_alice.clone() };
        let nobody = Key { id: "AKIANOBODY0123456789".into(), ..of_alice.clone() };
        let others = vec![
            ("a wrong secret", wrong),
            ("nobody's access key", nobody),
            ("an inactive access key", inactive),
            ("an access key of a locked user", of_locked_user),
            ("a deleted access key", deleted),
        ];
        Self { alice: of_alice, others }
    }
}

/// Good and bad requests to this endpoint.
fn cases(endpoint: &str, keys: &Keys) -> Vec<Case> {
    let now = SystemTime::now();
    let uri = |target: &str| format!("{endpoint}/photos/{target}");
    let mut cases = vec![];
    for target in AWKWARD.into_iter().chain(TARGETS) {
        for (how, request) in [
            ("GET", signed(Method::GET, &uri(target), &keys.alice, now, "".into())),
            ("HEAD", signed(Method::HEAD, &uri(target), &keys.alice, now, "".into())),
            ("presigned GET", presigned(Method::GET, &uri(target), &keys.alice, now, HOUR)),
        ] {
            cases.push(case(format!("{how} {target}"), Whole::of(request)));
        }
    }
    for key in ["put", "put%20%C3%BC"] {
        let body = format!("the body of {key}");
        let put = signed(Method::PUT, &uri(key), &keys.alice, now, body.clone().into());
        cases.push(case(format!("PUT {key}"), Whole::of(put).with_body(&body)));
        let delete = signed(Method::DELETE, &uri(key), &keys.alice, now, "".into());
        cases.push(case(format!("DELETE {key}"), Whole::of(delete)));
    }
    for (name, key) in &keys.others {
        let get = signed(Method::GET, &uri("key"), key, now, "".into());
        cases.push(case(format!("GET by {name}"), Whole::of(get)));
        let url = presigned(Method::GET, &uri("key"), key, now, HOUR);
        cases.push(case(format!("presigned by {name}"), Whole::of(url)));
    }
    for minutes in [10, 16, 60, 24 * 60] {
        for time in [now - minutes * MINUTE, now + minutes * MINUTE] {
            let get = signed(Method::GET, &uri("key"), &keys.alice, time, "".into());
            cases.push(case(format!("GET {minutes} minutes off"), Whole::of(get)));
        }
    }
    // Whatever time it is: a letter that is changed below may be one of the date.
    for minutes in [-24 * 60, -600, -61, -30, 10, 30, 600] {
        let url = Whole::of(presigned(Method::GET, &uri("key"), &keys.alice, now, HOUR));
        let date = DateTime::<Utc>::from(now).format(DATE).to_string();
        let other = DateTime::<Utc>::from(now) + TimeDelta::minutes(minutes);
        let target = url.target.replace(&date, &other.format(DATE).to_string());
        assert_ne!(target, url.target);
        cases.push(case(
            format!("presigned, dated {minutes} minutes ahead"),
            Whole { target, ..url },
        ));
    }
    for (region, service) in [("eu-west-3", "s3"), ("us-east-1", "iam"), ("us-east-1", "S3")] {
        let get = scoped(&uri("key"), &keys.alice, now, (region, service));
        cases.push(case(format!("for {service} in {region}"), Whole::of(get)));
    }
    cases.extend(tampered(&Whole::of(signed(
        Method::GET,
        &uri("a/key?x=1"),
        &keys.alice,
        now,
        "".into(),
    ))));
    cases.extend(tampered(&Whole::of(presigned(
        Method::GET,
        &uri("a/key"),
        &keys.alice,
        now,
        HOUR,
    ))));
    cases
}

/// The same request with one letter changed, at many places, and with what was not signed.
fn tampered(good: &Whole) -> Vec<Case> {
    let change = |text: &str, at: usize| {
        let mut text = text.as_bytes().to_vec();
        text[at] = if text[at] == b'1' { b'2' } else { b'1' };
        String::from_utf8(text).expect("text")
    };
    let mut cases = vec![];
    // The bucket stays: that it is there and alice's is not what this is about.
    for at in ("/photos/".len()..good.target.len()).step_by(4) {
        let target = change(&good.target, at);
        cases.push(case(target.clone(), Whole { target, ..good.clone() }));
    }
    for host in ["localhost", "127.0.0.1:1", "127.0.0.1"] {
        let mut request = good.clone();
        request.headers.insert("host", HeaderValue::from_static(host));
        cases.push(case(format!("host: {host}"), request));
    }
    for (name, value) in good.headers.iter().filter(|(name, _)| *name != "host") {
        let value = value.to_str().expect("text");
        for at in (0..value.len()).step_by(3) {
            let mut request = good.clone();
            let changed = change(value, at);
            let header = HeaderValue::from_str(&changed).expect("a value");
            request.headers.insert(name, header);
            cases.push(case(format!("{name}: {changed}"), request));
        }
    }
    let mut added = good.clone();
    added.headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
    cases.push(Case { is_hidden: true, ..case("an unsigned x-amz-acl", added) });
    let mut token = good.clone();
    token.headers.insert("x-amz-security-token", HeaderValue::from_static("a token"));
    cases.push(Case { is_hidden: true, ..case("a session token", token) });
    let method = Whole { method: Method::DELETE, ..good.clone() };
    cases.push(case("another method", method));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_are_judged_alike_at_every_door() {
    let home = Home::new();
    let dev = home.start();
    set_lockout(&dev, LockoutMode::Off).await;
    let keys = Keys::make(&dev).await;
    dev.aws_ok(&dev.root(), &["s3api", "create-bucket", "--bucket", "photos"]);
    let doors = Doors::of(&dev).await;
    let cases = cases(&dev.text("s3"), &keys);
    assert!(cases.len() >= 200, "{}", cases.len());
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut asked: BTreeMap<Door, usize> = BTreeMap::new();
    for Case { name, request, is_hidden } in cases {
        let string_to_sign = string_to_sign(&dev, &request).await;
        let expected = verdict(&dev, &request).await;
        *outcomes.entry(expected.to_string()).or_default() += 1;
        let seen = Seen { request: &request, string_to_sign: &string_to_sign, is_hidden };
        for door in Door::ALL {
            if let Some((told, to_tell)) = doors.ask(door, &seen, &expected).await {
                *asked.entry(door).or_default() += 1;
                assert_eq!(told, to_tell, "{door:?}: {name}");
            }
        }
    }
    for (outcome, least) in [
        ("verified", 40),
        ("403 SignatureDoesNotMatch", 60),
        ("403 InvalidAccessKeyId", 4),
        ("403 RequestTimeTooSkewed", 4),
        ("403 AccessDenied", 2),
        ("400 AuthorizationHeaderMalformed", 4),
    ] {
        assert!(
            outcomes.get(outcome).is_some_and(|count| *count >= least),
            "{outcome}: {outcomes:?}"
        );
    }
    assert_eq!(asked.len(), Door::ALL.len());
    assert!(asked.values().all(|count| *count > 100), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_and_failures_count_at_every_door() {
    let home = Home::new();
    let dev = home.start();
    set_lockout(&dev, LockoutMode::PerKey).await;
    let root = dev.root();
    dev.aws_ok(&root, &["s3api", "create-bucket", "--bucket", "photos"]);
    let doors = Doors::of(&dev).await;
    let uri = format!("{}/photos/key", dev.text("s3"));
    for door in Door::ALL {
        let name = format!("{door:?}");
        let user = User { user_name: name.clone(), ..Default::default() };
        let request =
            CreateUserRequest { parent: dev.account(), user: Some(user), ..Default::default() };
        let user = dev.users().create_user(request).await.expect("created").into_inner();
        let parent = user.user.expect("there").name;
        let request = CreateAccessKeyRequest { parent, ..Default::default() };
        let made = dev.access_keys().create_access_key(request).await.expect("created");
        let made = made.into_inner();
        // Auth has seen it, and nobody has used it.
        dev.verify(&root, made.position).await.expect("a verdict");
        let key = Key::from(&made);
        let get =
            |key: &Key| Whole::of(signed(Method::GET, &uri, key, SystemTime::now(), "".into()));
        let ask = async |request: &Whole| {
            let string_to_sign = string_to_sign(&dev, request).await;
            let seen = Seen { request, string_to_sign: &string_to_sign, is_hidden: false };
            // What it is compared with is of no interest here.
            let any = Told::Denied(String::new(), 0);
            doors.ask(door, &seen, &any).await.expect("has a use for it").0
        };
        let right = ask(&get(&key)).await;
        let name = made.access_key.expect("there").name;
        let start = Instant::now();
        loop {
            let request = GetAccessKeyRequest { name: name.clone(), ..Default::default() };
            let found = dev.access_keys().get_access_key(request).await.expect("there");
            if found.into_inner().access_key.expect("there").last_use.is_some() {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{door:?}: no use is noted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for n in 0..4 {
            let wrong = Key { secret: format!("wrong {n}"), ..key.clone() };
            assert_ne!(ask(&get(&wrong)).await, right, "{door:?}");
        }
        assert_ne!(ask(&get(&key)).await, right, "{door:?} does not know who is locked out");
        let told = verdict(&dev, &get(&key)).await;
        assert_eq!(told.to_string(), "403 AccessDenied", "{door:?} did not count");
    }
}

/// As the one who asks by it makes it of the request: empty if it cannot be made.
async fn string_to_sign(dev: &Dev, request: &Whole) -> String {
    let request = ExplainSignatureRequest { request: Some(request.question()) };
    let explained = dev.auth().explain_signature(request).await.expect("explained");
    explained.into_inner().string_to_sign
}

async fn verdict(dev: &Dev, request: &Whole) -> Told {
    let answer = dev.auth().verify_signature(request.question()).await.expect("a verdict");
    match answer.into_inner().verdict.expect("there") {
        Verdict::Verified(verified) => Told::Verified(verified.principal.expect("there")),
        Verdict::Denied(denied) => Told::Denied(denied.code, denied.http_status),
    }
}

async fn set_lockout(dev: &Dev, mode: LockoutMode) {
    let settings = AccountSettings { lockout_mode: mode.into(), ..Default::default() };
    let account = Account { name: dev.account(), settings: Some(settings), ..Default::default() };
    let update_mask = mask("settings.lockout_mode");
    let request =
        UpdateAccountRequest { account: Some(account), update_mask, ..Default::default() };
    dev.accounts().update_account(request).await.expect("updated");
}

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask { paths: vec![path.into()] })
}

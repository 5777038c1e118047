//! Accounts apart: every call of every dialect, with the ids of another account's user and access key.
//!
//! Which calls there are is read where the gateway has them. One that is new is walked too, or there is no row
//! for it, and the test fails.

use std::collections::BTreeSet;
use std::time::SystemTime;

use api::event::v1::Tag;
use api::identity::v1::{
    Account, Bucket, ClaimBucketRequest, CreateAccountRequest, CreateUserRequest,
    ListEventsRequest, SetPasswordRequest, User,
};
use serde_json::{Value, json};

use super::{Answer, Asked, Dialect, head};
use crate::support::{Dev, Home, Key};

const IAM: &str = include_str!("../../../services/gateway/src/iam.rs");
const IAM_LISTS: &str = include_str!("../../../services/gateway/src/iam/listing.rs");
const OSC: &str = include_str!("../../../services/gateway/src/osc/route.rs");
const ONTAP: &str = include_str!("../../../services/gateway/src/ontap.rs");

/// What of the victim nobody else may be shown, and nobody sends.
const MARK: &str = "M4RKED";
const BUCKET: &str = "victims-bucket";
const PASSWORD: &str = "correct-horse-battery-staple";

/// Somebody who has all of an account but no part in the other.
struct Stranger {
    dev: Dev,
    key: Key,
    login: String,
    own_account_id: String,
    /// The other account's.
    account_id: String,
    number: String,
    user_id: String,
    access_key_id: String,
    request_id: String,
}

impl Stranger {
    async fn start(home: &Home) -> Self {
        let dev = home.start();
        let user = User {
            user_name: "victim".into(),
            path: format!("/{MARK}/"),
            label: MARK.into(),
            comment: MARK.into(),
            email: format!("{MARK}@example.com"),
            tags: vec![Tag { key: MARK.into(), value: MARK.into() }],
            ..Default::default()
        };
        let request =
            CreateUserRequest { parent: dev.account(), user: Some(user), ..Default::default() };
        let victim = dev.users().create_user(request).await.expect("created").into_inner();
        let victim = victim.user.expect("there");
        let key = dev.key(&victim.name).await;
        let bucket = Some(Bucket { bucket_name: BUCKET.into(), ..Default::default() });
        let request = ClaimBucketRequest { parent: dev.account(), bucket, ..Default::default() };
        dev.buckets().claim_bucket(request).await.expect("claimed");
        let account = Some(Account { display_name: "Other".into(), ..Default::default() });
        let request = CreateAccountRequest { account, ..Default::default() };
        let own = dev.accounts().create_account(request).await.expect("created").into_inner();
        let request = SetPasswordRequest {
            name: own.root_user.expect("there").name,
            password: PASSWORD.into(),
            ..Default::default()
        };
        dev.users().set_password(request).await.expect("set");
        let own_key =
            Key { id: own.access_key.expect("there").access_key_id, secret: own.secret_access_key };
        dev.verify(&own_key, own.position).await.expect("a verdict");
        let request =
            ListEventsRequest { kinds: vec!["user_created".into()], ..Default::default() };
        let events = dev.events().list_events(request).await.expect("listed").into_inner().events;
        let of_victim = events.iter().find(|event| format!("{event:?}").contains(MARK));
        let actor = of_victim.and_then(|event| event.actor.clone()).expect("recorded");
        let own_account = own.account.expect("there");
        Self {
            login: format!("root@{}", own_account.account_number),
            own_account_id: own_account.account_id,
            account_id: dev.text("account/id"),
            number: dev.text("account/number"),
            user_id: victim.user_id,
            access_key_id: key.access_key.expect("there").access_key_id,
            request_id: actor.request_id,
            key: own_key,
            dev,
        }
    }

    /// Sends it, and sees that nothing of the victim is told.
    async fn ask(&self, service: &str, asked: Asked) -> Answer {
        let what =
            format!("{} {} {}", asked.method, asked.target, String::from_utf8_lossy(&asked.body));
        let asked = match service {
            "" => asked.logged_in(&self.login, PASSWORD),
            service => asked.signed(&self.dev, &self.key, service, SystemTime::now()),
        };
        let answer = asked.send(&self.dev).await;
        let sent = |secret: &str| what.contains(secret);
        for secret in [MARK, "\"dev\"", &self.number, &self.user_id, &self.access_key_id] {
            assert!(sent(secret) || !answer.body.contains(secret), "{what}: {answer:?}");
        }
        answer
    }
}

/// The quoted words that stand between these two in each place of a source.
fn between<'a>(source: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let rests = source.match_indices(before).map(|(at, _)| &source[at + before.len()..]);
    let words = rests.filter_map(|rest| Some(rest.split_once(after)?.0));
    words.filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric())).collect()
}

async fn iam(stranger: &Stranger) {
    let (_, acts) = IAM.split_once("async fn act(").expect("is there");
    let mut actions = between(acts, "\"", "\" =>");
    let (_, empty) = IAM_LISTS.split_once("const EMPTY").expect("is there");
    let (empty, none) = empty.split_once("const NONE").expect("is there");
    actions.extend(between(empty, "(\"", "\""));
    actions.extend(between(
        none.split_once(';').expect("ends").1.split_once("];").expect("ends").0,
        "\"",
        "\"",
    ));
    assert!(actions.len() > 50, "{actions:?}");
    // Of the account as a whole, and so of the caller's own.
    let own = ["GenerateCredentialReport", "GetAccountSummary", "GetCredentialReport", "ListUsers"];
    assert!(own.iter().all(|action| actions.contains(action)));
    for action in actions {
        // Nobody is made: that name is taken in the caller's account.
        let name = if action == "CreateUser" { "root" } else { "victim" };
        let form = format!(
            "Action={action}&UserName={name}&AccessKeyId={}&Status=Inactive&NewUserName=mine\
             &Tags.member.1.Key=k&Tags.member.1.Value=v&TagKeys.member.1=k&PolicyName=p\
             &GroupName=g&RoleName=r",
            stranger.access_key_id
        );
        let answer = stranger.ask("iam", Asked::form(form)).await;
        let expected = match action {
            "CreateUser" => (409, "EntityAlreadyExists"),
            action if own.contains(&action) => (200, ""),
            _ => (404, "NoSuchEntity"),
        };
        let found = (answer.status, Dialect::Iam.code(&answer));
        assert_eq!((found.0, found.1.as_str()), expected, "{action}: {answer:?}");
    }
    let answer = stranger.ask("sts", Asked::form("Action=GetCallerIdentity")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn osc(stranger: &Stranger) {
    let calls = between(OSC, "name: \"", "\"");
    assert!(calls.len() >= 12, "{calls:?}");
    let (name, id) = ("victim", &stranger.access_key_id);
    for call in calls {
        let (parameters, status) = match call {
            "CreateAccessKey" | "ReadAccessKeys" | "DeleteUser" => {
                (json!({ "UserName": name }), 400)
            }
            "DeleteAccessKey" => (json!({ "UserName": name, "AccessKeyId": id }), 400),
            "UpdateAccessKey" => {
                (json!({ "UserName": name, "AccessKeyId": id, "State": "INACTIVE" }), 400)
            }
            "UpdateUser" => (json!({ "UserName": name, "NewUserName": "mine" }), 400),
            "CreateUser" => (json!({ "UserName": "root" }), 409),
            "ReadUsers" => (json!({ "Filters": { "UserIds": [stranger.user_id] } }), 200),
            "ReadApiLogs" => (json!({ "Filters": { "RequestIds": [stranger.request_id] } }), 200),
            // Of the caller's own account.
            "ReadApiAccessPolicy" => (json!({}), 200),
            "UpdateApiAccessPolicy" => {
                let policy =
                    json!({ "MaxAccessKeyExpirationSeconds": 1, "RequireTrustedEnv": false });
                (policy, 400)
            }
            "CheckAuthentication" => {
                let login = format!("victim@{}", stranger.number);
                (json!({ "Login": login, "Password": "made up" }), 401)
            }
            _ => panic!("no row for {call}"),
        };
        let asked = Asked::json("POST", format!("/api/v1/{call}"), parameters.to_string());
        let answer = stranger.ask("api", asked).await;
        assert_eq!(answer.status, status, "{call}: {answer:?}");
        let document: Value = serde_json::from_str(&answer.body).expect("JSON");
        for list in ["Users", "Logs", "AccessKeys"] {
            assert!(document.get(list).is_none_or(|list| *list == json!([])), "{call}: {answer:?}");
        }
    }
    // By its id alone, which is among nobody's keys but the victim's.
    for call in ["UpdateAccessKey", "DeleteAccessKey"] {
        let body = json!({ "AccessKeyId": id }).to_string();
        let answer =
            stranger.ask("api", Asked::json("POST", format!("/api/v1/{call}"), body)).await;
        assert_eq!((answer.status, Dialect::Osc.code(&answer).as_str()), (400, "InvalidResource"));
    }
}

async fn ontap(stranger: &Stranger) {
    let (_, acts) = ONTAP.split_once("async fn act(").expect("is there");
    let arms: Vec<(&str, &str)> = acts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(Route::")?.split_once(", &Method::"))
        .map(|(route, rest)| {
            let route = route.split('(').next().expect("a name");
            (route, rest.split(')').next().expect("a method"))
        })
        .collect();
    assert!(arms.len() >= 14, "{arms:?}");
    let services = "/api/protocols/s3/services";
    let svm = &stranger.account_id;
    for (route, method) in arms {
        let path = match route {
            "Cluster" => "/api/cluster".to_owned(),
            "Svms" => format!("/api/svm/svms?uuid={svm}&fields=*"),
            "Svm" => format!("/api/svm/svms/{svm}"),
            "Services" => format!("{services}?svm.uuid={svm}"),
            "Service" => format!("{services}/{svm}"),
            "Users" if method == "POST" => format!("{services}/{svm}/users"),
            "Users" => format!("{services}/{svm}/users?name=*"),
            "User" if method == "PATCH" => {
                format!("{services}/{svm}/users/victim?regenerate_keys=true")
            }
            "User" => format!("{services}/{svm}/users/victim"),
            _ => panic!("no row for {route}"),
        };
        let body = match (route, method) {
            ("Service" | "Services", "PATCH") => json!({ "max_key_time_to_live": "P1D" }),
            ("Users", "POST") => json!({ "name": "mine" }),
            ("User" | "Users", "PATCH") => json!({ "comment": "mine" }),
            _ => Value::Null,
        };
        let method = ["GET", "POST", "PATCH", "DELETE"].into_iter().find(|known| *known == method);
        let method = method.expect("a method");
        let asked = if body.is_null() {
            Asked::new(method, path, "", "")
        } else {
            Asked::json(method, path, body.to_string())
        };
        let answer = stranger.ask("", asked).await;
        if ["Svms", "Services"].contains(&route) {
            let document: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!((answer.status, &document["num_records"]), (200, &json!(0)), "{answer:?}");
        } else if route == "Cluster" {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            let found = (answer.status, Dialect::Ontap.code(&answer));
            assert_eq!((found.0, found.1.as_str()), (404, "4"), "{route} {method}: {answer:?}");
        }
    }
}

async fn rest(stranger: &Stranger) {
    let document = Asked::new("GET", "/openapi.json", "", "").send(&stranger.dev).await;
    let document: Value = serde_json::from_str(&document.body).expect("JSON");
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().expect("an object") {
        for (verb, operation) in operations.as_object().expect("an object") {
            if operation["security"] == json!([]) {
                continue;
            }
            let id = operation["operationId"].as_str().expect("text");
            let body = match id {
                "CreateAccount" | "UpdateAccount" | "CreateAdminToken" => {
                    json!({ "displayName": "mine" })
                }
                "CreateUser" => json!({ "userName": "mine" }),
                "ClaimBucket" => json!({ "bucketName": "mine-too" }),
                "TransferBucket" => json!({
                    "sourceAccount": format!("accounts/{}", stranger.account_id),
                    "account": format!("accounts/{}", stranger.own_account_id),
                }),
                "UpdateUser" | "UpdateAccessKey" | "CreateAccessKey" => json!({ "label": "mine" }),
                "SetPassword" => json!({ "password": PASSWORD }),
                "CreateAccessKeyImport" => json!({
                    "accessKey": { "accessKeyId": "BROUGHT0000000000001" },
                    "secretAccessKey": "x".repeat(40),
                }),
                _ => json!({}),
            };
            let path = path
                .replace("{account}", &stranger.account_id)
                .replace("{user}", "victim")
                .replace("{accessKey}", &stranger.access_key_id)
                .replace("{bucket}", BUCKET)
                .replace("{adminToken}", "00000000-0000-7000-8000-000000000000");
            assert!(!path.contains('{'), "no row for {path}");
            let path = if id == "WatchEvents" { path + "?durationSeconds=1" } else { path };
            let verb = ["GET", "POST", "PATCH", "DELETE"]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(verb))
                .expect("a method");
            let asked = match operation.get("requestBody") {
                Some(_) => Asked::json(verb, path, body.to_string()),
                None => Asked::new(verb, path, "", ""),
            };
            let answer = stranger.ask("claviger", asked).await;
            walked += 1;
            match id {
                // Of the caller's own account.
                "ListAccounts" | "ListEvents" | "WatchEvents" => {
                    assert_eq!(answer.status, 200, "{id}: {answer:?}");
                }
                _ => assert!([403, 404].contains(&answer.status), "{id}: {answer:?}"),
            }
        }
    }
    assert!(walked > 30, "{walked}");
}

/// Nobody who signs or has a password is a store, also not for what is his own.
async fn keystone(stranger: &Stranger) {
    let secret =
        format!("/v3/users/{}/credentials/OS-EC2/{}", stranger.user_id, stranger.access_key_id);
    let sign_in = json!({ "auth": { "identity": { "methods": ["password"], "password": {
        "user": { "name": stranger.login, "domain": { "id": "default" }, "password": PASSWORD },
    } } } });
    let asked = json!({ "credentials": {
        "access": stranger.access_key_id, "token": "AAAA", "signature": "0".repeat(64),
    } });
    for (method, path, body) in [
        ("POST", "/v3/auth/tokens", sign_in),
        ("GET", "/v3/auth/tokens", Value::Null),
        ("POST", "/v3/s3tokens", asked.clone()),
        ("POST", "/v3/ec2tokens", asked),
        ("GET", &secret, Value::Null),
    ] {
        let asked = match body.is_null() {
            true => Asked::new(method, path, "", ""),
            false => Asked::json(method, path, body.to_string()),
        };
        for service in ["", "s3", "claviger"] {
            let answer = stranger.ask(service, asked.clone()).await;
            assert_eq!(answer.status, 401, "{method} {path} {service}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_of_one_account_sees_or_changes_anything_of_another() {
    let home = Home::new();
    let stranger = Stranger::start(&home).await;
    let before = head(&stranger.dev).await;
    iam(&stranger).await;
    assert_eq!(head(&stranger.dev).await, before, "IAM changed something");
    osc(&stranger).await;
    assert_eq!(head(&stranger.dev).await, before, "OUTSCALE's API changed something");
    ontap(&stranger).await;
    assert_eq!(head(&stranger.dev).await, before, "ONTAP's API changed something");
    rest(&stranger).await;
    assert_eq!(head(&stranger.dev).await, before, "REST changed something");
    keystone(&stranger).await;
    assert_eq!(head(&stranger.dev).await, before, "Keystone's API changed something");
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

//! Every call once, as it succeeds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::Rest;
use crate::secrecy::EVERYTHING;
use crate::support::Home;

/// Asks, and notes what for.
struct Asking {
    rest: Rest,
    document: Value,
    asked: BTreeSet<String>,
}

impl Asking {
    /// Asks for an operation, whose path has these in its places, with a query behind.
    async fn ask(&mut self, operation: &str, places: &[&str], query: &str, body: Value) -> Value {
        let paths = self.document["paths"].as_object().expect("an object");
        let found = paths.iter().find_map(|(path, verbs)| {
            let verbs = verbs.as_object()?.iter();
            let verb = verbs.into_iter().find(|(_, it)| it["operationId"] == operation)?.0;
            Some((path.clone(), verb.clone()))
        });
        let (mut path, verb) = found.unwrap_or_else(|| panic!("there is no {operation}"));
        for place in places {
            let (before, rest) = path.split_once('{').expect("a place");
            path = format!("{before}{place}{}", rest.split_once('}').expect("a place").1);
        }
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.rest.ask(&verb, &format!("{path}{query}"), &headers, &body).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        self.asked.insert(operation.to_owned());
        if answer.headers["content-type"] == "application/x-ndjson" {
            return answer
                .body
                .lines()
                .map(|it| serde_json::from_str::<Value>(it).expect("JSON"))
                .collect();
        }
        let etag = answer.headers.get("etag").map(|etag| etag.to_str().expect("text").to_owned());
        let answer = answer.json();
        // What can be changed has its etag in the head too.
        if let [Some(resource)] = ["account", "user", "accessKey"]
            .map(|it| answer.get(it))
            .into_iter()
            .filter(Option::is_some)
            .collect::<Vec<_>>()[..]
        {
            assert_eq!(etag, Some(format!("\"{}\"", text(resource, "/etag"))), "{operation}");
        }
        answer
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("{pointer} is no text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_succeeds_once() {
    let home = Home::new();
    let dev = home.start_with(home.command().env("RUST_LOG", EVERYTHING));
    let rest = Rest::of(&dev);
    let document = rest.document().await;
    let mut it = Asking { rest, document, asked: BTreeSet::new() };
    let mut secrets = accounts_and_users(&mut it).await;
    the_rest(&mut it).await;
    let mut all = BTreeSet::new();
    for operations in it.document["paths"].as_object().expect("an object").values() {
        let ids = operations.as_object().expect("an object").values();
        all.extend(ids.map(|operation| text(operation, "/operationId")));
    }
    // Not among the management services; each has a test of its own.
    for other in ["GetOpenApi", "GetDocumentation"] {
        assert!(all.remove(other), "{other}");
    }
    let missing: Vec<_> = all.difference(&it.asked).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // `root@123456789012:s3cr3t-of-root`, which may or may not be right.
    let basic = "cm9vdEAxMjM0NTY3ODkwMTI6czNjcjN0LW9mLXJvb3Q=";
    let credential = format!("Basic {basic}");
    let headers = [("authorization", credential.as_str())];
    let answer = it.rest.send("GET", "/v1/accounts", &headers, "").await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    let log = home.log();
    assert!(log.contains("TRACE"), "the log is at trace level");
    secrets.extend([basic.to_owned(), "s3cr3t-of-root".to_owned()]);
    for secret in secrets.iter().chain([&dev.text("admin_token")]) {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
}

/// Gives the secrets that were made.
async fn accounts_and_users(it: &mut Asking) -> Vec<String> {
    let none = Value::Null;
    let body = json!({ "displayName": "Store", "settings": { "retentionSeconds": 3600 } });
    let made = it.ask("CreateAccount", &[], "", body).await;
    assert_eq!(text(&made, "/rootUser/label"), "Initial S3 user");
    let mut secrets = vec![text(&made, "/secretAccessKey")];
    let number = text(&made, "/account/accountNumber");
    let account = [number.as_str()];
    let changed = it.ask("UpdateAccount", &account, "", json!({ "displayName": "Shop" })).await;
    assert_eq!(changed["account"]["settings"]["retentionSeconds"], 3600, "only what was named");
    let shown = it.ask("GetAccount", &account, "", none.clone()).await;
    assert_eq!(shown["account"], changed["account"]);
    let listed = it.ask("ListAccounts", &[], "?pageSize=1", none.clone()).await;
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(1));
    let page = format!("?pageSize=1&pageToken={}", text(&listed, "/nextPageToken"));
    let listed = it.ask("ListAccounts", &[], &page, none.clone()).await;
    assert_eq!(listed["accounts"][0], changed["account"]);

    let made =
        it.ask("CreateUser", &account, "", json!({ "userName": "alice", "label": "a" })).await;
    let alice = [number.as_str(), "alice"];
    let changed =
        it.ask("UpdateUser", &alice, "", json!({ "label": "b", "etag": made["user"]["etag"] }));
    assert_eq!(changed.await["user"]["label"], "b");
    let locked = it.ask("LockUser", &alice, "", none.clone()).await;
    assert_eq!(locked["user"]["state"], "USER_STATE_LOCKED");
    let unlocked = it.ask("UnlockUser", &alice, "", json!({})).await;
    assert_eq!(it.ask("GetUser", &alice, "", none.clone()).await["user"], unlocked["user"]);
    let password = "correct horse battery";
    let body = json!({ "password": password });
    assert!(it.ask("SetPassword", &alice, "", body).await["user"]["passwordSetTime"].is_string());
    secrets.push(password.to_owned());
    let removed = it.ask("RemovePassword", &alice, "", none.clone()).await;
    assert!(removed["user"].get("passwordSetTime").is_none(), "{removed}");
    let listed = it.ask("ListUsers", &account, "", none.clone()).await;
    assert_eq!(listed["users"].as_array().map(Vec::len), Some(2));

    let made = it.ask("CreateAccessKey", &alice, "", json!({ "label": "k" })).await;
    secrets.push(text(&made, "/secretAccessKey"));
    let id = text(&made, "/accessKey/accessKeyId");
    let key = [number.as_str(), "alice", id.as_str()];
    let brought = "x".repeat(40);
    let body = json!({ "accessKey": { "accessKeyId": "BROUGHT0000000000001" }, "secretAccessKey": brought });
    let made = it.ask("CreateAccessKeyImport", &alice, "", body).await;
    assert_eq!(made["accessKey"]["imported"], true);
    let body = json!({ "expireTime": "2099-01-01T00:00:00Z" });
    let changed = it.ask("UpdateAccessKey", &key, "", body).await;
    assert_eq!(changed["accessKey"]["expireTime"], "2099-01-01T00:00:00Z");
    let changed = it.ask("UpdateAccessKey", &key, "", json!({ "expireTime": null })).await;
    assert!(changed["accessKey"].get("expireTime").is_none(), "null clears: {changed}");
    assert_eq!(changed["accessKey"]["label"], "k");
    let rotated =
        it.ask("RotateSecretAccessKey", &key, "", json!({ "gracePeriodSeconds": 60 })).await;
    assert_eq!(rotated["accessKey"]["secrets"].as_array().map(Vec::len), Some(2));
    secrets.push(text(&rotated, "/secretAccessKey"));
    let ended = it.ask("EndGracePeriod", &key, "", none.clone()).await;
    assert_eq!(ended["accessKey"]["secrets"].as_array().map(Vec::len), Some(1));
    it.ask("DeleteAccessKey", &key, "", none.clone()).await;
    it.ask("UndeleteAccessKey", &key, "", none.clone()).await;
    let shown = it.ask("GetAccessKey", &key, "", none.clone()).await;
    assert_eq!(shown["accessKey"]["state"], "ACCESS_KEY_STATE_ACTIVE");
    let replaced = it.ask("ReplaceAccessKey", &key, "", json!({ "gracePeriodSeconds": 0 })).await;
    secrets.push(text(&replaced, "/secretAccessKey"));
    it.ask("PurgeAccessKey", &key, "", none.clone()).await;
    let listed =
        it.ask("ListAccessKeys", &[number.as_str(), "-"], "?showDeleted=true", none.clone()).await;
    assert_eq!(listed["accessKeys"].as_array().map(Vec::len), Some(3));
    it.ask("DeleteUser", &alice, "?force=true", none.clone()).await;
    buckets(it, &number).await;
    it.ask("DeleteAccount", &account, "", none).await;
    secrets.push(brought);
    secrets
}

/// Of an account that has none afterwards.
async fn buckets(it: &mut Asking, number: &str) {
    let none = Value::Null;
    let body = json!({ "bucketName": "data.rest", "region": "eu" });
    let claimed = it.ask("ClaimBucket", &[number], "", body).await;
    assert_eq!(claimed["bucket"]["name"], "buckets/data.rest");
    let found = it.ask("GetBucket", &["data.rest"], "", none.clone()).await;
    assert_eq!(found["bucket"], claimed["bucket"]);
    let listed = it.ask("ListBuckets", &[number], "?prefix=data&region=eu", none.clone()).await;
    assert_eq!(listed["buckets"], json!([found["bucket"]]));
    let accounts = it.ask("ListAccounts", &[], "", none.clone()).await;
    let accounts = accounts["accounts"].as_array().expect("a list").clone();
    let other = accounts.iter().find(|one| one["accountNumber"] != number).expect("of dev");
    let body = json!({ "sourceAccount": format!("accounts/{number}"), "account": other["name"] });
    let moved = it.ask("TransferBucket", &["data.rest"], "", body).await;
    assert_eq!(moved["bucket"]["account"], other["name"]);
    it.ask("ReleaseBucket", &["data.rest"], "", none).await;
}

async fn the_rest(it: &mut Asking) {
    let none = Value::Null;
    let made =
        it.ask("CreateAdminToken", &[], "", json!({ "displayName": "ci", "readOnly": true })).await;
    let listed = it.ask("ListAdminTokens", &[], "", none.clone()).await;
    assert_eq!(listed["adminTokens"][0], made["adminToken"]);
    let name = text(&made, "/adminToken/name");
    let id = name.split_once('/').expect("a name").1;
    it.ask("RevokeAdminToken", &[id], "", none.clone()).await;

    let listed = it.ask("ListEvents", &[], "?kinds=user_locked", none.clone()).await;
    let actor = &listed["events"][0]["actor"];
    assert_eq!((&actor["facade"], &actor["sourceAddress"]), (&json!("rest"), &json!("127.0.0.1")));
    assert!(listed["events"][0]["payload"]["userLocked"].is_object(), "{listed}");
    let watched =
        it.ask("WatchEvents", &[], "?kinds=user_locked&durationSeconds=1", none.clone()).await;
    assert_eq!(watched[0]["event"], listed["events"][0]);
    let signed = it.ask("GetCheckpoint", &[], "", none.clone()).await;
    let verified = it.ask("VerifyLog", &[], "", none.clone()).await;
    assert_eq!(verified["headHash"], signed["checkpoint"]["hash"]);
    let exported = it.ask("ExportLog", &[], "", none.clone()).await;
    assert!(exported[0]["lines"].as_str().is_some_and(|lines| lines.len() > 1000));
    let keystore = it.ask("GetKeystore", &[], "", none.clone()).await;
    assert_eq!(keystore["dataKeysToRewrap"], "0");
    assert_eq!(it.ask("RewrapDataKeys", &[], "", none.clone()).await["remaining"], "0");
    assert_eq!(it.ask("ScrubKeystore", &[], "", json!({})).await["scrubbed"], "0");
    let exported = it.ask("ExportKeystore", &[], "", none).await;
    assert!(exported[0]["chunk"].as_str().is_some_and(|chunk| !chunk.is_empty()));
}

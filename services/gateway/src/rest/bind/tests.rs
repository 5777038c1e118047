//! Every RPC at each of its routes.

use std::collections::BTreeSet;

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::contract::{Contract, Found};
use super::*;

const ACCOUNT: &str = "accounts/123456789012";
const USER: &str = "accounts/123456789012/users/alice";
const KEY: &str = "accounts/123456789012/users/alice/accessKeys/AKIA";

fn bound(
    contract: &Contract,
    verb: &Method,
    target: &str,
    body: &str,
) -> Result<(String, Value), Violation> {
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Found::Rpc(rpc, values) = contract.find(verb, path) else {
        panic!("{verb} {path} is no route")
    };
    let request = bind(rpc, values, query, body.as_bytes())?;
    let request = serde_json::to_value(request).expect("JSON");
    let service = rpc.method.parent_service();
    Ok((format!("{}/{}", service.name(), rpc.method.name()), request))
}

/// RPC, method and target, body, and the request that they make.
type Row = (&'static str, &'static str, Value, Value);

fn rows() -> Vec<Row> {
    let none = || Value::Null;
    let named = |name: &str| json!({ "name": name });
    vec![
        (
            "AccountService/CreateAccount",
            "POST /v1/accounts?requestId=1",
            json!({"displayName": "A", "settings": {"retentionSeconds": 5}}),
            json!({"account": {"displayName": "A", "settings": {"retentionSeconds": 5}}, "requestId": "1"}),
        ),
        ("AccountService/GetAccount", "GET /v1/accounts/123456789012", none(), named(ACCOUNT)),
        (
            "AccountService/ListAccounts",
            "GET /v1/accounts?pageSize=2&page_token=a%2Bb&minPosition=3",
            none(),
            json!({"pageSize": 2, "pageToken": "a+b", "minPosition": "3"}),
        ),
        (
            "AccountService/UpdateAccount",
            "PATCH /v1/accounts/123456789012",
            json!({"name": "accounts/other", "etag": "e", "displayName": "B",
                   "settings": {"retentionSeconds": 5}}),
            json!({"account": {"name": ACCOUNT, "etag": "e", "displayName": "B",
                               "settings": {"retentionSeconds": 5}},
                   "updateMask": "displayName,settings.retentionSeconds"}),
        ),
        (
            "AccountService/DeleteAccount",
            "DELETE /v1/accounts/123456789012?etag=e",
            none(),
            json!({"name": ACCOUNT, "etag": "e"}),
        ),
        (
            "UserService/CreateUser",
            "POST /v1/accounts/123456789012/users?accessKey.label=k",
            json!({"userName": "alice", "tags": [{"key": "a", "value": "b"}]}),
            json!({"parent": ACCOUNT, "accessKey": {"label": "k"},
                   "user": {"userName": "alice", "tags": [{"key": "a", "value": "b"}]}}),
        ),
        ("UserService/GetUser", "GET /v1/accounts/123456789012/users/alice", none(), named(USER)),
        (
            "UserService/ListUsers",
            "GET /v1/accounts/123456789012/users?readTime=2030-01-31T12:00:00%2B01:00&pathPrefix=/a/",
            none(),
            json!({"parent": ACCOUNT, "readTime": "2030-01-31T11:00:00Z", "pathPrefix": "/a/"}),
        ),
        (
            "UserService/UpdateUser",
            "PATCH /v1/accounts/123456789012/users/alice?updateMask=label,user_name",
            json!({"label": "l", "comment": "c"}),
            json!({"user": {"name": USER, "label": "l", "comment": "c"},
                   "updateMask": "label,userName"}),
        ),
        (
            "UserService/LockUser",
            "POST /v1/accounts/123456789012/users/alice:lock",
            none(),
            named(USER),
        ),
        (
            "UserService/UnlockUser",
            "POST /v1/accounts/123456789012/users/alice:unlock",
            json!({"etag": "e"}),
            json!({"name": USER, "etag": "e"}),
        ),
        (
            "UserService/SetPassword",
            "POST /v1/accounts/123456789012/users/alice:setPassword",
            json!({"password": "p"}),
            json!({"name": USER, "password": "p"}),
        ),
        (
            "UserService/RemovePassword",
            "POST /v1/accounts/123456789012/users/alice:removePassword",
            none(),
            named(USER),
        ),
        (
            "UserService/DeleteUser",
            "DELETE /v1/accounts/123456789012/users/alice?force=true",
            none(),
            json!({"name": USER, "force": true}),
        ),
        (
            "AccessKeyService/CreateAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys?lifetimeDaysMax=7",
            json!({"label": "l", "expireTime": null}),
            json!({"parent": USER, "accessKey": {"label": "l"}, "lifetimeDaysMax": 7}),
        ),
        (
            "AccessKeyService/CreateAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys:import",
            json!({"accessKey": {"accessKeyId": "AKIA"}, "secretAccessKey": "s"}),
            json!({"parent": USER, "accessKey": {"accessKeyId": "AKIA"}, "secretAccessKey": "s"}),
        ),
        (
            "AccessKeyService/GetAccessKey",
            "GET /v1/accounts/123456789012/users/alice/accessKeys/AKIA",
            none(),
            named(KEY),
        ),
        (
            "AccessKeyService/ListAccessKeys",
            "GET /v1/accounts/123456789012/users/-/accessKeys?showDeleted=true&olderThanDays=9",
            none(),
            json!({"parent": "accounts/123456789012/users/-", "showDeleted": true,
                   "olderThanDays": 9}),
        ),
        (
            "AccessKeyService/UpdateAccessKey",
            "PATCH /v1/accounts/123456789012/users/alice/accessKeys/AKIA",
            json!({"expireTime": null, "access_key_id": "AKIA"}),
            json!({"accessKey": {"name": KEY, "accessKeyId": "AKIA"},
                   "updateMask": "accessKeyId,expireTime"}),
        ),
        (
            "AccessKeyService/RotateSecretAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys/AKIA:rotateSecret",
            json!({"gracePeriodSeconds": 0}),
            json!({"name": KEY, "gracePeriodSeconds": 0}),
        ),
        (
            "AccessKeyService/EndGracePeriod",
            "POST /v1/accounts/123456789012/users/alice/accessKeys/AKIA:endGracePeriod",
            json!({}),
            named(KEY),
        ),
        (
            "AccessKeyService/ReplaceAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys/AKIA:replace",
            json!({"accessKey": {"label": "l"}, "grace_period_seconds": "60"}),
            json!({"name": KEY, "accessKey": {"label": "l"}, "gracePeriodSeconds": 60}),
        ),
        (
            "AccessKeyService/DeleteAccessKey",
            "DELETE /v1/accounts/-/users/-/accessKeys/AKIA?replaceLast=true",
            none(),
            json!({"name": "accounts/-/users/-/accessKeys/AKIA", "replaceLast": true}),
        ),
        (
            "AccessKeyService/UndeleteAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys/AKIA:undelete",
            none(),
            named(KEY),
        ),
        (
            "AccessKeyService/PurgeAccessKey",
            "POST /v1/accounts/123456789012/users/alice/accessKeys/AKIA:purge",
            none(),
            named(KEY),
        ),
        (
            "EventService/ListEvents",
            "GET /v1/events?account=accounts/1&kinds=user_locked&kinds=user_unlocked",
            none(),
            json!({"account": "accounts/1", "kinds": ["user_locked", "user_unlocked"]}),
        ),
        (
            "EventService/WatchEvents",
            "GET /v1/events:watch?afterPosition=7&durationSeconds=1",
            none(),
            json!({"afterPosition": "7", "durationSeconds": 1}),
        ),
        ("EventService/GetCheckpoint", "GET /v1/log:checkpoint", none(), json!({})),
        (
            "EventService/VerifyLog",
            "GET /v1/log:verify?since.position=7&since.hash=_w&since.logId=x&eventsMax=3",
            none(),
            json!({"since": {"position": "7", "hash": "/w==", "logId": "x"}, "eventsMax": 3}),
        ),
        ("EventService/ExportLog", "GET /v1/log:export", none(), json!({})),
        (
            "UserService/SetPassword",
            "POST /v1/accounts/1/users/a:setPassword",
            json!({"password": "correct horse", "etag": "e"}),
            json!({"name": "accounts/1/users/a", "password": "correct horse", "etag": "e"}),
        ),
        (
            "UserService/RemovePassword",
            "POST /v1/accounts/1/users/a:removePassword",
            json!({}),
            json!({"name": "accounts/1/users/a"}),
        ),
        (
            "AdminTokenService/CreateAdminToken",
            "POST /v1/adminTokens",
            json!({"displayName": "ci", "readOnly": true}),
            json!({"adminToken": {"displayName": "ci", "readOnly": true}}),
        ),
        (
            "BucketService/ClaimBucket",
            "POST /v1/accounts/123456789012/buckets?requestId=1",
            json!({"bucketName": "data", "region": "eu"}),
            json!({"parent": ACCOUNT, "bucket": {"bucketName": "data", "region": "eu"},
                   "requestId": "1"}),
        ),
        (
            "BucketService/ReleaseBucket",
            "DELETE /v1/buckets/a.b-c?account=accounts/123456789012",
            none(),
            json!({"name": "buckets/a.b-c", "account": ACCOUNT}),
        ),
        ("BucketService/GetBucket", "GET /v1/buckets/data", none(), named("buckets/data")),
        (
            "BucketService/ListBuckets",
            "GET /v1/accounts/-/buckets?prefix=a&region=eu&pageSize=2",
            none(),
            json!({"parent": "accounts/-", "prefix": "a", "region": "eu", "pageSize": 2}),
        ),
        (
            "BucketService/TransferBucket",
            "POST /v1/buckets/data:transfer",
            json!({"sourceAccount": ACCOUNT, "account": "accounts/2"}),
            json!({"name": "buckets/data", "sourceAccount": ACCOUNT, "account": "accounts/2"}),
        ),
        ("AdminTokenService/ListAdminTokens", "GET /v1/adminTokens", none(), json!({})),
        (
            "AdminTokenService/RevokeAdminToken",
            "DELETE /v1/adminTokens/1",
            none(),
            json!({"name": "adminTokens/1"}),
        ),
        ("KeystoreService/GetKeystore", "GET /v1/keystore?", none(), json!({})),
        ("KeystoreService/RewrapDataKeys", "POST /v1/keystore:rewrap", json!({}), json!({})),
        ("KeystoreService/ScrubKeystore", "POST /v1/keystore:scrub", none(), json!({})),
        ("KeystoreService/ExportKeystore", "GET /v1/keystore:export", none(), json!({})),
    ]
}

#[test]
fn every_rpc_is_reached_with_what_was_said() {
    let contract = Contract::load().expect("ours");
    let mut seen = BTreeSet::new();
    for (rpc, route, body, expected) in rows() {
        let (verb, target) = route.split_once(' ').expect("a method");
        let verb = Method::from_bytes(verb.as_bytes()).expect("a method");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let found = bound(&contract, &verb, target, &body);
        assert_eq!(found, Ok((rpc.to_owned(), expected)), "{route}");
        seen.insert(rpc);
    }
    for rpc in &contract.rpcs {
        let name = format!("{}/{}", rpc.method.parent_service().name(), rpc.method.name());
        assert!(seen.contains(name.as_str()), "{name} is not in the table");
    }
}

fn check_refused(route: &str, body: &str, field: &str, description: &str) {
    let (verb, target) = route.split_once(' ').expect("a method");
    let verb = Method::from_bytes(verb.as_bytes()).expect("a method");
    let contract = Contract::load().expect("ours");
    let refused = bound(&contract, &verb, target, body).expect_err(route);
    assert_eq!(
        (refused.field.as_str(), refused.description.as_str()),
        (field, description),
        "{route}"
    );
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let users = "/v1/accounts/1/users";
    check_refused(
        "GET /v1/accounts?pageSize=x",
        "",
        "pageSize",
        "must be a whole number from -2147483648 to 2147483647",
    );
    check_refused("GET /v1/accounts?pageSize=1&page_size=2", "", "page_size", "is there twice");
    check_refused("GET /v1/accounts?nope=1", "", "nope", "is not known");
    check_refused("GET /v1/accounts?pageSize.x=1", "", "pageSize.x", "is not known");
    check_refused("GET /v1/accounts?=1", "", "", "is not known");
    check_refused(
        "GET /v1/accounts?pageToken=%ff",
        "",
        "",
        "the query is not UTF-8, percent-encoded",
    );
    check_refused("GET /v1/accounts/1?name=accounts/2", "", "name", "is not known");
    check_refused("GET /v1/log:verify?since=1", "", "since", "is not known");
    check_refused(
        "GET /v1/log:verify?since.epoch=-1",
        "",
        "since.epoch",
        "must be a whole number from 0 to 4294967295",
    );
    check_refused("GET /v1/accounts", "{}", "", "the request takes no body");
    check_refused(&format!("DELETE {users}/a?force=yes"), "", "force", "must be true or false");
    check_refused(&format!("POST {users}?user.label=a"), "{}", "user.label", "is not known");
    check_refused(&format!("POST {users}/a:lock?etag=a"), "{}", "etag", "is not known");
    check_refused(&format!("POST {users}"), "[]", "user", "must be an object");
    check_refused(&format!("POST {users}"), r#"{"label":1}"#, "user.label", "must be text");
    check_refused(
        &format!("POST {users}"),
        r#"{"a":1,"a":2}"#,
        "",
        "the body cannot be read: an object has one name twice at line 1 column 13",
    );
    // Queries end up in logs.
    check_refused(
        &format!("POST {users}/a/accessKeys?secretAccessKey=s"),
        "{}",
        "secretAccessKey",
        "is not known",
    );
    let many = format!("GET /v1/events?{}", "kinds=a&".repeat(257));
    check_refused(&many, "", "", "the query has too many parameters");
}

proptest! {
    #[test]
    fn no_query_and_no_body_make_it_fail(query in "[a-zA-Z.=&%+0-9]{0,60}", body in "\\PC{0,60}") {
        let contract = Contract::load().expect("ours");
        for (verb, path) in [
            (Method::GET, "/v1/log:verify"),
            (Method::PATCH, "/v1/accounts/1/users/a"),
            (Method::POST, "/v1/accounts/1/users/a:lock"),
        ] {
            let _ = bound(&contract, &verb, &format!("{path}?{query}"), &body);
        }
    }

    #[test]
    fn a_text_reaches_its_field(text in "[^\\p{Cc}]{0,40}") {
        let contract = Contract::load().expect("ours");
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("/v1/accounts?pageToken={encoded}");
        let (_, request) = bound(&contract, &Method::GET, &target, "").expect("bound");
        prop_assert_eq!(request["pageToken"].as_str().unwrap_or_default(), text.clone());
        let body = json!({ "label": text }).to_string();
        let (_, request) = bound(&contract, &Method::POST, "/v1/accounts/1/users", &body).expect("bound");
        prop_assert_eq!(request["user"]["label"].as_str().unwrap_or_default(), text);
    }
}

//! An access key whose end has come, as each dialect tells it.

use std::time::{Instant, SystemTime};

use api::identity::v1::{AccessKey, CreateAccessKeyRequest};

use super::Asked;
use crate::support::{Home, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_that_has_expired_is_told_as_such_by_each_dialect() {
    let home = Home::new();
    let dev = home.start();
    let (bob, _) = dev.user_with_key("bob").await;
    let request = CreateAccessKeyRequest {
        parent: bob.name.clone(),
        access_key: Some(AccessKey { time_to_live: "PT1S".into(), slot: 2, ..Default::default() }),
        ..Default::default()
    };
    let made = dev.access_keys().create_access_key(request).await.expect("created").into_inner();
    let made = made.access_key.expect("there");
    let id = &made.access_key_id;
    let ask = async |service: &str, asked: Asked| -> String {
        let asked = match service {
            "" => asked.logged_in(&dev.text("root/login"), &dev.text("root/password")),
            service => asked.signed(&dev, &dev.root(), service, SystemTime::now()),
        };
        let answer = asked.send(&dev).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    // IAM has a word for it.
    let form = "Action=ListAccessKeys&UserName=bob";
    let expired = format!("<AccessKeyId>{id}</AccessKeyId><Status>Expired</Status>");
    let start = Instant::now();
    let mut told = ask("iam", Asked::form(form)).await;
    while !told.contains(&expired) {
        assert!(start.elapsed() < PATIENCE, "{told}");
        told = ask("iam", Asked::form(form)).await;
    }
    assert!(told.contains("<Status>Active</Status>"), "the other has no end: {told}");
    let body = format!(r#"{{"UserName": "bob", "Filters": {{"AccessKeyIds": ["{id}"]}}}}"#);
    let told = ask("api", Asked::json("POST", "/api/v1/ReadAccessKeys", body)).await;
    assert!(told.contains(r#""State":"INACTIVE""#), "{told}");
    let user =
        format!("/api/protocols/s3/services/{}/users/bob?fields=keys", dev.text("account/id"));
    let told = ask("", Asked::new("GET", user, "", "")).await;
    assert!(told.contains(r#""expiry_time":"#) && told.contains(id.as_str()), "{told}");
    let told = ask("claviger", Asked::new("GET", format!("/v1/{}", made.name), "", "")).await;
    assert!(told.contains("ACCESS_KEY_STATE_EXPIRED"), "{told}");
}

//! Ceph's RGW with `rgw_s3_auth_use_keystone`: what it sends, and how it reads what it is answered.
//!
//! After `rgw_keystone.cc` and `rgw_auth_keystone.cc` of Ceph. Its JSON is written without a space, its base64 is of the
//! standard alphabet, and it looks for nothing but what is looked for here.

use std::time::{Duration, Instant, SystemTime};

use api::identity::v1::{DeleteAccessKeyRequest, GetAccessKeyRequest, LockUserRequest};
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::service;
use crate::support::{Dev, Home, Key, PATIENCE, succeeded};

/// What RGW tells its client.
pub(super) type Told = Result<String, &'static str>;

pub(super) struct Rgw<'a> {
    dev: &'a Dev,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Kept until it ends.
    pub(super) admin_token: String,
}

/// The string to sign of a request that was signed so long ago.
fn string_to_sign(ago: Duration) -> (SystemTime, String) {
    let time = SystemTime::now() - ago;
    let stamp = DateTime::<Utc>::from(time).format("%Y%m%dT%H%M%SZ").to_string();
    let hash = hex::encode(Sha256::digest("a canonical request"));
    let scope = format!("{}/us-east-1/s3/aws4_request", &stamp[..8]);
    (time, format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hash}"))
}

impl<'a> Rgw<'a> {
    pub(super) async fn start(dev: &'a Dev) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut rgw = Self { dev, client, admin_token: String::new() };
        let service = service(dev);
        let of = |name: &str| &service.iter().find(|(known, _)| known == name).expect("told").1;
        let domain = format!(r#"{{"name":"{}"}}"#, of("user_domain_name"));
        let body = format!(
            concat!(
                r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"#,
                r#""domain":{domain},"name":"{name}","password":"{password}"}}}}}},"#,
                r#""scope":{{"project":{{"name":"{project}","domain":{domain}}}}}}}}}"#
            ),
            domain = domain,
            name = of("username"),
            password = of("password"),
            project = of("project_name"),
        );
        let (status, token, body) = rgw.send("POST", "auth/tokens", &body).await;
        assert_eq!(status, 201, "{body}");
        Self::envelope(&body).expect("a token");
        rgw.admin_token = token.expect("X-Subject-Token");
        rgw
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Option<String>, String) {
        let url = format!("{}/v3/{path}", self.dev.text("rest"));
        let mut request = Request::builder().method(method).uri(url);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if !self.admin_token.is_empty() {
            request = request.header("x-auth-token", &self.admin_token);
        }
        let request = request.body(Full::new(body.to_owned().into())).expect("a request");
        let answer = self.client.request(request).await.expect("answered");
        let status = answer.status().as_u16();
        let token = answer.headers().get("x-subject-token");
        let token = token.map(|token| token.to_str().expect("text").to_owned());
        let body = answer.into_body().collect().await.expect("read").to_bytes();
        (status, token, String::from_utf8_lossy(&body).into_owned())
    }

    /// RGW's user and role, if all is there that must be.
    fn envelope(body: &str) -> Option<(String, String, Value)> {
        let document: Value = serde_json::from_str(body).ok()?;
        let token = document.get("token")?;
        let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let (user, project) = (token.get("user")?, token.get("project")?);
        for named in [user, project] {
            text(named, "id").and(text(named, "name"))?;
            if let Some(domain) = named.get("domain") {
                text(domain, "id").and(text(domain, "name"))?;
            }
        }
        let expires = DateTime::parse_from_rfc3339(&text(token, "expires_at")?).ok()?;
        (expires > Utc::now()).then_some(())?;
        Some((text(project, "id")?, text(user, "id")?, token.get("roles")?.clone()))
    }

    /// Whether it lets somebody in, and as which user: `EC2Engine::authenticate`.
    pub(super) async fn authenticate(&self, key: &Key, ago: Duration) -> Told {
        let (time, text) = string_to_sign(ago);
        let signing_key = generate_signing_key(&key.secret, time, "us-east-1", "s3");
        let signature = calculate_signature(signing_key, text.as_bytes());
        let body = format!(
            r#"{{"credentials":{{"access":"{}","token":"{}","signature":"{signature}"}}}}"#,
            key.id,
            STANDARD.encode(&text)
        );
        let (status, token, body) = self.send("POST", "s3tokens", &body).await;
        match status {
            401 => return Err("SignatureDoesNotMatch"),
            404 => return Err("InvalidAccessKeyId"),
            403 => return Err("AccessDenied"),
            503 => return Err("UnknownError"),
            _ => {}
        }
        assert_eq!((status, token), (200, None), "{body}");
        let (project, user, roles) = Self::envelope(&body).ok_or("InvalidArgument")?;
        // It wants the secret, to ask no more: what it does not get it does not keep.
        let path = format!("users/{user}/credentials/OS-EC2/{}", key.id);
        let (status, _, body) = self.send("GET", &path, "").await;
        assert!(status == 403 && !body.contains("secret"), "{status} {body}");
        let roles = roles.as_array().expect("a list").iter();
        let is_accepted = roles.filter_map(|role| role["name"].as_str()).any(|it| it == "member");
        is_accepted.then_some(project).ok_or("AccessDenied")
    }

    async fn until(&self, key: &Key, told: Told) {
        let start = Instant::now();
        while self.authenticate(key, Duration::ZERO).await != told {
            assert!(start.elapsed() < PATIENCE, "is not {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rgw_lets_in_whom_claviger_knows() {
    let home = Home::new();
    let dev = home.start();
    let rgw = Rgw::start(&dev).await;
    let (user, made) = dev.user_with_key("alice").await;
    let alice = Key::from(&made);
    let account = || Ok(dev.text("account/id"));
    let now = Duration::ZERO;
    for key in [&dev.root(), &alice] {
        assert_eq!(rgw.authenticate(key, now).await, account());
    }
    assert_eq!(rgw.authenticate(&alice, Duration::from_secs(14 * 60)).await, account());
    let late = rgw.authenticate(&alice, Duration::from_secs(16 * 60)).await;
    assert_eq!(late, Err("AccessDenied"), "which Keystone does not see");
    let wrong = Key { secret: "wrong".repeat(8), ..alice.clone() };
    assert_eq!(rgw.authenticate(&wrong, now).await, Err("SignatureDoesNotMatch"));
    let nobody = Key { id: "AKIANOBODY0000000000".into(), ..alice.clone() };
    assert_eq!(rgw.authenticate(&nobody, now).await, Err("InvalidAccessKeyId"));
    let stranger = Rgw { admin_token: "no token".into(), client: rgw.client.clone(), ..rgw };
    assert_eq!(stranger.authenticate(&alice, now).await, Err("AccessDenied"));
    let rgw = Rgw::start(&dev).await;

    let request = LockUserRequest { name: user.name, ..Default::default() };
    dev.users().lock_user(request).await.expect("locked");
    rgw.until(&alice, Err("AccessDenied")).await;
    let (_, of_bob) = dev.user_with_key("bob").await;
    let bob = Key::from(&of_bob);
    assert_eq!(rgw.authenticate(&bob, now).await, account());
    let name = of_bob.access_key.expect("there").name;
    let request = DeleteAccessKeyRequest { name, ..Default::default() };
    dev.access_keys().delete_access_key(request).await.expect("deleted");
    rgw.until(&bob, Err("InvalidAccessKeyId")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rgw_asks_about_counts_as_a_use_and_as_a_failure() {
    let home = Home::new();
    let dev = home.start();
    let rgw = Rgw::start(&dev).await;
    let number = dev.text("account/number");
    succeeded("update", dev.cli(&["account", "update", &number, "--lockout", "per-key"]));
    let (_, made) = dev.user_with_key("alice").await;
    let alice = Key::from(&made);
    let name = made.access_key.expect("there").name;
    let start = Instant::now();
    while rgw.authenticate(&alice, Duration::ZERO).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "is let in");
    }
    loop {
        let request = GetAccessKeyRequest { name: name.clone(), ..Default::default() };
        let key = dev.access_keys().get_access_key(request).await.expect("is there").into_inner();
        let used = key.access_key.and_then(|key| key.last_use);
        if used.is_some_and(|used| used.service == "s3") {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "that it was used is told");
    }
    for n in 0..4 {
        let wrong = Key { secret: format!("{n}{}", "wrong".repeat(8)), ..alice.clone() };
        let told = rgw.authenticate(&wrong, Duration::ZERO).await;
        assert_eq!(told, Err("SignatureDoesNotMatch"), "{n}");
    }
    let told = rgw.authenticate(&alice, Duration::ZERO).await;
    assert_eq!(told, Err("AccessDenied"), "who is locked out is so for a right one, too");
    assert!(rgw.authenticate(&dev.root(), Duration::ZERO).await.is_ok(), "others are not");
}

//! Keystone's documents: versions, and what a token says.

use api::auth::v1::Principal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use uuid::Uuid;

use super::services::{DEFAULT_DOMAIN, Service, domain_id, role_id};
use super::token::{LIFETIME_SECONDS, Token};

/// The role of those who may ask, as Keystone has it.
const SERVICE_ROLE: &str = "service";

/// The one version that there is. Its address is relative to where it was asked for, so that it holds behind
/// whatever leads here.
pub(super) fn version() -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{ "rel": "self", "href": "/v3/" }],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}

/// What the token of a service says.
pub(super) fn of_service(service: &Service, token: &Token) -> Value {
    let domain = json!({ "id": domain_id(&service.domain), "name": service.domain });
    let (user_id, project_id) = (hex::encode(service.id), service.project_id());
    json!({
        "token": {
            "methods": ["password"],
            "user": {
                "id": user_id,
                "name": service.name,
                "domain": domain,
                "password_expires_at": null,
            },
            "audit_ids": [URL_SAFE_NO_PAD.encode(token.audit)],
            "issued_at": time(token.issued),
            "expires_at": time(token.expires),
            "project": { "id": project_id, "name": service.project, "domain": domain },
            "is_domain": false,
            "roles": roles(&[SERVICE_ROLE]),
            "catalog": [],
        },
    })
}

/// Who signed: in Keystone's form of a token, though there is none.
pub(super) fn of_signer(principal: &Principal, roles_of_users: &[String], now: u64) -> Value {
    let domain = json!({ "id": DEFAULT_DOMAIN.1, "name": DEFAULT_DOMAIN.0 });
    json!({
        "token": {
            "methods": ["ec2credential"],
            "user": {
                "id": principal.user_id,
                "name": principal.user_name,
                "domain": domain,
                "password_expires_at": null,
            },
            "audit_ids": [URL_SAFE_NO_PAD.encode(Uuid::new_v4().into_bytes())],
            "issued_at": time(now),
            "expires_at": time(now + LIFETIME_SECONDS),
            "project": {
                "id": principal.account_id,
                "name": principal.account_number,
                "domain": domain,
            },
            "is_domain": false,
            "roles": roles(roles_of_users),
        },
    })
}

fn roles<S: AsRef<str>>(names: &[S]) -> Vec<Value> {
    let names = names.iter().map(AsRef::as_ref);
    names.map(|name| json!({ "id": role_id(name), "name": name })).collect()
}

/// `2026-03-01T12:00:00.000000Z`, as Keystone has it.
fn time(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|it| DateTime::from_timestamp(it, 0));
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_keystone_does() {
        assert_eq!(time(1_772_366_400), "2026-03-01T12:00:00.000000Z");
        assert_eq!(time(u64::MAX), "1970-01-01T00:00:00.000000Z");
    }
}

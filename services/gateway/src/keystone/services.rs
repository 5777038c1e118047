//! Who may ask: the services, and how they show that they are.

use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::Choice;
use zeroize::Zeroizing;

use super::token::{Id, Key, Shown, Token};
use crate::config::KeystoneService;

/// The domain that Keystone has from the start, and its id there.
pub(super) const DEFAULT_DOMAIN: (&str, &str) = ("Default", "default");

/// All services.
#[derive(Debug)]
pub(super) struct Services {
    all: Vec<Service>,
    /// What a password is held against that is of no service, so that it takes as long.
    nobody: Service,
}

/// One who may ask.
pub(super) struct Service {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) project: String,
    /// The present one first.
    keys: [Key; 2],
}

/// A service that has shown its password.
pub(super) struct SignedIn<'s> {
    pub(super) service: &'s Service,
    /// Of that password.
    key: Key,
}

impl SignedIn<'_> {
    /// A new token, and its text.
    pub(super) fn issue(&self, now: u64) -> (Token, Zeroizing<String>) {
        let token = Token::issue(self.service.id, now);
        (token, token.seal(&self.key))
    }
}

impl Services {
    pub(super) fn new(services: &[KeystoneService]) -> Self {
        let nobody = Service {
            id: [0; 16],
            name: String::new(),
            domain: String::new(),
            project: String::new(),
            // Of no bytes, as no password is.
            keys: [(); 2].map(|()| Key::derive(b"", &[0; 16])),
        };
        Self { all: services.iter().map(Service::new).collect(), nobody }
    }

    /// The service that is named by its id, or by name and domain.
    pub(super) fn find(&self, user: &Map<String, Value>) -> Option<&Service> {
        self.all.iter().find(|service| service.is_named_by(user))
    }

    /// The service, if there is one and this is its password: with what signs tokens for whoever shows that one. Gateways
    /// that do not know another yet know those, too.
    pub(super) fn signed_in<'s>(
        &self,
        service: Option<&'s Service>,
        password: &str,
    ) -> Option<SignedIn<'s>> {
        let of = service.unwrap_or(&self.nobody);
        let key = Key::derive(password.as_bytes(), &of.id);
        let is_one = of.keys.iter().fold(Choice::from(0), |any, known| any | known.is(&key));
        service.filter(|_| is_one.into()).map(|service| SignedIn { service, key })
    }

    /// Whose token that is, if it is good at the time, in seconds since 1970.
    pub(super) fn of_token(&self, text: &[u8], now: u64) -> Option<(&Service, Token)> {
        let shown = Shown::read(text)?;
        let service = self.all.iter().find(|service| service.id == shown.token.service)?;
        let is_good =
            service.keys.iter().any(|key| shown.is_by(key)) && shown.token.is_good_at(now);
        is_good.then_some((service, shown.token))
    }
}

impl Service {
    fn new(service: &KeystoneService) -> Self {
        let KeystoneService { name, domain, project, password, old_password } = service;
        let id = hash("user", domain, name);
        let key = Key::derive(password.as_bytes(), &id);
        let old = old_password.as_ref();
        let old = old.map_or_else(|| key.clone(), |old| Key::derive(old.as_bytes(), &id));
        Self {
            id,
            name: name.clone(),
            domain: domain.clone(),
            project: project.clone(),
            keys: [key, old],
        }
    }

    /// Its project's id.
    pub(super) fn project_id(&self) -> String {
        hex::encode(hash("project", &self.domain, &self.project))
    }

    fn is_named_by(&self, user: &Map<String, Value>) -> bool {
        match (user.get("id"), user.get("name")) {
            (Some(id), _) => *id == hex::encode(self.id),
            (None, Some(name)) => *name == self.name && is_domain(&self.domain, user.get("domain")),
            (None, None) => false,
        }
    }

    /// Whether a scope is its project.
    pub(super) fn is_project(&self, project: &Map<String, Value>) -> bool {
        match (project.get("id"), project.get("name")) {
            (Some(id), _) => *id == self.project_id(),
            (None, Some(name)) => {
                *name == self.project && is_domain(&self.domain, project.get("domain"))
            }
            (None, None) => false,
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether a domain, by its id or else its name, is the one of this name.
fn is_domain(name: &str, said: Option<&Value>) -> bool {
    let Some(said) = said else { return false };
    match (said.get("id"), said.get("name")) {
        (Some(id), _) => *id == domain_id(name),
        (None, Some(said)) => *said == name,
        (None, None) => false,
    }
}

/// The id of the domain of this name.
pub(super) fn domain_id(name: &str) -> String {
    match name == DEFAULT_DOMAIN.0 {
        true => DEFAULT_DOMAIN.1.to_owned(),
        false => hex::encode(hash("domain", "", name)),
    }
}

/// The id of the role of this name.
pub(super) fn role_id(name: &str) -> String {
    hex::encode(hash("role", "", name))
}

/// An id that is the same in each gateway: ids are kept nowhere.
fn hash(kind: &str, domain: &str, name: &str) -> Id {
    let mut hash = Sha256::new();
    for part in ["claviger keystone id", kind, domain, name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::keystone::tests::{PASSWORD, keystone};

    const NOW: u64 = 1_800_000_000;

    fn services(old_password: Option<&str>) -> Services {
        let mut services = keystone().services;
        services[0].old_password = old_password.map(|text| Zeroizing::new(text.to_owned()));
        services.push(KeystoneService {
            name: "swift".to_owned(),
            domain: "Storage".to_owned(),
            ..services[0].clone()
        });
        Services::new(&services)
    }

    fn named(services: &Services, user: &Value) -> Option<String> {
        services.find(user.as_object().expect("an object")).map(|service| service.name.clone())
    }

    #[test]
    fn a_service_is_named_by_id_or_by_name_and_domain() {
        let services = services(None);
        let id = hex::encode(services.all[0].id);
        let storage = domain_id("Storage");
        for (user, expected) in [
            (json!({ "id": id }), Some("rgw")),
            (json!({ "name": "rgw", "domain": { "name": "Default" } }), Some("rgw")),
            (json!({ "name": "rgw", "domain": { "id": "default" } }), Some("rgw")),
            (json!({ "name": "swift", "domain": { "id": storage } }), Some("swift")),
            (json!({ "name": "swift", "domain": { "name": "Storage" } }), Some("swift")),
            (json!({ "name": "swift", "domain": { "id": "default" } }), None),
            (json!({ "name": "rgw", "domain": { "id": "x", "name": "Default" } }), None),
            (json!({ "name": "rgw" }), None),
            (json!({ "name": "rgw", "domain": "Default" }), None),
            (json!({ "id": "x", "name": "rgw", "domain": { "name": "Default" } }), None),
            (json!({ "name": "", "domain": { "name": "" } }), None),
            (json!({}), None),
        ] {
            assert_eq!(named(&services, &user).as_deref(), expected, "{user}");
        }
    }

    #[test]
    fn a_password_is_its_services_and_so_is_the_one_before() {
        let services = services(Some("s3cr3t-of-before-today"));
        let rgw = Some(&services.all[0]);
        let is_password = |of, password| services.signed_in(of, password).is_some();
        assert!(is_password(rgw, PASSWORD));
        assert!(is_password(rgw, "s3cr3t-of-before-today"));
        for wrong in ["", "s3cr3t-of-twenty-byte", "S3cr3t-of-twenty-bytes"] {
            assert!(!is_password(rgw, wrong), "{wrong}");
        }
        for any in ["", PASSWORD] {
            assert!(!is_password(None, any), "{any}");
        }
        assert!(!format!("{services:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_token_ends_with_its_password_and_is_of_no_other_service() {
        let before = services(None);
        let sign_in = |services: &Services, password: &str| {
            services.signed_in(Some(&services.all[0]), password).expect("right").issue(NOW)
        };
        let (token, text) = sign_in(&before, PASSWORD);
        let whose = |services: &Services, text: &str, now| {
            let found = services.of_token(text.as_bytes(), now);
            found.map(|(service, found)| (service.name.clone(), found))
        };
        assert_eq!(whose(&before, &text, NOW), Some(("rgw".to_owned(), token)));
        assert_eq!(whose(&services(None), &text, NOW), Some(("rgw".to_owned(), token)));
        assert_eq!(whose(&before, &text, NOW + 4000), None);
        assert_eq!(whose(&before, &format!("{}A", *text), NOW), None);
        let mut changed = keystone().services;
        changed[0].password = Zeroizing::new("s3cr3t-of-after-today".to_owned());
        assert_eq!(whose(&Services::new(&changed), &text, NOW), None);
        changed[0].old_password = Some(Zeroizing::new(PASSWORD.to_owned()));
        let changed = Services::new(&changed);
        assert!(whose(&changed, &text, NOW).is_some());
        // While not all gateways know it, who shows the password of before has tokens that all know.
        let (_, old) = sign_in(&changed, PASSWORD);
        let (_, new) = sign_in(&changed, "s3cr3t-of-after-today");
        assert_eq!(
            [whose(&before, &old, NOW).is_some(), whose(&before, &new, NOW).is_some()],
            [true, false]
        );
        // A token says whose it is, and is signed by whose it is.
        let swift = Token { service: before.all[1].id, ..token };
        let forged = swift.seal(&Key::derive(PASSWORD.as_bytes(), &before.all[0].id));
        assert_eq!(whose(&before, &forged, NOW), None);
    }
}

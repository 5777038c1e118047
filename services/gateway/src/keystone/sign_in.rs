//! `POST /v3/auth/tokens`: a service shows its password, and gets a token.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::error::KeystoneError;
use super::services::Service;
use crate::request::json;

/// Longer than any password may be.
const PASSWORD_BYTES_MAX: usize = 1024;

/// What a service asks for.
pub(super) struct SignIn {
    pub(super) user: Map<String, Value>,
    pub(super) password: Zeroizing<String>,
    scope: Option<Value>,
}

impl SignIn {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400 for what is no such request; 401 for any other way to sign in than by password alone.
    pub(super) fn read(body: &[u8]) -> Result<Self, KeystoneError> {
        let body = json::parse(body);
        let mut body = body.map_err(|why| KeystoneError::field("The body", &why))?;
        let mut auth = taken(&mut body, "auth")?;
        let scope = auth.get_mut("scope").map(Value::take).filter(|scope| !scope.is_null());
        let mut identity = taken(&mut auth, "identity")?;
        let methods = identity["methods"].as_array();
        let methods = methods.ok_or_else(|| KeystoneError::field("methods", "must be a list"))?;
        if methods.len() != 1 || methods[0] != "password" {
            return Err(KeystoneError::not_signed_in());
        }
        let mut user = taken(&mut taken(&mut identity, "password")?, "user")?;
        let user = user.as_object_mut().map(std::mem::take).unwrap_or_default();
        Self::of(user, scope)
    }

    fn of(mut user: Map<String, Value>, scope: Option<Value>) -> Result<Self, KeystoneError> {
        let password = match user.remove("password") {
            Some(Value::String(password)) => Zeroizing::new(password),
            Some(_) | None => return Err(KeystoneError::field("password", "must be a text")),
        };
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(KeystoneError::not_signed_in());
        }
        Ok(Self { user, password, scope })
    }

    /// Whether no more is asked for than there is: the service's project, or nothing.
    pub(super) fn is_for(&self, service: &Service) -> bool {
        let Some(scope) = &self.scope else { return true };
        let scope = scope.as_object().filter(|scope| scope.len() == 1);
        let project = scope.and_then(|scope| scope.get("project")?.as_object());
        project.is_some_and(|project| service.is_project(project))
    }
}

/// An object out of another.
fn taken(of: &mut Value, name: &str) -> Result<Value, KeystoneError> {
    let found = of.get_mut(name).map(Value::take).filter(Value::is_object);
    found.ok_or_else(|| KeystoneError::field(name, "must be an object"))
}

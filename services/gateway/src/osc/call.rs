//! One call of somebody who is known, and whom and what its parameters name.

use api::auth::v1::Principal;
use api::identity::v1::{GetUserRequest, User};
use uuid::Uuid;

use super::error::OscError;
use super::parameters::Parameters;
use crate::identity::{Acting, Identity};

/// A call of somebody who is known.
pub(super) struct Call<'a> {
    pub(super) identity: &'a Identity,
    pub(super) acting: Acting,
    pub(super) principal: Principal,
    pub(super) parameters: &'a Parameters,
    /// Whether only to tell if the call could be made.
    pub(super) dry_run: bool,
    /// For creations that may be sent again.
    pub(super) idempotency_id: String,
}

impl Call<'_> {
    /// The caller's account, as identity names it.
    pub(super) fn account(&self) -> String {
        format!("accounts/{}", self.principal.account_id)
    }

    pub(super) fn user_named(&self, name: &str) -> String {
        format!("{}/users/{name}", self.account())
    }

    /// Identity's name of the user that `UserName` names, or else of the caller.
    pub(super) fn user_resource(&self) -> Result<String, OscError> {
        let name = self.parameters.text("UserName")?;
        name.map_or(Ok(self.user_named(&self.principal.user_id)), |name| {
            check_user_name("UserName", name)?;
            Ok(self.user_named(name))
        })
    }

    /// The user of this name, as identity knows it.
    pub(super) async fn user(&self, name: String) -> Result<User, OscError> {
        let request = GetUserRequest { name, ..Default::default() };
        let answer = self.identity.get_user(&self.acting, request).await?;
        answer.user.ok_or_else(OscError::internal)
    }

    /// Identity's name of the access key that `AccessKeyId` names, of the user that `UserName` names.
    pub(super) fn access_key_resource(&self) -> Result<String, OscError> {
        let id = self.parameters.required("AccessKeyId")?;
        let is_id = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        // Of a form that no key here has.
        if id.len() != 20 || !id.bytes().all(is_id) {
            return Err(OscError::no_such_key());
        }
        Ok(format!("{}/accessKeys/{id}", self.user_resource()?))
    }
}

/// Whether a name may be one: what identity takes for more than a name, such as a UUID, is none here.
pub(super) fn check_user_name(parameter: &str, name: &str) -> Result<(), OscError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(1..=64).contains(&name.chars().count()) {
        return Err(OscError::length(parameter, "must have 1 to 64 characters"));
    }
    if !name.bytes().all(is_name) {
        return Err(OscError::invalid_name(parameter));
    }
    if name == "-" || name.parse::<Uuid>().is_ok() {
        return Err(OscError::no_such_user());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identity_takes_for_more_than_a_name_is_no_name() {
        for name in ["bob", "bob@example.com", "-a", &"a".repeat(64)] {
            assert_eq!(check_user_name("UserName", name), Ok(()), "{name}");
        }
        for name in ["-", "01935a3c-0000-7000-8000-000000000001"] {
            assert_eq!(check_user_name("UserName", name), Err(OscError::no_such_user()), "{name}");
        }
        for (name, code) in [
            ("", "4106"),
            (&"a".repeat(65), "4106"),
            ("a/b", "4043"),
            ("a b", "4043"),
            ("é", "4043"),
        ] {
            let refused = check_user_name("UserName", name).expect_err(name);
            assert_eq!((refused.kind, refused.code), ("InvalidParameterValue", code), "{name}");
        }
    }
}

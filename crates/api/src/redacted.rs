//! `Debug` for the messages that hold a secret or a key, without it.

use std::fmt;

use crate::identity::v1::{
    CreateAccessKeyResponse, CreateAccountResponse, DateKey, RotateSecretAccessKeyResponse,
};

const REDACTED: &str = "redacted";

impl fmt::Debug for DateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DateKey").field("day", &self.day).field("key", &REDACTED).finish()
    }
}

impl fmt::Debug for CreateAccountResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateAccountResponse")
            .field("account", &self.account)
            .field("root_user", &self.root_user)
            .field("access_key", &self.access_key)
            .field("secret_access_key", &REDACTED)
            .field("position", &self.position)
            .finish()
    }
}

impl fmt::Debug for CreateAccessKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateAccessKeyResponse")
            .field("access_key", &self.access_key)
            .field("secret_access_key", &REDACTED)
            .field("position", &self.position)
            .finish()
    }
}

impl fmt::Debug for RotateSecretAccessKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateSecretAccessKeyResponse")
            .field("access_key", &self.access_key)
            .field("secret_access_key", &REDACTED)
            .field("position", &self.position)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_nor_key() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let shown = [
            format!(
                "{:?}",
                CreateAccountResponse { secret_access_key: secret.into(), ..Default::default() }
            ),
            format!(
                "{:?}",
                CreateAccessKeyResponse { secret_access_key: secret.into(), ..Default::default() }
            ),
            format!(
                "{:?}",
                RotateSecretAccessKeyResponse {
                    secret_access_key: secret.into(),
                    ..Default::default()
                }
            ),
            format!("{:?}", DateKey { day: 1, key: vec![0xAB; 32] }),
        ];
        for text in shown {
            assert!(text.contains("redacted"), "{text}");
            assert!(!text.contains(secret) && !text.contains("171"), "{text}");
        }
    }
}

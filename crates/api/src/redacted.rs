//! `Debug` for the messages that hold a secret, without it: generated for every message that has a
//! field with the option `debug_redact`.

include!(concat!(env!("OUT_DIR"), "/redacted.rs"));

#[cfg(test)]
mod tests {
    use crate::FILE_DESCRIPTOR_SET;
    use crate::identity::v1::{
        CreateAccessKeyRequest, CreateAccessKeyResponse, CreateAccountResponse,
        CreateAdminTokenResponse, CreateUserRequest, CreateUserResponse, DateKey,
        DeleteAccessKeyResponse, ReplaceAccessKeyRequest, ReplaceAccessKeyResponse,
        RotateSecretAccessKeyResponse,
    };

    #[test]
    fn debug_shows_neither_secret_nor_key() {
        let secret = || "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
        macro_rules! shown {
            ($($message:ident { $field:ident }),*) => {
                [$(format!("{:?}", $message { $field: secret(), ..Default::default() })),*]
            };
        }
        let shown = shown![
            CreateAccountResponse { secret_access_key },
            CreateAccessKeyRequest { secret_access_key },
            CreateAccessKeyResponse { secret_access_key },
            CreateAdminTokenResponse { token },
            CreateUserRequest { secret_access_key },
            CreateUserResponse { secret_access_key },
            DeleteAccessKeyResponse { replacement_secret_access_key },
            ReplaceAccessKeyRequest { secret_access_key },
            ReplaceAccessKeyResponse { secret_access_key },
            RotateSecretAccessKeyResponse { secret_access_key }
        ];
        let date_key = format!("{:?}", DateKey { day: 1, key: vec![0xAB; 32] });
        for text in shown.iter().chain([&date_key]) {
            assert!(text.contains("redacted"), "{text}");
            assert!(!text.contains(&secret()) && !text.contains("171"), "{text}");
        }
    }

    /// So that nobody forgets the option.
    #[test]
    fn every_field_named_like_a_secret_is_redacted() {
        let pool = prost_reflect::DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("decodes");
        for message in pool.all_messages().filter(|it| it.full_name().starts_with("claviger.")) {
            for field in message.fields() {
                let name = field.name();
                let secret = name.ends_with("secret_access_key") || name == "token";
                let options = field.options();
                let redacted = options
                    .get_field_by_name("debug_redact")
                    .is_some_and(|value| value.as_bool() == Some(true));
                assert!(!secret || redacted, "{}.{name}", message.full_name());
            }
        }
    }
}

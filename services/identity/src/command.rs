//! What makes a command one and the same when it is sent again.

use api::identity::v1 as proto;
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::Error;

/// Identity of a command: its id in the log and a digest of all that it asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandKey {
    pub(crate) id: Uuid,
    pub(crate) digest: [u8; 32],
}

/// A request that may be sent again under an id of its client's.
pub(crate) trait Repeatable: Message {
    /// The call that it is for.
    const RPC: &'static str;

    /// The id: a UUID, or empty.
    fn request_id(&mut self) -> &mut String;
}

macro_rules! repeatable {
    ($($rpc:ident: $request:ident),+ $(,)?) => {
        $(impl Repeatable for proto::$request {
            const RPC: &'static str = stringify!($rpc);

            fn request_id(&mut self) -> &mut String {
                &mut self.request_id
            }
        })+
    };
}

repeatable! {
    CreateAccount: CreateAccountRequest,
    UpdateAccount: UpdateAccountRequest,
    DeleteAccount: DeleteAccountRequest,
    CreateUser: CreateUserRequest,
    UpdateUser: UpdateUserRequest,
    LockUser: LockUserRequest,
    UnlockUser: UnlockUserRequest,
    DeleteUser: DeleteUserRequest,
    CreateAccessKey: CreateAccessKeyRequest,
    UpdateAccessKey: UpdateAccessKeyRequest,
    RotateSecretAccessKey: RotateSecretAccessKeyRequest,
    EndGracePeriod: EndGracePeriodRequest,
    ReplaceAccessKey: ReplaceAccessKeyRequest,
    DeleteAccessKey: DeleteAccessKeyRequest,
    UndeleteAccessKey: UndeleteAccessKeyRequest,
    PurgeAccessKey: PurgeAccessKeyRequest,
    RemovePassword: RemovePasswordRequest,
    ClaimBucket: ClaimBucketRequest,
    ReleaseBucket: ReleaseBucketRequest,
    TransferBucket: TransferBucketRequest,
    CreateAdminToken: CreateAdminTokenRequest,
    RevokeAdminToken: RevokeAdminTokenRequest,
}

impl CommandKey {
    /// Of a request that may be sent again under its id; if it has none, of one that stands for
    /// itself. The id is then spelled in one way.
    ///
    /// # Errors
    /// [`Error::InvalidField`] if the id is not a UUID, or the one of zeros, which is what a client
    /// has that forgot to make one.
    pub(crate) fn new<R: Repeatable>(principal: &str, request: &mut R) -> Result<Self, Error> {
        if request.request_id().is_empty() {
            return Ok(Self { id: Uuid::now_v7(), digest: digest_of(principal, request) });
        }
        let request_id = Uuid::try_parse(request.request_id()).ok().filter(|id| !id.is_nil());
        let request_id = request_id
            .ok_or_else(|| Error::invalid("request_id", "must be a UUID, and not the nil UUID"))?;
        // The same id in capitals, say, is the same request.
        *request.request_id() = request_id.to_string();
        // Two principals may choose the same id: it is theirs, not the log's.
        let own = digest_uuid(&digest_of_id(principal, request_id));
        Ok(Self { id: own, digest: digest_of(principal, request) })
    }

    /// Whether the command may come again under its id.
    pub(crate) fn is_repeatable(self) -> bool {
        is_repeatable(self.id)
    }

    /// Of what cannot be asked for again: what the server does by itself, and what is asked with a
    /// password, of which not even a digest may be recorded.
    pub(crate) fn once() -> Self {
        Self { id: Uuid::now_v7(), digest: [0; 32] }
    }
}

/// Whether a command in the log was given an id by its client, and so may come again. Such ids are
/// of version 8, those made here of version 7.
pub(crate) fn is_repeatable(id: Uuid) -> bool {
    id.get_version_num() == 8
}

fn digest_of<R: Repeatable>(principal: &str, request: &R) -> [u8; 32] {
    digest(&[R::RPC.as_bytes(), principal.as_bytes(), &request.encode_to_vec()])
}

fn digest_of_id(principal: &str, request_id: Uuid) -> [u8; 32] {
    digest(&[b"request-id", principal.as_bytes(), request_id.as_bytes()])
}

fn digest_uuid(digest: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use api::identity::v1::CreateUserRequest;

    use super::*;

    fn key(principal: &str, request_id: &str, parent: &str) -> CommandKey {
        let mut request = CreateUserRequest {
            parent: parent.into(),
            request_id: request_id.into(),
            ..Default::default()
        };
        CommandKey::new(principal, &mut request).expect("valid")
    }

    #[test]
    fn the_same_request_id_is_the_same_command() {
        let id = "3f2b6f3e-0000-4000-8000-000000000001";
        let (one, again) = (key("operator", id, "accounts/1"), key("operator", id, "accounts/1"));
        assert_eq!((one.id, one.digest), (again.id, again.digest));
        assert!(is_repeatable(one.id));
        let other_body = key("operator", id, "accounts/2");
        assert_eq!(one.id, other_body.id);
        assert_ne!(one.digest, other_body.digest);
        assert_ne!(one.id, key("somebody", id, "accounts/1").id);
    }

    #[test]
    fn a_request_id_is_the_same_however_it_is_spelled() {
        let id = "3f2b6f3e-0000-4000-8000-00000000000a";
        let one = key("operator", id, "accounts/1");
        for spelled in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}")] {
            let again = key("operator", &spelled, "accounts/1");
            assert_eq!((one.id, one.digest), (again.id, again.digest), "{spelled}");
        }
    }

    #[test]
    fn a_request_without_an_id_stands_for_itself() {
        let (one, two) = (key("operator", "", "accounts/1"), key("operator", "", "accounts/1"));
        assert_ne!(one.id, two.id);
        assert!(!is_repeatable(one.id));
        for bad in ["x", "00000000-0000-0000-0000-000000000000", " "] {
            let mut bad = CreateUserRequest { request_id: bad.into(), ..Default::default() };
            assert!(CommandKey::new("operator", &mut bad).is_err());
        }
    }
}

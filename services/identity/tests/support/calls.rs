//! Each call by its name, and what tests often ask of an identity.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::error::v1::Reason;
use api::event::v1::{AccountSettings, Event, Tag};
use api::identity::v1::keystore_service_client::KeystoreServiceClient;
use api::identity::v1::*;
use event_store::{Clock, SledOptions};
use rpc::Channel;
use sealing::{KeyEncryptionKey, Keyring, Keystore};
use tonic::{Code, Status};

use super::{Home, Identity};

impl Home {
    /// Another, empty directory with the same key, clock and tokens.
    pub fn elsewhere(&self) -> Self {
        let other = Self::new();
        std::fs::copy(&self.kek_file, &other.kek_file).expect("copied");
        Self {
            clock: Arc::clone(&self.clock),
            tokens: self.tokens.clone(),
            certified: self.certified.clone(),
            ..other
        }
    }

    /// Lets so many milliseconds pass, and tells what time it is then.
    pub fn later(&self, ms: u64) -> u64 {
        self.clock.advance(ms);
        self.clock.now_ms()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Makes the data of an archive of a log and a copy of its keystore.
    pub fn restore(&self, archive: &[u8], image: &[u8]) {
        let log = identity::log_dir(&self.data_dir());
        // As whoever restores makes it: others may not look into it.
        let mut folder = std::fs::DirBuilder::new();
        folder.mode(0o700).create(self.data_dir()).expect("created");
        event_store::archive::import(archive, SledOptions::new(log)).expect("imported");
        let keyring = Keyring::new(self.kek());
        Keystore::restore(image, self.data_dir().join("keystore"), &keyring).expect("restored");
    }

    pub fn kek(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::from_file(&self.kek_file).expect("a key")
    }
}

macro_rules! calls {
    ($($client:ident: $($call:ident($request:ty) -> $response:ty),+;)+) => {
        impl Identity {
            $($(pub async fn $call(&self, request: $request) -> Result<$response, Status> {
                Ok(self.$client().$call(request).await?.into_inner())
            })+)+
        }
    };
}

calls! {
    accounts:
        create_account(CreateAccountRequest) -> CreateAccountResponse,
        get_account(GetAccountRequest) -> GetAccountResponse,
        list_accounts(ListAccountsRequest) -> ListAccountsResponse,
        update_account(UpdateAccountRequest) -> UpdateAccountResponse,
        delete_account(DeleteAccountRequest) -> DeleteAccountResponse;
    users:
        create_user(CreateUserRequest) -> CreateUserResponse,
        get_user(GetUserRequest) -> GetUserResponse,
        list_users(ListUsersRequest) -> ListUsersResponse,
        update_user(UpdateUserRequest) -> UpdateUserResponse,
        lock_user(LockUserRequest) -> LockUserResponse,
        unlock_user(UnlockUserRequest) -> UnlockUserResponse,
        delete_user(DeleteUserRequest) -> DeleteUserResponse;
    access_keys:
        create_access_key(CreateAccessKeyRequest) -> CreateAccessKeyResponse,
        get_access_key(GetAccessKeyRequest) -> GetAccessKeyResponse,
        list_access_keys(ListAccessKeysRequest) -> ListAccessKeysResponse,
        update_access_key(UpdateAccessKeyRequest) -> UpdateAccessKeyResponse,
        rotate_secret_access_key(RotateSecretAccessKeyRequest) -> RotateSecretAccessKeyResponse,
        end_grace_period(EndGracePeriodRequest) -> EndGracePeriodResponse,
        replace_access_key(ReplaceAccessKeyRequest) -> ReplaceAccessKeyResponse,
        delete_access_key(DeleteAccessKeyRequest) -> DeleteAccessKeyResponse,
        undelete_access_key(UndeleteAccessKeyRequest) -> UndeleteAccessKeyResponse,
        purge_access_key(PurgeAccessKeyRequest) -> PurgeAccessKeyResponse;
    events:
        list_events(ListEventsRequest) -> ListEventsResponse,
        get_checkpoint(GetCheckpointRequest) -> GetCheckpointResponse,
        verify_log(VerifyLogRequest) -> VerifyLogResponse;
    admin_tokens:
        create_admin_token(CreateAdminTokenRequest) -> CreateAdminTokenResponse,
        revoke_admin_token(RevokeAdminTokenRequest) -> RevokeAdminTokenResponse;
    buckets:
        claim_bucket(ClaimBucketRequest) -> ClaimBucketResponse,
        release_bucket(ReleaseBucketRequest) -> ReleaseBucketResponse,
        get_bucket(GetBucketRequest) -> GetBucketResponse,
        list_buckets(ListBucketsRequest) -> ListBucketsResponse,
        transfer_bucket(TransferBucketRequest) -> TransferBucketResponse;
    keystore:
        get_keystore(GetKeystoreRequest) -> GetKeystoreResponse;
}

impl Identity {
    pub fn keystore(&self) -> KeystoreServiceClient<Channel> {
        KeystoreServiceClient::new(self.operator())
    }

    /// Position of the last event.
    pub async fn head(&self) -> u64 {
        let signed = self.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");
        signed.checkpoint.expect("there").position
    }

    /// How many data keys there are.
    pub async fn data_keys(&self) -> u64 {
        self.get_keystore(GetKeystoreRequest {}).await.expect("told").data_keys
    }

    /// Asserts that a call is refused so, and that it leaves neither event nor data key behind.
    pub async fn refuses<T: std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
        code: Code,
        reason: Reason,
    ) {
        let before = (self.head().await, self.data_keys().await);
        refused(call.await, code, reason);
        let after = (self.head().await, self.data_keys().await);
        assert_eq!(after, before, "a refusal leaves nothing behind");
    }

    /// Asserts that a call is refused for a field that is not of its form.
    pub async fn refuses_field<T: std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) {
        self.refuses(call, Code::InvalidArgument, Reason::InvalidField).await;
    }

    pub async fn account_with(&self, settings: AccountSettings) -> CreateAccountResponse {
        let account =
            Account { display_name: "Acme".into(), settings: Some(settings), ..Default::default() };
        let request = CreateAccountRequest { account: Some(account), ..Default::default() };
        self.create_account(request).await.expect("created")
    }

    /// Makes an access key, of which nothing is said but this.
    pub async fn key_with(
        &self,
        user: &str,
        access_key: AccessKey,
    ) -> Result<CreateAccessKeyResponse, Status> {
        let request = CreateAccessKeyRequest {
            parent: user.into(),
            access_key: Some(access_key),
            ..Default::default()
        };
        self.create_access_key(request).await
    }

    /// The access key as it is now.
    pub async fn key(&self, name: &str) -> AccessKey {
        let request = GetAccessKeyRequest { name: name.into(), ..Default::default() };
        self.get_access_key(request).await.expect("found").access_key.expect("there")
    }

    pub async fn delete_key(&self, name: &str) -> Result<DeleteAccessKeyResponse, Status> {
        let request = DeleteAccessKeyRequest { name: name.into(), ..Default::default() };
        self.delete_access_key(request).await
    }

    /// Every event that matches, page by page.
    pub async fn all_events(&self, mut request: ListEventsRequest) -> Vec<Event> {
        let mut events = vec![];
        loop {
            let page = self.list_events(request.clone()).await.expect("listed");
            events.extend(page.events);
            if page.next_page_token.is_empty() {
                return events;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Every access key that a list shows, page by page.
    pub async fn all_keys(&self, mut request: ListAccessKeysRequest) -> Vec<AccessKey> {
        let mut keys = vec![];
        loop {
            let page = self.list_access_keys(request.clone()).await.expect("listed");
            keys.extend(page.access_keys);
            if page.next_page_token.is_empty() {
                return keys;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The log as an archive.
    pub async fn exported_log(&self) -> Vec<u8> {
        let begun = self.events().export_log(ExportLogRequest {}).await;
        let mut lines = begun.expect("begins").into_inner();
        let mut archive = vec![];
        while let Some(message) = lines.message().await.expect("goes on") {
            archive.extend(message.lines);
        }
        archive
    }

    /// A copy of the keystore.
    pub async fn exported_keystore(&self) -> Vec<u8> {
        let begun = self.keystore().export_keystore(ExportKeystoreRequest {}).await;
        let mut chunks = begun.expect("begins").into_inner();
        let mut image = vec![];
        while let Some(message) = chunks.message().await.expect("goes on") {
            image.extend(message.chunk);
        }
        image
    }

    /// Records at least so many events on a user, many to a command.
    pub async fn flood(&self, user: &str, events: usize) {
        const EVENTS_PER_COMMAND: usize = 50;
        for round in 0..events.div_ceil(EVENTS_PER_COMMAND) {
            // Of 1025 bytes each: no two fit one event.
            let letter = if round % 2 == 0 { "\u{10400}" } else { "\u{10428}" };
            let tag = |n| Tag { key: format!("{n}"), value: letter.repeat(256) };
            let tags = (0..EVENTS_PER_COMMAND).map(tag).collect();
            let request = UpdateUserRequest {
                user: Some(User { name: user.into(), tags, ..Default::default() }),
                update_mask: mask(["tags"]),
                ..Default::default()
            };
            self.update_user(request).await.expect("updated");
        }
    }
}

/// Asserts that a call failed with this code and reason.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: Reason) {
    let status = result.expect_err("is refused");
    assert_eq!((status.code(), api::reason(&status)), (code, Some(reason)), "{status}");
}

pub fn mask<const N: usize>(paths: [&str; N]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.map(str::to_owned).to_vec() })
}

/// An instant by its milliseconds since 1970.
pub fn at(ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(ms / 1000).expect("fits"),
        nanos: i32::try_from(ms % 1000 * 1_000_000).expect("fits"),
    }
}

/// A request id by its number.
pub fn request_id(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

/// Whether any file in a folder holds these bytes.
pub fn is_in_files(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_in_files(&path, bytes);
        }
        holds(&std::fs::read(path).expect("read"), bytes)
    })
}

pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

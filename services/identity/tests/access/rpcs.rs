//! Every RPC: what it is called with, and who may call it.

use api::identity::v1::*;
use event_store::Clock;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, transport};

use crate::support::{DAY_MS, at};
use crate::world::{Caller, Target, World, mask};

/// Operators that may do everything.
const OPERATORS: &[Caller] = &[Caller::Configured, Caller::All];
/// Operators that may read everything.
const AUDITORS: &[Caller] = &[Caller::Configured, Caller::All, Caller::ReadOnly];
/// Who manages the account.
const MANAGERS: &[Caller] = &[Caller::Configured, Caller::All, Caller::Scoped, Caller::Root];
/// Who sees the account.
const READERS: &[Caller] = &[
    Caller::Configured,
    Caller::All,
    Caller::ReadOnly,
    Caller::Scoped,
    Caller::ScopedReadOnly,
    Caller::Root,
];
/// Who sees some account: what they are shown is for other tests.
const READERS_OF_ANY: &[Caller] = &[
    Caller::Configured,
    Caller::All,
    Caller::ReadOnly,
    Caller::Scoped,
    Caller::ScopedReadOnly,
    Caller::Elsewhere,
    Caller::Root,
    Caller::ForeignRoot,
];
/// Who manages the user's access keys.
const KEY_MANAGERS: &[Caller] =
    &[Caller::Configured, Caller::All, Caller::Scoped, Caller::Root, Caller::Itself];
/// Who sees the user.
const USER_READERS: &[Caller] = &[
    Caller::Configured,
    Caller::All,
    Caller::ReadOnly,
    Caller::Scoped,
    Caller::ScopedReadOnly,
    Caller::Root,
    Caller::Itself,
];

/// Who claims and releases buckets, elsewhere than by S3.
const BUCKET_MANAGERS: &[Caller] = &[Caller::Configured, Caller::All, Caller::Scoped];
/// Who sees the account's buckets.
const BUCKET_READERS: &[Caller] = &[
    Caller::Configured,
    Caller::All,
    Caller::ReadOnly,
    Caller::Scoped,
    Caller::ScopedReadOnly,
    Caller::Root,
    Caller::Itself,
    Caller::Colleague,
];
/// Who watches whose all buckets are.
const BUCKET_WATCHERS: &[Caller] =
    &[Caller::Configured, Caller::All, Caller::ReadOnly, Caller::Gateway];

/// Gateways, whoever they act for.
const GATEWAYS: &[Caller] = &[
    Caller::Root,
    Caller::Itself,
    Caller::Colleague,
    Caller::ForeignRoot,
    Caller::Locked,
    Caller::Deleted,
    Caller::Stranger,
    Caller::NoUser,
];

/// The one that only gateways may call, whoever they act for.
pub(crate) const VERIFY_PASSWORD: &str = "AuthenticationService/VerifyPassword";
/// Of the account's root user.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

type MakeRequest = Box<dyn Fn(&World, &Target) -> Vec<u8>>;

/// One RPC with one way to ask.
pub(crate) struct Row {
    /// Such as `UserService/GetUser`.
    pub(crate) rpc: &'static str,
    pub(crate) request: MakeRequest,
    /// Who is answered; all others are refused.
    pub(crate) allowed: &'static [Caller],
    /// Whether the request does not name the account, so that one of another account finds nothing.
    pub(crate) by_key_alone: bool,
}

impl Row {
    /// Whether gateways get as far as saying for whom they act.
    pub(crate) fn serves_gateways(&self) -> bool {
        let service = self.rpc.split('/').next().unwrap_or_default();
        service != "CredentialFeedService"
    }

    /// Whether a call may change what it is about.
    pub(crate) fn writes(&self) -> bool {
        let method = self.rpc.split('/').nth(1).unwrap_or_default();
        let reads = ["Get", "List", "Watch", "Verify", "Export", "Derive"];
        !reads.iter().any(|verb| method.starts_with(verb))
    }
}

fn row<M: Message>(
    rpc: &'static str,
    allowed: &'static [Caller],
    request: impl Fn(&World, &Target) -> M + 'static,
) -> Row {
    let request = move |world: &World, target: &Target| request(world, target).encode_to_vec();
    Row { rpc, request: Box::new(request), allowed, by_key_alone: false }
}

/// Rows that name an access key in full, and by its id alone.
fn key_rows<M: Message + 'static>(
    rpc: &'static str,
    allowed: &'static [Caller],
    key: fn(&Target) -> &AccessKey,
    request: fn(String, &World) -> M,
) -> [Row; 2] {
    let in_full = move |world: &World, target: &Target| request(key(target).name.clone(), world);
    let alone = move |world: &World, target: &Target| {
        request(format!("accounts/-/users/-/accessKeys/{}", key(target).access_key_id), world)
    };
    let alone = Row { by_key_alone: true, ..row(rpc, allowed, alone) };
    [row(rpc, allowed, in_full), alone]
}

fn now(world: &World) -> Option<prost_types::Timestamp> {
    Some(at(world.home.clock.now_ms()))
}

/// All of them, with each way to ask that makes a difference to who may.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = accounts();
    rows.extend(users());
    rows.extend(access_keys());
    rows.extend(events());
    rows.extend(admin_tokens());
    rows.extend(buckets());
    rows.extend(keystore());
    rows.extend(feed());
    rows.push(row(VERIFY_PASSWORD, GATEWAYS, |world, _| VerifyPasswordRequest {
        login: format!("root@{}", world.mine.number),
        password: PASSWORD.into(),
    }));
    rows
}

fn accounts() -> Vec<Row> {
    vec![
        row("AccountService/CreateAccount", OPERATORS, |_, _| CreateAccountRequest {
            account: Some(Account { display_name: "New".into(), ..Default::default() }),
            ..Default::default()
        }),
        row("AccountService/GetAccount", READERS, |world, _| GetAccountRequest {
            name: world.mine.name.clone(),
            ..Default::default()
        }),
        row("AccountService/GetAccount", READERS, |world, _| GetAccountRequest {
            name: format!("accounts/{}", world.mine.number),
            ..Default::default()
        }),
        row("AccountService/ListAccounts", READERS_OF_ANY, |_, _| ListAccountsRequest::default()),
        row("AccountService/UpdateAccount", MANAGERS, |world, target| UpdateAccountRequest {
            account: Some(Account {
                name: world.mine.name.clone(),
                display_name: format!("Mine {}", target.number),
                ..Default::default()
            }),
            update_mask: Some(mask(&["display_name"])),
            ..Default::default()
        }),
        row("AccountService/DeleteAccount", OPERATORS, |_, target| DeleteAccountRequest {
            name: target.account.clone(),
            ..Default::default()
        }),
    ]
}

fn users() -> Vec<Row> {
    vec![
        row("UserService/CreateUser", MANAGERS, |world, target| CreateUserRequest {
            parent: world.mine.name.clone(),
            user: Some(User { user_name: format!("new-{}", target.number), ..Default::default() }),
            ..Default::default()
        }),
        row("UserService/GetUser", USER_READERS, |_, target| GetUserRequest {
            name: target.user.name.clone(),
            ..Default::default()
        }),
        row("UserService/GetUser", USER_READERS, |world, target| GetUserRequest {
            name: target.user.name.clone(),
            read_time: now(world),
            ..Default::default()
        }),
        row("UserService/ListUsers", READERS, |world, _| ListUsersRequest {
            parent: world.mine.name.clone(),
            ..Default::default()
        }),
        row("UserService/ListUsers", READERS, |world, _| ListUsersRequest {
            parent: world.mine.name.clone(),
            read_time: now(world),
            ..Default::default()
        }),
        row("UserService/UpdateUser", MANAGERS, |_, target| UpdateUserRequest {
            user: Some(User {
                name: target.user.name.clone(),
                label: format!("label {}", target.number),
                ..Default::default()
            }),
            update_mask: Some(mask(&["label"])),
            ..Default::default()
        }),
        row("UserService/LockUser", MANAGERS, |_, target| LockUserRequest {
            name: target.user.name.clone(),
            ..Default::default()
        }),
        row("UserService/UnlockUser", MANAGERS, |_, target| UnlockUserRequest {
            name: target.user.name.clone(),
            ..Default::default()
        }),
        row("UserService/SetPassword", KEY_MANAGERS, |_, target| SetPasswordRequest {
            name: target.user.name.clone(),
            password: PASSWORD.into(),
            ..Default::default()
        }),
        row("UserService/RemovePassword", KEY_MANAGERS, |_, target| RemovePasswordRequest {
            name: target.user.name.clone(),
            ..Default::default()
        }),
        row("UserService/DeleteUser", MANAGERS, |_, target| DeleteUserRequest {
            name: target.user.name.clone(),
            force: true,
            ..Default::default()
        }),
    ]
}

fn access_keys() -> Vec<Row> {
    fn key(target: &Target) -> &AccessKey {
        &target.key
    }
    fn deleted(target: &Target) -> &AccessKey {
        &target.deleted_key
    }
    let mut rows =
        vec![
            row("AccessKeyService/CreateAccessKey", KEY_MANAGERS, |_, target| {
                CreateAccessKeyRequest { parent: target.user.name.clone(), ..Default::default() }
            }),
            row("AccessKeyService/ListAccessKeys", USER_READERS, |_, target| {
                ListAccessKeysRequest { parent: target.user.name.clone(), ..Default::default() }
            }),
            row("AccessKeyService/ListAccessKeys", USER_READERS, |world, target| {
                let parent = target.user.name.clone();
                ListAccessKeysRequest { parent, read_time: now(world), ..Default::default() }
            }),
            row("AccessKeyService/ListAccessKeys", READERS, |world, _| ListAccessKeysRequest {
                parent: format!("{}/users/-", world.mine.name),
                ..Default::default()
            }),
            row("AccessKeyService/ListAccessKeys", READERS, |world, _| ListAccessKeysRequest {
                parent: format!("{}/users/-", world.mine.name),
                read_time: now(world),
                show_deleted: true,
                ..Default::default()
            }),
        ];
    let readers = USER_READERS;
    rows.extend(key_rows("AccessKeyService/GetAccessKey", readers, key, |name, _| {
        GetAccessKeyRequest { name, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/GetAccessKey", readers, key, |name, world| {
        GetAccessKeyRequest { name, read_time: now(world), ..Default::default() }
    }));
    let managers = KEY_MANAGERS;
    rows.extend(key_rows("AccessKeyService/UpdateAccessKey", managers, key, |name, _| {
        UpdateAccessKeyRequest {
            access_key: Some(AccessKey { name, label: "new".into(), ..Default::default() }),
            update_mask: Some(mask(&["label"])),
            ..Default::default()
        }
    }));
    rows.extend(key_rows("AccessKeyService/RotateSecretAccessKey", managers, key, |name, _| {
        RotateSecretAccessKeyRequest { name, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/EndGracePeriod", managers, key, |name, _| {
        EndGracePeriodRequest { name, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/ReplaceAccessKey", managers, key, |name, _| {
        ReplaceAccessKeyRequest { name, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/DeleteAccessKey", managers, key, |name, _| {
        DeleteAccessKeyRequest { name, replace_last: true, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/UndeleteAccessKey", managers, deleted, |name, _| {
        UndeleteAccessKeyRequest { name, ..Default::default() }
    }));
    rows.extend(key_rows("AccessKeyService/PurgeAccessKey", managers, deleted, |name, _| {
        PurgeAccessKeyRequest { name, ..Default::default() }
    }));
    rows
}

fn events() -> Vec<Row> {
    vec![
        row("EventService/ListEvents", READERS_OF_ANY, |_, _| ListEventsRequest::default()),
        row("EventService/ListEvents", READERS, |world, _| ListEventsRequest {
            account: world.mine.name.clone(),
            ..Default::default()
        }),
        row("EventService/WatchEvents", READERS_OF_ANY, |_, _| WatchEventsRequest::default()),
        row("EventService/WatchEvents", READERS, |world, _| WatchEventsRequest {
            account: world.mine.name.clone(),
            ..Default::default()
        }),
        row("EventService/GetCheckpoint", AUDITORS, |_, _| GetCheckpointRequest::default()),
        row("EventService/VerifyLog", AUDITORS, |_, _| VerifyLogRequest::default()),
        row("EventService/ExportLog", OPERATORS, |_, _| ExportLogRequest {}),
    ]
}

fn admin_tokens() -> Vec<Row> {
    vec![
        row("AdminTokenService/CreateAdminToken", OPERATORS, |_, target| CreateAdminTokenRequest {
            admin_token: Some(AdminToken {
                display_name: format!("new-{}", target.number),
                ..Default::default()
            }),
            ..Default::default()
        }),
        // Least of all for an account that one has, or to read only.
        row("AdminTokenService/CreateAdminToken", OPERATORS, |world, target| {
            CreateAdminTokenRequest {
                admin_token: Some(AdminToken {
                    display_name: format!("new-{}", target.number),
                    account: world.mine.name.clone(),
                    read_only: true,
                    ..Default::default()
                }),
                ..Default::default()
            }
        }),
        row("AdminTokenService/ListAdminTokens", OPERATORS, |_, _| {
            ListAdminTokensRequest::default()
        }),
        row("AdminTokenService/RevokeAdminToken", OPERATORS, |_, target| RevokeAdminTokenRequest {
            name: target.admin_token.clone(),
            ..Default::default()
        }),
    ]
}

fn buckets() -> Vec<Row> {
    fn claim(parent: String, number: u32) -> ClaimBucketRequest {
        let bucket = Bucket { bucket_name: format!("new-{number}"), ..Default::default() };
        ClaimBucketRequest { parent, bucket: Some(bucket), ..Default::default() }
    }
    vec![
        row("BucketService/ClaimBucket", BUCKET_MANAGERS, |world, target| {
            claim(world.mine.name.clone(), target.number)
        }),
        row("BucketService/ClaimBucket", BUCKET_MANAGERS, |world, target| {
            claim(format!("accounts/{}", world.mine.number), target.number)
        }),
        row("BucketService/ReleaseBucket", BUCKET_MANAGERS, |_, target| ReleaseBucketRequest {
            name: target.bucket.clone(),
            ..Default::default()
        }),
        row("BucketService/GetBucket", BUCKET_READERS, |_, target| GetBucketRequest {
            name: target.bucket.clone(),
            ..Default::default()
        }),
        row("BucketService/ListBuckets", BUCKET_READERS, |world, _| ListBucketsRequest {
            parent: world.mine.name.clone(),
            ..Default::default()
        }),
        row("BucketService/ListBuckets", AUDITORS, |_, _| ListBucketsRequest {
            parent: "accounts/-".into(),
            ..Default::default()
        }),
        row("BucketService/TransferBucket", OPERATORS, |world, target| TransferBucketRequest {
            name: target.bucket.clone(),
            source_account: world.mine.name.clone(),
            account: world.other.name.clone(),
            ..Default::default()
        }),
        row("BucketService/WatchBuckets", BUCKET_WATCHERS, |_, _| WatchBucketsRequest {}),
    ]
}

fn keystore() -> Vec<Row> {
    vec![
        row("KeystoreService/GetKeystore", AUDITORS, |_, _| GetKeystoreRequest {}),
        row("KeystoreService/RewrapDataKeys", OPERATORS, |_, _| RewrapDataKeysRequest {}),
        row("KeystoreService/ScrubKeystore", OPERATORS, |_, _| ScrubKeystoreRequest {}),
        row("KeystoreService/ExportKeystore", OPERATORS, |_, _| ExportKeystoreRequest {}),
    ]
}

fn feed() -> Vec<Row> {
    const AUTH: &[Caller] = &[Caller::Auth];
    vec![
        row("CredentialFeedService/WatchCredentials", AUTH, |_, _| WatchCredentialsRequest {}),
        row("CredentialFeedService/DeriveDateKeys", AUTH, |world, target| DeriveDateKeysRequest {
            access_key_id: target.key.access_key_id.clone(),
            day: u32::try_from(world.home.clock.now_ms() / DAY_MS).expect("fits"),
            spelling: 0,
        }),
        row("CredentialFeedService/DerivePublicKeys", AUTH, |_, target| DerivePublicKeysRequest {
            access_key_id: target.key.access_key_id.clone(),
        }),
        row("CredentialFeedService/VerifySignatureVersion2", AUTH, |_, target| {
            VerifySignatureVersion2Request {
                access_key_id: target.key.access_key_id.clone(),
                string_to_sign: b"GET\n\n\n\n/".to_vec(),
                signature: vec![0; 20],
            }
        }),
        row("CredentialFeedService/ReportUse", AUTH, |world, target| ReportUseRequest {
            uses: vec![UseRecord {
                access_key_id: target.key.access_key_id.clone(),
                generation: 1,
                r#use: Some(AccessKeyUse {
                    time: Some(at(world.home.clock.now_ms())),
                    ..Default::default()
                }),
            }],
        }),
        row("CredentialFeedService/ReportLockout", AUTH, |world, target| ReportLockoutRequest {
            lockouts: vec![LockoutRecord {
                access_key_id: target.key.access_key_id.clone(),
                source: "192.0.2.1".into(),
                end_time_ms: i64::try_from(world.home.clock.now_ms()).expect("fits") + 60_000,
                failures: 4,
            }],
        }),
    ]
}

/// Calls an RPC and takes its first message.
pub(crate) async fn call(
    connection: transport::Channel,
    presented: MetadataMap,
    rpc: &str,
    request: Vec<u8>,
) -> Result<Bytes, Status> {
    let mut client = Grpc::new(connection);
    client.ready().await.expect("a connection");
    let path = format!("/claviger.identity.v1.{rpc}");
    let path = PathAndQuery::try_from(path).expect("a path");
    let mut request = Request::new(Bytes::from(request));
    *request.metadata_mut() = presented;
    // As a client takes it, one message is a stream of one.
    let mut answer = client.server_streaming(request, path, AsBytes).await?.into_inner();
    Ok(answer.message().await?.expect("a message"))
}

/// Messages as they are.
#[derive(Clone, Copy, Debug)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

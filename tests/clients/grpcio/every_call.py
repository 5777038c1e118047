"""Every call of identity's services that an operator may make, with its refusals."""

import datetime
import time
import uuid

from client import Identity, event_pb, operator, pages, pb, refused

A, U, K, E = pb["account"], pb["user"], pb["access_key"], pb["event"]
T, S, B = pb["admin_token"], pb["keystore"], pb["bucket"]
call = operator()

# Accounts
made = call(call.accounts.CreateAccount, A.CreateAccountRequest(account=A.Account(display_name="Grpcio")))
account = made.account.name
assert made.root_user.label == "Initial S3 user" and made.root_user.root
assert len(made.secret_access_key) == 40
got = call(call.accounts.GetAccount, A.GetAccountRequest(name=account, min_position=made.position))
assert got.account == made.account
by_number = f"accounts/{made.account.account_number}"
assert call(call.accounts.GetAccount, A.GetAccountRequest(name=by_number)).account == made.account
with refused("NOT_FOUND", "NO_SUCH_ACCOUNT"):
    call(call.accounts.GetAccount, A.GetAccountRequest(name=f"accounts/{uuid.uuid4()}"))
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    call(call.accounts.CreateAccount, A.CreateAccountRequest(account=A.Account(display_name="")))
listed = pages(call, call.accounts.ListAccounts, A.ListAccountsRequest(page_size=1), "accounts")
assert account in [found.name for found in listed]


def update_account(etag="", **settings):
    request = A.UpdateAccountRequest(account=A.Account(name=account, etag=etag))
    for name, value in settings.items():
        field = getattr(request.account.settings, name)
        if isinstance(value, list):
            field.extend(value)
        else:
            setattr(request.account.settings, name, value)
        request.update_mask.paths.append(f"settings.{name}")
    return call(call.accounts.UpdateAccount, request)


updated = update_account(access_keys_per_user_max=3, default_grace_period_seconds=60)
assert updated.account.settings.access_keys_per_user_max == 3
with refused("ABORTED", "ETAG_MISMATCH"):
    update_account(etag=made.account.etag, rotation_due_days=1)
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    update_account(access_keys_per_user_max=11)
with refused("FAILED_PRECONDITION", "LIFETIMES_LONGER"):
    update_account(access_key_lifetime_seconds_max=3600)

# Users
tags = [event_pb.Tag(key="Team", value="storage")]
alice = U.User(
    user_name="Alice", label="A", comment="night shift", path="/ops/", email="a@example.org", tags=tags
)
request = U.CreateUserRequest(parent=account, user=alice, request_id=str(uuid.uuid4()))
created = call(call.users.CreateUser, request)
assert call(call.users.CreateUser, request) == created, "a retry gets the same answer"
request.user.label = "B"
with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
    call(call.users.CreateUser, request)
user = created.user
assert (user.comment, user.path, user.email, list(user.tags)) == ("night shift", "/ops/", "a@example.org", tags)
with refused("ALREADY_EXISTS", "USER_NAME_TAKEN"):
    call(call.users.CreateUser, U.CreateUserRequest(parent=account, user=U.User(user_name="ALICE")))
for bad in ["", "a b", "x" * 65, "é"]:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
        call(call.users.CreateUser, U.CreateUserRequest(parent=account, user=U.User(user_name=bad)))
request = U.UpdateUserRequest(user=U.User(name=user.name, user_name="alicia", label="C", etag=user.etag))
request.update_mask.paths.extend(["user_name", "label"])
renamed = call(call.users.UpdateUser, request).user
assert (renamed.user_name, renamed.label, renamed.user_id) == ("alicia", "C", user.user_id)
with refused("ABORTED", "ETAG_MISMATCH"):
    call(call.users.UpdateUser, request)
with refused("NOT_FOUND", "NO_SUCH_USER"):
    call(call.users.GetUser, U.GetUserRequest(name=f"{account}/users/alice"))
root = made.root_user.name
request = U.UpdateUserRequest(user=U.User(name=root, user_name="admin"))
request.update_mask.paths.append("user_name")
with refused("FAILED_PRECONDITION", "ROOT_USER"):
    call(call.users.UpdateUser, request)
locked = call(call.users.LockUser, U.LockUserRequest(name=user.name)).user
assert locked.state == U.USER_STATE_LOCKED
assert call(call.users.UnlockUser, U.UnlockUserRequest(name=user.name)).user.state == U.USER_STATE_ACTIVE
password = U.SetPasswordRequest(name=user.name, password="correct horse battery staple")
assert call(call.users.SetPassword, password).user.HasField("password_set_time")
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    call(call.users.SetPassword, U.SetPasswordRequest(name=user.name, password="short"))
with refused("ABORTED", "ETAG_MISMATCH"):
    call(call.users.SetPassword, U.SetPasswordRequest(name=user.name, password="x" * 8, etag=user.etag))
with refused("NOT_FOUND", "NO_SUCH_USER"):
    call(call.users.SetPassword, U.SetPasswordRequest(name=f"{account}/users/nobody", password="x" * 8))
remove = U.RemovePasswordRequest(name=user.name, request_id=str(uuid.uuid4()))
removed = call(call.users.RemovePassword, remove)
assert call(call.users.RemovePassword, remove) == removed, "a retry is answered the same"
assert not removed.user.HasField("password_set_time")

# Access keys
request = K.CreateAccessKeyRequest(parent=user.name, request_id=str(uuid.uuid4()))
request.access_key.label, request.access_key.slot = "laptop", 1
key = call(call.keys.CreateAccessKey, request)
assert call(call.keys.CreateAccessKey, request) == key, "a retry gets the same secret"
first = key.access_key
with refused("ALREADY_EXISTS", "SLOT_TAKEN"):
    call(call.keys.CreateAccessKey, K.CreateAccessKeyRequest(parent=user.name, access_key=K.AccessKey(slot=1)))
own = K.CreateAccessKeyRequest(parent=user.name, secret_access_key="own-secret_" * 4)
own.access_key.access_key_id = "OWN" + uuid.uuid4().hex[:17].upper()
own.access_key.time_to_live = "P30D"
brought = call(call.keys.CreateAccessKey, own)
assert brought.secret_access_key == own.secret_access_key and brought.access_key.imported
assert brought.access_key.time_to_live == "P30D" and brought.access_key.HasField("expire_time")
with refused("ALREADY_EXISTS", "ACCESS_KEY_ID_TAKEN"):
    call(call.keys.CreateAccessKey, own)
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    call(call.keys.CreateAccessKey, K.CreateAccessKeyRequest(parent=user.name, secret_access_key="x" * 40))


def create(**fields):
    return call(call.keys.CreateAccessKey, K.CreateAccessKeyRequest(parent=user.name, **fields))


with refused("INVALID_ARGUMENT", "TIME_IN_PAST"):
    create(access_key=K.AccessKey(expiration_date="2001-01-01"))
with refused("INVALID_ARGUMENT", "LIFETIME_TOO_LONG"):
    create(access_key=K.AccessKey(time_to_live="P1096D"), lifetime_days_max=1095)
third = create(access_key=K.AccessKey(expiration_date="20630405T000000Z")).access_key
assert third.expire_time.ToDatetime() == datetime.datetime(2063, 4, 5)
with refused("RESOURCE_EXHAUSTED", "KEY_LIMIT"):
    create()
rotated = call(call.keys.RotateSecretAccessKey, K.RotateSecretAccessKeyRequest(name=first.name))
assert len(rotated.access_key.secrets) == 2, "the account's default grace period"
ended = call(call.keys.EndGracePeriod, K.EndGracePeriodRequest(name=first.name))
assert len(ended.access_key.secrets) == 1
with refused("FAILED_PRECONDITION", "NO_GRACE_PERIOD"):
    call(call.keys.EndGracePeriod, K.EndGracePeriodRequest(name=first.name))
request = K.UpdateAccessKeyRequest(access_key=K.AccessKey(name=first.name, label="desk", slot=2))
request.access_key.state = K.ACCESS_KEY_STATE_INACTIVE
request.update_mask.paths.extend(["label", "slot", "state"])
changed = call(call.keys.UpdateAccessKey, request).access_key
assert (changed.label, changed.slot, changed.state) == ("desk", 2, K.ACCESS_KEY_STATE_INACTIVE)
replaced = call(
    call.keys.ReplaceAccessKey, K.ReplaceAccessKeyRequest(name=first.name, grace_period_seconds=0)
)
assert replaced.access_key.slot == 2 and len(replaced.secret_access_key) == 40
with refused("NOT_FOUND", "NO_SUCH_ACCESS_KEY"):
    call(call.keys.GetAccessKey, K.GetAccessKeyRequest(name=first.name))
before = call(call.keys.GetAccessKey, K.GetAccessKeyRequest(name=first.name, read_time=changed.update_time))
assert before.access_key.state == K.ACCESS_KEY_STATE_INACTIVE, "as it was then"
any_user = K.ListAccessKeysRequest(parent=f"{account}/users/-", page_size=1)
listed = [found.access_key_id for found in pages(call, call.keys.ListAccessKeys, any_user, "access_keys")]
assert len(listed) == len(set(listed)) == 4, listed

update_account(retention_seconds=3600)
deleted = call(call.keys.DeleteAccessKey, K.DeleteAccessKeyRequest(name=third.name))
assert not deleted.HasField("replacement")
shown = call(call.keys.GetAccessKey, K.GetAccessKeyRequest(name=third.name)).access_key
assert shown.state == K.ACCESS_KEY_STATE_DELETED and shown.HasField("purge_time")
back = call(call.keys.UndeleteAccessKey, K.UndeleteAccessKeyRequest(name=third.name)).access_key
assert back.state == K.ACCESS_KEY_STATE_ACTIVE
with refused("FAILED_PRECONDITION", "NOT_DELETED"):
    call(call.keys.PurgeAccessKey, K.PurgeAccessKeyRequest(name=third.name))
call(call.keys.DeleteAccessKey, K.DeleteAccessKeyRequest(name=third.name))
call(call.keys.PurgeAccessKey, K.PurgeAccessKeyRequest(name=third.name))
with refused("NOT_FOUND", "NO_SUCH_ACCESS_KEY"):
    call(call.keys.UndeleteAccessKey, K.UndeleteAccessKeyRequest(name=third.name))
call(call.keys.DeleteAccessKey, K.DeleteAccessKeyRequest(name=brought.access_key.name))
last = call(
    call.keys.DeleteAccessKey,
    K.DeleteAccessKeyRequest(name=replaced.access_key.name, replace_last=True),
)
assert len(last.replacement_secret_access_key) == 40
with refused("FAILED_PRECONDITION", "USER_HAS_KEYS"):
    call(call.users.DeleteUser, U.DeleteUserRequest(name=user.name))
# Buckets
taker = call(call.accounts.CreateAccount, A.CreateAccountRequest(account=A.Account(display_name="Taker")))
taker = taker.account.name
claim = B.ClaimBucketRequest(parent=account, bucket=B.Bucket(bucket_name="grpcio", region="eu"))
claim.request_id = str(uuid.uuid4())
claimed = call(call.buckets.ClaimBucket, claim)
assert (claimed.bucket.name, claimed.bucket.account) == ("buckets/grpcio", account)
assert call(call.buckets.ClaimBucket, claim) == claimed, "a retry is answered the same"
with refused("ALREADY_EXISTS", "BUCKET_ALREADY_OWNED"):
    call(call.buckets.ClaimBucket, B.ClaimBucketRequest(parent=account, bucket=claim.bucket))
with refused("ALREADY_EXISTS", "BUCKET_ALREADY_EXISTS"):
    call(call.buckets.ClaimBucket, B.ClaimBucketRequest(parent=taker, bucket=claim.bucket))
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    call(call.buckets.GetBucket, B.GetBucketRequest(name="buckets/Not_A_Name"))
got = call(call.buckets.GetBucket, B.GetBucketRequest(name="buckets/grpcio", min_position=claimed.position))
assert got.bucket == claimed.bucket
listed = pages(call, call.buckets.ListBuckets, B.ListBucketsRequest(parent=account, page_size=1), "buckets")
assert [found.bucket_name for found in listed] == ["grpcio"]
with refused("ABORTED", "BUCKET_OWNER_CHANGED"):
    call(
        call.buckets.TransferBucket,
        B.TransferBucketRequest(name="buckets/grpcio", source_account=taker, account=account),
    )
call(
    call.buckets.TransferBucket,
    B.TransferBucketRequest(name="buckets/grpcio", source_account=account, account=taker),
)
watched = call.buckets.WatchBuckets(B.WatchBucketsRequest(), metadata=call.metadata)
first = next(watched)
assert "grpcio" in [record.bucket_name for record in first.snapshot.buckets]
watched.cancel()
with refused("FAILED_PRECONDITION", "ACCOUNT_HAS_BUCKETS"):
    call(call.accounts.DeleteAccount, A.DeleteAccountRequest(name=taker))
call(call.buckets.ReleaseBucket, B.ReleaseBucketRequest(name="buckets/grpcio"))
with refused("NOT_FOUND", "NO_SUCH_BUCKET"):
    call(call.buckets.ReleaseBucket, B.ReleaseBucketRequest(name="buckets/grpcio"))
call(call.accounts.DeleteAccount, A.DeleteAccountRequest(name=taker))

with refused("FAILED_PRECONDITION", "ACCOUNT_HAS_USERS"):
    call(call.accounts.DeleteAccount, A.DeleteAccountRequest(name=account))
gone = call(call.users.DeleteUser, U.DeleteUserRequest(name=user.name, force=True))

# Events
of_user = E.ListEventsRequest(user=user.name, min_position=gone.position, page_size=7)
events = list(pages(call, call.events.ListEvents, of_user, "events"))
kinds = [event.payload.WhichOneof("event") for event in events]
assert kinds[0] == "user_created" and kinds[-1] == "user_deleted", kinds
assert [event.stream_revision for event in events] == list(range(1, len(events) + 1))
assert {event.actor.principal for event in events} == {"operator"}
filtered = E.ListEventsRequest(user=user.name, kinds=["secret_access_key_rotated"])
assert len(list(pages(call, call.events.ListEvents, filtered, "events"))) == 1
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    call(call.events.ListEvents, E.ListEventsRequest(kinds=["nothing"]))
watch = call(call.events.WatchEvents, E.WatchEventsRequest(user=user.name, duration_seconds=1))
watched = list(watch)
assert [message.event for message in watched if message.HasField("event")] == events
assert watched[-1].resume_position >= gone.position, "a watch ends with where to resume"
checkpoint = call(call.events.GetCheckpoint, E.GetCheckpointRequest()).checkpoint
assert len(checkpoint.signature) == 64 and len(checkpoint.public_key) == 32
since = None
while True:
    request = E.VerifyLogRequest(since=since, events_max=10)
    verified = call(call.events.VerifyLog, request)
    if verified.complete:
        break
    since = E.Checkpoint(position=verified.head_position, hash=verified.head_hash)
assert verified.head_position >= checkpoint.position
with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
    # Made up, not signed by identity: no evidence against the log.
    wrong = E.Checkpoint(position=checkpoint.position, hash=bytes(32))
    call(call.events.VerifyLog, E.VerifyLogRequest(since=wrong))
exported = b"".join(part.lines for part in call(call.events.ExportLog, E.ExportLogRequest()))
assert exported.count(b"\n") >= checkpoint.position + 2
assert key.secret_access_key.encode() not in exported

# The keystore
kept = call(call.keystore.GetKeystore, S.GetKeystoreRequest())
assert kept.data_keys >= 1 and kept.data_keys_to_rewrap == 0 and len(kept.kek_ids) == 1
assert call(call.keystore.RewrapDataKeys, S.RewrapDataKeysRequest()).remaining == 0
assert call(call.keystore.ScrubKeystore, S.ScrubKeystoreRequest()).scrubbed == 0
copy = b"".join(part.chunk for part in call(call.keystore.ExportKeystore, S.ExportKeystoreRequest()))
assert len(copy) > 1024

# Admin tokens
scoped = T.CreateAdminTokenRequest(
    admin_token=T.AdminToken(display_name=f"t-{uuid.uuid4().hex}", account=account, read_only=True),
    request_id=str(uuid.uuid4()),
)
token = call(call.tokens.CreateAdminToken, scoped)
assert call(call.tokens.CreateAdminToken, scoped) == token, "a retry is told the same token"
scoped.request_id = str(uuid.uuid4())
with refused("ALREADY_EXISTS", "ADMIN_TOKEN_NAME_TAKEN"):
    call(call.tokens.CreateAdminToken, scoped)
reader = Identity(token.token)
seen = reader(reader.accounts.ListAccounts, A.ListAccountsRequest()).accounts
assert [found.name for found in seen] == [account], "its own account only"
with refused("PERMISSION_DENIED", "CALLER_NOT_ALLOWED"):
    reader(reader.users.CreateUser, U.CreateUserRequest(parent=account, user=U.User(user_name="x")))
with refused("PERMISSION_DENIED", "CALLER_NOT_ALLOWED"):
    reader(reader.tokens.ListAdminTokens, T.ListAdminTokensRequest())
revoke = T.RevokeAdminTokenRequest(name=token.admin_token.name, request_id=str(uuid.uuid4()))
revoked = call(call.tokens.RevokeAdminToken, revoke)
assert call(call.tokens.RevokeAdminToken, revoke) == revoked, "a retry is answered the same"
with refused("UNAUTHENTICATED", "INVALID_TOKEN"):
    reader(reader.accounts.ListAccounts, A.ListAccountsRequest())
with refused("NOT_FOUND", "NO_SUCH_ADMIN_TOKEN"):
    call(call.tokens.RevokeAdminToken, T.RevokeAdminTokenRequest(name=token.admin_token.name))
nobody = Identity()
with refused("UNAUTHENTICATED", "MISSING_TOKEN"):
    nobody(nobody.accounts.ListAccounts, A.ListAccountsRequest())

call(call.accounts.DeleteAccount, A.DeleteAccountRequest(name=account))
with refused("NOT_FOUND", "NO_SUCH_ACCOUNT"):
    call(call.accounts.GetAccount, A.GetAccountRequest(name=account))
start = time.monotonic()
with refused("UNAVAILABLE", "READ_MODEL_BEHIND"):
    call(call.accounts.ListAccounts, A.ListAccountsRequest(min_position=2**40))
assert time.monotonic() - start < 30
with refused("INVALID_ARGUMENT", "OTHER_EPOCH"):
    call(call.accounts.ListAccounts, A.ListAccountsRequest(min_position=2**48 + 1))

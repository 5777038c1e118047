"""Manages access keys with Claviger, and asks it who signed a request: every step that a program would take."""

import os
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import grpc
from botocore.config import Config
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from claviger.auth.v1 import auth_service_pb2 as auth
from claviger.auth.v1 import auth_service_pb2_grpc as auth_grpc
from claviger.identity.v1 import access_key_service_pb2 as access_key
from claviger.identity.v1 import access_key_service_pb2_grpc as access_key_grpc
from claviger.identity.v1 import account_service_pb2 as account
from claviger.identity.v1 import account_service_pb2_grpc as account_grpc
from claviger.identity.v1 import event_service_pb2 as event
from claviger.identity.v1 import event_service_pb2_grpc as event_grpc
from claviger.identity.v1 import user_service_pb2 as user
from claviger.identity.v1 import user_service_pb2_grpc as user_grpc

REGION = os.environ.get("AWS_REGION", "us-east-1")
METADATA = [("authorization", f"Bearer {os.environ['CLAVIGER_TOKEN']}")]

# Away from this machine, `grpc.secure_channel`: the token is worth protecting.
identity_channel = grpc.insecure_channel(os.environ["CLAVIGER_IDENTITY"])
auth_channel = grpc.insecure_channel(os.environ["CLAVIGER_AUTH"])
accounts = account_grpc.AccountServiceStub(identity_channel)
users = user_grpc.UserServiceStub(identity_channel)
access_keys = access_key_grpc.AccessKeyServiceStub(identity_channel)
events = event_grpc.EventServiceStub(identity_channel)
authority = auth_grpc.AuthServiceStub(auth_channel)


def main():
    # An account is a tenant; its users hold access keys. With a request id, a call may be sent again.
    request = account.CreateAccountRequest(
        account=account.Account(display_name="Polyglot"), request_id=str(uuid.uuid4())
    )
    tenant = call(accounts.CreateAccount, request).account
    request = user.CreateUserRequest(
        parent=tenant.name, user=user.User(user_name="alice"), request_id=str(uuid.uuid4())
    )
    alice = call(users.CreateUser, request).user
    arn = f"arn:aws:iam::{tenant.account_number}:user/alice"
    print("made an account and a user")

    # The secret is in this answer and never again.
    request = access_key.CreateAccessKeyRequest(parent=alice.name, request_id=str(uuid.uuid4()))
    created = call(access_keys.CreateAccessKey, request)
    key = created.access_key
    print("made an access key")

    # With the position of a write, a verification knows of it.
    head = signed_request(key.access_key_id, created.secret_access_key)
    expect(verify(head, created.position), (arn, 1))
    expect(verify(with_host(head, "other.example.com"), 0), "SignatureDoesNotMatch")
    print("verified a request that the AWS SDK signed, and refused it with another host")

    # A watch shows what was recorded after a position, and then what comes.
    request = event.WatchEventsRequest(user=alice.name, kinds=["access_key_created"])
    watch = events.WatchEvents(request, metadata=METADATA, timeout=10)
    seen = next(message.event for message in watch if message.HasField("event"))
    watch.cancel()
    expect(seen.payload.access_key_created.access_key_id, key.access_key_id)
    expect(seen.position, created.position)
    print("saw the event")

    # For an hour both secrets are good: time to tell the new one to all who need it.
    second = rotate(key.name, 3600)
    expect(verify(head, second.position), (arn, 1))
    new_head = signed_request(key.access_key_id, second.secret_access_key)
    expect(verify(new_head, second.position), (arn, 2))
    print("rotated with a grace period: both secrets are good")

    # Without a grace period whatever was signed before is refused from now on.
    third = rotate(key.name, 0)
    expect(verify(head, third.position), "SignatureDoesNotMatch")
    expect(verify(new_head, third.position), "SignatureDoesNotMatch")
    newest_head = signed_request(key.access_key_id, third.secret_access_key)
    expect(verify(newest_head, third.position), (arn, 3))
    print("rotated without one: only the new secret is good")

    # A refusal has a reason for programs, and may name a field.
    request = user.CreateUserRequest(parent=tenant.name, user=user.User(user_name="no spaces"))
    try:
        call(users.CreateUser, request)
        raise SystemExit("a user name with a space was taken")
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        info = detail(error, error_details_pb2.ErrorInfo())
        field = detail(error, error_details_pb2.BadRequest()).field_violations[0].field
    expect((info.domain, info.reason, field), ("claviger.io", "INVALID_FIELD", "user.user_name"))
    print(f"read an error: {info.reason} of {field}")

    call(users.DeleteUser, user.DeleteUserRequest(name=alice.name, force=True))
    call(accounts.DeleteAccount, account.DeleteAccountRequest(name=tenant.name))
    print("deleted the user and the account")


def call(method, request):
    return method(request, metadata=METADATA, timeout=10)


def rotate(name, grace_period_seconds):
    request = access_key.RotateSecretAccessKeyRequest(
        name=name, grace_period_seconds=grace_period_seconds, request_id=str(uuid.uuid4())
    )
    return call(access_keys.RotateSecretAccessKey, request)


def verify(head, min_position):
    """Who signed the request and with which generation of the secret; or S3's code for why it is refused."""
    request = auth.VerifySignatureRequest(head=head, region=REGION, min_position=min_position)
    response = call(authority.VerifySignature, request)
    if response.HasField("denied"):
        return response.denied.code
    return response.verified.principal.arn, response.verified.secret_generation


def signed_request(access_key_id, secret_access_key):
    """The head of a request by boto3, as it reaches a server: this is where yours would ask."""
    heads = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = [auth.Header(name=name, value=value) for name, value in self.headers.items()]
            heads.append(auth.RequestHead(method=self.command, target=self.path, headers=headers))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.handle_request).start()
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name=REGION,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        s3.get_object(
            Bucket="reports", Key="Bericht für März.txt", ResponseContentType="text/plain; charset=utf-8"
        )
    return heads[0]


def with_host(head, host):
    changed = auth.RequestHead()
    changed.CopyFrom(head)
    for header in changed.headers:
        if header.name.lower() == "host":
            header.value = host
    return changed


def detail(error, message):
    """The detail of this type that the error carries."""
    for found in rpc_status.from_call(error).details:
        if found.Unpack(message):
            return message
    raise SystemExit(f"no {message.DESCRIPTOR.full_name} in {error}")


def expect(found, expected):
    if found != expected:
        raise SystemExit(f"expected {expected}, found {found}")


main()

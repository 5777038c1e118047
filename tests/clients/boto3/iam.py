"""Users and access keys by AWS IAM's API: every call, page by page, and what is refused."""

import contextlib
import csv
import http.client
import io
import os
import socket
import threading
import time
import uuid
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

S3_PORT = os.environ["AWS_ENDPOINT_URL"]
MANAGEMENT = os.environ["CLAVIGER_MANAGEMENT_URL"]
ROOT = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def client(service="iam", endpoint=S3_PORT, key=ROOT, region="eu-west-3", **config):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(**config),
    )


@contextlib.contextmanager
def refused(status, code):
    try:
        yield
    except ClientError as error:
        answer = error.response
        found = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
        assert found == (status, code), answer
        assert answer["ResponseMetadata"]["RequestId"], answer
    else:
        raise AssertionError(f"is not refused by {code}")


iam = client()

# Who calls
caller = client("sts", MANAGEMENT).get_caller_identity()
account = caller["Account"]
assert len(account) == 12 and caller["Arn"] == f"arn:aws:iam::{account}:root"
assert iam.get_user()["User"]["Arn"].endswith(":root")
with refused(400, "InvalidAction"):
    client("sts").get_session_token()

# Users
made = iam.create_user(UserName="Bob", Path="/div/", Tags=[{"Key": "a", "Value": "b"}])["User"]
assert made["Arn"] == f"arn:aws:iam::{account}:user/div/Bob" and made["Path"] == "/div/"
assert made["UserId"].startswith("AIDA") and made["Tags"] == [{"Key": "a", "Value": "b"}]
with refused(409, "EntityAlreadyExists"):
    iam.create_user(UserName="bOB")
for name in ["u1", "u2", "u3", "a=b,c.d@e-f+g_h"]:
    iam.create_user(UserName=name)
names = {"Bob", "u1", "u2", "u3", "a=b,c.d@e-f+g_h"}
for size in [1, 2, 1000]:
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": size})
    listed = [user["UserName"] for page in pages for user in page["Users"]]
    assert set(listed) == names and len(listed) == len(names), (size, listed)
assert [user["UserName"] for user in iam.list_users(PathPrefix="/div/")["Users"]] == ["Bob"]
assert iam.list_users(PathPrefix="/other/")["Users"] == []
shown = iam.get_user(UserName="BOB")["User"]
assert (shown["UserName"], shown["UserId"]) == ("Bob", made["UserId"]), "found in any case"
for bad in ["", "a b", "x" * 65, "ü", "a/b"]:
    with refused(400, "ValidationError"):
        client(parameter_validation=False).create_user(UserName=bad)
with refused(404, "NoSuchEntity"):
    iam.get_user(UserName=str(uuid.uuid4()))
iam.update_user(UserName="u3", NewUserName="U3", NewPath="/x/")
assert iam.get_user(UserName="u3")["User"]["Arn"] == f"arn:aws:iam::{account}:user/x/U3"
with refused(409, "EntityAlreadyExists"):
    iam.update_user(UserName="u3", NewUserName="u2")
with refused(404, "NoSuchEntity"):
    iam.update_user(UserName="ghost", NewPath="/")

# Tags
iam.tag_user(UserName="Bob", Tags=[{"Key": "c", "Value": ""}, {"Key": "A", "Value": "z"}])
pages = iam.get_paginator("list_user_tags").paginate(
    UserName="Bob", PaginationConfig={"PageSize": 1}
)
tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
assert tags == {"A": "z", "c": ""}, tags
iam.untag_user(UserName="Bob", TagKeys=["a", "none"])
assert iam.list_user_tags(UserName="Bob")["Tags"] == [{"Key": "c", "Value": ""}]
with refused(400, "InvalidInput"):
    iam.tag_user(UserName="Bob", Tags=[{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}])

# Access keys
key = iam.create_access_key(UserName="bob")["AccessKey"]
assert key["UserName"] == "Bob" and key["Status"] == "Active" and len(key["SecretAccessKey"]) == 40
own = (key["AccessKeyId"], key["SecretAccessKey"])
bob = client(key=own)
assert bob.get_user()["User"]["UserName"] == "Bob"
assert client("sts", key=own).get_caller_identity()["Arn"].endswith(":user/Bob")
second = bob.create_access_key()["AccessKey"]
assert second["UserName"] == "Bob", "without a name the caller's own"
pages = bob.get_paginator("list_access_keys").paginate(PaginationConfig={"PageSize": 1})
listed = [found["AccessKeyId"] for page in pages for found in page["AccessKeyMetadata"]]
assert listed == [key["AccessKeyId"], second["AccessKeyId"]]
for page in iam.get_paginator("list_access_keys").paginate(UserName="Bob"):
    assert all("SecretAccessKey" not in found for found in page["AccessKeyMetadata"])
bob.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
states = {
    found["AccessKeyId"]: (found["Status"], found["CreateDate"])
    for found in iam.list_access_keys(UserName="Bob")["AccessKeyMetadata"]
}
assert states[second["AccessKeyId"]] == ("Inactive", second["CreateDate"])
with refused(403, "InvalidClientTokenId"):
    client(key=(second["AccessKeyId"], second["SecretAccessKey"])).get_user()
# It is told every few seconds that a key was used.
end = time.monotonic() + 60
while True:
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    if used["AccessKeyLastUsed"]["ServiceName"] != "N/A" or time.monotonic() > end:
        break
    time.sleep(0.1)
assert used["UserName"] == "Bob" and used["AccessKeyLastUsed"]["ServiceName"] in ("iam", "sts"), used
for call in ["list_users", "get_account_summary", "generate_credential_report"]:
    with refused(403, "AccessDenied"):
        getattr(bob, call)()
with refused(403, "AccessDenied"):
    bob.create_user(UserName="mallory")
with refused(403, "AccessDenied"):
    bob.create_access_key(UserName="u1")
with refused(404, "NoSuchEntity"):
    iam.delete_access_key(UserName="u1", AccessKeyId=key["AccessKeyId"])
with refused(404, "NoSuchEntity"):
    iam.delete_access_key(AccessKeyId=key["AccessKeyId"])
with refused(404, "NoSuchEntity"):
    iam.get_access_key_last_used(AccessKeyId="AKIAAAAAAAAAAAAAAAAA")
with refused(400, "ValidationError"):
    client(parameter_validation=False).update_access_key(
        UserName="Bob", AccessKeyId=key["AccessKeyId"], Status="Expired"
    )
for _ in range(8):
    iam.create_access_key(UserName="Bob")
with refused(409, "LimitExceeded"):
    iam.create_access_key(UserName="Bob")

# The account
summary = iam.get_account_summary()["SummaryMap"]
assert summary["Users"] == len(names) and summary["AccessKeysPerUserQuota"] == 10
assert summary["AccountAccessKeysPresent"] == 1
assert iam.generate_credential_report()["State"] == "COMPLETE"
report = iam.get_credential_report()
rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
assert set(rows) == {"Bob", "u1", "u2", "U3", "a=b,c.d@e-f+g_h", "<root_account>"}, rows.keys()
assert rows["Bob"]["access_key_1_active"] == "true" and rows["u1"]["access_key_1_active"] == "false"
assert rows["<root_account>"]["arn"] == f"arn:aws:iam::{account}:root"

# What there is none of is listed as such, and is not made
assert iam.list_user_policies(UserName="Bob")["PolicyNames"] == []
assert iam.list_attached_user_policies(UserName="Bob")["AttachedPolicies"] == []
assert iam.list_groups_for_user(UserName="Bob")["Groups"] == []
assert iam.list_mfa_devices(UserName="Bob")["MFADevices"] == []
assert iam.list_signing_certificates(UserName="Bob")["Certificates"] == []
assert iam.list_ssh_public_keys(UserName="Bob")["SSHPublicKeys"] == []
assert iam.list_service_specific_credentials(UserName="Bob")["ServiceSpecificCredentials"] == []
assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
assert iam.list_groups()["Groups"] == [] and iam.list_roles()["Roles"] == []
assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
assert iam.list_account_aliases()["AccountAliases"] == []
for call in [iam.get_login_profile, iam.delete_login_profile]:
    with refused(404, "NoSuchEntity"):
        call(UserName="Bob")
with refused(404, "NoSuchEntity"):
    iam.list_user_policies(UserName="ghost")
with refused(400, "InvalidAction"):
    iam.put_user_policy(UserName="Bob", PolicyName="p", PolicyDocument="{}")

# Deleting
with refused(409, "DeleteConflict"):
    iam.delete_user(UserName="Bob")
for found in iam.list_access_keys(UserName="Bob")["AccessKeyMetadata"]:
    iam.delete_access_key(UserName="Bob", AccessKeyId=found["AccessKeyId"])
iam.delete_user(UserName="Bob")
with refused(404, "NoSuchEntity"):
    iam.delete_user(UserName="Bob")
again = iam.create_user(UserName="Bob")["User"]
assert again["UserId"] != made["UserId"] and again["CreateDate"] >= made["CreateDate"]

# A wrong signature, a stranger, another service
with refused(403, "SignatureDoesNotMatch"):
    client(key=(ROOT[0], "x" * 40)).get_user()
with refused(403, "InvalidClientTokenId"):
    client(key=("AKIAAAAAAAAAAAAAAAAA", "x" * 40)).get_user()


def send(body, service="iam", content_type="application/x-www-form-urlencoded", sign=True, **more):
    """Sends a form as it is: status and body."""
    headers = {"Content-Type": content_type, **more}
    request = AWSRequest("POST", S3_PORT + "/", data=body, headers=headers)
    if sign:
        SigV4Auth(Credentials(*ROOT), service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(S3_PORT).netloc, timeout=30)
    connection.request("POST", "/", body=body, headers=dict(request.headers))
    response = connection.getresponse()
    return response.status, response.read().decode()


def check(answer, status, code):
    assert answer[0] == status and f"<Code>{code}</Code>" in answer[1], answer
    assert "<ErrorResponse" in answer[1] and "<RequestId>" in answer[1], answer


get_user = b"Action=GetUser&Version=2010-05-08"
for version in [b"", b"&Version=2026-11-22"]:
    for service in ["iam", "eim"]:
        status, body = send(b"Action=GetUser" + version, service)
        assert status == 200 and "<GetUserResult>" in body, body
check(send(get_user, "s3"), 403, "SignatureDoesNotMatch")
check(send(get_user, sign=False), 403, "MissingAuthenticationToken")
check(send(get_user, sign=False, Authorization="Bearer x"), 400, "IncompleteSignature")
check(send(b"Version=2010-05-08"), 400, "ValidationError")
check(send(b"Action=Nonsense"), 400, "InvalidAction")
check(send(b"Action=GetUser&Action=DeleteUser"), 400, "MalformedInput")
check(send(b"Action=%ff"), 400, "MalformedInput")
check(send(b"Action=ListUsers&MaxItems=0"), 400, "ValidationError")
check(send(b"Action=ListUsers&MaxItems=x"), 400, "ValidationError")
check(send(b"Action=ListUsers&Marker=x"), 400, "ValidationError")
check(send(b"Action=GetUser&a=" + b"x" * (1 << 20)), 413, "RequestEntityTooLarge")

# A body that is not the one that was signed changes nothing
request = AWSRequest(
    "POST", S3_PORT + "/", data=get_user, headers={"Content-Type": "application/x-www-form-urlencoded"}
)
SigV4Auth(Credentials(*ROOT), "iam", "us-east-1").add_auth(request)
connection = http.client.HTTPConnection(urlsplit(S3_PORT).netloc, timeout=30)
connection.request(
    "POST", "/", body=b"Action=DeleteUser&UserName=u1", headers=dict(request.headers)
)
response = connection.getresponse()
check((response.status, response.read().decode()), 403, "SignatureDoesNotMatch")
assert iam.get_user(UserName="u1")["User"]["UserName"] == "u1"


class Cut:
    """Passes requests on, and cuts the first answers off: the client cannot know what was done."""

    def __init__(self, cuts):
        self.cuts, self.seen = cuts, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        with near, socket.create_connection(urlsplit(S3_PORT).netloc.split(":")) as far:
            stream = near.makefile("rb")
            while head := self.head(stream):
                length = next(
                    (int(line.split(b":")[1]) for line in head if b"content-length:" in line.lower()), 0
                )
                far.sendall(b"".join(head) + stream.read(length))
                self.seen += 1
                answer = far.recv(1 << 16)
                if self.seen <= self.cuts:
                    return
                near.sendall(answer)

    @staticmethod
    def head(stream):
        lines = []
        while line := stream.readline():
            lines.append(line)
            if line == b"\r\n":
                return lines
        return None


for mode, cuts in [("legacy", 4), ("standard", 2)]:
    cut = Cut(cuts)
    retrying = client(endpoint=cut.url, retries={"mode": mode})
    made = retrying.create_access_key(UserName="u1")["AccessKey"]
    assert cut.seen == cuts + 1, (mode, cut.seen)
    there = [found["AccessKeyId"] for found in iam.list_access_keys(UserName="u1")["AccessKeyMetadata"]]
    assert there == [made["AccessKeyId"]], (mode, there)
    assert client(key=(made["AccessKeyId"], made["SecretAccessKey"])).get_user()
    iam.delete_access_key(UserName="u1", AccessKeyId=made["AccessKeyId"])

# Another account's users and access keys are not there
other = (os.environ["OTHER_ACCESS_KEY_ID"], os.environ["OTHER_SECRET_ACCESS_KEY"])
stranger = client(key=other)
assert stranger.list_users()["Users"] == []
theirs = stranger.list_access_keys()["AccessKeyMetadata"]
assert [found["AccessKeyId"] for found in theirs] == [other[0]]
mine = iam.create_access_key(UserName="u1")["AccessKey"]
for call, arguments in [
    ("get_user", {"UserName": "u1"}),
    ("update_user", {"UserName": "u1", "NewPath": "/theirs/"}),
    ("delete_user", {"UserName": "u1"}),
    ("tag_user", {"UserName": "u1", "Tags": [{"Key": "k", "Value": "v"}]}),
    ("untag_user", {"UserName": "u1", "TagKeys": ["k"]}),
    ("list_user_tags", {"UserName": "u1"}),
    ("create_access_key", {"UserName": "u1"}),
    ("list_access_keys", {"UserName": "u1"}),
    ("list_user_policies", {"UserName": "u1"}),
    ("update_access_key", {"AccessKeyId": mine["AccessKeyId"], "Status": "Inactive"}),
    ("delete_access_key", {"AccessKeyId": mine["AccessKeyId"]}),
    ("delete_access_key", {"UserName": "u1", "AccessKeyId": mine["AccessKeyId"]}),
    ("get_access_key_last_used", {"AccessKeyId": mine["AccessKeyId"]}),
]:
    with refused(404, "NoSuchEntity"):
        getattr(stranger, call)(**arguments)
found = iam.list_access_keys(UserName="u1")["AccessKeyMetadata"]
assert [(one["AccessKeyId"], one["Status"]) for one in found] == [(mine["AccessKeyId"], "Active")]
assert "u1" not in stranger.get_credential_report()["Content"].decode()

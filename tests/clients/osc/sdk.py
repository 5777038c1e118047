"""OUTSCALE's API by its own SDK: every call, typed and raw, and what is refused."""

import contextlib
import os
import uuid

import requests
from osc_sdk_python import Gateway

ENDPOINT = os.environ["CLAVIGER_MANAGEMENT_URL"] + "/api/v1"
ROOT = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
OTHER = (os.environ["OTHER_ACCESS_KEY_ID"], os.environ["OTHER_SECRET_ACCESS_KEY"])
PAST, FUTURE = "2020-06-14T00:00:00.000Z", "2063-04-05"
# The SDK reads where to go from here alone.
os.environ["OSC_ENDPOINT_API"] = ENDPOINT


def gateway(key, **more):
    return Gateway(
        access_key=key[0], secret_key=key[1], max_retries=0, limiter_max_requests=1000, **more
    )


@contextlib.contextmanager
def refused(status, kind, code=None):
    try:
        yield
    except requests.HTTPError as error:
        answer = error.response.json()
        (found,) = answer["Errors"]
        assert (error.response.status_code, found["Type"]) == (status, kind), answer
        assert code in (None, found["Code"]), answer
        assert set(found) == {"Code", "Type", "Details"}, answer
        assert uuid.UUID(answer["ResponseContext"]["RequestId"]), answer
        assert error.response.headers["content-type"] == "application/json"
    else:
        raise AssertionError(f"is not refused by {kind}")


root = gateway(ROOT)

# Users
made = root.CreateUser(UserName="Bob", Path="/div/", UserEmail="bob@example.com")
assert uuid.UUID(made["ResponseContext"]["RequestId"])
bob = made["User"]
assert bob["UserName"] == "Bob" and bob["Path"] == "/div/", bob
assert bob["UserEmail"] == "bob@example.com" and not bob["OutscaleLoginAllowed"], bob
assert bob["CreationDate"].endswith("+0000") and len(bob["CreationDate"]) == 28, bob
with refused(409, "ResourceConflict", "9022"):
    root.CreateUser(UserName="bob")
for wrong, code in [("", "4106"), ("a" * 65, "4106"), ("a b", "4043"), ("a/b", "4043")]:
    with refused(400, "InvalidParameterValue", code):
        root.CreateUser(UserName=wrong)
with refused(400, "InvalidParameterValue", "4020"):
    root.CreateUser(UserName="mail", UserEmail="no address")
with refused(400, "InvalidParameterValue"):
    root.CreateUser(UserName="path", Path="no slash")
for n in range(3):
    root.CreateUser(UserName=f"user{n}")
page = root.ReadUsers(ResultsPerPage=3)
assert [user["UserName"] for user in page["Users"]] == ["Bob", "user0", "user1"], page
assert page["HasMoreItems"] and page["MaxResultsLimit"] == 1000, page
page = root.ReadUsers(FirstItem=3, ResultsPerPage=3)
assert [user["UserName"] for user in page["Users"]] == ["user2"] and not page["HasMoreItems"], page
assert root.ReadUsers(ResultsPerPage=2000)["MaxResultsTruncated"]
page = root.ReadUsers(Filters={"UserIds": [bob["UserId"], "nobody", bob["UserId"]]})
assert page["Users"] == [bob], page
with refused(400, "InvalidParameterValue"):
    root.ReadUsers(ResultsPerPage=0)
changed = root.UpdateUser(UserName="Bob", NewUserName="Robert", NewPath="/")["User"]
assert changed["UserId"] == bob["UserId"] and changed["UserName"] == "Robert", changed
with refused(400, "InvalidResource", "5075"):
    root.UpdateUser(UserName="Bob", NewPath="/")
assert root.UpdateUser(UserName="Robert", NewUserName="bob")["User"]["UserName"] == "bob"

# Access keys
first = root.CreateAccessKey(UserName="bob", ExpirationDate=FUTURE, Tag="first")["AccessKey"]
assert first["State"] == "ACTIVE" and first["Tag"] == "first", set(first)
assert first["ExpirationDate"] == "2063-04-05T00:00:00.000+0000", set(first)
assert len(first["AccessKeyId"]) == 20 and len(first["SecretKey"]) == 40
second = root.raw("CreateAccessKey", UserName="bob", ExpirationDate="20630405T101112Z")["AccessKey"]
assert second["ExpirationDate"] == "2063-04-05T10:11:12.000+0000" and "Tag" not in second
own = root.CreateAccessKey()["AccessKey"]
assert "ExpirationDate" not in own, set(own)
keys = root.ReadAccessKeys(UserName="bob")["AccessKeys"]
assert [key["AccessKeyId"] for key in keys] == [first["AccessKeyId"], second["AccessKeyId"]], keys
assert not any("SecretKey" in key for key in keys), "a secret is told once"


def found(**filters):
    keys = root.ReadAccessKeys(UserName="bob", Filters=filters)["AccessKeys"]
    return [key["AccessKeyId"] for key in keys]


assert found(AccessKeyIds=[second["AccessKeyId"]]) == [second["AccessKeyId"]]
assert found(States=["INACTIVE"]) == [] and len(found(States=["ACTIVE", "INACTIVE"])) == 2
assert len(root.ReadAccessKeys(UserName="bob", Tag="first")["AccessKeys"]) == 1
with refused(400, "InvalidParameterValue"):
    found(States=["EXPIRED"])
with refused(400, "InvalidParameter"):
    found(Nothing=[])

# A new key works at once, for its own user and no other.
as_bob = gateway((first["AccessKeyId"], first["SecretKey"]))
assert len(as_bob.ReadAccessKeys()["AccessKeys"]) == 2
with refused(403, "AccessDenied"):
    as_bob.ReadUsers()
with refused(403, "AccessDenied"):
    as_bob.CreateUser(UserName="carol")
with refused(403, "AccessDenied"):
    as_bob.CreateAccessKey(UserName="user0")
with refused(403, "AccessDenied"):
    as_bob.ReadApiLogs()
with refused(403, "AccessDenied"):
    as_bob.UpdateApiAccessPolicy(MaxAccessKeyExpirationSeconds=0, RequireTrustedEnv=False)


def update(**more):
    return root.UpdateAccessKey(AccessKeyId=first["AccessKeyId"], UserName="bob", **more)["AccessKey"]


assert "SecretKey" not in update(State="INACTIVE")
with refused(401, "AccessDenied"):
    as_bob.ReadAccessKeys()
assert update()["State"] == "INACTIVE", "what is not given stays as it is"
assert update(State="ACTIVE")["State"] == "ACTIVE"
assert len(as_bob.ReadAccessKeys()["AccessKeys"]) == 2
assert update(Tag="new")["Tag"] == "new" and "Tag" not in update(Tag="ignored", ClearTag=True)
cleared = update(ExpirationDate=FUTURE, ClearExpirationDate=True)
assert "ExpirationDate" not in cleared, cleared
raw = root.raw(
    "UpdateAccessKey", AccessKeyId=first["AccessKeyId"], UserName="bob", ClearExpirationDate="true"
)
assert "ExpirationDate" not in raw["AccessKey"]
assert update(ExpirationDate="2063-04-05T02:00:00+02:00")["ExpirationDate"].startswith("2063-04-05T00")
for date in [PAST, "soon", "2063-02-30"]:
    with refused(400, "InvalidParameterValue", "4047"):
        update(ExpirationDate=date)
with refused(400, "InvalidParameterType", "4108"):
    update(ExpirationDate="")
with refused(400, "InvalidParameterValue"):
    update(State="EXPIRED")
# Another user's access key needs its name; a number may be an access key ID.
with refused(400, "InvalidResource", "5027"):
    root.UpdateAccessKey(AccessKeyId=first["AccessKeyId"], State="INACTIVE")
for missing in ["A" * 20, "x", 11112211111110000000, 99999999999999999999]:
    with refused(400, "InvalidResource", "5027"):
        root.raw("DeleteAccessKey", AccessKeyId=missing)

# Ten access keys for each
for _ in range(8):
    root.CreateAccessKey(UserName="bob")
with refused(400, "TooManyResources", "10005"):
    root.CreateAccessKey(UserName="bob")

# Only tried
before = root.ReadAccessKeys(UserName="bob")["AccessKeys"]
for call, parameters in [
    ("CreateAccessKey", {"UserName": "bob"}),
    ("DeleteAccessKey", {"UserName": "bob", "AccessKeyId": first["AccessKeyId"]}),
    ("UpdateAccessKey", {"UserName": "bob", "AccessKeyId": first["AccessKeyId"], "State": "INACTIVE"}),
    ("ReadAccessKeys", {"UserName": "bob"}),
    ("CreateUser", {"UserName": "dry"}),
    ("UpdateUser", {"UserName": "bob", "NewUserName": "dry"}),
    ("DeleteUser", {"UserName": "user0"}),
    ("ReadUsers", {}),
    ("ReadApiAccessPolicy", {}),
    ("UpdateApiAccessPolicy", {"MaxAccessKeyExpirationSeconds": 1, "RequireTrustedEnv": False}),
    ("ReadApiLogs", {}),
]:
    for flag in [True, "true", "True"]:
        assert set(root.raw(call, DryRun=flag, **parameters)) == {"ResponseContext"}, call
    with refused(400, "InvalidParameterType"):
        root.raw(call, DryRun=1, **parameters)
    if call.endswith("User"):
        with refused(403, "AccessDenied"):
            as_bob.raw(call, DryRun=True, **parameters)
with refused(403, "AccessDenied"):
    as_bob.raw("CreateAccessKey", DryRun=True, UserName="user0")
assert root.ReadAccessKeys(UserName="bob")["AccessKeys"] == before
assert len(root.ReadUsers()["Users"]) == 4

# The policy
policy = root.ReadApiAccessPolicy()["ApiAccessPolicy"]
assert policy == {"MaxAccessKeyExpirationSeconds": 0, "RequireTrustedEnv": False}, policy
with refused(400, "InvalidState", "6003"):
    root.UpdateApiAccessPolicy(MaxAccessKeyExpirationSeconds=60, RequireTrustedEnv=False)
with refused(400, "InvalidParameterValue"):
    root.UpdateApiAccessPolicy(MaxAccessKeyExpirationSeconds=0, RequireTrustedEnv=True)
with refused(400, "InvalidParameterValue"):
    root.UpdateApiAccessPolicy(MaxAccessKeyExpirationSeconds=3153600001, RequireTrustedEnv=False)
with refused(400, "MissingParameter"):
    root.raw("UpdateApiAccessPolicy", RequireTrustedEnv=False)
other = gateway(OTHER)
(others_key,) = other.ReadAccessKeys()["AccessKeys"]
day, year = 86400, 365 * 86400
other.UpdateAccessKey(AccessKeyId=others_key["AccessKeyId"], ExpirationDate=FUTURE)
limited = other.UpdateApiAccessPolicy(MaxAccessKeyExpirationSeconds=99 * year, RequireTrustedEnv=False)
assert limited["ApiAccessPolicy"]["MaxAccessKeyExpirationSeconds"] == 99 * year, limited
with refused(400, "InvalidParameterValue"):
    other.CreateAccessKey()
assert other.CreateAccessKey(ExpirationDate=FUTURE)["AccessKey"]["ExpirationDate"]

# Another account has nothing to do with this one.
assert [user["UserName"] for user in other.ReadUsers()["Users"]] == []
assert other.ReadUsers(Filters={"UserIds": [bob["UserId"]]})["Users"] == []
with refused(400, "InvalidResource"):
    other.ReadAccessKeys(UserName="bob")
with refused(400, "InvalidResource"):
    other.DeleteAccessKey(AccessKeyId=first["AccessKeyId"])

# The log of calls: with the request id of each answer
logs = root.ReadApiLogs(ResultsPerPage=1000)["Logs"]
(log,) = [log for log in logs if log["RequestId"] == made["ResponseContext"]["RequestId"]]
assert log["QueryCallName"] == "CreateUser" and log["QueryApiName"] == "osc", log
assert log["QueryIpAddress"] == "127.0.0.1" and log["QueryDate"] == bob["CreationDate"], log
wanted = {"RequestIds": [log["RequestId"]], "QueryCallNames": ["CreateUser"]}
assert root.ReadApiLogs(Filters=wanted)["Logs"] == [log]
assert root.ReadApiLogs(Filters={"QueryDateAfter": "2063-01-01"})["Logs"] == []
assert root.ReadApiLogs(Filters={"QueryDateBefore": "2020-01-01"})["Logs"] == []
assert root.ReadApiLogs(Filters={"ResponseStatusCodes": [403]})["Logs"] == []
(short,) = root.ReadApiLogs(Filters=wanted, With={"AccountId": False})["Logs"]
assert set(log) - set(short) == {"AccountId"}, short
collected, token = [], {}
while True:
    page = root.ReadApiLogs(ResultsPerPage=5, **token)
    collected += page["Logs"]
    if "NextPageToken" not in page:
        break
    token = {"NextPageToken": page["NextPageToken"]}
assert collected == logs
with refused(400, "InvalidParameterValue"):
    root.ReadApiLogs(NextPageToken="made up")
with refused(400, "InvalidParameterValue"):
    root.ReadApiLogs(Filters={"QueryUserAgents": ["x"]})

# What is no such call
with refused(404, "InvalidResource", "5011"):
    root.raw("CreateVms")
with refused(400, "InvalidParameter", "3001"):
    root.raw("ReadUsers", Nothing=1)
with refused(400, "MissingParameter"):
    root.raw("DeleteUser")
with refused(400, "InvalidParameterType"):
    root.raw("DeleteUser", UserName=["bob"])

# Who it is not
with refused(401, "AccessDenied", "1"):
    gateway((ROOT[0], "x" * 40)).ReadUsers()
with refused(401, "AccessDenied", "1"):
    gateway(("A" * 20, "x" * 40)).ReadUsers()

# In order
with refused(409, "ResourceConflict", "9002"):
    root.DeleteUser(UserName="bob")
for key in root.ReadAccessKeys(UserName="bob")["AccessKeys"]:
    assert set(root.DeleteAccessKey(AccessKeyId=key["AccessKeyId"], UserName="bob")) == {
        "ResponseContext"
    }
with refused(401, "AccessDenied"):
    as_bob.ReadAccessKeys()
root.DeleteUser(UserName="bob")
with refused(400, "InvalidResource", "5075"):
    root.DeleteUser(UserName="bob")

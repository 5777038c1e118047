"""OUTSCALE's API by login and password: the calls that take them, and those that do not."""

import os

import requests
from osc_sdk_python import Gateway

os.environ["OSC_ENDPOINT_API"] = os.environ["CLAVIGER_MANAGEMENT_URL"] + "/api/v1"
LOGIN, PASSWORD = os.environ["LOGIN"], os.environ["PASSWORD"]


def gateway(login, password):
    return Gateway(login=login, password=password, max_retries=0, limiter_max_requests=1000)


def refusal(call, **arguments):
    try:
        answer = call(**arguments)
    except requests.HTTPError as error:
        (found,) = error.response.json()["Errors"]
        return error.response.status_code, found["Type"]
    raise AssertionError(f"is not refused: {answer}")


owner = gateway(LOGIN, PASSWORD)
made = owner.CreateAccessKey(Tag="by password")["AccessKey"]
assert len(made["SecretKey"]) == 40, made.keys()
found = owner.ReadAccessKeys(Filters={"AccessKeyIds": [made["AccessKeyId"]]})["AccessKeys"]
assert [key["Tag"] for key in found] == ["by password"], found
changed = owner.UpdateAccessKey(AccessKeyId=made["AccessKeyId"], State="INACTIVE")
assert changed["AccessKey"]["State"] == "INACTIVE", changed
owner.DeleteAccessKey(AccessKeyId=made["AccessKeyId"])
assert refusal(owner.ReadApiAccessPolicy) == (403, "AccessDenied")
root = gateway(os.environ["OTHER_LOGIN"], os.environ["OTHER_PASSWORD"])
assert "ApiAccessPolicy" in root.ReadApiAccessPolicy()

# What asks for a signature does not take a password.
for call, arguments in [
    (owner.CreateUser, {"UserName": "bob"}),
    (owner.ReadUsers, {}),
    (owner.DeleteUser, {"UserName": "alice"}),
]:
    assert refusal(call, **arguments) == (401, "AccessDenied"), call

# A password that is wrong, a login that nobody has, and then the pause.
for wrong in [(LOGIN, PASSWORD + "x"), ("nobody@000000000000", PASSWORD)]:
    for _ in range(4):
        assert refusal(gateway(*wrong).ReadAccessKeys) == (401, "AccessDenied"), wrong
    status, kind = refusal(gateway(*wrong).ReadAccessKeys)
    assert status == 429, (status, kind)

# Whoever has a key may ask whether a login and a password belong together.
key = Gateway(
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    max_retries=0,
    limiter_max_requests=1000,
)
other = (os.environ["OTHER_LOGIN"], os.environ["OTHER_PASSWORD"])
assert "ResponseContext" in key.CheckAuthentication(Login=other[0], Password=other[1])
wrong = refusal(key.CheckAuthentication, Login=other[0], Password=other[1] + "x")
assert wrong[0] in (400, 401), wrong

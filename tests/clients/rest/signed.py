"""The REST API by Signature Version 4, as botocore makes it for any service."""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

URL = os.environ["CLAVIGER_MANAGEMENT_URL"]
ACCOUNT = os.environ["CLAVIGER_ACCOUNT"]
ROOT = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def ask(key, method, path, body=None, service="claviger", region="eu-west-3", sent=None, **headers):
    """Signs a request with this body, and sends it with `sent` in its place, if there is one."""
    data = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = AWSRequest(method=method, url=URL + path, data=data, headers=headers)
    SigV4Auth(Credentials(*key), service, region).add_auth(request)
    data = data if sent is None else sent
    request = urllib.request.Request(
        URL + path, method=method, data=data or None, headers=dict(request.headers)
    )
    try:
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Content-Type"] == "application/json", answer.headers
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"] == "application/problem+json", error.headers
        problem = json.load(error)
        assert problem["status"] == error.code, problem
        return error.code, problem["reason"]


def check(expected, *args, **kwargs):
    found = ask(*args, **kwargs)
    assert found == expected, (args[1:], found, expected)


def done(*args, **kwargs):
    status, answer = ask(*args, **kwargs)
    assert status == 200, (args[1:], status, answer)
    return answer


users = f"/v1/{ACCOUNT}/users"
name = "a+b=c,d.e@f-g_h"
user = f"{users}/{quote(name)}"
made = done(ROOT, "POST", users, {"userName": name, "label": "é \u2028"})
assert made["user"]["userName"] == name, made
done(ROOT, "POST", users, {"userName": "other"}, service="execute-api")

# Colons and every character that a name may have are signed right, in path and query.
assert done(ROOT, "GET", user + "?minPosition=1")["user"]["label"] == "é \u2028"
assert done(ROOT, "POST", user + ":lock")["user"]["state"] == "USER_STATE_LOCKED"
assert done(ROOT, "POST", user + ":unlock", {})["user"]["state"] == "USER_STATE_ACTIVE"
assert len(done(ROOT, "GET", users + "?pathPrefix=%2F&pageSize=2")["users"]) == 2

# A user sees itself and manages its own access keys, and nothing else.
made = done(ROOT, "POST", user + "/accessKeys", **{"Idempotency-Key": "once"})
again = done(ROOT, "POST", user + "/accessKeys", **{"Idempotency-Key": "once"})
assert made == again, "sent again, the same answer"
key = (made["accessKey"]["accessKeyId"], made["secretAccessKey"])
done(ROOT, "GET", f"/v1/{ACCOUNT}/users?minPosition={made['position']}")
own = f"{user}/accessKeys/{key[0]}"
for _ in range(600):
    status, answer = ask(key, "GET", user)
    if (status, answer) != (401, "INVALID_ACCESS_KEY_ID"):
        break
assert status == 200, (status, answer)
check((403, "CALLER_NOT_ALLOWED"), key, "GET", users)
status, reason = ask(key, "GET", users + "/other")
assert status in (403, 404), (status, reason)
check((403, "CALLER_NOT_ALLOWED"), key, "POST", "/v1/accounts", {"displayName": "mine"})
check((403, "CALLER_NOT_ALLOWED"), key, "GET", "/v1/log:export")
assert done(key, "GET", own)["accessKey"]["accessKeyId"] == key[0]
rotated = done(key, "POST", own + ":rotateSecret", {"gracePeriodSeconds": 600})
assert len(rotated["accessKey"]["secrets"]) == 2, rotated

# Whatever is wrong with a signature, it is no credential.
wrong = (ROOT[0], "x" * 40)
check((401, "SIGNATURE_DOES_NOT_MATCH"), wrong, "GET", users)
check((401, "INVALID_ACCESS_KEY_ID"), ("AKIA" + "0" * 16, "x"), "GET", users)
check((401, "SIGNATURE_DOES_NOT_MATCH"), ROOT, "GET", users, service="s3")
check((401, "SIGNATURE_DOES_NOT_MATCH"), ROOT, "GET", users, service="iam")
status, reason = ask(ROOT, "POST", users, {"userName": "eve"}, sent=b'{"userName": "mallory"}')
assert status == 401, (status, reason)
check((404, "NO_SUCH_USER"), ROOT, "GET", users + "/mallory")

done(ROOT, "POST", user + ":lock")
for _ in range(600):
    status, answer = ask(key, "GET", user)
    if status != 200:
        break
assert (status, answer) == (403, "ACCESS_DENIED"), (status, answer)
done(ROOT, "DELETE", user + "?force=true")

"""OUTSCALE's API as no client speaks it: every refusal is in its form."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import uuid
from urllib.parse import urlsplit

MANAGEMENT = urlsplit(os.environ["CLAVIGER_MANAGEMENT_URL"]).netloc
KEY = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
JSON = {"Content-Type": "application/json"}


def send(path, body=b"{}", headers=JSON, method="POST"):
    connection = http.client.HTTPConnection(MANAGEMENT, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.headers["content-type"] == "application/json", (answer.headers, text)
    if method == "HEAD":
        return answer.status, "", answer
    document = json.loads(text)
    assert uuid.UUID(document["ResponseContext"]["RequestId"]), document
    assert answer.headers["x-request-id"] == document["ResponseContext"]["RequestId"]
    kind = document["Errors"][0]["Type"] if "Errors" in document else ""
    return answer.status, kind, document


def signed(
    path,
    body=b"{}",
    spelling="osc",
    sign_path=None,
    host=MANAGEMENT,
    content_type="application/json",
    unsigned=(),
    key=KEY,
    seconds_off=0,
    service="api",
    region="eu-west-2",
):
    """Headers of a request, signed by a few lines that know nothing of the server."""
    upper, lower = (spelling.upper(), spelling) if spelling != "aws" else ("AWS", "amz")
    prefix = f"{upper}4"
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_off)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"content-type": content_type, "host": host, f"x-{lower}-date": stamp}
    names = ";".join(name for name in headers if name not in unsigned)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items() if name not in unsigned)
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n{sign_path or path}\n\n{lines}\n{names}\n{digest}"
    terminal = f"{spelling}4_request"
    scope = f"{day}/{region}/{service}/{terminal}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{prefix}-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    mac = (prefix + key[1]).encode()
    for part in [day, region, service, terminal]:
        mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(mac, text.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{prefix}-HMAC-SHA256 Credential={key[0]}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    # The host is sent as it is, whatever was signed.
    headers = {name: value for name, value in headers.items() if name != "host"}
    return {**headers, "authorization": authorization}


def check(expected, path, body=b"{}", **how):
    found = send(path, body, signed(path, body, **how))
    assert found[:2] == expected, (path, body[:100], how, found)
    return found[2]


READ = "/api/v1/ReadUsers"
OK, DENIED = (200, ""), (401, "AccessDenied")
port_less = MANAGEMENT.rsplit(":", 1)[0]

# Both spellings, the host with and without its port, and slashes as osc-cli puts them
for spelling in ["osc", "aws"]:
    for host in [MANAGEMENT, port_less]:
        check(OK, READ, spelling=spelling, host=host)
        check(OK, READ, spelling=spelling, host=host, region="anywhere-1")
    check(DENIED, READ, spelling=spelling, host="elsewhere")
    check(DENIED, READ, spelling=spelling, host=f"{port_less}:1")
    check(DENIED, READ, spelling=spelling, key=(KEY[0], "x" * 40))
    check(DENIED, READ, spelling=spelling, key=("A" * 20, KEY[1]))
    check(DENIED, READ, spelling=spelling, seconds_off=-1000)
    check(DENIED, READ, spelling=spelling, seconds_off=1000)
    check(DENIED, READ, spelling=spelling, service="s3")
    check(DENIED, READ, spelling=spelling, service="iam")
    check(DENIED, READ, spelling=spelling, unsigned=["host"])
    check(DENIED, READ, spelling=spelling, sign_path="/api/v1/ReadAccessKeys")
    headers = signed(READ, b"{}", spelling=spelling)
    assert send(READ, b'{"FirstItem":1}', headers)[:2] == DENIED, "the body is signed"
    latest = "/api/latest/ReadUsers"
    for path in ["//api/latest/ReadUsers", "/api/v1//api/latest/ReadUsers"]:
        check(OK, path, spelling=spelling, sign_path=latest)
check(DENIED, READ, spelling="osc", unsigned=["x-osc-date"])
headers = signed(READ)
mixed = {**headers, "authorization": headers["authorization"].replace("OSC4-", "AWS4-")}
assert send(READ, b"{}", mixed)[:2] == DENIED
twice = {**headers, "x-amz-date": headers["x-osc-date"]}
assert send(READ, b"{}", twice)[:2] == DENIED, "what is not signed of the signer's is refused"

# Who does not say who it is
for headers in [
    JSON,
    {**JSON, "authorization": "Bearer made-up"},
    {**JSON, "authorization": "Digest x"},
    {**JSON, "authorization": "Basic !!!"},
    {**JSON, "authorization": "OSC4-HMAC-SHA256"},
    {**JSON, "authorization": "OSC4-HMAC-SHA256 Credential=/////, SignedHeaders=, Signature="},
    # Login and password do for no call on users.
    {**JSON, "authorization": "Basic YTpi"},
]:
    assert send(READ, headers=headers)[:2] == DENIED, headers
query = f"{READ}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b"
assert send(query)[:2] == DENIED

# What is no call
for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]:
    assert send(READ, method=method)[:2] == (405, "MethodNotAllowed"), method
assert send(READ, method="HEAD")[0] == 405
for path in ["/api/v1", "/api/latest/", "/api/v1/CreateVms", "/api/v1/ReadUsers/x", "/api/v1/%52eadUsers"]:
    assert send(path)[:2] == (404, "InvalidResource"), path
for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]:
    headers = {"content-type": content_type}
    assert send(READ, headers=headers)[:2] == (415, "InvalidParameter"), content_type
assert send(READ, headers={})[:2] == (415, "InvalidParameter")
assert send(READ, b" " * (1 << 20) + b"{}")[:2] == (413, "InvalidParameter")

# What is no JSON, or has two meanings
for body in [
    b"",
    b"[]",
    b"1",
    b"{",
    b'{"FirstItem":1,"FirstItem":2}',
    b'{"FirstItem":1,"\\u0046irstItem":2}',
    b'{"Filters":{"UserIds":[],"UserIds":[]}}',
    b'{"a":"\xff"}',
    b'{"Filters":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"Filters":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"' + b"a" * 100_000 + b'":1}',
]:
    check((400, "InvalidParameter"), READ, body)
for body in [b'{"FirstItem":-1}', b'{"FirstItem":1.5}', b'{"FirstItem":null}', b'{"Filters":1}']:
    check((400, "InvalidParameterType"), READ, body)
check((400, "InvalidParameterValue"), READ, b'{"FirstItem":99999999999999999999}')
huge = check((400, "InvalidParameter"), READ, b'{"' + b"x" * 5000 + b'":1}')
assert len(huge["Errors"][0]["Details"]) < 200, "not all that was sent is sent back"

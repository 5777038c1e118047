"""keystoneauth1: a service finds the version, signs in, and asks who signed what."""

import base64
import hashlib
import os

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic, v3
from keystoneclient.contrib.ec2.utils import Ec2Signer

import signing

URL = os.environ["OS_AUTH_URL"]
SERVICE = {
    name: os.environ["OS_" + name.upper()]
    for name in ["username", "password", "user_domain_name", "project_domain_name", "project_name"]
}
ACCESS, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def ask(signed_in, text, secret=SECRET, access=ACCESS, encode=base64.b64encode):
    credentials = {
        "access": access,
        "token": encode(text.encode()).decode(),
        "signature": signing.signature(text, secret),
    }
    answer = signed_in.post(URL + "/s3tokens", json={"credentials": credentials})
    assert "X-Subject-Token" not in answer.headers, answer.headers
    return answer.json()["token"]


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert error.request_id.startswith("req-"), error.request_id
        return error
    raise AssertionError(f"was not refused: {arguments} {named}")


# By discovery, from the version's own address and from the server's, and without.
for auth in [
    generic.Password(auth_url=URL, **SERVICE),
    generic.Password(auth_url=URL.removesuffix("/v3"), **SERVICE),
    v3.Password(auth_url=URL, **SERVICE),
]:
    signed_in = session.Session(auth=auth)
    assert signed_in.get_token()
    access = auth.get_access(signed_in)
    assert access.username == SERVICE["username"] and access.role_names == ["service"]
    assert access.project_name == SERVICE["project_name"] and not access.will_expire_soon(3000)
    assert signed_in.get_user_id() == access.user_id
    assert signed_in.get_project_id() == access.project_id

by_id = {"user_id": access.user_id, "password": SERVICE["password"]}
assert session.Session(auth=v3.Password(auth_url=URL, **by_id)).get_token()
wrong = session.Session(auth=v3.Password(auth_url=URL, **{**SERVICE, "password": "wrong" * 8}))
refused(exceptions.Unauthorized, wrong.get_token)

for encode in [base64.b64encode, base64.urlsafe_b64encode]:
    token = ask(signed_in, signing.text(), encode=encode)
    assert token["user"]["name"] == "root", token
    assert [role["name"] for role in token["roles"]] == ["member"]
refused(exceptions.Unauthorized, ask, signed_in, signing.text(), secret="wrong" * 8)
refused(exceptions.Unauthorized, ask, signed_in, signing.text(region="eu-west-3"))
refused(exceptions.Unauthorized, ask, signed_in, signing.text(service="iam"))
refused(exceptions.NotFound, ask, signed_in, signing.text(), access="AKIANOBODY0000000000")
refused(exceptions.Forbidden, ask, signed_in, signing.text(minutes_ago=16))

# A whole request, as Heat asks about one that it received, signed by OpenStack's own signer.
def of_request(service="ec2", verb="GET", host="heat.example:8000", signed_host=None, **changed):
    date, scope = signing.text(region="RegionOne", service=service).split("\n")[1:3]
    header = f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders=host;x-amz-date"
    credentials = {
        "access": ACCESS,
        "host": host,
        "verb": verb,
        "path": "/",
        "params": {"Action": "ListStacks", "Name": "a b/ü&="},
        "headers": {"Authorization": header, "Host": signed_host or host, "X-Amz-Date": date},
        "body_hash": hashlib.sha256(b"Action=ListStacks" if verb == "POST" else b"").hexdigest(),
    }
    credentials["signature"] = Ec2Signer(SECRET).generate(credentials)
    credentials["headers"]["Authorization"] += ", Signature=" + credentials["signature"]
    credentials["headers"]["Host"] = host
    answer = signed_in.post(URL + "/ec2tokens", json={"ec2Credentials": {**credentials, **changed}})
    assert "X-Subject-Token" not in answer.headers, answer.headers
    return answer.json()["token"]["user"]["name"]


for verb in ["GET", "POST"]:
    assert of_request(verb=verb) == "root"
assert of_request(service="cloudformation", signed_host="heat.example") == "root"
refused(exceptions.Unauthorized, of_request, signed_host="other.example")
refused(exceptions.Unauthorized, of_request, verb="POST", body_hash="0a" * 32)
refused(exceptions.Unauthorized, of_request, params={"Action": "DeleteStack"})
refused(exceptions.Unauthorized, of_request, service="iam")
refused(exceptions.BadRequest, of_request, path="")

# What a token says of itself, and that no secret is told by it.
told = signed_in.get(URL + "/auth/tokens", headers={"X-Subject-Token": signed_in.get_token()})
assert told.json()["token"]["user"]["id"] == access.user_id
secret = f"{URL}/users/{token['user']['id']}/credentials/OS-EC2/{ACCESS}"
refused(exceptions.Forbidden, signed_in.get, secret)

# A token that is none is renewed by the library, for what is not about a signature.
auth.auth_ref._auth_token = "no token"
assert signed_in.get_token() == "no token"
refused(exceptions.Forbidden, ask, signed_in, signing.text())
refused(exceptions.Forbidden, signed_in.get, secret)
assert signed_in.get_token() != "no token", "a new one was got"
assert ask(signed_in, signing.text())

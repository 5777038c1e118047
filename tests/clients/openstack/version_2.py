"""keystoneauth1: whether strings to sign of Signature Version 2 are accepted, and what is said when nobody can tell.

python version_2.py served|away
"""

import base64
import email.utils
import hashlib
import hmac
import os
import sys
import time

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic

URL = os.environ["OS_AUTH_URL"]
ACCESS, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
PATIENCE_SECONDS = 60

auth = generic.Password(
    auth_url=URL,
    username=os.environ["OS_USERNAME"],
    password=os.environ["OS_PASSWORD"],
    user_domain_name="Default",
    project_domain_name="Default",
    project_name="service",
)
signed_in = session.Session(auth=auth)


def ask(text, secret=SECRET):
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest())
    token = base64.urlsafe_b64encode(text.encode())
    credentials = {
        "access": ACCESS, "token": token.decode(), "signature": signature.decode()
    }
    return signed_in.post(URL + "/s3tokens", json={"credentials": credentials}).json()["token"]


def refused(kind, *arguments, **named):
    try:
        ask(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"was not refused: {arguments} {named}")


def text(date):
    return f"PUT\n\ntext/plain\n{date}\nx-amz-acl:private\n/bucket/key"


now = email.utils.formatdate(usegmt=True)
if sys.argv[1] == "away":
    error = refused(exceptions.ServiceUnavailable, text(now))
    assert int(error.response.headers["Retry-After"]) > 0
    sys.exit()

start = time.monotonic()
while True:
    try:
        assert ask(text(now))["user"]["name"] == "root"
        break
    except (exceptions.ServiceUnavailable, exceptions.NotFound):
        assert time.monotonic() - start < PATIENCE_SECONDS, "auth does not know the key"
assert ask(f"GET\n\n\n\nx-amz-date:{now}\n/bucket/key?acl")
assert ask(text(int(time.time()) + 60)), "a URL until its end"
refused(exceptions.Forbidden, text(int(time.time()) - 1))
refused(exceptions.Forbidden, text(email.utils.formatdate(time.time() - 1000, usegmt=True)))
refused(exceptions.Forbidden, text("never"))
refused(exceptions.Unauthorized, text(now), secret="wrong" * 8)
refused(exceptions.Unauthorized, "a policy")

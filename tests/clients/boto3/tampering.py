"""What somebody between client and gateway might change, signed by botocore beforehand."""

import hashlib
import http.client
import os
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
CREDENTIALS = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
REGION = os.environ["AWS_DEFAULT_REGION"]
BUCKET = "boto3-tampering"

s3 = boto3.client("s3")
s3.create_bucket(Bucket=BUCKET)


def signed(method, path, body, **headers):
    request = AWSRequest(method, ENDPOINT + path, data=body, headers=headers)
    S3SigV4Auth(CREDENTIALS, "s3", REGION).add_auth(request)
    return dict(request.headers.items())


def send(method, path, headers, body):
    connection = http.client.HTTPConnection(urlsplit(ENDPOINT).netloc, timeout=30)
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


def refused(status, body, expected_status, code):
    assert status == expected_status and f"<Code>{code}</Code>" in body, (status, body)


def stored(key):
    try:
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except ClientError:
        return None


path = f"/{BUCKET}/object"
headers = signed("PUT", path, b"what was signed")
refused(*send("PUT", path, headers, b"what was sent!!"), 400, "XAmzContentSHA256Mismatch")
assert stored("object") is None
assert send("PUT", path, headers, b"what was signed")[0] == 200
assert stored("object") == b"what was signed"

large = os.urandom(3 << 20)
headers = signed("PUT", f"/{BUCKET}/large", large)
changed = large[:-1] + bytes([large[-1] ^ 1])
refused(*send("PUT", f"/{BUCKET}/large", headers, changed), 400, "XAmzContentSHA256Mismatch")
assert stored("large") is None

headers = signed("PUT", path, b"what was signed")
refused(*send("PUT", f"/{BUCKET}/other", headers, b"what was signed"), 403, "SignatureDoesNotMatch")
refused(*send("DELETE", path, headers, b"what was signed"), 403, "SignatureDoesNotMatch")
refused(
    *send("PUT", path, {**headers, "x-amz-storage-class": "GLACIER"}, b"what was signed"),
    403,
    "AccessDenied",
)
headers = signed("GET", path, b"")
headers["X-Amz-Content-SHA256"] = hashlib.sha256(b"x").hexdigest()
refused(*send("GET", path, headers, b""), 403, "SignatureDoesNotMatch")

headers = signed("PUT", path, b"", **{"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
headers = {name: value for name, value in headers.items()}
status, body = send("PUT", path, headers, b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n")
assert status in (400, 403, 501), (status, body)
assert stored("object") == b"what was signed"

# The refusal of a wrong signature shows what the server signed, and never a signature of its own.
headers = signed("GET", path, b"")
headers["Authorization"] = headers["Authorization"][:-64] + "0" * 64
status, body = send("GET", path, headers, b"")
refused(status, body, 403, "SignatureDoesNotMatch")
for element in ["StringToSign", "CanonicalRequest", "SignatureProvided", "AWSAccessKeyId"]:
    assert f"<{element}>" in body, body

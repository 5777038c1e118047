"""Every way to say what a body is, by boto3 where it can and by its signer where it cannot.

Each upload is read back; each that was changed on the way is refused, and is no object then.
"""

import base64
import hashlib
import hmac
import http.client
import os
import sys
import time
import urllib.request
import zlib
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
KEY = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
REGION = "us-east-1"
BUCKET = sys.argv[1] if len(sys.argv) > 1 else "payloads"
ALGORITHMS = ["CRC32", "SHA1", "SHA256"]


def client(**config):
    return boto3.client("s3", region_name=REGION, config=Config(**config))


s3 = client()
s3.create_bucket(Bucket=BUCKET)
body = os.urandom(200_000)


def stored(key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def is_absent(key):
    try:
        s3.head_object(Bucket=BUCKET, Key=key)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, error.response
    else:
        raise AssertionError(f"{key} is there")


# boto3: a signed body, an unsigned one, a checksum in a header by each algorithm, none at all.
for name, config in {
    "signed": {"s3": {"payload_signing_enabled": True}},
    "unsigned": {"s3": {"payload_signing_enabled": False}},
    "no-checksum": {"request_checksum_calculation": "when_required"},
    "path": {"s3": {"addressing_style": "path"}},
}.items():
    for size in [0, 1, len(body)]:
        client(**config).put_object(Bucket=BUCKET, Key=name, Body=body[:size])
        assert stored(name) == body[:size], (name, size)
for algorithm in ALGORITHMS:
    put = s3.put_object(Bucket=BUCKET, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=BUCKET, Key=algorithm, ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert put[f"Checksum{algorithm}"] == got[f"Checksum{algorithm}"], (put, got)
digest = base64.b64encode(hashlib.md5(body).digest()).decode()
s3.put_object(Bucket=BUCKET, Key="md5", Body=body, ContentMD5=digest)
assert stored("md5") == body
try:
    s3.put_object(Bucket=BUCKET, Key="bad-md5", Body=body[1:], ContentMD5=digest)
except ClientError as error:
    assert error.response["Error"]["Code"] in ("BadDigest", "InvalidDigest"), error.response
else:
    raise AssertionError("a wrong Content-MD5 was taken")
is_absent("bad-md5")

# Presigned, for every method. By Version 4: alone boto3 takes Version 2 for that.
s3 = client(signature_version="s3v4")
url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "presigned"})
put = urllib.request.Request(url, data=b"by url", method="PUT")
assert urllib.request.urlopen(put).status == 200
url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "presigned"})
assert urllib.request.urlopen(url).read() == b"by url"
url = s3.generate_presigned_url("head_object", {"Bucket": BUCKET, "Key": "presigned"})
head = urllib.request.urlopen(urllib.request.Request(url, method="HEAD"))
assert head.headers["Content-Length"] == "6"


# In chunks: botocore signs the head, and its key the chunks.
class Chunked(SigV4Auth):
    """Signs a head that announces chunks, and keeps what they are signed by."""

    def __init__(self, mode):
        super().__init__(Credentials(*KEY), "s3", REGION)
        self.mode = mode

    def payload(self, request):
        return self.mode

    def add_auth(self, request):
        request.headers["X-Amz-Content-SHA256"] = self.mode
        super().add_auth(request)
        self.time = request.context["timestamp"]
        self.signature = request.headers["Authorization"].split("Signature=")[1]

    def sign(self, algorithm, *lines):
        scope = f"{self.time[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join([algorithm, self.time, scope, self.signature, *lines])
        key = f"AWS4{KEY[1]}".encode()
        for part in [self.time[:8], REGION, "s3", "aws4_request"]:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self.signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return self.signature


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def upload(key, data, mode, trailer=None, change=lambda wire: wire, size=65_536):
    """Sends data in chunks and gives status and answer; `change` has its way with the bytes."""
    url = f"{ENDPOINT}/{BUCKET}/{key}"
    headers = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(len(data))}
    if trailer:
        headers["X-Amz-Trailer"] = trailer[0]
    request = AWSRequest("PUT", url, headers=headers)
    auth = Chunked(mode)
    auth.add_auth(request)
    wire = b""
    chunks = [data[n : n + size] for n in range(0, len(data), size)] + [b""]
    for chunk in chunks:
        extension = ""
        if mode != "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            hashes = (sha256(b""), sha256(chunk))
            extension = f";chunk-signature={auth.sign('AWS4-HMAC-SHA256-PAYLOAD', *hashes)}"
        wire += f"{len(chunk):x}{extension}\r\n".encode() + chunk
        if chunk or not trailer:
            wire += b"\r\n"
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}"
        wire += f"{line}\r\n".encode()
        if extension:
            signature = auth.sign("AWS4-HMAC-SHA256-TRAILER", sha256(f"{line}\n".encode()))
            wire += f"x-amz-trailer-signature:{signature}\r\n".encode()
        wire += b"\r\n"
    wire = change(wire)
    address = urlsplit(ENDPOINT)
    connection = http.client.HTTPConnection(address.hostname, address.port)
    sent = dict(request.headers.items()) | {"Content-Length": str(len(wire))}
    connection.request("PUT", f"/{BUCKET}/{key}", body=wire, headers=sent)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


def flipped(at):
    return lambda wire: wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]


SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
MODES = {
    SIGNED: None,
    f"{SIGNED}-TRAILER": "x-amz-checksum-crc32",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": "x-amz-checksum-crc32",
}
for mode, trailer in MODES.items():
    for size in [0, 1, 65_536, len(body)]:
        data = body[:size]
        announced = trailer and (trailer, crc32(data))
        status, answer = upload("chunked", data, mode, announced)
        assert status == 200, (mode, size, answer)
        assert stored("chunked") == data, (mode, size)
        if trailer and size:
            got = s3.get_object(Bucket=BUCKET, Key="chunked", ChecksumMode="ENABLED")
            assert got.get("ChecksumCRC32") == crc32(data), got
            got["Body"].read()
    announced = trailer and (trailer, crc32(body))
    wrong = "BadDigest" if mode.startswith("STREAMING-UNSIGNED") else "SignatureDoesNotMatch"
    for change, code in [
        (flipped(100_000), wrong),
        (lambda wire: wire[:150_000], "IncompleteBody"),
        (lambda wire: wire[:-2], "IncompleteBody"),
        (lambda wire: wire.replace(b"10000", b"0ffff", 1), "IncompleteBody"),
    ]:
        status, answer = upload("changed", body, mode, announced, change)
        assert status in (400, 403) and f"<Code>{code}</Code>" in answer, (mode, code, answer)
        is_absent("changed")
    if trailer:
        status, answer = upload("changed", body, mode, (trailer, crc32(b"")))
        assert "<Code>BadDigest</Code>" in answer, answer
        is_absent("changed")

# A browser's form, small and longer than a part.
for size in [1, 6 << 20]:
    data = os.urandom(size)
    conditions = [["content-length-range", 1, 7 << 20], {"x-amz-meta-who": "me"}]
    form = s3.generate_presigned_post(
        BUCKET, "forms/${filename}", Fields={"x-amz-meta-who": "me"}, Conditions=conditions
    )

    def post(fields, data, form=form):
        edge = "----edge"
        parts = b"".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        name = 'name="file"; filename="photo.jpg"'
        parts += f"--{edge}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode()
        parts += data + f"\r\n--{edge}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        request = urllib.request.Request(form["url"], data=parts, headers=headers)
        try:
            return urllib.request.urlopen(request).status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert post(form["fields"], data) == (204, "")
    assert stored("forms/photo.jpg") == data
    head = s3.head_object(Bucket=BUCKET, Key="forms/photo.jpg")
    assert head["Metadata"] == {"who": "me"}, head
    s3.delete_object(Bucket=BUCKET, Key="forms/photo.jpg")
    status, answer = post(form["fields"] | {"x-amz-meta-who": "you"}, data)
    assert (status, "AccessDenied" in answer) == (403, True), answer
    status, answer = post(form["fields"] | {"acl": "public-read"}, data)
    assert (status, "AccessDenied" in answer) == (403, True), answer
    status, answer = post(form["fields"] | {"x-amz-signature": "0" * 64}, data)
    assert (status, "SignatureDoesNotMatch" in answer) == (403, True), answer
    is_absent("forms/photo.jpg")
status, answer = post(form["fields"], os.urandom(8 << 20))
assert (status, "EntityTooLarge" in answer) == (400, True), answer
is_absent("forms/photo.jpg")

# What was begun for a form that turned out wrong is aborted behind its answer.
deadline = time.monotonic() + 30
while uploads := s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
    assert time.monotonic() < deadline, uploads
    time.sleep(0.02)
print("ok", datetime.now(UTC).isoformat())

"""boto3 against Swift, which asks who signed: what a small application does, and who may not."""

import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3",
    config=Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",  # for URLs, too
        retries={"max_attempts": 1},
    ),
)
BUCKET, KEY = "photos", "a b/ü+1"


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("was not refused")


if sys.argv[1:] == ["refused"]:
    for call, arguments in [
        (s3.list_buckets, {}),
        (s3.get_object, {"Bucket": BUCKET, "Key": KEY}),
        (s3.put_object, {"Bucket": BUCKET, "Key": KEY, "Body": b"not mine"}),
    ]:
        found = code(call, **arguments)
        assert found == "SignatureDoesNotMatch", found  # whatever it was
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY})
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    else:
        raise AssertionError("was not refused")
    sys.exit()

s3.create_bucket(Bucket=BUCKET)
assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"hello", Metadata={"a": "b"})
found = s3.get_object(Bucket=BUCKET, Key=KEY)
assert found["Body"].read() == b"hello"
assert {name.lower(): value for name, value in found["Metadata"].items()} == {"a": "b"}, found
listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="a b/")
assert [found["Key"] for found in listed["Contents"]] == [KEY]
url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY}, ExpiresIn=60)
with urllib.request.urlopen(url) as answer:
    assert answer.read() == b"hello"
changed = url.replace("Expires=60", "Expires=61")
try:
    urllib.request.urlopen(changed)
except urllib.error.HTTPError as error:
    assert error.code == 403, error.code
else:
    raise AssertionError("was not refused")

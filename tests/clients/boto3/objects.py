"""Objects through the gateway: every call that a small application makes."""

import io

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
BUCKET = "boto3-objects"

AWKWARD_KEYS = [
    "plain.txt",
    "a//b",
    "a/../b",
    "up/../and/down",
    "./dot",
    "/leading",
    "trailing/",
    "dir",
    "dir/file",
    "space and+plus",
    "percent%2Fencoded",
    "ünïcode/日本語",
    "quote'\"<>&;=:@,?#[]{}|\\^`~*!$()",
    "x" * 1024,
]


def error_code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("was not refused")


s3.create_bucket(Bucket=BUCKET)
assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]

for key in AWKWARD_KEYS:
    body = f"content of {key}".encode()
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"name": "value", "a_b": "c"})
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == body, key
    assert got["Metadata"] == {"name": "value", "a_b": "c"}, key
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    import urllib.request

    assert urllib.request.urlopen(url).read() == body, key

listed = []
token = {}
while True:
    page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=3, **token)
    listed += [entry["Key"] for entry in page.get("Contents", [])]
    if not page["IsTruncated"]:
        break
    token = {"ContinuationToken": page["NextContinuationToken"]}
assert listed == sorted(AWKWARD_KEYS, key=lambda key: key.encode()), listed
folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")["CommonPrefixes"]
assert {"Prefix": "dir/"} in folders and {"Prefix": "a/"} in folders, folders

assert s3.get_object(Bucket=BUCKET, Key="plain.txt", Range="bytes=0-6")["Body"].read() == b"content"
assert s3.head_object(Bucket=BUCKET, Key="plain.txt")["ContentLength"] == 20
assert error_code(s3.get_object, Bucket=BUCKET, Key="missing") == "NoSuchKey"
assert error_code(s3.get_object, Bucket="boto3-missing", Key="x") == "NoSuchBucket"
etag = s3.head_object(Bucket=BUCKET, Key="plain.txt")["ETag"]
assert error_code(s3.get_object, Bucket=BUCKET, Key="plain.txt", IfNoneMatch=etag) == "304"

s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "ünïcode/日本語"})
assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == "content of ünïcode/日本語".encode()
s3.put_object_tagging(
    Bucket=BUCKET, Key="copy", Tagging={"TagSet": [{"Key": "colour", "Value": "blue @ green"}]}
)
tags = s3.get_object_tagging(Bucket=BUCKET, Key="copy")["TagSet"]
assert tags == [{"Key": "colour", "Value": "blue @ green"}], tags

part = b"p" * (5 << 20)
upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
parts = []
for number, body in [(1, part), (2, b"the end")]:
    answer = s3.upload_part(
        Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=body
    )
    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
s3.complete_multipart_upload(
    Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
)
assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == part + b"the end"
s3.upload_fileobj(io.BytesIO(part * 4), BUCKET, "managed")
assert s3.head_object(Bucket=BUCKET, Key="managed")["ContentLength"] == 20 << 20

keys = AWKWARD_KEYS + ["copy", "parts", "managed"]
deleted = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
assert len(deleted["Deleted"]) == len(keys), deleted
assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
s3.delete_bucket(Bucket=BUCKET)
assert error_code(s3.head_bucket, Bucket=BUCKET) == "404"

"""Two accounts at one gateway: each has its buckets, and nothing of the other's. The keys of the second stand in
OTHER_ACCESS_KEY_ID and OTHER_SECRET_ACCESS_KEY."""

import os
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import ClientError

mine = boto3.client("s3")
theirs = boto3.client(
    "s3",
    aws_access_key_id=os.environ["OTHER_ACCESS_KEY_ID"],
    aws_secret_access_key=os.environ["OTHER_SECRET_ACCESS_KEY"],
)
MINE, THEIRS = "tenants-mine", "tenants-theirs"


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("was not refused")


def names(client, **arguments):
    return [bucket["Name"] for bucket in client.list_buckets(**arguments)["Buckets"]]


mine.create_bucket(Bucket=MINE)
theirs.create_bucket(Bucket=THEIRS)
mine.put_object(Bucket=MINE, Key="k", Body=b"mine")
theirs.put_object(Bucket=THEIRS, Key="k", Body=b"theirs")

# Each sees its own, and when it was made.
assert names(mine) == [MINE] and names(theirs) == [THEIRS]
listed = mine.list_buckets()
assert listed["Buckets"][0]["CreationDate"].year >= 2024 and listed["Owner"]["ID"]
assert theirs.list_buckets()["Owner"]["ID"] != listed["Owner"]["ID"]
for n in range(3):
    mine.create_bucket(Bucket=f"tenants-page-{n}")
pages = boto3.client("s3").get_paginator("list_buckets").paginate(
    Prefix="tenants-page", PaginationConfig={"PageSize": 2}
)
pages = [[bucket["Name"] for bucket in page.get("Buckets", [])] for page in pages]
assert pages == [["tenants-page-0", "tenants-page-1"], ["tenants-page-2"]], pages
assert names(mine, BucketRegion="us-east-1", Prefix="tenants-m") == [MINE]
assert names(mine, BucketRegion="eu-west-3") == []
for n in range(3):
    mine.delete_bucket(Bucket=f"tenants-page-{n}")

# No key climbs out of its bucket.
assert code(mine.put_object, Bucket=MINE, Key=f"../{THEIRS}/k", Body=b"x") == "InvalidURI"

# Whatever is asked of another's bucket is denied.
other = {"Bucket": THEIRS}
for call, arguments in [
    (mine.list_objects_v2, other),
    (mine.list_objects, other),
    (mine.list_multipart_uploads, other),
    (mine.get_bucket_location, other),
    (mine.get_bucket_versioning, other),
    (mine.get_object, other | {"Key": "k"}),
    (mine.get_object_tagging, other | {"Key": "k"}),
    (mine.put_object, other | {"Key": "k", "Body": b"x"}),
    (mine.delete_object, other | {"Key": "k"}),
    (mine.delete_objects, other | {"Delete": {"Objects": [{"Key": "k"}]}}),
    (mine.create_multipart_upload, other | {"Key": "k"}),
    (mine.upload_part, other | {"Key": "k", "UploadId": "x", "PartNumber": 1, "Body": b"x"}),
    (mine.complete_multipart_upload, other | {"Key": "k", "UploadId": "x"}),
    (mine.abort_multipart_upload, other | {"Key": "k", "UploadId": "x"}),
    (mine.delete_bucket, other),
    (mine.put_bucket_versioning, other | {"VersioningConfiguration": {"Status": "Enabled"}}),
    (mine.copy_object, other | {"Key": "c", "CopySource": {"Bucket": MINE, "Key": "k"}}),
    (mine.copy_object, {"Bucket": MINE, "Key": "c", "CopySource": {"Bucket": THEIRS, "Key": "k"}}),
    (mine.copy_object, {"Bucket": MINE, "Key": "c", "CopySource": f"{THEIRS}/k?versionId=null"}),
]:
    found = code(call, **arguments)
    assert found == "AccessDenied", (found, arguments)
for call, arguments in [(mine.head_bucket, other), (mine.head_object, other | {"Key": "k"})]:
    assert code(call, **arguments) == "403", (call, arguments)
upload = mine.create_multipart_upload(Bucket=MINE, Key="parts")["UploadId"]
part = {"Bucket": MINE, "Key": "parts", "UploadId": upload, "PartNumber": 1}
assert code(mine.upload_part_copy, CopySource={"Bucket": THEIRS, "Key": "k"}, **part) == "AccessDenied"
mine.upload_part_copy(CopySource={"Bucket": MINE, "Key": "k"}, **part)
mine.abort_multipart_upload(Bucket=MINE, Key="parts", UploadId=upload)
url = mine.generate_presigned_url("get_object", Params=other | {"Key": "k"})
try:
    urllib.request.urlopen(url)
    raise AssertionError("was not refused")
except urllib.error.HTTPError as error:
    assert error.code == 403 and b"AccessDenied" in error.read()
assert theirs.get_object(Bucket=THEIRS, Key="k")["Body"].read() == b"theirs"
assert [entry["Key"] for entry in theirs.list_objects_v2(Bucket=THEIRS)["Contents"]] == ["k"]
mine.copy_object(Bucket=MINE, Key="copy", CopySource={"Bucket": MINE, "Key": "k"})
assert mine.get_object(Bucket=MINE, Key="copy")["Body"].read() == b"mine"

# What nobody has is not there.
assert code(mine.get_object, Bucket="tenants-none", Key="k") == "NoSuchBucket"
assert code(mine.delete_bucket, Bucket="tenants-none") == "NoSuchBucket"

# Names are taken, until they are given up.
assert code(mine.create_bucket, Bucket=THEIRS) == "BucketAlreadyExists"
mine.create_bucket(Bucket=MINE)  # in us-east-1 that is no mistake
assert code(mine.delete_bucket, Bucket=MINE) == "BucketNotEmpty"
assert names(mine) == [MINE]
mine.delete_objects(Bucket=MINE, Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}]})
mine.delete_bucket(Bucket=MINE)
assert names(mine) == [] and code(mine.list_objects_v2, Bucket=MINE) == "NoSuchBucket"
theirs.create_bucket(Bucket=MINE)
assert names(theirs) == [MINE, THEIRS]
assert code(mine.list_objects_v2, Bucket=MINE) == "AccessDenied"
assert code(mine.create_bucket, Bucket=MINE) == "BucketAlreadyExists"

# What could name another's bucket in its body does not go on.
assert code(
    mine.put_bucket_logging,
    Bucket=THEIRS,
    BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": MINE, "TargetPrefix": ""}},
) == "NotImplemented"
theirs.delete_bucket(Bucket=MINE)
theirs.delete_object(Bucket=THEIRS, Key="k")
theirs.delete_bucket(Bucket=THEIRS)
assert names(theirs) == []

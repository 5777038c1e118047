"""Records how boto3 signs upload forms, for tests/post.rs: a JSON object a line.

    python3 -m venv venv && venv/bin/pip install boto3==1.44.5
    venv/bin/python crates/sigv4/tests/vectors/generate_post.py > crates/sigv4/tests/vectors/post.jsonl

The keys are those of AWS's documentation. Nothing is sent.
"""

import datetime
import json

import boto3
import botocore.auth
import botocore.signers
from botocore.config import Config

NOW = datetime.datetime(2013, 5, 24, 0, 0, 0)
KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+abc/def=="


def now(remove_tzinfo=True):
    return NOW if remove_tzinfo else NOW.replace(tzinfo=datetime.timezone.utc)


botocore.auth.get_current_datetime = now
botocore.signers.get_current_datetime = now


def post(name, key, fields=None, conditions=None, expires=3600, token=None, file_name=None, bucket="bucket"):
    config = Config(signature_version="s3v4")
    client = boto3.client("s3", "us-east-1", endpoint_url="http://localhost:7100", aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1], aws_session_token=token, config=config)
    form = client.generate_presigned_post(bucket, key, Fields=dict(fields or {}), Conditions=conditions, ExpiresIn=expires)
    print(json.dumps({"name": name, "bucket": bucket, "file_name": file_name, "fields": form["fields"]}))


post("a key", "key")
post("a key of any characters", "a/../b//ü \" + $key.txt")
post("a key that ends in the name of the file", "user/user1/${filename}", file_name="photo.jpg")
post("a key that is the name of the file", "${filename}", file_name="C:\\photos\\photo.jpg")
post("a session token", "key", token=TOKEN)
post("a week", "key", expires=604800)
post("another bucket", "key", bucket="bucket.with.dots")
post("a range of lengths", "key", conditions=[["content-length-range", 1, 1048576]])
post("fields", "key", {"acl": "public-read", "Content-Type": "image/png", "x-amz-meta-Colour": "dark  blue"}, [{"acl": "public-read"}, ["starts-with", "$Content-Type", "image/"], ["eq", "$x-amz-meta-colour", "dark  blue"]])
post("a redirect", "key", {"success_action_redirect": "http://example.com/?a=b&c=d"}, [{"success_action_redirect": "http://example.com/?a=b&c=d"}])

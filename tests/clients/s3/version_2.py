"""Signature Version 2, which boto3 still takes for URLs if it is not told otherwise."""

import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

s3 = boto3.client("s3", region_name="us-east-1")
s3.create_bucket(Bucket="version-2")
by_url = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3-query"))
by_header = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3"))


def ask(url, method="GET", data=None):
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": ""})
    try:
        answer = urllib.request.urlopen(request)
        return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


body = os.urandom(100_000)
for key in ["plain", "a b/ü+&=%2F?#.txt", "a//b"]:
    where = {"Bucket": "version-2", "Key": key}
    put = by_url.generate_presigned_url("put_object", where)
    assert "AWSAccessKeyId=" in put and "X-Amz-" not in put, put
    assert ask(put, "PUT", body)[0] == 200, ask(put, "PUT", body)
    get = by_url.generate_presigned_url("get_object", where)
    assert ask(get) == (200, body)
    typed = where | {"ResponseContentType": "a/b"}
    assert ask(by_url.generate_presigned_url("get_object", typed))[0] == 200
    status, answer = ask(get.replace("Signature=", "Signature=A"))
    assert (status, b"SignatureDoesNotMatch" in answer) == (403, True), answer
    status, answer = ask(get + "&versionId=null")
    assert (status, b"SignatureDoesNotMatch" in answer) == (403, True), answer

    by_header.put_object(**where, Body=body[:5], Metadata={"who": "me"})
    got = by_header.get_object(**where)
    assert (got["Body"].read(), got["Metadata"]) == (body[:5], {"who": "me"})
# No URL is good for longer than a week.
late = by_url.generate_presigned_url("get_object", where, ExpiresIn=8 * 86_400)
assert ask(late)[0] == 400, ask(late)

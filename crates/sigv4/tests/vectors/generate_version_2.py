"""Records how botocore signs by Version 2, for tests/version_2.rs: a JSON object a line.

    python3 -m venv venv && venv/bin/pip install botocore==1.44.8
    venv/bin/python crates/sigv4/tests/vectors/generate_version_2.py > crates/sigv4/tests/vectors/version_2.jsonl

The keys are those of AWS's documentation. Nothing is sent.
"""

import json
import time
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = 1369353600
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

formatdate = botocore.auth.formatdate
botocore.auth.formatdate = lambda usegmt: formatdate(NOW, usegmt=usegmt)
time.time = lambda: NOW


def sign(name, method, url, headers=(), bucket=None, expires=None):
    request = AWSRequest(method=method, url=url)
    for header, value in headers:
        request.headers[header] = value
    split = urlsplit(url)
    request.auth_path = f"/{bucket}{split.path}" if bucket else None
    if expires is None:
        botocore.auth.HmacV1Auth(KEY).add_auth(request)
    else:
        botocore.auth.HmacV1QueryAuth(KEY, expires).add_auth(request)
    split = urlsplit(request.url)
    lines = [f"{method} {split.path}{'?' + split.query if split.query else ''} HTTP/1.1", f"Host: {split.netloc}"]
    lines += [f"{header}: {value}" for header, value in request.headers.items() if expires is None or header != "Date"]
    print(json.dumps({"name": name, "bucket": bucket, "head": "\r\n".join(lines) + "\r\n\r\n"}))


HOST = "http://s3.example.com"
MD5 = ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
sign("all buckets", "GET", f"{HOST}/")
sign("a bucket", "PUT", f"{HOST}/bucket")
sign("an object", "GET", f"{HOST}/bucket/key")
sign("a key of any characters", "GET", f"{HOST}/bucket/a%20b/%C3%BC%2B%2F//c~d")
sign("an upload", "PUT", f"{HOST}/bucket/key", [MD5, ("Content-Type", "text/plain; charset=utf-8")])
sign("headers of S3", "PUT", f"{HOST}/bucket/key", [("x-amz-meta-b", " two  words "), ("X-Amz-Acl", "private"), ("x-amz-meta-A", "1"), ("x-amz-meta-a", "2")])
sign("the hash of the body", "PUT", f"{HOST}/bucket/key", [("x-amz-content-sha256", "0a" * 32)])
sign("a sub-resource", "GET", f"{HOST}/bucket?acl")
sign("a sub-resource with an empty value", "GET", f"{HOST}/bucket?acl=")
sign("sub-resources in any order", "PUT", f"{HOST}/bucket/key?uploadId=a%2Fb%2B&partNumber=2")
sign("overrides", "GET", f"{HOST}/bucket/key?versionId=null&response-content-type=text%2Fplain%3B%20a%3D1&response-cache-control=no-cache")
sign("a listing", "GET", f"{HOST}/bucket?list-type=2&prefix=a%2F&delimiter=%2F&encoding-type=url")
sign("a bucket in the host", "GET", "http://bucket.s3.example.com/key?tagging", bucket="bucket")
sign("the root of a bucket in the host", "GET", "http://bucket.s3.example.com/?location", bucket="bucket")
sign("a URL", "GET", f"{HOST}/bucket/key", expires=3600)
sign("a URL for a week", "GET", f"{HOST}/bucket/key", expires=604800)
sign("a URL with a sub-resource", "GET", f"{HOST}/bucket/key?versionId=3%2F4", expires=60)
sign("a URL of a bucket in the host", "DELETE", "http://bucket.s3.example.com/key", bucket="bucket", expires=60)

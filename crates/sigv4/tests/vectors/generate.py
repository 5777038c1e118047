"""Records how botocore signs requests to S3, for tests/vectors.rs.

    python3 -m venv venv && venv/bin/pip install botocore==1.44.5
    venv/bin/python crates/sigv4/tests/vectors/generate.py > crates/sigv4/tests/vectors/botocore.txt

The keys are those of AWS's documentation. Nothing is sent: the requests are caught before they leave.
"""

import datetime
import io
import logging
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.session
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2013, 5, 24, 0, 0, 0, tzinfo=datetime.timezone.utc)
KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
UNSIGNED_AND_VARYING = ("user-agent", "amz-sdk-invocation-id", "amz-sdk-request")
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+abc/def=="

botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(
    tzinfo=None if remove_tzinfo else datetime.timezone.utc
)


class LastLog(logging.Handler):
    """Keeps the canonical request and the string to sign that botocore logs."""

    def __init__(self):
        super().__init__()
        self.texts = {}

    def emit(self, record):
        message = record.getMessage()
        for name in ("CanonicalRequest:\n", "StringToSign:\n"):
            if message.startswith(name):
                self.texts[name] = message[len(name):]


log = LastLog()
logging.getLogger("botocore.auth").addHandler(log)
logging.getLogger("botocore.auth").setLevel(logging.DEBUG)


def write(name, method, url, headers):
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1"]
    names = [n.lower() for n, _ in headers]
    if "host" not in names:
        lines.append(f"Host: {parts.netloc}")
    for header, value in headers:
        if header.lower() in UNSIGNED_AND_VARYING:
            continue
        value = value.decode("utf-8") if isinstance(value, bytes) else value
        lines.append(f"{header}: {value}")
    print(f"== {name}")
    print("\n".join(lines))
    print("-- canonical request")
    print(log.texts["CanonicalRequest:\n"])
    print("-- string to sign")
    print(log.texts["StringToSign:\n"])


def client(token=None, **config):
    session = botocore.session.Session()
    session.set_credentials(*KEY, token)
    s3 = {"addressing_style": config.pop("style", "path"), **config.pop("s3", {})}
    made = session.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=config.pop("endpoint", None),
        config=Config(signature_version="s3v4", s3=s3, retries={"max_attempts": 1}, **config),
    )
    return made


def call(name, operation, client, **arguments):
    caught = []

    def before_send(request, **_):
        caught.append(request)
        return AWSResponse(request.url, 200, {}, io.BytesIO(b""))

    client.meta.events.register("before-send.s3", before_send)
    try:
        getattr(client, operation)(**arguments)
    except Exception:
        pass  # the empty answer may not parse; the request is what counts
    client.meta.events.unregister("before-send.s3", before_send)
    request = caught[0]
    write(name, request.method, request.url, request.headers.items())


def presign(name, operation, client, expires=3600, method=None, headers=(), **arguments):
    url = client.generate_presigned_url(operation, arguments, expires, method)
    write(name, method or PRESIGNED_METHODS[operation], url, list(headers))


PRESIGNED_METHODS = {
    "get_object": "GET",
    "head_object": "HEAD",
    "put_object": "PUT",
    "delete_object": "DELETE",
    "list_objects_v2": "GET",
    "upload_part": "PUT",
}


def raw(name, method, url, headers=(), token=None, signer=S3SigV4Auth, **options):
    request = AWSRequest(method, url)
    for header, value in headers:
        request.headers.add_header(header, value)
    signer(Credentials(*KEY, token), "s3", "us-east-1", **options).add_auth(request)
    write(name, method, request.url, request.headers.items())


plain = client(endpoint="http://localhost:7100")
virtual = client(style="virtual")
temporary = client(token=TOKEN)
secure = client(endpoint="https://storage.example.com:8443")

call("list buckets", "list_buckets", plain)
call("create a bucket", "create_bucket", plain, Bucket="bucket")
call("head a bucket by virtual host", "head_bucket", virtual, Bucket="bucket.with.dots")
call("get an object", "get_object", plain, Bucket="bucket", Key="key")
call("get a range", "get_object", plain, Bucket="bucket", Key="key", Range="bytes=0-9")
call("get a version", "get_object", plain, Bucket="bucket", Key="key", VersionId="a/b+c=")
call("get by virtual host", "get_object", virtual, Bucket="bucket", Key="a/b/c")
call("put over http", "put_object", plain, Bucket="bucket", Key="key", Body=b"hello")
call("put over https", "put_object", secure, Bucket="bucket", Key="key", Body=b"hello")
call("put a stream over https with an unsigned trailer", "put_object", secure, Bucket="bucket", Key="key", Body=io.BytesIO(b"hello"))
call(
    "put with metadata",
    "put_object",
    plain,
    Bucket="bucket",
    Key="key",
    Body=b"",
    Metadata={"colour": "dark   blue", "empty": "", "Mixed-Case": " padded "},
    ContentType="text/plain; charset=utf-8",
    ACL="private",
    Tagging="a=1&b=2%20",
    StorageClass="STANDARD_IA",
)
call("put unsigned", "put_object", client(endpoint="https://storage.example.com", s3={"payload_signing_enabled": False}), Bucket="bucket", Key="key", Body=b"x")
call("copy", "copy_object", plain, Bucket="bucket", Key="to", CopySource={"Bucket": "bucket", "Key": "from é+ %"})
call("delete", "delete_object", plain, Bucket="bucket", Key="key")
call("delete many", "delete_objects", plain, Bucket="bucket", Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
call("list with prefix and delimiter", "list_objects_v2", plain, Bucket="bucket", Prefix="a b/+&=ü", Delimiter="/", StartAfter="~*'()!")
call("list versions", "list_object_versions", plain, Bucket="bucket", KeyMarker="k", VersionIdMarker="v")
call("bucket lifecycle", "get_bucket_lifecycle_configuration", plain, Bucket="bucket")
call("start a multipart upload", "create_multipart_upload", plain, Bucket="bucket", Key="key")
call("upload a part", "upload_part", plain, Bucket="bucket", Key="key", UploadId="a.b_c-d~e", PartNumber=10000, Body=b"part")
call("session token", "get_object", temporary, Bucket="bucket", Key="key")

for key in [
    "/leading slash",
    "trailing/",
    "double//slash",
    "dots/./and/../dots",
    "plus+sign",
    "per%cent%2Fescape",
    "naïve/ünïcode/日本語/😀",
    "n\u0303 is not \u00f1",
    "!\"#$&'()*,:;<=>?@[\\]^_`{|}~",
    "control\x01and\x7f",
    "." * 3,
]:
    call(f"key {quote(key)}", "get_object", plain, Bucket="bucket", Key=key)

raw("query given in another order", "GET", "http://localhost/b?z=1&a=2&a=1&a=&M=3&m=4")
raw("query with empty values", "GET", "http://localhost/b?uploads&x=&y")
raw("query with a session token elsewhere", "GET", "http://localhost/b?tagging=", token=TOKEN)
raw(
    "headers repeated, padded and mixed",
    "PUT",
    "http://localhost:9000/b/k",
    [("X-Amz-Meta-B", "two"), ("x-amz-meta-a", "  one   two  "), ("X-AMZ-META-B", "one"), ("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==")],
)
raw("dated by the date header", "GET", "http://localhost/b/k", [("Date", "any")])
raw("unicode header", "PUT", "http://localhost/b/k", [("x-amz-meta-name", "Zoë")])

presign("presigned get", "get_object", virtual, Bucket="bucket", Key="key")
presign("presigned get for a week", "get_object", plain, expires=604800, Bucket="bucket", Key="a/b c+d%é")
presign("presigned get with response headers", "get_object", plain, Bucket="bucket", Key="key", ResponseContentDisposition='attachment; filename="a b.txt"', ResponseContentType="text/plain")
presign("presigned head", "head_object", plain, Bucket="bucket", Key="key")
presign("presigned put", "put_object", plain, Bucket="bucket", Key="key")
presign("presigned put of a type", "put_object", plain, headers=[("content-type", "image/png")], Bucket="bucket", Key="key", ContentType="image/png")
presign("presigned put with metadata", "put_object", plain, headers=[("x-amz-meta-a", "1"), ("x-amz-acl", "private")], Bucket="bucket", Key="key", Metadata={"a": "1"}, ACL="private")
presign("presigned delete", "delete_object", plain, Bucket="bucket", Key="key")
presign("presigned list", "list_objects_v2", plain, Bucket="bucket", Prefix="a/b+ c")
presign("presigned part", "upload_part", plain, Bucket="bucket", Key="key", UploadId="u/+=", PartNumber=1)
presign("presigned with a session token", "get_object", temporary, Bucket="bucket", Key="key")
raw("presigned raw url with a query", "GET", "http://localhost/b/k?versionId=3%2F4&x-id=GetObject", signer=S3SigV4QueryAuth, expires=60)

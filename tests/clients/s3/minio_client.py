"""MinIO's client for Python: objects whole and in parts, tags, copies, URLs and forms."""

import io
import os
import urllib.request
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
client = Minio(
    endpoint.netloc,
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    secure=endpoint.scheme == "https",
    region="us-east-1",
)


def read(key, **options):
    answer = client.get_object("minio-client", key, **options)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


client.make_bucket("minio-client")
assert client.bucket_exists("minio-client")
assert [bucket.name for bucket in client.list_buckets()] == ["minio-client"]
big = os.urandom(11 << 20)
client.put_object("minio-client", "big", io.BytesIO(big), len(big), part_size=5 << 20)
assert read("big") == big
assert read("big", offset=5, length=10) == big[5:15]
# A stream whose length is not known.
client.put_object("minio-client", "stream", io.BytesIO(big), -1, part_size=5 << 20)
assert read("stream") == big
client.put_object(
    "minio-client", "dir/ü +%2F", io.BytesIO(b"x"), 1, metadata={"who": "me"}, content_type="a/b"
)
stat = client.stat_object("minio-client", "dir/ü +%2F")
assert (stat.size, stat.content_type, stat.metadata["x-amz-meta-who"]) == (1, "a/b", "me")
client.copy_object("minio-client", "copy", CopySource("minio-client", "dir/ü +%2F"))
assert read("copy") == b"x"
sources = [ComposeSource("minio-client", "big"), ComposeSource("minio-client", "stream")]
client.compose_object("minio-client", "both", sources)
assert read("both") == big + big
names = {item.object_name for item in client.list_objects("minio-client", recursive=True)}
assert names == {"big", "stream", "dir/ü +%2F", "copy", "both"}, names

url = client.presigned_get_object("minio-client", "copy")
assert urllib.request.urlopen(url).read() == b"x"
url = client.presigned_put_object("minio-client", "by-url")
assert urllib.request.urlopen(urllib.request.Request(url, data=b"y", method="PUT")).status == 200
assert read("by-url") == b"y"
policy = PostPolicy("minio-client", datetime.now(UTC) + timedelta(minutes=5))
policy.add_equals_condition("key", "by-form")
policy.add_content_length_range_condition(1, 10)
fields = client.presigned_post_policy(policy) | {"key": "by-form"}
edge = "edge"
body = "".join(
    f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in fields.items()
)
body += f'--{edge}\r\nContent-Disposition: form-data; name="file"\r\n\r\nz\r\n--{edge}--\r\n'
request = urllib.request.Request(
    f"{endpoint.geturl()}/minio-client",
    data=body.encode(),
    headers={"Content-Type": f"multipart/form-data; boundary={edge}"},
)
assert urllib.request.urlopen(request).status == 204
assert read("by-form") == b"z"

errors = client.remove_objects("minio-client", [DeleteObject(name) for name in names])
assert not list(errors)
for name in ["by-url", "by-form"]:
    client.remove_object("minio-client", name)
try:
    read("big")
except S3Error as error:
    assert error.code == "NoSuchKey", error
else:
    raise AssertionError("is still there")
client.remove_bucket("minio-client")
assert not client.bucket_exists("minio-client")

"""Records how botocore signs requests of any kind, for tests/vectors.rs: heads with an empty line between.

    python3 -m venv venv && venv/bin/pip install botocore==1.44.8
    venv/bin/python crates/sigv4/tests/vectors/generate_bulk.py > crates/sigv4/tests/vectors/bulk.txt

The keys are those of AWS's documentation. The requests are drawn at random, each time the same.
"""

import datetime
import random
from urllib.parse import quote, urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

COUNT = 300
NOW = datetime.datetime(2013, 5, 24, 0, 0, 0)
KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+abc/def=="
CHARACTERS = list("abcXYZ019-._~ +/%&=?#;:,@!$'()*[]\\\"<>^`{|}") + ["é", "ñ", "日本", "😀", "n\u0303", "\u00a0"]

botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW
draw = random.Random(20130524)


def text(longest):
    return "".join(draw.choice(CHARACTERS) for _ in range(draw.randint(0, longest)))


def segment():
    return draw.choice([lambda: quote(text(6), safe="~"), lambda: draw.choice(["", ".", "..", "a%2Fb", "%2E%2E%2F"])])()


def path():
    # Unreserved characters stand as they are, as every SDK writes them.
    joined = "/" + "/".join(segment() for _ in range(draw.randint(0, 5)))
    return joined.replace("%2E", ".")


def query():
    pairs = []
    for _ in range(draw.choice([0, 0, 1, 2, 5])):
        name = quote(draw.choice(["uploads", "versionId", "prefix", "a", "A", text(4)]), safe="~")
        pairs.append(draw.choice([name, name + "=", name + "=" + quote(text(8), safe="~")]))
    return "&".join(pair for pair in pairs if pair)


def value():
    words = ["".join(draw.choice("abcXYZ019-._~+/%&=?;:,@") for _ in range(draw.randint(1, 5))) for _ in range(draw.randint(0, 4))]
    return draw.choice(["", " ", "  "]) + draw.choice([" ", "  ", "    "]).join(words) + draw.choice(["", " "])


def headers():
    names = ["x-amz-acl", "X-Amz-Meta-One", "x-amz-meta-one", "X-AMZ-META-TWO", "Range", "Content-Type", "Content-MD5", "If-None-Match"]
    return [(draw.choice(names), value()) for _ in range(draw.choice([0, 1, 2, 4, 8]))]


for _ in range(COUNT):
    method = draw.choice(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"])
    mode = draw.choice(["presigned", "hashed", "hashed", "unsigned", "trailer"])
    scheme = "http" if mode in ("presigned", "hashed") else "https"
    host = draw.choice(["localhost:7100", "s3.example.com", "bucket.s3.example.com:8443", "127.0.0.1"])
    token = draw.choice([None, None, TOKEN])
    parameters = query()
    url = f"{scheme}://{host}{path()}" + (f"?{parameters}" if parameters else "")
    # botocore takes the body of a presigned request for more parameters.
    body = b"" if mode == "presigned" else draw.choice([b"", b"body", bytes(1000)])
    request = AWSRequest(method, url, data=body)
    for name, text_ in headers():
        request.headers.add_header(name, text_)
    if mode == "unsigned":
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    if mode == "trailer":
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    if mode == "presigned":
        S3SigV4QueryAuth(Credentials(*KEY, token), "s3", "us-east-1", expires=draw.choice([1, 60, 604800])).add_auth(request)
    else:
        S3SigV4Auth(Credentials(*KEY, token), "s3", "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    print(f"{method} {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1")
    print(f"Host: {parts.netloc}")
    for name, text_ in request.headers.items():
        print(f"{name}: {text_}")
    print()

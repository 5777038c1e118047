"""HTTP/2 by TLS, as Python's httpx speaks it: objects, side by side, and what is wrong."""

import asyncio
import hashlib
import os
import ssl

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
KEY = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def signed(method, path, body=b""):
    """Headers of a request, signed for the host that httpx puts into `:authority`."""
    request = AWSRequest(method=method, url=ENDPOINT + path, data=body)
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    S3SigV4Auth(KEY, "s3", "us-east-1").add_auth(request)
    return dict(request.headers)


async def main():
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    async with httpx.AsyncClient(http2=True, verify=context, timeout=60) as client:

        async def send(method, path, body=b"", **more):
            headers = signed(method, path, body) | more
            answer = await client.request(method, ENDPOINT + path, headers=headers, content=body)
            assert answer.http_version == "HTTP/2", answer.http_version
            return answer

        assert (await send("PUT", "/httpx")).status_code == 200
        big = os.urandom(8 << 20)
        assert (await send("PUT", "/httpx/big", big)).status_code == 200
        bodies = {f"/httpx/{n}": os.urandom(n * 1000) for n in range(1, 40)}
        put = await asyncio.gather(*(send("PUT", key, body) for key, body in bodies.items()))
        assert {answer.status_code for answer in put} == {200}, put
        got = await asyncio.gather(*(send("GET", key) for key in bodies))
        assert [answer.content for answer in got] == list(bodies.values())
        assert (await send("GET", "/httpx/big")).content == big
        part = await send("GET", "/httpx/big", Range="bytes=10-19")
        assert (part.status_code, part.content) == (206, big[10:20]), part
        head = await send("HEAD", "/httpx/big")
        assert head.headers["content-length"] == str(8 << 20), head.headers

        wrong = await client.get(ENDPOINT + "/httpx/big", headers=signed("GET", "/httpx/1"))
        assert wrong.status_code == 403 and "SignatureDoesNotMatch" in wrong.text, wrong.text
        unsigned = await client.get(ENDPOINT + "/httpx/big")
        assert unsigned.status_code == 403 and "AccessDenied" in unsigned.text, unsigned.text
        assert "connection" not in unsigned.headers and "keep-alive" not in unsigned.headers


asyncio.run(main())

"""A string to sign of Signature Version 4, as a store makes it, and its signature."""

import datetime
import hashlib
import hmac


def text(minutes_ago=0, region="us-east-1", service="s3"):
    time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes_ago)
    day = time.strftime("%Y%m%d")
    scope = f"{day}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(b"a canonical request").hexdigest()
    return f"AWS4-HMAC-SHA256\n{time.strftime('%Y%m%dT%H%M%SZ')}\n{scope}\n{hashed}"


def signature(text, secret):
    key = ("AWS4" + secret).encode()
    for part in text.split("\n")[2].split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

"""Serves OpenStack's Keystone from a new folder by one process, and says what to ask it.

Prints one line of JSON, `{"port", "process_id", "token", "body"}`: where it listens, the process that answers, the
token of who may ask, and a question to `POST /v3/s3tokens`. Ends when standard input does.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

PASSWORD = "a password of this benchmark"
CONFIG = """
[database]
connection = sqlite:///{home}/keystone.db
[fernet_tokens]
key_repository = {home}/fernet
[fernet_receipts]
key_repository = {home}/fernet
[credential]
key_repository = {home}/credential
[cache]
enabled = true
backend = dogpile.cache.memory
"""
# Keystone reads the command line, which is gunicorn's: so that must be empty.
SERVER = """
wsgi_app = "keystone.wsgi.api:application"
bind = "127.0.0.1:{port}"
workers = 1
worker_class = "gthread"
threads = 1
keepalive = 600
control_socket_disable = True


def post_fork(server, worker):
    with open("worker", "w") as file:
        file.write(str(worker.pid))
"""


def main():
    home, programs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.executable).parent
    (home / "keystone.conf").write_text(CONFIG.format(home=home))
    for folder in ["fernet", "credential"]:
        (home / folder).mkdir(mode=0o700)
    manage = [programs / "keystone-manage", "--config-file", home / "keystone.conf"]
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    for command in [
        ["db_sync"],
        ["fernet_setup", *owner],
        ["credential_setup", *owner],
        ["bootstrap", "--bootstrap-password", PASSWORD],
    ]:
        subprocess.run(manage + command, check=True, stdout=sys.stderr)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "gunicorn.conf.py").write_text(SERVER.format(port=port))
    environment = os.environ | {"OS_KEYSTONE_CONFIG_DIR": str(home)}
    log = open(home / "log", "w")
    with subprocess.Popen(
        [programs / "gunicorn"], cwd=home, env=environment, stdout=log, stderr=log
    ) as server:
        try:
            token, body = question(f"http://127.0.0.1:{port}/v3")
            worker = int((home / "worker").read_text())
            told = {"port": port, "process_id": worker, "token": token, "body": json.dumps(body)}
            print(json.dumps(told), flush=True)
            sys.stdin.read()
        finally:
            server.terminate()


def question(url):
    """A service's token, and a question that is answered well."""
    admin = {"name": "admin", "domain": {"id": "default"}}
    asked = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": admin | {"password": PASSWORD}}},
            "scope": {"project": admin},
        }
    }
    start = time.monotonic()
    while True:
        try:
            token, document = post(f"{url}/auth/tokens", asked)
            break
        except urllib.error.URLError as error:
            if time.monotonic() - start > 60:
                raise SystemExit(f"keystone does not serve: {error}")
            time.sleep(0.05)
    user, project = document["token"]["user"]["id"], document["token"]["project"]["id"]
    _, made = post(f"{url}/users/{user}/credentials/OS-EC2", {"tenant_id": project}, token)
    access, secret = made["credential"]["access"], made["credential"]["secret"]
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = [stamp[:8], "us-east-1", "s3", "aws4_request"]
    hashed = hashlib.sha256(b"a canonical request").hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), hashed]).encode()
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text, "sha256").hex()
    encoded = base64.urlsafe_b64encode(text).decode()
    body = {"credentials": {"access": access, "token": encoded, "signature": signature}}
    post(f"{url}/s3tokens", body, token)
    return token, body


def post(url, body, token=""):
    headers = {"content-type": "application/json", "x-auth-token": token}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return answer.headers.get("x-subject-token"), json.load(answer)


main()

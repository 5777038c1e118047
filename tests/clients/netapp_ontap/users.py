"""S3 users by NetApp's own client library: what its documentation shows, and what is refused."""

import contextlib
import json
import os
import time
from urllib.parse import urlsplit

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from netapp_ontap import HostConnection
from netapp_ontap.error import NetAppRestError
from netapp_ontap.resources import Cluster, S3Service, S3User, Svm

MANAGEMENT = os.environ["CLAVIGER_MANAGEMENT_URL"]
S3 = os.environ["AWS_ENDPOINT_URL"]
TOKEN = os.environ["CLAVIGER_TOKEN"]
SVM, OTHER = os.environ["SVM_UUID"], os.environ["OTHER_SVM_UUID"]
USERS = f"/api/protocols/s3/services/{SVM}/users"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# The root user of the account, and another, by login and password.
ROOT = {"username": os.environ["ROOT_LOGIN"], "password": os.environ["ROOT_PASSWORD"]}
ALICE = {"username": os.environ["ALICE_LOGIN"], "password": os.environ["ALICE_PASSWORD"]}


def connection(**how):
    url = urlsplit(MANAGEMENT)
    return HostConnection(url.hostname, port=url.port, scheme="http", verify=False, **how)


def call(method, path, body=None, headers=BEARER, **query):
    """What the library hides: status, document and headers."""
    data = body if isinstance(body, (bytes, str)) or body is None else json.dumps(body)
    answer = requests.request(method, MANAGEMENT + path, params=query, data=data, headers=headers)
    kind = answer.headers["content-type"]
    assert kind == "application/hal+json", (method, path, kind)
    assert answer.headers["x-request-id"] and answer.headers["cache-control"] == "no-store"
    return answer


# Every code that was told.
told = set()


def refused(status, code, target, method, path, body=None, headers=BEARER, **query):
    answer = call(method, path, body, headers, **query)
    error = answer.json()["error"]
    found = (answer.status_code, error["code"], error.get("target"))
    assert found == (status, code, target), (method, path, body, query, found, error)
    assert error["message"]
    told.add(code)
    return answer


@contextlib.contextmanager
def raises(status, code):
    try:
        yield
    except NetAppRestError as error:
        answer = error.http_err_response.http_response
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        told.add(code)
    else:
        raise AssertionError(f"is not refused by {code}")


def made(response):
    """The key that an answer tells, the only one to have its secret."""
    (record,) = response.http_response.json()["records"]
    assert len(record["secret_key"]) >= 40, record
    return record


def until(record, expected):
    """Waits until the store takes a key, or no longer does."""
    client = boto3.client(
        "s3",
        endpoint_url=S3,
        region_name="us-east-1",
        aws_access_key_id=record["access_key"],
        aws_secret_access_key=record["secret_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            client.list_buckets()
            found = "works"
        except ClientError as error:
            found = error.response["Error"]["Code"]
        if found == expected:
            return
        assert time.monotonic() < deadline, (found, expected)


def user(name):
    return S3User(SVM, name=name)


def shown(name):
    found = user(name)
    found.get()
    return found


def keys(name):
    return [key.to_dict() for key in shown(name).keys]


def documented():
    """The examples of the library's documentation for S3 users, one after another."""
    assert [found.name for found in S3User.get_collection(SVM, fields="*")] == ["alice", "root"]
    # Creating: the secret is in the answer, and nowhere else.
    first = user("user-1")
    first.name = "user-1"
    response = first.post()
    assert response.http_response.status_code == 201
    location = response.http_response.headers["location"]
    assert location == f"{USERS}/user-1", location
    key = made(response)
    until(key, "works")
    assert "secret_key" not in json.dumps(shown("user-1").to_dict())
    assert shown("user-1").access_key == key["access_key"]

    third = S3User(SVM)
    third.comment, third.key_time_to_live, third.name = "S3 user3", "P6DT1H5M", "user-3"
    third.post(hydrate=True)
    assert third.key_time_to_live == "P6DT1H5M" and third.key_expiry_time is not None
    assert third.comment == "S3 user3" and third.keys[0].id == 1

    brought = {"access_key": "BRINGYOUROWNKEY00001", "secret_key": "s" * 40}
    own = S3User(SVM)
    own.access_key, own.secret_key = brought["access_key"], brought["secret_key"]
    own.comment, own.key_time_to_live, own.name = "S3 user", "PT6H3M", "user-test"
    made_own = made(own.post())
    assert {name: made_own[name] for name in brought} == brought
    assert made_own["key_expiry_time"]
    until(brought, "works")

    directory = S3User(SVM)
    directory.name = "user-3@domain1.com"
    response = directory.post(hydrate=True)
    assert directory.access_key
    # Regenerating: another access key and secret in the place of the first.
    response = user("user-1").patch(regenerate_keys=True)
    again = made(response)
    assert again["access_key"] != key["access_key"]
    until(again, "works")
    until(key, "InvalidAccessKeyId")
    hydrated = user("user-1")
    hydrated.patch(hydrate=True, regenerate_keys=True)
    assert hydrated.access_key not in (key["access_key"], again["access_key"])

    second = user("user-1")
    second.key_id, second.key_time_to_live = "2", "PT6H3M"
    second_key = made(second.patch(regenerate_keys=True))
    until(second_key, "works")
    assert [(k["id"], k.get("time_to_live")) for k in keys("user-1")] == [(1, None), (2, "PT6H3M")]
    # Another key for the slot has the time to live that the one before had.
    second = user("user-1")
    second.key_id = 2
    assert made(second.patch(regenerate_keys=True))["key_expiry_time"]
    assert keys("user-1")[1]["time_to_live"] == "PT6H3M"
    never = user("user-1")
    never.key_id, never.key_time_to_live = 2, "PT0S"
    assert "key_expiry_time" not in made(never.patch(regenerate_keys=True))

    replaced = {"access_key": "BRINGYOUROWNKEY00002", "secret_key": "t" * 40}
    other = user("user-1")
    other.access_key, other.secret_key = replaced["access_key"], replaced["secret_key"]
    other.comment, other.key_time_to_live = "S3 user", "PT6H3M"
    assert made(other.patch(regenerate_keys=True))["access_key"] == replaced["access_key"]
    assert shown("user-1").comment == "S3 user"
    until(replaced, "works")
    # Deleting keys: the first where none is named.
    deleting = user("user-1")
    deleting.comment = "without"
    assert deleting.patch(delete_keys=True).http_response.json() == {}
    until(replaced, "InvalidAccessKeyId")
    assert [key["id"] for key in keys("user-1")] == [2] and shown("user-1").comment == "without"
    deleting = user("user-1")
    deleting.key_id = 2
    deleting.patch(delete_keys=True)
    user("user-1").patch(delete_keys=True)
    assert shown("user-1").to_dict().get("keys", []) == []
    # Deleting a user with its keys.
    user("user-test").delete()
    until(brought, "InvalidAccessKeyId")
    with raises(404, "4"):
        shown("user-test")
    with raises(404, "4"):
        user("ghost").delete()


def collections():
    for n in range(7):
        S3User.from_dict({"svm": {"uuid": SVM}, "name": f"many-{n}", "comment": f"c{n % 2}"}).post()
    everyone = ["many-0", "many-1", "many-2", "many-3", "many-4", "many-5", "many-6"]
    listed = lambda **query: [found.name for found in S3User.get_collection(SVM, **query)]
    assert listed(name="many-*", max_records=2) == everyone
    assert listed(name="many-*", order_by="name desc", max_records=3) == everyone[::-1]
    assert listed(name="many-*", order_by="comment desc,name", max_records=3) == (
        everyone[1::2] + everyone[::2]
    )
    assert listed(name="many-1|many-5") == ["many-1", "many-5"]
    assert listed(name="many-2..many-4") == ["many-2", "many-3", "many-4"]
    assert listed(comment="c1", fields="comment") == everyone[1::2]
    assert listed(name="!many-*", access_key="null") == ["alice", "root", "user-1"]
    assert listed(key_expiry_time=">2020-01-01") == ["user-3"]
    assert listed(key_time_to_live="P6D*") == ["user-3"]
    assert listed(**{"svm.name": "nobody"}) == []
    assert listed(name="MANY-1") == []
    access_key = shown("many-4").access_key
    assert listed(access_key=access_key) == ["many-4"]
    assert listed(**{"keys.access_key": access_key}) == ["many-4"]
    assert S3User.count_collection(SVM) == 12
    assert S3User.count_collection(SVM, name="many-*") == 7
    assert S3User.find(SVM, name="many-3").comment == "c1"
    assert S3User.find(SVM, name="nobody") is None
    # The link to the next page has all that was asked for.
    page = call("GET", USERS, name="many-*", fields="comment", max_records=2).json()
    assert page["num_records"] == 2 and "access_key" not in page["records"][0]
    assert page["_links"]["self"]["href"].startswith(USERS + "?")
    last = call("GET", page["_links"]["next"]["href"]).json()
    assert [record["comment"] for record in last["records"]] == ["c0", "c1"]
    # However little time there is, a page comes with the link to what is left.
    found, link = [], USERS + "?name=many-*&max_records=3&return_timeout=0"
    while link:
        page = call("GET", link).json()
        found += [record["name"] for record in page["records"]]
        link = page["_links"].get("next", {}).get("href")
    assert found == everyone
    # What a query matches is changed, and deleted.
    S3User.patch_collection({"comment": "x"}, SVM, name="many-1|many-2")
    assert listed(comment="x", fields="name") == ["many-1", "many-2"]
    regenerated = call("PATCH", USERS, {}, name="many-5|many-6", regenerate_keys="TRUE").json()
    assert [record["name"] for record in regenerated["records"]] == ["many-5", "many-6"]
    until(regenerated["records"][1], "works")
    S3User.delete_collection(SVM, name="many-*")
    assert listed(name="many-*") == []


def services():
    (service,) = S3Service.get_collection(**{"svm.uuid": SVM}, fields="*")
    assert service.enabled and service.svm.name == "dev"
    assert {found.uuid for found in Svm.get_collection(fields="uuid")} == {SVM, OTHER}
    assert Svm.find(name="dev").uuid == SVM
    one = Svm(uuid=SVM)
    one.get()
    assert one.name == "dev"
    cluster = Cluster()
    cluster.get(fields="version")
    assert (cluster.version.generation, cluster.version.major) == (9, 17)
    # The longest lifetime of keys is the account's.
    service = S3Service.find(**{"svm.uuid": SVM})
    service.max_key_time_to_live = "P30D"
    with raises(409, "8"):  # The root user's key has no end.
        service.patch()
    assert "max_key_time_to_live" not in call("GET", f"/api/protocols/s3/services/{SVM}").json()
    service = S3Service.find(**{"svm.uuid": OTHER})
    service.max_key_time_to_live = "P30D"
    service.patch()
    service = S3Service.find(**{"svm.uuid": OTHER}, fields="max_key_time_to_live")
    assert service.max_key_time_to_live == "P30D"


def refusals():
    def check(status, code, target, body, **query):
        refused(status, code, target, "PATCH", f"{USERS}/user-1", body, **query)

    pair = {"access_key": "BRINGYOUROWNKEY00003", "secret_key": "u" * 40}
    regenerate, delete = {"regenerate_keys": "true"}, {"delete_keys": "True"}
    check(400, "92406082", None, {}, **regenerate, **delete)
    check(400, "92406202", None, pair, **delete)
    check(400, "92406088", "key_time_to_live", {"key_time_to_live": "P1D"})
    check(400, "92406108", "key_id", {"key_id": 2})
    check(400, "92406083", "key_time_to_live", {"key_time_to_live": "P1095DT1S"}, **regenerate)
    check(400, "92406201", "secret_key", {"access_key": pair["access_key"]}, **regenerate)
    check(400, "92406205", "access_key", {**pair, "access_key": "not-a-key"}, **regenerate)
    check(400, "262197", "secret_key", {**pair, "secret_key": "short"}, **regenerate)
    check(400, "262197", "key_time_to_live", {"key_time_to_live": "soon"}, **regenerate)
    check(400, "262197", "comment", {"comment": "x" * 257})
    check(400, "262197", "regenerate_keys", {}, regenerate_keys="maybe")
    check(400, "262179", "colour", {"colour": "red"})
    check(400, "262179", "colour", {}, colour="red")
    check(400, "262196", "name", {"name": "other"})
    check(400, "262199", None, "{")
    # A key that somebody has, or had.
    taken = call("POST", USERS, {"name": "taken", **pair}).json()["records"][0]
    check(409, "92406200", "access_key", pair, **regenerate)
    call("DELETE", f"{USERS}/taken")
    check(409, "92406200", "access_key", pair, **regenerate)
    until(taken, "InvalidAccessKeyId")
    # New users.
    for status, code, target, body in [
        (400, "92405787", "name", {"name": "a b"}),
        (400, "92405787", "name", {"name": SVM}),
        (400, "92405788", "name", {"name": "a" * 65}),
        (400, "2", "name", {}),
        (400, "262196", "key_id", {"name": "a", "key_id": 1}),
        (400, "2", "svm", {"name": "a", "svm": {"uuid": OTHER}}),
        (409, "1", "name", {"name": "USER-1"}),
    ]:
        refused(status, code, target, "POST", USERS, body)
    assert call("GET", f"{USERS}/a").status_code == 404, "a refusal leaves nothing behind"
    # The root user stays; a change of all needs to say so.
    refused(400, "3", "name", "DELETE", f"{USERS}/root")
    refused(400, "2", None, "DELETE", USERS)
    refused(400, "2", None, "PATCH", USERS, {"comment": "x"})
    refused(400, "2", None, "DELETE", USERS, {"records": [{"name": "user-1"}]}, name="user-1")
    refused(400, "2", None, "PATCH", "/api/protocols/s3/services", {"max_key_time_to_live": "P1D"})
    assert call("GET", f"{USERS}/user-1").status_code == 200
    # What there is not.
    refused(404, "4", "name", "GET", f"{USERS}/ghost")
    refused(404, "4", "name", "PATCH", f"{USERS}/ghost", {"comment": "x"})
    refused(404, "4", "name", "PATCH", f"{USERS}/ghost", {}, **regenerate)
    refused(404, "4", "name", "PATCH", f"{USERS}/ghost", {}, **delete)
    refused(404, "4", "svm.uuid", "GET", USERS.replace(SVM, "02c9e252-41be-11e9-81d5-00a0986138f7"))
    refused(404, "3", None, "GET", "/api/protocols/s3/buckets")
    refused(404, "3", None, "GET", "/api/cluster/nodes")
    # What cannot be done.
    for method, path, allow in [
        ("POST", "/api/cluster", "GET"),
        ("PUT", USERS, "GET, POST, PATCH, DELETE"),
        ("POST", f"{USERS}/user-1", "GET, PATCH, DELETE"),
        ("DELETE", f"/api/protocols/s3/services/{SVM}", "GET, PATCH"),
    ]:
        assert refused(405, "3", None, method, path).headers["allow"] == allow
    # Too much.
    refused(413, "2", None, "POST", USERS, b"x" * ((1 << 20) + 1))
    refused(400, "262197", "max_records", "GET", USERS, max_records=0)
    refused(400, "262197", "return_timeout", "GET", USERS, return_timeout=121)
    refused(400, "2", "start.token", "GET", USERS, **{"start.token": "made-up"})
    refused(400, "262188", "name", "GET", f"{USERS}?name=a&name=b")
    # Who asks.
    for headers in [
        {},
        {"Authorization": "Bearer " + "0" * 64},
        {"Authorization": "Bearer"},
        {"Authorization": "Digest x"},
        {"Authorization": "Basic bm9ib2R5"},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=x"},
    ]:
        for path in [USERS, "/api/cluster", "/api/svm/svms", "/api/protocols/nothing"]:
            answer = refused(401, "6691623", None, "GET", path, headers=headers)
            assert answer.headers["www-authenticate"].startswith("Basic"), headers
        refused(401, "6691623", None, "PUT", USERS, headers=headers)


def lifetimes():
    """With a maximum of the service, each key must end, and in time."""
    path = f"/api/protocols/s3/services/{OTHER}"
    users = f"{path}/users"
    service = call("GET", path).json()
    assert service["max_key_time_to_live"] == "P30D", service
    refused(400, "92406197", "key_time_to_live", "POST", users, {"name": "a"})
    zero = {"name": "a", "key_time_to_live": "0"}
    refused(400, "92406197", "key_time_to_live", "POST", users, zero)
    long = {"name": "a", "key_time_to_live": "P31D"}
    refused(400, "92406196", "key_time_to_live", "POST", users, long)
    assert call("POST", users, {"name": "a", "key_time_to_live": "P30D"}).status_code == 201
    query = {"regenerate_keys": "true"}
    refused(400, "92406196", "key_time_to_live", "PATCH", f"{users}/a", {"key_time_to_live": "P5W"}, **query)
    # The first ends when it did: the time begins anew.
    assert call("PATCH", f"{users}/a", {}, **query).json()["records"][0]["key_expiry_time"]
    # One key more than the account lets a user have.
    refused(409, "92405792", None, "PATCH", f"{users}/a", {"key_id": 2, "key_time_to_live": "P1D"}, **query)
    collection = "/api/protocols/s3/services"
    assert call("PATCH", collection, {"max_key_time_to_live": 0}, **{"svm.uuid": OTHER}).status_code == 200
    assert "max_key_time_to_live" not in call("GET", path).json()


def sent_again():
    """What is sent again under its id is done once, and answered the same."""
    headers = {**BEARER, "Idempotency-Key": "one-and-the-same"}
    body = {"name": "again"}
    answers = [call("POST", USERS, body, headers).json() for _ in range(2)]
    assert answers[0] == answers[1] and answers[0]["records"][0]["secret_key"]
    query = {"regenerate_keys": "true"}
    headers["Idempotency-Key"] = "another"
    answers = [call("PATCH", f"{USERS}/again", {"comment": "c"}, headers, **query).json() for _ in range(2)]
    assert answers[0] == answers[1] and answers[0]["records"][0]["secret_key"]
    refused(409, "8", None, "PATCH", f"{USERS}/again", {"comment": "d"}, headers, **query)
    headers["Idempotency-Key"] = "a third"
    for _ in range(2):
        assert call("DELETE", f"{USERS}/again", {}, headers).status_code == 200
    headers["Idempotency-Key"] = "one-and-the-same"
    refused(409, "92405791", None, "POST", USERS, body, headers)


def logged_in():
    """The root user sees its account by login and password, and no other."""
    with connection(**ROOT):
        assert [found.uuid for found in Svm.get_collection()] == [SVM]
        mine = S3User(SVM, name="mine")
        mine.name = "mine"
        until(made(mine.post()), "works")
        with raises(404, "4"):
            list(S3User.get_collection(OTHER))
        with raises(404, "4"):
            S3User.from_dict({"svm": {"uuid": OTHER}, "name": "x"}).post()
        assert list(S3Service.get_collection(**{"svm.uuid": OTHER})) == []
        assert Cluster().get().http_response.status_code == 200
        mine.delete()
    with connection(**{**ROOT, "password": ROOT["password"] + "x"}):
        with raises(401, "6691623"):
            list(S3User.get_collection(SVM))
    # Whoever is not the root user manages nobody.
    with connection(**ALICE):
        with raises(403, "92406096"):
            list(S3User.get_collection(SVM))
        with raises(403, "92406096"):
            user("alice").patch(regenerate_keys=True)
        with raises(404, "4"):
            list(S3User.get_collection(OTHER))


with connection(headers=BEARER):
    documented()
    refusals()
    collections()
    services()
    lifetimes()
    sent_again()
logged_in()
# What the guide says is told was told, but for what a gateway tells that fails itself.
with open(os.environ["GUIDE"]) as guide:
    rows = [line.split("|")[1:3] for line in guide if line.startswith(("| 4 ", "| 924"))]
documented_codes = {code.strip() for code, when in rows if not when.strip().startswith("never")}
assert len(documented_codes) > 15 and documented_codes - told == {"92406097"}, documented_codes - told
assert all(code in documented_codes for code in told if code.startswith("924")), told
print("all as it should be")

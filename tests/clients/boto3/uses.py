"""When access keys were last used, as IAM tells it."""

import csv
import datetime
import io
import time

import boto3

iam = boto3.client("iam")
iam.create_user(UserName="alice")
made = iam.create_access_key(UserName="alice")["AccessKey"]
never = iam.create_access_key(UserName="alice")["AccessKey"]
before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
session = boto3.Session(made["AccessKeyId"], made["SecretAccessKey"], region_name="eu-west-2")
session.client("sts").get_caller_identity()


def last_used(key):
    return iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])


for _ in range(600):
    used = last_used(made)
    if "LastUsedDate" in used["AccessKeyLastUsed"]:
        break
    time.sleep(0.05)
used, user = used["AccessKeyLastUsed"], used["UserName"]
assert user == "alice" and (used["ServiceName"], used["Region"]) == ("sts", "eu-west-2"), used
now = datetime.datetime.now(datetime.timezone.utc)
assert before <= used["LastUsedDate"] <= now, (before, used, now)
assert last_used(never)["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}

iam.generate_credential_report()
report = iam.get_credential_report()["Content"].decode()
row = next(row for row in csv.DictReader(io.StringIO(report)) if row["user"] == "alice")
assert row["access_key_1_last_used_date"] == used["LastUsedDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
assert row["access_key_1_last_used_region"] == "eu-west-2"
assert row["access_key_1_last_used_service"] == "sts"
for column in ["date", "region", "service"]:
    assert row[f"access_key_2_last_used_{column}"] == "N/A"

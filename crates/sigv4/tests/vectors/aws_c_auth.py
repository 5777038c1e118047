"""Gathers the signing test suites of aws-c-auth into one file, for tests/aws_c_auth.rs.

    git clone --depth 1 --branch v0.9.0 https://github.com/awslabs/aws-c-auth
    python3 crates/sigv4/tests/vectors/aws_c_auth.py aws-c-auth/tests/aws-signing-test-suite \
        > crates/sigv4/tests/vectors/aws_c_auth.json

Nothing is changed but that each test is an object, with what was a file as a text. The suites are
Copyright Amazon.com, Inc. or its affiliates, and under the Apache License, Version 2.0.
"""

import json
import pathlib
import sys

FORMS = ("header", "query")
PARTS = ("signed-request", "canonical-request", "string-to-sign", "signature")

vectors = []
for suite in ("v4", "v4a"):
    for directory in sorted(pathlib.Path(sys.argv[1], suite).iterdir()):
        if not (directory / "context.json").exists():
            continue
        read = lambda name: (directory / name).read_bytes().decode()
        vector = {"suite": suite, "name": directory.name, "context": json.loads(read("context.json"))}
        if suite == "v4a":
            vector["public-key"] = json.loads(read("public-key.json"))
        for form in FORMS:
            vector[form] = {part: read(f"{form}-{part}.txt") for part in PARTS}
        vectors.append(vector)
json.dump(vectors, sys.stdout, indent=1, ensure_ascii=False)
print()

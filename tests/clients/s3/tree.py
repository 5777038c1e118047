"""Makes a folder of 2,000 files with names and sizes of all kinds: `tree.py FOLDER`."""

import os
import random
import sys

FILES = 2000
# Whatever S3 takes as a key and a file system as a name.
NAMES = [
    "plain", "with space", " leading and trailing ", "plus+plus", "per%cent", "%2F", "%2e%2e", "a&b=c",
    "semi;colon", "comma,colon:", "quote'quote\"", "star*query?", "hash#hash", "at@dollar$", "(round)[square]{curly}",
    "back\\slash", "pipe|tilde~", "caret^grave`", "<angle>", "ünïcödé", "e\u0301", "日本語", "🔑🪣", "…", "-dash", "_",
    "UPPER", "dot.", "..two", "a..b", "x" * 200, "tab\ttab", "\u00a0nbsp",
]  # fmt: skip

folder = sys.argv[1]
chance = random.Random(20260101)
for n in range(FILES):
    depth = chance.randrange(4)
    parts = [chance.choice(NAMES) for _ in range(depth)] + [f"{chance.choice(NAMES)}{n}"]
    path = os.path.join(folder, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Most are small, some empty, one in a hundred larger than rclone sends at once.
    size = chance.choice([0, 1, 17, 1000, 8192, 20_000])
    if n % 100 == 7:
        size = 6 << 20 if n % 1000 == 7 else 300_000
    with open(path, "wb") as file:
        file.write(chance.randbytes(size))

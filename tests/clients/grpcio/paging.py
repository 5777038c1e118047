"""An account with very many users, paged through whole."""

import os

from client import operator, pages, pb

U, K = pb["user"], pb["access_key"]
call = operator()
parent, expected = os.environ["CLAVIGER_ACCOUNT"], int(os.environ["CLAVIGER_USERS"])

request = U.ListUsersRequest(parent=parent, page_size=1000)
names = [user.user_name for user in pages(call, call.users.ListUsers, request, "users")]
assert len(names) == expected, len(names)
assert names == sorted(set(names)), "each once, in order"
request = K.ListAccessKeysRequest(parent=f"{parent}/users/-", page_size=1000)
keys = [key.access_key_id for key in pages(call, call.keys.ListAccessKeys, request, "access_keys")]
assert len(keys) == 1, "the root user's, after all the others"

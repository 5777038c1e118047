"""Two writers at once for what only one can have."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from client import operator, pb, reason_of

A, U, K = pb["account"], pb["user"], pb["access_key"]
ROUNDS = 50

calls = [operator(), operator()]
made = calls[0](
    calls[0].accounts.CreateAccount, A.CreateAccountRequest(account=A.Account(display_name="Races"))
)
account = made.account.name


def race(attempt):
    """What both got: an answer, or why not."""

    def one(call):
        try:
            return attempt(call)
        except grpc.RpcError as error:
            return error.code().name, reason_of(error)

    with ThreadPoolExecutor(2) as both:
        return list(both.map(one, calls))


def one_wins(outcomes, code, reason):
    lost = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert lost == [(code, reason)], outcomes


for n in range(ROUNDS):
    user = U.User(user_name=f"Racer{n}")
    outcomes = race(
        lambda call: call(call.users.CreateUser, U.CreateUserRequest(parent=account, user=user))
    )
    one_wins(outcomes, "ALREADY_EXISTS", "USER_NAME_TAKEN")
    holder = next(outcome for outcome in outcomes if not isinstance(outcome, tuple)).user.name
    for _ in range(9):
        calls[0](calls[0].keys.CreateAccessKey, K.CreateAccessKeyRequest(parent=holder))
    outcomes = race(
        lambda call: call(call.keys.CreateAccessKey, K.CreateAccessKeyRequest(parent=holder))
    )
    one_wins(outcomes, "RESOURCE_EXHAUSTED", "KEY_LIMIT")
    calls[0](calls[0].users.DeleteUser, U.DeleteUserRequest(name=holder, force=True))

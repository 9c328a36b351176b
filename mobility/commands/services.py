"""Doing a command once. It knows neither rides nor sockets."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction

from mobility.conf import knobs
from mobility.errors import Refusal, refusal_for
from mobility.transactions import rows, state_change

Answer = dict[str, Any]
AT_ONCE = 5_000
_TRIES = 5
# Who finds these at the commit had looked a moment too early: everything is done anew.
_LOOK_AGAIN = {"mobility_command_pkey", "offer_only_to_free_driver"}
# Refusals that say nothing about the command itself. A repeat is a new try.
NOT_REMEMBERED = frozenset(
    {"try_again", "unavailable", "internal_error", "too_many_searches", "unauthenticated", "account_inactive"}
)


class Wanted(NamedTuple):
    """A command as its client named it: who, by which id, and a digest of what is wanted."""

    principal: str
    command_id: str
    digest: str


def once(wanted: Wanted, work: Callable[[], Answer], refused: Callable[[Refusal], Answer]) -> Answer:
    """Do `work` and remember its answer, in one commit; or give the answer that was given before.

    A refusal by `work` takes back what it did and is remembered as `refused` words it, except for those of
    NOT_REMEMBERED, which are raised. `command_id_reused` is raised where the id stands for another command. `work` may
    run several times, of which one counts: its effects outside the database must be put down when this returns.
    """
    for _ in range(_TRIES):
        try:
            return _once(wanted, work, refused)
        except IntegrityError as error:
            if getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) not in _LOOK_AGAIN:
                raise
    raise Refusal("try_again")


@state_change
def _once(wanted: Wanted, work: Callable[[], Answer], refused: Callable[[Refusal], Answer]) -> Answer:
    named = {"principal": wanted.principal, "command_id": wanted.command_id}
    # Whoever sends the same at the same time waits here: a statement of its own, so that the next sees what they did.
    rows("commands/sql/lock", named)
    known = rows("commands/sql/known", named)
    if known:
        if known[0].digest != wanted.digest:
            raise Refusal("command_id_reused")
        answer: Answer = json.loads(known[0].answer)
        return answer
    try:
        with transaction.atomic():
            answer = work()
    except IntegrityError as error:
        refusal = refusal_for(error)
        constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
        if refusal is None or constraint in _LOOK_AGAIN:
            raise
        answer = _worded(refusal, refused)
    except Refusal as refusal:
        answer = _worded(refusal, refused)
    rows("commands/sql/remember", named | {"digest": wanted.digest, "answer": json.dumps(answer)})
    return answer


def _worded(refusal: Refusal, refused: Callable[[Refusal], Answer]) -> Answer:
    if refusal.code in NOT_REMEMBERED:
        raise refusal
    return refused(refusal)


def forget_old_commands() -> int:
    """Throw away answers older than `command_keep_days`, a bounded number at a time; how many."""
    return len(rows("commands/sql/forget", {"keep_days": knobs().command_keep_days, "at_once": AT_ONCE}))

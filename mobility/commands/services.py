"""Doing a command once. It knows neither rides nor sockets."""

import json
from collections.abc import Callable, Sequence
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


class Settled(NamedTuple):
    """What a command of several came to: whether its effect is due now, and its answer or why it has none."""

    is_new: bool
    answer: Answer | Refusal


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


def once_each(commands: Sequence[tuple[Wanted, Answer]]) -> list[Settled]:
    """Remember many commands and their answers in the transaction that has their effects; for each, what it came to.

    The effects of the new ones are due after this, in the same transaction; the others have the answer that was given
    before, `command_id_reused` where the id stands for another command. Of several by one name the first counts. Names
    come before whatever the effects lock; who does the same command at the same time elsewhere is waited for.
    """
    first: dict[tuple[str, str], int] = {}
    for at, (wanted, _) in enumerate(commands):
        first.setdefault(wanted[:2], at)
    ones = [commands[at] for at in first.values()]
    claimed = rows("commands/sql/claim", _columns(ones))
    new = {first[row] for row in claimed}
    stands = {commands[at][0][:2]: (commands[at][0].digest, commands[at][1]) for at in new}
    if len(claimed) < len(ones):
        # A statement of its own, so that it sees what was committed while the claim waited for it.
        known = rows("commands/sql/known_ones", _columns([one for one in ones if one[0][:2] not in stands]))
        stands |= {row[:2]: (row.digest, json.loads(row.answer)) for row in known}
    return [Settled(at in new, _standing(wanted, stands)) for at, (wanted, _) in enumerate(commands)]


def _columns(commands: Sequence[tuple[Wanted, Answer]]) -> dict[str, list[str]]:
    return {
        "principals": [wanted.principal for wanted, _ in commands],
        "command_ids": [wanted.command_id for wanted, _ in commands],
        "digests": [wanted.digest for wanted, _ in commands],
        "answers": [json.dumps(answer) for _, answer in commands],
    }


def _standing(wanted: Wanted, stands: dict[tuple[str, str], tuple[str, Answer]]) -> Answer | Refusal:
    if wanted[:2] not in stands:
        return Refusal("try_again")  # forgotten for its age in this very moment
    digest, answer = stands[wanted[:2]]
    return answer if digest == wanted.digest else Refusal("command_id_reused")


def forget_old_commands() -> int:
    """Throw away answers older than `command_keep_days`, a bounded number at a time; how many."""
    return len(rows("commands/sql/forget", {"keep_days": knobs().command_keep_days, "at_once": AT_ONCE}))

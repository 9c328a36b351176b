"""Whichever hint or reaction fails, and however: the command is done and answered as if nothing had been."""

import asyncio
import itertools
from functools import partial, wraps

import pytest

from mobility import events
from mobility.delivery import hub
from mobility.invariants.queries import broken_invariants
from tests.dispatch import test_interleavings as races
from tests.faults.nth_call import attempt, differences
from tests.faults.test_fail_nth import COMMANDS

QUICK = [(races.asked, "accept"), (races.confirmed, "give back"), (races.all_missed, "sweep")]
PAIRS = [
    (races.idle, "ask"), (races.asked, "cancel"), (races.asked, "assign 4"), (races.asked, "reconnect"),
    (races.asked, "go online"), (races.asked, "go offline"), (races.asked, "4 is offered"), (races.asked, "decline"),
    (races.confirmed, "arrive"), (races.confirmed, "start"), (races.in_progress, "complete"),
    (races.in_progress, "operator completes"), (races.arrived, "no-show"), (races.over, "sweep"), (races.lost, "sweep"),
    (races.silent, "sweep"),
]  # fmt: skip


# What no other socket need hear of: an alert to operators, and that a driver may take a ride, which is for later.
SAY_NOTHING = {(races.silent, "sweep"), (races.asked, "go online"), (races.asked, "decline")}


class Deaf(Exception):
    """What a hint or reaction fails with: nothing anybody knows."""


class Failing:
    """A call that fails the Nth time it is made; counts the calls that reach it."""

    def __init__(self, call, fail=None):
        self.call, self.fail, self.calls, self.at = call, fail or self.broken, 0, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.fail() if self.calls == self.at else self.call(*args, **kwargs)

    @staticmethod
    def broken():
        raise Deaf

    def arm(self, nth):
        self.calls, self.at = 0, nth


def fail_each(machine, command, failing):
    """Run the command once for each call there is of `failing`; how many there are."""
    failing.arm(0)
    first, whole, _ = machine.undisturbed(command)
    for nth in itertools.count(1):
        machine.fresh()
        failing.arm(nth)
        outcome = attempt(command)
        if failing.calls < nth:
            return nth - 1
        assert outcome == first, nth
        assert differences(machine.tables.told(), whole) == [], nth
        assert broken_invariants() == [], nth
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("start", "command"), [*QUICK, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS)],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_whichever_reaction_or_hint_fails(start, command, world, machine, monkeypatch):
    """Reactions, hints and the layer in one test: the runs cost little beside the test itself."""
    machine, pressed = machine(start), partial(COMMANDS[command], world)
    reacting = Failing(lambda reaction, fact: reaction(fact))
    with monkeypatch.context() as patch:
        patch.setattr(events, "_reactions", {
            fact: [wraps(reaction)(partial(reacting, reaction)) for reaction in known]
            for fact, known in events._reactions.items()
        })  # fmt: skip
        assert fail_each(machine, pressed, reacting) > 0

    hinting = Failing(hub.hint)
    with monkeypatch.context() as patch:
        patch.setattr(hub, "hint", hinting)
        hints = fail_each(machine, pressed, hinting)
    assert hints > 0 or (start, command) in SAY_NOTHING

    for fail in (raises, hangs):
        sending = Failing(sends, fail)
        with monkeypatch.context() as patch:
            patch.setattr(hub, "LAYER_TIMEOUT_S", 0.02)
            patch.setattr(hub.settings, "REDIS_URL", "redis://127.0.0.1:1/0")
            patch.setattr(hub, "get_channel_layer", lambda sending=sending: Layer(sending))
            assert fail_each(machine, pressed, sending) == hints


class Layer:
    """A channel layer over Redis, so far as the hub knows it."""

    def __init__(self, group_send):
        self.group_send = group_send


async def sends(_group, _message):
    """Sent."""


async def raises():
    raise ConnectionError("Redis went away")


async def hangs():
    await asyncio.sleep(3600)

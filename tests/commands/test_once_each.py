"""Many commands in one transaction: each has one effect and one answer, as if it were the only one."""

import random
import threading
import time

import pytest
from django.db import transaction

from mobility.commands.services import Settled, Wanted, once, once_each
from mobility.errors import Refusal
from mobility.models import Command
from mobility.transactions import state_change
from tests.commands.test_once import PIZZA, counted, missed, worded
from tests.dispatch.test_contention import at_once

pytestmark = pytest.mark.usefixtures("committed_db")
SALAD, SOUP = PIZZA._replace(command_id="c2"), PIZZA._replace(command_id="c3")
OTHER = "e" * 64


@pytest.fixture
def driver_id(make_driver):
    return make_driver(0, 0).pk


def ordered(*wanted, note=""):
    return [(one, {"done": one.command_id + note}) for one in wanted]


@state_change
def do(driver_id, commands):
    """Claim them, and count one missed request for each that is new; the answers."""
    settled = once_each(commands)
    for one in settled:
        if one.is_new:
            missed(driver_id)()
    return [one.answer if not isinstance(one.answer, Refusal) else one.answer.code for one in settled]


def test_each_is_done_once_and_has_the_answer_it_had(driver_id):
    assert do(driver_id, ordered(PIZZA, SALAD)) == [{"done": "c1"}, {"done": "c2"}]
    later = do(driver_id, ordered(SALAD, SOUP, PIZZA, note=" later"))
    assert later == [{"done": "c2"}, {"done": "c3 later"}, {"done": "c1"}]
    assert counted() == 3


def test_of_several_by_one_name_the_first_counts(driver_id):
    commands = [
        (PIZZA, {"n": 1}), (PIZZA, {"n": 2}), (PIZZA._replace(digest=OTHER), {"n": 3}),
        (PIZZA._replace(principal="user.2"), {"n": 4}),
    ]  # fmt: skip
    assert do(driver_id, commands) == [{"n": 1}, {"n": 1}, "command_id_reused", {"n": 4}]
    assert counted() == 2


def test_other_content_under_a_used_name_spoils_nobody_elses(driver_id):
    once(PIZZA, missed(driver_id), worded)
    told = do(driver_id, ordered(PIZZA._replace(digest=OTHER), SALAD))
    assert told == ["command_id_reused", {"done": "c2"}]
    assert do(driver_id, ordered(PIZZA)) == [{"missed": 1}]
    assert counted() == 2
    with pytest.raises(Refusal, match="command_id_reused"):
        once(SALAD._replace(digest=OTHER), missed(driver_id), worded)


def test_a_fault_after_it_takes_the_answers_back(driver_id):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert once_each(ordered(PIZZA)) == [Settled(is_new=True, answer={"done": "c1"})]
        raise ZeroDivisionError
    assert Command.objects.count() == 0


def test_the_same_ones_in_any_order_on_eight_connections_are_done_once(driver_id):
    every = [Wanted(f"user.{n % 3}", f"c{n}", "d" * 64) for n in range(60)]

    def work(i):
        mine = random.Random(i).sample(every, len(every))
        return dict(zip(mine, do(driver_id, ordered(*mine, note=f" by {i}")), strict=True))

    told = at_once(8, work)
    assert told == [told[0]] * 8
    assert counted() == 60


def test_it_and_the_same_name_used_alone_at_the_same_time_have_one_effect(driver_id):
    """Whoever is first wins, and the other is told so; where each waits for the other, the database ends that."""
    for n in range(5):
        name = PIZZA._replace(command_id=f"n{n}")
        told = at_once(2, lambda i, name=name: alone_or_together(i, name, missed(driver_id), driver_id))
        assert "command_id_reused" in told, told
        assert (counted(), Command.objects.count()) == (n + 1, n + 1)


def alone_or_together(i, name, work, driver_id):
    """By `once`, or, with other content, by `once_each`."""
    if i:
        return do(driver_id, ordered(name._replace(digest=OTHER)))[0]
    try:
        return once(name, work, worded)
    except Refusal as refusal:
        return refusal.code


def test_who_holds_what_it_needs_and_then_wants_its_name_ends_in_one_effect_too(driver_id):
    """The driver's row is held by a command alone, which then claims the name that the many have: one starts over."""
    held = threading.Event()

    def alone():
        answer = missed(driver_id)()
        held.set()
        time.sleep(0.3)  # until the others have their names and wait for the row
        return answer

    def work(i):
        assert i == 0 or held.wait(10)
        return alone_or_together(i, PIZZA, alone, driver_id)

    told = at_once(2, work)
    assert "command_id_reused" in told, told
    assert (counted(), Command.objects.count()) == (1, 1)

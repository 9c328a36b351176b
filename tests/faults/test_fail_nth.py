"""Whichever call to the database fails, and however: a command does all or nothing, says so, and can be repeated.

Every command of passengers, drivers, operators and the dispatcher, each from states of a ride where it does its work.
"""

import itertools
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from django.db import DatabaseError
from django.db.models.functions import Now

from geo.coordinates import lat_lon
from mobility.commands.services import Wanted
from mobility.delivery import background
from mobility.demand.services import count_hour
from mobility.dispatch.dispatcher import forget_old_explanations, sweep, sweep_next
from mobility.dispatch.duty import connect_driver, renew_presence, take_open_request
from mobility.dispatch.inbox import read_state
from mobility.dispatch.offers import mark_delivered
from mobility.invariants.queries import broken_invariants
from mobility.locations.batches import Named
from mobility.locations.ingest import write_fixes
from mobility.locations.services import place_driver
from mobility.models import Booking, Driver, Offer
from tests.dispatch import test_interleavings as races
from tests.faults.nth_call import attempt, differences
from tests.faults.wire import DEAD, DEADLOCK, FAULTS, LOCK_TIMEOUT, LOST, STATEMENT_TIMEOUT
from tests.positions import fix

THERE, NEXT_DOOR = lat_lon(-26.2, 28.05), lat_lon(-26.2001, 28.05)


def swept(w):
    """A ride's failure comes wrapped, so that the dispatcher's loop knows whose it is; here as it was raised."""
    failed = None
    try:
        sweep_next()
    except DatabaseError as error:
        inner = error.__cause__
        failed = inner if isinstance(inner, DatabaseError) else error
    if failed is not None:
        raise failed


def soon(w):
    """A device's time that stays the same however often it tells its positions, and is newer than what is known."""
    return w.__dict__.setdefault("soon", time.time() + 20)


def this_hour(w):
    """The hour in which the test began, also when another one begins meanwhile."""
    return w.__dict__.setdefault("hour", datetime.now(UTC).replace(minute=0, second=0, microsecond=0))


def named_once(w, n, at):
    """A position of driver 1, of when it arrives, by a name."""
    return Named(Wanted(f"user.{w.users[0]}", f"p{n}", "d" * 64), {"n": n}, [fix(w.drivers[0], at)])


def named_positions(w):
    """One that was told before, where it was; a new one; and one of driver 2 without a name."""
    return write_fixes([fix(w.drivers[1], THERE, soon(w))], [named_once(w, 2, NEXT_DOOR), named_once(w, 1, THERE)])


COMMANDS = races.COMMANDS | {
    "reconnect": lambda w: connect_driver(w.drivers[0], UUID(int=1)),
    "stay connected": lambda w: renew_presence({w.drivers[0]: UUID(int=1)}),
    "positions": lambda w: write_fixes([fix(w.drivers[0], at, soon(w) + n) for n, at in enumerate((THERE, NEXT_DOOR))]),
    "named positions": named_positions,
    "place": lambda w: place_driver(w.drivers[0], THERE),
    "delivered": lambda w: mark_delivered(w.drivers[0], Offer.objects.get(driver=w.drivers[0]).pk),
    "take open request": lambda w: take_open_request(w.drivers[0]),
    "look": lambda w: read_state(w.drivers[0]).state.status,
    "sweep": swept,
    "forget": lambda w: forget_old_explanations(),
    "count demand": lambda w: count_hour(this_hour(w)),
}


def last_miss(w):
    """Driver 1 missed two requests before this one: the third sends them offline."""
    races.missed(w)
    Driver.objects.filter(pk=w.drivers[0]).update(missed_offers=2)


def told_before(w):
    """Driver 1 has told a position by a name."""
    races.idle(w)
    write_fixes([], [named_once(w, 1, THERE)])


def given_back_often(w):
    """Once more, and the search is given up."""
    races.confirmed(w)
    w.as_superuser("UPDATE mobility_booking SET releases = 3")


def long_explained(w):
    races.asked(w)
    w.as_superuser("UPDATE mobility_search_round SET made_at = made_at - interval '400 days'")


def due(w):
    """A ride waits, and it is time to look again."""
    races.two_rides(w)
    Booking.objects.filter(pk=w.other_ride).update(due_at=Now() - timedelta(seconds=1))


PRESSED = {
    races.idle: ["ask", "4 goes offline", "go online", "reconnect", "stay connected", "positions", "place"],
    told_before: ["named positions"],
    races.asked: [
        "ask", "ask otherwise", "accept", "decline", "acknowledge", "delivered", "take open request", "cancel",
        "operator cancels", "assign 1", "assign 4", "go offline", "go online", "reconnect", "4 is offered", "look",
    ],
    races.two_rides: ["cancel", "decline", "go offline"],
    races.unfulfilled: ["ask", "cancel", "assign 4", "count demand"],
    races.confirmed: ["accept", "2 accepts", "give back", "cancel", "assign 4", "arrive", "start", "complete", "look"],
    given_back_often: ["give back"],
    races.arrived: ["no-show"],
    races.in_progress: ["complete", "operator completes", "operator cancels", "cancel"],
    long_explained: ["forget"],
}  # fmt: skip
SWEPT = [races.missed, races.unheard, races.all_missed, last_miss, due, races.over, races.lost, races.silent]
PAIRS = [(start, command) for start, commands in PRESSED.items() for command in commands]
PAIRS += [(start, "sweep") for start in SWEPT]
# The quick part: every fault for an accept, and each of them for one of the longest other commands.
QUICK = {(races.asked, "accept", fault) for fault in FAULTS} | {
    (races.idle, "ask", DEAD), (races.unfulfilled, "ask", LOCK_TIMEOUT), (races.two_rides, "cancel", LOST),
    (races.confirmed, "give back", DEADLOCK), (races.arrived, "no-show", STATEMENT_TIMEOUT),
    (races.in_progress, "complete", LOCK_TIMEOUT), (races.lost, "sweep", DEADLOCK),
    (races.asked, "reconnect", LOST), (told_before, "named positions", LOST),
    (races.unfulfilled, "count demand", DEAD),
}  # fmt: skip


# Both are errors that the server raises, and come back as another code: each command meets one of them.
RAISED = (LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def each(pairs, quick=QUICK):
    """A test for each command and fault; those that are not `quick` are slow."""
    return pytest.mark.parametrize(
        ("start", "command", "fault"),
        [
            pytest.param(
                start, command, fault, id=f"{start.__name__}-{command}-{fault.name}",
                marks=[] if (start, command, fault) in quick else pytest.mark.slow,
            )
            for n, (start, command) in enumerate(pairs) for fault in FAULTS
            if fault != RAISED[n % 2] or (start, command, fault) in quick
        ],
    )  # fmt: skip


@each(PAIRS)
def test_whichever_call_fails(start, command, fault, world, machine, record_property):
    failed = machine(start).fail_each(partial(COMMANDS[command], world), fault)
    record_property("calls failed", len(failed))
    assert failed


# --- the dispatcher's loop, and what is left for later ----------------------------------------------------------


@each(
    [(start, "sweep") for start in (races.all_missed, races.over, races.lost, races.silent, due)],
    quick={(races.all_missed, "sweep", DEAD), (races.over, "sweep", LOST)},
)
def test_what_a_sweep_could_not_do_a_later_one_does(start, command, fault, world, machine):
    machine = machine(start)

    def seen(first):
        machine.fresh()
        with machine.wire.failing(*first):
            outcome = attempt(sweep)
        for _ in range(2):
            Booking.objects.filter(due_at__isnull=False).update(due_at=Now())
            sweep()
        assert broken_invariants() == []
        return outcome, races.observed()

    _, expected = seen((0, DEAD))
    for nth in itertools.count(1):
        (ended, code), found = seen((nth, fault))
        if machine.wire.hit is None:
            break
        assert ended == "answered" or code == fault.code, (nth, machine.wire.hit)
        assert found == expected, (nth, machine.wire.hit)


@each(
    [(races.two_rides, "cancel"), (races.two_rides, "decline"), (races.confirmed, "give back")],
    quick={(races.two_rides, "cancel", LOCK_TIMEOUT)},
)
def test_a_reaction_that_fails_fails_nothing_else(start, command, fault, world, machine, later, monkeypatch):
    """Reactions that follow at once, as in a management command: each is a whole, done or lost."""
    machine = machine(start)
    first, _, _ = machine.undisturbed(partial(COMMANDS[command], world))
    own = len(machine.wire.said)
    ends = without_some(machine, partial(COMMANDS[command], world), later)
    monkeypatch.setattr(background, "_run", None)
    for nth in itertools.count(own + 1):
        machine.fresh()
        with machine.wire.failing(nth, fault):
            outcome = attempt(partial(COMMANDS[command], world))
        if machine.wire.hit is None:
            break
        where = (nth, machine.wire.hit)
        assert outcome == first, where
        end = machine.tables.told()
        apart = [differences(end, possible) for possible in ends]
        assert not all(apart), (where, apart)
        assert broken_invariants() == [], where
    assert nth > own + 1


def without_some(machine, command, later):
    """The ends of a command when any of what it leaves for later is lost."""
    machine.fresh()
    later.clear()
    attempt(command)
    jobs = range(len(later))
    ends = []
    for kept_ones in itertools.chain.from_iterable(itertools.combinations(jobs, n) for n in range(len(jobs) + 1)):
        machine.fresh()
        later.clear()
        attempt(command)
        for job in kept_ones:
            work, *args = later[job]
            attempt(lambda work=work, args=args: work(*args))
        ends.append(machine.tables.told())
    return ends

"""Judges a history against the database: nothing lost, doubled or made up. Pure; test_checker.py is its own test.

An `ok` command is stored exactly once, an `unknown` one once or not at all, a refused one never; and nothing is stored
that nobody asked for. What clients were told is judged in told.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from tests.chaos import drivers, told
from tests.chaos.history import History, Op, Role, Truth, Violation

# What the log calls a move -> the command that asks for it, by who made it.
_PASSENGERS = {"ride_requested": "find_driver", "search_started": "find_driver", "ride_cancelled": "cancel_ride"}
_DRIVERS = {
    "driver_arrived": "driver_arrived", "ride_started": "start_ride", "ride_completed": "complete_ride",
    "driver_released": "cancel_ride", "no_show": "no_show",
}  # fmt: skip
# A decline of a request that is over already is answered, and there is nothing left to store.
_MAY_STORE_NOTHING = {"decline_ride"}
_LIVE = {"pending", "confirmed", "in_progress"}


class Key(NamedTuple):
    """Who asked for what, about which ride."""

    role: Role
    who: int
    command: str
    ride: str | int


def violations(history: History, truth: Truth) -> list[Violation]:
    """Everything that is wrong but for `not_converged`, in the order of the rules; empty when nothing is."""
    judges = (
        _stored, _answers, _remembered, _alone, _ended, drivers.rows, told.sequences, told.frames, _goodbyes,
        _recovered,
    )  # fmt: skip
    found = [violation for judge in judges for violation in judge(history, truth)]
    return found + [Violation("invariant", broken) for broken in truth.broken]


# ------------------------------------------------------------------------------------------------------- once, or not


def _stored(history: History, truth: Truth) -> Iterator[Violation]:
    """Every command has its effect as often as its answer allows, and every effect its command."""
    asked: defaultdict[Key, list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.ride is not None:
            asked[Key(op.role, op.who, op.command, op.ride)].append(op)
    stored: defaultdict[Key, list[str]] = defaultdict(list)
    for key, mark in effects(truth):
        stored[key].append(mark)
    taken = set(_taken_by_going_online(history, truth))
    for key in asked.keys() | stored.keys():
        if asked[key] or key not in taken:
            yield from _of_key(key, asked[key], stored[key])


def _taken_by_going_online(history: History, truth: Truth) -> Iterator[Key]:
    """Who goes online to take rides without being asked takes with it the request that is open."""
    wishes: defaultdict[int, list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.role == "driver" and op.sent.get("auto_accept") and op.outcome != "fail":
            wishes[op.who].append(op)
    for offer in truth.offers:
        at = offer.settled - history.epoch
        for op in wishes[offer.driver_id]:
            # Of one that was given back, the time is that of the giving back.
            if op.began <= at and (offer.status == "released" or op.ended is None or at <= op.ended):
                yield Key("driver", offer.driver_id, "accept_ride", offer.booking_id)


def _of_key(key: Key, ops: list[Op], marks: list[str]) -> Iterator[Violation]:
    said = Counter(op.outcome for op in ops)
    words = f"{key.role} {key.who}, {key.command} of ride {key.ride}"
    times = f"stored {len(marks)} times; asked {len(ops)} times: {dict(said)}"
    possible = said["ok"] + said["unknown"]
    if marks and not possible:
        yield Violation("made up", f"{words}: {times}")
        return
    # A passenger may search again for a ride that found nobody; everything else happens to a ride once.
    if len(marks) > (possible if key.command == "find_driver" else 1):
        yield Violation("doubled", f"{words}: {times}")
    needed = min(said["ok"], 1)
    if key.command == "find_driver" and not said["unknown"]:
        needed = said["ok"]  # asked again only after no_drivers, so each began a search
    if key.command in _COUNTED and key.command not in _MAY_STORE_NOTHING and len(marks) < needed:
        yield Violation("lost", f"{words}: {times}")
    named = {op.command_id for op in ops if op.outcome != "fail"}
    for mark in marks:
        if mark and mark not in named:
            yield Violation("made up", f"{words}: it is marked {mark}, no command of theirs that may have worked")


_COUNTED = {*_PASSENGERS.values(), *_DRIVERS.values(), "accept_ride", "decline_ride"}


def effects(truth: Truth) -> Iterator[tuple[Key, str]]:
    """What people did, as it is stored; with the command's id where the command had it stored as a text."""
    user_of = {driver.user_id: driver.id for driver in truth.drivers.values()}
    for booking in truth.bookings.values():
        passenger = booking.passenger_id or 0  # 0: nobody whom we know
        for row in truth.log.get(booking.id, []):
            if row.actor_role == "passenger" and row.event in _PASSENGERS:
                mark = row.reason if row.event == "ride_cancelled" else ""
                yield Key("passenger", row.actor_id or passenger, _PASSENGERS[row.event], booking.ride_id), mark
            elif row.actor_role == "driver" and row.event in _DRIVERS:
                mark = row.reason if row.event == "driver_released" else ""
                yield Key("driver", user_of.get(row.actor_id or 0, 0), _DRIVERS[row.event], booking.id), mark
            elif row.actor_role == "operator":
                yield Key("passenger", 0, f"{row.event} by an operator", booking.ride_id), ""
    for offer in truth.offers:
        if offer.origin == "asked" and offer.status in {"accepted", "released"}:
            yield Key("driver", offer.driver_id, "accept_ride", offer.booking_id), ""
        elif offer.status == "declined":
            yield Key("driver", offer.driver_id, "decline_ride", offer.booking_id), offer.decline_reason


# ------------------------------------------------------------------------------------------------------------ answers


def _answers(history: History, truth: Truth) -> Iterator[Violation]:
    """A command has one answer, however often it was sent, and what it names is in the database."""
    finds: defaultdict[tuple[int, object], set[str]] = defaultdict(set)
    for op in history.ops:
        if op.command == "find_driver" and op.outcome != "fail":
            finds[op.who, op.ride].add(op.command_id)
        words = f"{op.role} {op.who}, {op.command} {op.command_id}"
        if any(answer != op.answers[0] for answer in op.answers[1:]):
            yield Violation("two answers", f"{words}: {op.answers}")
        if op.outcome != "ok" or op.ride is None or not op.answers:
            continue
        number = op.answers[0].get("booking_id")
        booking = truth.bookings.get(number or 0)
        if booking is None or op.ride not in {booking.ride_id, booking.id}:
            yield Violation("lost", f"{words} was answered with booking {number}, which is not that of {op.ride}")
            continue
        seq = op.answers[0].get("seq")
        if op.role == "passenger" and (booking.passenger_id != op.who or not 1 <= (seq or 0) <= booking.seq):
            yield Violation("lost", f"{words} was answered with seq {seq} of booking {number}, which has {booking}")
    for booking in truth.bookings.values():
        asked = finds.get((booking.passenger_id or 0, booking.ride_id), set())
        if booking.notes not in asked:
            yield Violation("made up", f"{booking}: its words are none of those that may have been asked: {asked}")


def _remembered(history: History, truth: Truth) -> Iterator[Violation]:
    """The database remembers each answer that was given, word for word, and none to a command that nobody gave."""
    given: dict[tuple[int, str], Op] = {}
    for op in history.ops:
        driver = truth.drivers.get(op.who) if op.role == "driver" else None
        given[op.who if driver is None else driver.user_id, op.command_id] = op
    for named, op in given.items():
        if op.answers and truth.answers.get(named) != op.answers[0]:
            said = f"answered {op.answers[0]}, remembered {truth.answers.get(named)}"
            yield Violation("lost", f"{op.role} {op.who}, {op.command} {op.command_id}: {said}")
    for named in truth.answers.keys() - given.keys():
        yield Violation("made up", f"{truth.answers[named]} is remembered for {named}, which nobody sent")


def _alone(_history: History, truth: Truth) -> Iterator[Violation]:
    """No driver has two rides at once: the log's times of each driver's rides do not overlap."""
    held: defaultdict[int, list[tuple[float, float, int]]] = defaultdict(list)
    for number, log in truth.log.items():
        driver, since = None, 0.0
        for row in log:
            if row.event == "driver_assigned":
                driver, since = row.driver_id, row.at
            elif driver is not None and (row.event == "driver_released" or row.to_status not in _LIVE):
                held[driver].append((since, row.at, number))
                driver = None
        if driver is not None:
            held[driver].append((since, float("inf"), number))
    for driver_id, rides in held.items():
        rides.sort()
        for (_, ended, one), (began, _, two) in pairwise(rides):
            if began < ended:
                yield Violation("two rides", f"driver {driver_id} had bookings {one} and {two} at once")


def _ended(_history: History, truth: Truth) -> Iterator[Violation]:
    """No ride is left hanging, and nobody is still being asked."""
    for booking in truth.bookings.values():
        if booking.status in _LIVE:
            yield Violation("hanging", f"{booking} has not ended")
    for offer in truth.offers:
        if offer.status == "pending":
            yield Violation("hanging", f"{offer} is still open")


# ---------------------------------------------------------------------------------------------------- after the faults


def not_converged(history: History, truth: Truth) -> Iterator[Violation]:
    """Clients that were still connected when this was in the database, and believe something else."""
    for view in history.views:
        if view.role == "passenger":
            booking = truth.bookings.get(view.booking_id or 0)
            if booking is None or (booking.seq, booking.status) != (view.seq, view.status):
                yield Violation("not converged", f"{view}, but the database has {booking}")
            continue
        unknown = [row for row in truth.inbox.get(view.who, []) if row.seq > view.seq]
        held = [b.id for b in truth.bookings.values() if b.driver_id == view.who and b.status in _LIVE]
        if unknown or held != ([] if view.booking_id is None else [view.booking_id]):
            yield Violation("not converged", f"{view}, who holds {held} and was not told {unknown}")


def _goodbyes(history: History, _truth: Truth) -> Iterator[Violation]:
    """A server that is asked to end says 1012 to every socket it has."""
    for struck in history.struck:
        if struck.action != "restart":
            continue
        for life in history.lives:
            here = life.server == struck.server and life.opened < struck.at and not life.left
            if here and life.closed is not None and struck.at <= life.closed <= struck.over and life.code != 1012:
                yield Violation("no goodbye", f"a socket of {life.role} {life.who} ended with {life.code} at a restart")


def _recovered(history: History, _truth: Truth) -> Iterator[Violation]:
    """After every fault somebody gets a booking again."""
    last = max((op.began for op in history.ops if op.command == "find_driver" and op.outcome == "ok"), default=0.0)
    for struck in history.struck:
        if struck.counted_from >= last:
            yield Violation("not recovered", f"no booking was begun and answered after {struck.action} {struck.target}")

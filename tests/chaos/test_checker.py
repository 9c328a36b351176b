"""The checker on hand-made histories: a sound one passes, and each of many tampered ones is found out."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.checker import not_converged, violations
from tests.chaos.history import Booking, Driver, History, Life, Offer, Op, Place, Row, Struck, Told, Truth, View

PASSENGER, DRIVER, RIDE, BOOKING = 9, 1, "r9-1", 5
EVENTS = (
    ("ride_requested", "pending", PASSENGER, "passenger"), ("driver_assigned", "confirmed", DRIVER, "driver"),
    ("driver_arrived", "confirmed", DRIVER, "driver"), ("ride_started", "in_progress", DRIVER, "driver"),
    ("ride_completed", "completed", DRIVER, "driver"),
)  # fmt: skip


def done(op: Op, **more: Any) -> Op:
    op.outcome, op.ended = "ok", op.began + 0.1
    op.answers = [{"type": "command_done", "command_id": op.command_id, "command": op.command} | more]
    return op


def story() -> tuple[History, Truth]:
    """A ride from the request to its end, as client, driver and database saw it."""
    find = Op("passenger", PASSENGER, "find_driver", "c1", RIDE, 10.0, {"notes": "c1"})
    done(find, booking_id=BOOKING, ride_id=RIDE, seq=1)
    online = done(Op("driver", DRIVER, "go_online", "c2", None, 9.0, {"auto_accept": False}))
    there = {"latitude": -26.2, "longitude": 28.0, "recorded_at": "2026-01-01T00:00:00.000+00:00"}
    place = done(Op("driver", DRIVER, "location_update", "c3", None, 11.0, there))
    commands = ("ride_request_received", "accept_ride", "driver_arrived", "start_ride", "complete_ride")
    rest = [
        done(Op("driver", DRIVER, name, f"c{n}", BOOKING, 11.0 + n), booking_id=BOOKING, ride_id=RIDE)
        for n, name in enumerate(commands, 4)
    ]
    frames: list[dict[str, Any]] = [
        {"type": "connection_established"},
        {"type": "searching", "booking_id": BOOKING, "ride_id": RIDE, "seq": 1},
        find.answers[0],
        {"type": "driver_assigned", "booking_id": BOOKING, "driver": {"id": DRIVER}, "seq": 2},
        {"type": "driver_arrived", "booking_id": BOOKING, "seq": 3},
        {"type": "ping", "after": 3},
        {"type": "pong", "seq": 3},
        {"type": "ride_started", "booking_id": BOOKING, "seq": 4},
        {"type": "ride_completed", "booking_id": BOOKING, "seq": 5},
    ]
    heard: list[dict[str, Any]] = [
        {"type": "driver_state", "driver_id": DRIVER, "inbox_seq": 0, "ride": None, "request": None},
        {"type": "ride_request", "booking_id": BOOKING, "inbox_seq": 1},
        {"type": "ride_assigned", "booking_id": BOOKING, "inbox_seq": 2},
        {"type": "driver_arrived", "booking_id": BOOKING, "seq": 3, "status": "confirmed"},
    ]
    history = History(
        ops=[find, online, place, *rest],
        lives=[
            Life("passenger", PASSENGER, RIDE, 0, 9.5, heard=frames), Life("driver", DRIVER, None, 1, 8.0, heard=heard),
        ],
        views=[
            View("passenger", PASSENGER, BOOKING, 5, "completed"), View("driver", DRIVER, None, 2, ""),
        ],
        struck=[Struck("kill", "server", 0, 9.9, 9.95, 9.9)],
    )  # fmt: skip
    log = [
        Row(BOOKING, n, event, status, who, role, 100.0 + n, DRIVER if event == "driver_assigned" else None, "")
        for n, (event, status, who, role) in enumerate(EVENTS, 1)
    ]
    truth = Truth(
        bookings={BOOKING: Booking(BOOKING, RIDE, PASSENGER, DRIVER, "completed", 5, "c1", "")},
        log={BOOKING: log},
        offers=[Offer(1, BOOKING, DRIVER, "accepted", "asked", "", delivered=True, settled=15.0)],
        drivers={DRIVER: Driver(DRIVER, DRIVER, "available", False, 1, 2, -26.2, 28.0, 1767225600.0)},
        answers={(o.who, o.command_id): o.answers[0] for o in history.ops},
        places={DRIVER: [Place(-26.2, 28.0, 1767225600.0)]},
        inbox={DRIVER: [Told(DRIVER, 1, "ride_request", BOOKING), Told(DRIVER, 2, "ride_assigned", BOOKING)]},
    )
    return history, truth


def op(history: History, command: str) -> Op:
    return next(o for o in history.ops if o.command == command)


def rules(history: History, truth: Truth) -> set[str]:
    return {v.rule for v in [*violations(history, truth), *not_converged(history, truth)]}


def test_a_sound_history_passes() -> None:
    history, truth = story()
    assert [*violations(history, truth), *not_converged(history, truth)] == []


Tamper = Callable[[History, Truth], Any]


def another_booking(truth: Truth, **changes: Any) -> Booking:
    """A second ride of the driver, whole, beginning when `at` says."""
    at = changes.pop("at", 200.0)
    booking = truth.bookings[BOOKING]._replace(id=6, ride_id="r9-2", **changes)
    truth.bookings[6] = booking
    truth.log[6] = [row._replace(booking_id=6, at=at + row.seq) for row in truth.log[BOOKING]]
    return booking


def ride(truth: Truth, **changes: Any) -> None:
    truth.bookings[BOOKING] = truth.bookings[BOOKING]._replace(**changes)


def driver(truth: Truth, **changes: Any) -> None:
    truth.drivers[DRIVER] = truth.drivers[DRIVER]._replace(**changes)


def told(truth: Truth, *kinds: str) -> None:
    """Further rows of the driver's inbox, from 3."""
    truth.inbox[DRIVER] += [Told(DRIVER, n, kind, BOOKING) for n, kind in enumerate(kinds, 3)]


def hear(history: History, role: str, *frames: dict[str, Any]) -> None:
    next(life for life in history.lives if life.role == role).heard.extend(frames)


def went_offline(seq: int) -> dict[str, Any]:
    return {"type": "went_offline", "booking_id": BOOKING, "inbox_seq": seq}


def state(seq: int, status: str) -> dict[str, Any]:
    return {"type": "ride_state", "booking_id": BOOKING, "seq": seq, "status": status}


def reconnected(history: History, *frames: dict[str, Any]) -> None:
    """The passenger's socket ended, and the next one was told this."""
    history.lives[0].closed = 20.0
    history.lives.append(Life("passenger", PASSENGER, RIDE, 1, 21.0, heard=list(frames)))


def restarted_without_goodbye(history: History, _truth: Truth) -> None:
    history.struck.append(Struck("restart", "server", 0, 9.6, 9.9, 9.6))
    history.lives[0].closed, history.lives[0].code = 9.7, 1006


def cancelled(truth: Truth) -> None:
    row = Row(BOOKING, 6, "ride_cancelled", "cancelled", PASSENGER, "passenger", 107.0, None, "")
    truth.log[BOOKING].append(row)


def inbox_with_a_gap(history: History, truth: Truth) -> None:
    told(truth, "went_offline", "went_offline")
    hear(history, "driver", went_offline(4))


def declined_in_vain(history: History, truth: Truth, *, settled: float) -> None:
    """Another driver declined and was answered at 12.1; their request ended otherwise, at `settled`."""
    history.ops.append(done(Op("driver", 2, "decline_ride", "c20", BOOKING, 12.0), booking_id=BOOKING))
    truth.answers[2, "c20"] = history.ops[-1].answers[0]
    truth.offers.append(Offer(2, BOOKING, 2, "withdrawn", "asked", "", delivered=True, settled=settled))
    truth.drivers[2] = truth.drivers[DRIVER]._replace(id=2, user_id=2, total_rides=0)


def forget(truth: Truth) -> None:
    """The ride is gone, as if the disk had lied."""
    truth.bookings.clear()
    truth.log.clear()
    truth.offers.clear()


def unanswered(history: History, command: str) -> None:
    op(history, command).outcome = "unknown"
    op(history, command).answers = []


def refuse(history: History, command: str) -> None:
    unanswered(history, command)
    op(history, command).outcome = "fail"


def swap(rows: list[Any], at: int, **changes: Any) -> None:
    rows[at] = rows[at]._replace(**changes)


def taken_by_going_online(history: History, truth: Truth) -> None:
    """Asked, the driver says that they take rides without being asked, and so take this one."""
    op(history, "go_online").sent["auto_accept"] = True
    history.ops.remove(op(history, "accept_ride"))
    del truth.answers[DRIVER, "c5"]
    driver(truth, auto_accept=True)
    swap(truth.offers, 0, settled=op(history, "go_online").began + 0.05)


def taken_after_going_online(history: History, truth: Truth) -> None:
    taken_by_going_online(history, truth)
    swap(truth.offers, 0, settled=op(history, "go_online").began + 2)


def unanswered_position_twice(history: History, truth: Truth) -> None:
    unanswered(history, "location_update")
    truth.places[DRIVER].insert(0, Place(-26.2, 28.0, 9.0))


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "a booking that was answered is gone": (lambda h, t: forget(t), "lost"),
    "a move that was answered is gone": (lambda h, t: t.log[BOOKING].pop(3), "lost"),
    "an accept that was answered is gone": (lambda h, t: t.offers.clear(), "lost"),
    "a confirmation that was answered is gone": (lambda h, t: swap(t.offers, 0, delivered=False), "lost"),
    "a decline that was answered is gone": (lambda h, t: declined_in_vain(h, t, settled=15.0), "lost"),
    "an answer is not remembered": (lambda h, t: t.answers.pop((PASSENGER, "c1")), "lost"),
    "another answer is remembered": (lambda h, t: t.answers.update({(DRIVER, "c5"): {"type": "error"}}), "lost"),
    "an answer to nobody": (lambda h, t: t.answers.update({(DRIVER, "c99"): {"type": "error"}}), "made up"),
    "a booking that nobody asked for": (lambda h, t: another_booking(t, passenger_id=10, notes=""), "made up"),
    "a booking of no passenger": (lambda h, t: another_booking(t, passenger_id=None), "made up"),
    "a refused command was done": (lambda h, t: refuse(h, "start_ride"), "made up"),
    "a refused request was booked": (lambda h, t: refuse(h, "find_driver"), "made up"),
    "a cancellation nobody asked for": (lambda h, t: cancelled(t), "made up"),
    "an operator who was not there": (lambda h, t: swap(t.log[BOOKING], 4, actor_role="operator"), "made up"),
    "other words than were asked": (lambda h, t: ride(t, notes="c99"), "made up"),
    "taken for a driver long after they went online": (taken_after_going_online, "made up"),
    "taken for a driver who accepts by hand": (lambda h, t: swap(t.offers, 0, origin="auto_accept"), "made up"),
    "a position nobody told": (lambda h, t: t.places[DRIVER].insert(0, Place(-26.3, 28.0, 9.0)), "made up"),
    "a refused position is stored": (lambda h, t: refuse(h, "location_update"), "made up"),
    "an answered position is gone": (lambda h, t: t.places.clear(), "lost"),
    "a position is stored twice": (lambda h, t: t.places[DRIVER].insert(0, Place(-26.2, 28.0, 9.0)), "doubled"),
    "an unanswered position is stored twice": (unanswered_position_twice, "doubled"),
    "a driver is not where they were last": (lambda h, t: driver(t, latitude=-26.3), "lost"),
    "auto_accept that was not asked for": (lambda h, t: driver(t, auto_accept=True), "lost"),
    "a move was stored twice": (lambda h, t: t.log[BOOKING].append(t.log[BOOKING][3]), "doubled"),
    "a search was begun twice": (
        lambda h, t: t.log[BOOKING].insert(1, t.log[BOOKING][0]._replace(event="search_started")), "doubled",
    ),
    "a ride was counted twice": (lambda h, t: driver(t, total_rides=2), "doubled"),
    "one command was answered in two ways": (
        lambda h, t: op(h, "find_driver").answers.append({"type": "error", "code": "ride_over"}), "two answers",
    ),
    "an answer names another booking": (lambda h, t: op(h, "accept_ride").answers[0].update(booking_id=7), "lost"),
    "an answer names a seq that is not there": (lambda h, t: op(h, "find_driver").answers[0].update(seq=9), "lost"),
    "a driver with two rides at once": (lambda h, t: another_booking(t, at=101.0), "two rides"),
    "a ride that never ends": (lambda h, t: ride(t, status="pending"), "hanging"),
    "an offer that never ends": (lambda h, t: swap(t.offers, 0, status="pending"), "hanging"),
    "a number goes back": (lambda h, t: h.lives[0].heard.append(h.lives[0].heard[1]), "went back"),
    "a number is left out": (lambda h, t: h.lives[0].heard.pop(7), "jump"),
    "a number of the inbox is left out": (inbox_with_a_gap, "jump"),
    "a passenger was told of another driver": (lambda h, t: h.lives[0].heard[3].update(driver={"id": 2}), "told wrong"),
    "a passenger was told another move": (lambda h, t: h.lives[0].heard[4].update(type="no_show"), "told wrong"),
    "a passenger was told more than is stored": (
        lambda h, t: hear(h, "passenger", {"type": "ride_cancelled", "booking_id": 5, "seq": 6}), "told wrong",
    ),
    "a driver was told what is not in the inbox": (lambda h, t: h.lives[1].heard[2].update(booking_id=6), "told wrong"),
    "a later socket is told less than an earlier one": (lambda h, t: reconnected(h, state(4, "in_progress")), "lost"),
    "a passenger who was left behind": (
        lambda h, t: h.views.append(View("passenger", PASSENGER, BOOKING, 4, "in_progress")), "not converged",
    ),
    "a driver who was left behind": (lambda h, t: h.views.append(View("driver", 1, None, 1, "")), "not converged"),
    "a driver who holds on to a ride that is over": (
        lambda h, t: h.views.append(View("driver", DRIVER, BOOKING, 2, "")), "not converged",
    ),
    "a restart without a goodbye": (restarted_without_goodbye, "no goodbye"),
    "no booking after a fault": (
        lambda h, t: h.struck.append(Struck("kill", "redis", None, 30.0, 31.0, 30.0)), "not recovered",
    ),
    "a broken invariant": (lambda h, t: t.broken.append("log_is_gapless"), "invariant"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_history_is_found_out(how: str) -> None:
    history, truth = story()
    tamper, rule = TAMPERED[how]
    tamper(history, truth)
    assert rule in rules(history, truth)


def nothing_of_the_end(history: History, truth: Truth) -> None:
    """The ride never ended by its driver, but by the dispatcher, who found them lost."""
    truth.log[BOOKING][2:] = [
        Row(BOOKING, 3, "driver_released", "pending", None, "system", 104.0, DRIVER, "driver_lost"),
        Row(BOOKING, 4, "no_drivers", "unfulfilled", None, "system", 105.0, None, ""),
    ]
    truth.bookings[BOOKING] = truth.bookings[BOOKING]._replace(status="unfulfilled", seq=4, driver_id=None)
    truth.offers[0] = truth.offers[0]._replace(status="released")
    truth.drivers[DRIVER] = truth.drivers[DRIVER]._replace(total_rides=0)
    del history.lives[0].heard[4:]
    del history.lives[1].heard[3:]
    history.views[0] = View("passenger", PASSENGER, BOOKING, 4, "unfulfilled")
    for command in ("driver_arrived", "start_ride", "complete_ride"):
        unanswered(history, command)


def resumed(history: History, _truth: Truth) -> None:
    """The last socket told up to 3; the next one begins with the state and is asked for what came after that."""
    del history.lives[0].heard[7:]
    assigned = {"type": "driver_assigned", "booking_id": BOOKING, "driver": {"id": DRIVER}, "seq": 4}
    moves = [
        {"type": kind, "booking_id": BOOKING, "seq": n} for n, kind in ((4, "ride_started"), (5, "ride_completed"))
    ]
    reconnected(history, state(4, "in_progress"), assigned, {"type": "resume", "after": 3}, *moves)


def a_request_over(history: History, truth: Truth) -> None:
    told(truth, "ride_request")
    hear(history, "driver", {"type": "ride_request_over", "booking_id": BOOKING, "inbox_seq": 3})
    history.views[1] = View("driver", DRIVER, None, 3, "")


def position_lost_unanswered(history: History, truth: Truth) -> None:
    unanswered(history, "location_update")
    truth.places.clear()


SOUND: dict[str, Tamper] = {
    "a request is taken by going online to take rides unasked": taken_by_going_online,
    "an unanswered position that was stored": lambda h, t: unanswered(h, "location_update"),
    "an unanswered position that was not stored": position_lost_unanswered,
    "an unanswered command that was done": lambda h, t: unanswered(h, "complete_ride"),
    "unanswered commands that were not done": nothing_of_the_end,
    "a repeated answer": lambda h, t: op(h, "find_driver").answers.append(op(h, "find_driver").answers[0]),
    "told again on request": lambda h, t: h.lives[0].heard.extend(
        [{"type": "resume", "after": 2}, *copy.deepcopy(h.lives[0].heard[4:5]), *copy.deepcopy(h.lives[0].heard[7:])]
    ),
    "a new socket is told the state and what it missed": resumed,
    "a request that was over before it could be told": a_request_over,
    "a decline of what was over already": lambda h, t: declined_in_vain(h, t, settled=11.5),
}  # fmt: skip


@pytest.mark.parametrize("how", SOUND)
def test_what_may_happen_is_let_pass(how: str) -> None:
    history, truth = story()
    SOUND[how](history, truth)
    assert [*violations(history, truth), *not_converged(history, truth)] == []

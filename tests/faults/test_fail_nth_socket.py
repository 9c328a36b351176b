"""Whichever call to the database fails while a socket answers: the client is told so, once, and can say it again."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection
from knox.models import AuthToken

from mobility import connections
from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import arrive_at_pickup
from mobility.invariants.queries import broken_invariants
from mobility.models import User
from mobility.people import throttle
from mobility.realtime import database, driver
from tests.dispatch import test_interleavings as races
from tests.faults.app import App
from tests.faults.nth_call import differences
from tests.faults.wire import DEAD, DEADLOCK, LOCK_TIMEOUT, LOST, STATEMENT_TIMEOUT
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE

SOCKET = UUID(int=1)
RIDE, NAMED = {"ride_id": "r"}, {"command_id": "c1"}
PASSENGER = [
    (races.idle, EXAMPLE), (races.asked, EXAMPLE), (races.unfulfilled, EXAMPLE), (races.idle, EXAMPLE | NAMED),
    (races.asked, {"type": "cancel_ride"}), (races.confirmed, {"type": "cancel_ride"}),
    (races.confirmed, {"type": "cancel_ride"} | NAMED), (races.confirmed, {"type": "resume", "last_seq": 0}),
]  # fmt: skip
DRIVER = [
    (races.asked, {"type": "go_online", "auto_accept": True}), (races.asked, {"type": "go_offline"}),
    (races.asked, RIDE | {"type": "ride_request_received"}), (races.asked, RIDE | {"type": "accept_ride"}),
    (races.asked, RIDE | {"type": "decline_ride"}), (races.confirmed, RIDE | {"type": "driver_arrived"}),
    (races.confirmed, RIDE | {"type": "start_ride"}), (races.in_progress, RIDE | {"type": "complete_ride"}),
    (races.confirmed, RIDE | {"type": "cancel_ride"}), (races.arrived, RIDE | {"type": "no_show"}),
    (races.asked, {"type": "location_update", "latitude": -26.2, "longitude": 28.05}),
    (races.confirmed, {"type": "resume", "last_inbox_seq": 0}),
    (races.asked, RIDE | NAMED | {"type": "accept_ride"}), (races.asked, RIDE | NAMED | {"type": "decline_ride"}),
    (races.asked, NAMED | {"type": "go_offline"}), (races.asked, NAMED | {"type": "go_online", "auto_accept": True}),
    (races.confirmed, RIDE | NAMED | {"type": "cancel_ride"}),
    (races.in_progress, RIDE | NAMED | {"type": "complete_ride"}),
    (races.asked, NAMED | {"type": "location_update", "latitude": -26.2, "longitude": 28.05}),
]  # fmt: skip
# How a session fails: the fault, whether the worker's connection is one kept from before (then what died under it is
# done once more), and whether the server stays away.
WAYS = {
    "lock timeout": (LOCK_TIMEOUT, True, False),
    "statement timeout": (STATEMENT_TIMEOUT, True, False),
    "deadlock": (DEADLOCK, True, False),
    "dead": (DEAD, False, False),
    "dead, kept before": (DEAD, True, False),
    "answer lost": (LOST, False, False),
    "answer lost, kept before": (LOST, True, False),
    "away": (DEAD, True, True),
}
# Commands that are not repeated by name meet half of them: how a session fails makes no difference between commands.
UNNAMED_WAYS = ("lock timeout", "dead, kept before", "answer lost", "away")
_QUICK = {
    "idle-passenger-find_driver-away", "asked-driver-accept_ride-lock timeout",
    "asked-driver-named-accept_ride-answer lost", "confirmed-driver-named-cancel_ride-statement timeout",
    "idle-passenger-named-find_driver-deadlock",
}  # fmt: skip


def cases():
    for who, frames in (("passenger", PASSENGER), ("driver", DRIVER)):
        for (start, frame), way in itertools.product(frames, WAYS):
            if "command_id" not in frame and way not in UNNAMED_WAYS:
                continue
            name = f"{start.__name__}-{who}-{'named-' * ('command_id' in frame)}{frame['type']}-{way}"
            yield pytest.param(start, who, frame, way, id=name, marks=[] if name in _QUICK else pytest.mark.slow)


@pytest.fixture
def worker(monkeypatch):
    """The sockets' one worker thread, which keeps its connection however long it is idle."""
    threads = ThreadPoolExecutor(1)
    monkeypatch.setattr(database, "_workers", lambda: threads)
    monkeypatch.setattr(connections, "KEEP_S", 600.0)
    monkeypatch.setattr(driver, "uuid4", lambda: SOCKET)  # each run's socket by the same name
    yield
    threads.submit(lambda: connection.close()).result()  # noqa: PLW0108 (of that thread)
    threads.shutdown()


@pytest.fixture
def stage(world, machine, worker, monkeypatch):
    """stage(start, who, way): the machine, what makes a new app of the passenger or of driver 1, and failing(nth)."""

    async def made(start, who, way):
        user, path = (world.passenger, "/ws/ride/r/") if who == "passenger" else (world.users[0], None)
        fault, kept, away = WAYS[way]

        def prepared():
            on = machine(start)
            return on, AuthToken.objects.create(User.objects.get(pk=user))[1]

        on, token = await in_thread(prepared)

        @contextmanager
        def failing(nth):
            with monkeypatch.context() as patch, on.wire.failing(nth, fault, away=away):
                if not kept:
                    patch.setattr(connections, "KEEP_S", -1.0)
                yield

        return on, lambda: App(path or f"/ws/driver/{world.drivers[0]}/", token), failing

    return made


def kinds(frames):
    """Frames without what differs from run to run."""
    return [(f["type"], f.get("seq"), f.get("inbox_seq"), f.get("status"), f.get("code")) for f in frames]


def searches_of(user_id):
    """How many of the passenger's searches of this hour are counted."""
    limit = throttle._search_limits(user_id, "127.0.0.1")[0]
    return cache.get(throttle._counter(limit, throttle._now()), 0)


@pytest.mark.parametrize(("start", "who", "frame", "way"), list(cases()))
async def test_whichever_call_fails(start, who, frame, way, stage, world, record_property):
    machine, app_of, failing = await stage(start, who, way)
    code = WAYS[way][0].code
    # Newer than what is known, and the same when it is told again: a command_id sees to that by itself.
    if frame["type"] == "location_update" and "command_id" not in frame:
        frame = frame | {"recorded_at": (datetime.now(UTC) + timedelta(seconds=20)).isoformat()}

    async def run(nth):
        """A new socket, the frame with a fault, and the same frame again; what was told, and what there is then."""
        machine.fresh()
        cache.clear()
        app = app_of()
        assert (await app.connect())[0]["type"] == "connection_established"
        with failing(nth):
            first = await app.ask(frame)
        again = await app.ask(frame)
        end = machine.tables.told()
        await app.leave()
        return first, again, end, searches_of(world.passenger)

    await run(0)  # the first one plans its statements
    first, again, end, searches = await run(0)
    assert await in_thread(broken_invariants) == []
    ordinary = [kinds(first), kinds(again)]
    for nth in itertools.count(1):
        failed, repeated, found, spent = await run(nth)
        if machine.wire.hit is None:
            break
        where = (nth, machine.wire.hit)
        errors = [f["code"] for f in failed if f["type"] == "error"]
        if errors:
            assert (errors, failed[-1]["type"]) == ([code], "error"), where
        else:
            assert kinds(failed) in ordinary, where
        assert kinds(repeated) in ordinary, where
        assert differences(found, end) == [], where
        assert spent <= searches, where
    record_property("calls failed", nth - 1)
    assert nth > 1


@pytest.mark.parametrize("way", [pytest.param(w, marks=[] if w == "lock timeout" else pytest.mark.slow) for w in WAYS])
@pytest.mark.parametrize(("who", "start"), [("passenger", races.confirmed), ("driver", races.asked)])
async def test_whichever_call_of_connecting_fails(who, start, way, stage):
    """The app is greeted as always, and a driver then is present; or it is told why not and closed, to come again."""
    machine, app_of, failing = await stage(start, who, way)
    code = WAYS[way][0].code

    async def connected(app):
        told = await app.connect()
        await app.leave()
        return kinds(told)

    async def run(nth):
        machine.fresh()
        with failing(nth):
            first = await connected(app_of())
        lines = machine.tables.take().rows["mobility_driver_presence"]
        present = who == "passenger" or str(SOCKET) in {line["socket_id"] for line in lines}
        return first, await connected(app_of()), present

    await run(0)
    *greetings, present = await run(0)
    assert present
    for nth in itertools.count(1):
        told, again, present = await run(nth)
        if machine.wire.hit is None:
            break
        where = (nth, machine.wire.hit, told)
        if told[-1][0] == "closed":
            assert [told_code for *_, told_code in told if told_code] == [code, 1011], where
        else:
            assert told in greetings, where
            assert present, where
        assert again in greetings, where
    assert nth > 1


@pytest.mark.parametrize("way", ["statement timeout", pytest.param("dead, kept before", marks=pytest.mark.slow)])
@pytest.mark.parametrize("frame", [EXAMPLE, {"type": "cancel_ride"}], ids=lambda frame: frame["type"])
async def test_a_move_not_yet_told_is_told_by_the_answer_to_the_repeated_frame(frame, way, stage, world):
    """The hint of the driver's arrival was lost; the next answer tells of it, also when it comes at the second try."""
    machine, app_of, failing = await stage(races.confirmed, "passenger", way)
    for nth in itertools.count(1):
        machine.fresh()
        app = app_of()
        await app.connect()
        await in_thread(arrive_at_pickup, world.ride, SYSTEM)
        with failing(nth):
            told = await app.ask(frame)
        told += await app.ask(frame)
        await app.leave()
        if machine.wire.hit is None:
            break
        assert [f["seq"] for f in told if f["type"] == "driver_arrived"] == [3], (nth, machine.wire.hit, told)
    assert nth > 1

"""Rows of some drivers are held by a transaction that does not end: everybody else's positions are stored meanwhile."""

import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import InternalError, OperationalError, connection

from geo.coordinates import from_point
from mobility.commands.services import Wanted
from mobility.errors import Refusal
from mobility.locations import buffer as buffers
from mobility.locations import ingest
from mobility.locations.batches import Batch, Named
from mobility.locations.stored import AllStored, Stored, settle
from mobility.models import Driver, DriverLocation, Position
from tests.locations.test_ingest import HERE, north
from tests.positions import fix

HELD, OTHER, THIRD = 1, 2, 65


def named(command_id, *driver_ids, user="user.1"):
    return Named(Wanted(user, command_id, "d" * 64), {"done": command_id}, [fix(n, HERE) for n in driver_ids])


@pytest.fixture
def waiting(buffer, written, monkeypatch):
    """A buffer with one thread; the row of a driver is held."""
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.02)
    written.held = {HELD}
    return buffer(every_s=0)


def told(written):
    """Whose positions were written, in order."""
    return [f.driver_id for batch in written.batches for f in batch]


def code(future):
    outcome = future.result(5)
    assert isinstance(outcome, Refusal)
    return outcome.code


def test_others_of_the_same_batch_are_written_and_those_held_when_they_are_free(waiting, written):
    both, other = waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]), waiting.put([fix(OTHER, HERE)])
    for future in (other, waiting.put([fix(THIRD, HERE)])):
        future.result(5)
    assert sorted(told(written)) == [OTHER, OTHER, THIRD]
    assert not both.done()
    written.held.clear()
    assert both.result(5) is None
    assert told(written)[3:] == [HELD]
    assert waiting.count == 0


def test_what_they_tell_meanwhile_waits_too_and_holds_up_nobody(waiting, written):
    futures = [waiting.put([fix(HELD, HERE)])]
    for n in range(20):
        futures += [waiting.put([fix(HELD, HERE)]), waiting.put_named(named(f"p{n}", HELD))]
        mixed = waiting.put([fix(HELD, HERE), fix(THIRD, HERE)])
        waiting.put([fix(OTHER, HERE)]).result(5)
        waiting.put_named(named(f"q{n}", OTHER)).result(5)
        assert not mixed.done()
        futures.append(mixed)
    assert not any(future.done() for future in futures)
    written.held.clear()
    answers = [future.result(5) for future in futures]
    assert [a for a in answers if a] == [{"done": f"p{n}"} for n in range(20)]
    waiting.put([fix(HELD, HERE)]).result(5)
    assert [told(written).count(n) for n in (HELD, OTHER, THIRD)] == [62, 40, 20]
    assert written.long_waits == 1


def test_what_they_told_before_it_was_known_waits_too(waiting, written):
    written.open.clear()
    first = waiting.put([fix(HELD, HERE)])
    while waiting.count:  # the thread takes it
        time.sleep(0.001)
    later = [waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]), waiting.put_named(named("p", HELD))]
    others = waiting.put_named(named("q", OTHER))
    written.open.set()
    assert others.result(5) == {"done": "q"}
    assert not any(future.done() for future in (first, *later))
    assert HELD not in told(written)
    assert written.long_waits == 1
    written.held.clear()
    assert [future.result(5) for future in (first, *later)] == [None, None, {"done": "p"}]


@pytest.mark.parametrize("what", ["a name", "a name without positions", "something of a driver"])
def test_what_is_held_and_cannot_be_seen_is_found_by_halving(waiting, written, what):
    """Of a hundred drivers and a hundred names one is held up, everybody else is written."""
    written.held.clear()
    written.open.clear()
    written.claimed = {"p50"} if what != "something of a driver" else set()
    written.unseen = set() if written.claimed else {50}
    futures = {n: waiting.put([fix(n, HERE)]) for n in range(100)}
    for n in range(100):
        whom = () if what == "a name without positions" and n == 50 else (1_000 + n,)
        futures[1_000 + n] = waiting.put_named(named(f"p{n}", *whom, user=f"user.{n}"))
    held = futures.pop(1_050 if written.claimed else 50)
    written.open.set()
    for future in futures.values():
        future.result(5)
    assert not held.done()
    again = waiting.put_named(named("p50", user="user.50")) if what == "a name without positions" else None
    for n in range(5):
        waiting.put([fix(OTHER, HERE)]).result(5)
        waiting.put_named(named(f"q{n}", OTHER)).result(5)
    written.claimed, written.unseen = set(), set()
    assert held.result(5) == ({"done": "p50"} if what != "something of a driver" else None)
    if again is not None:
        assert again.result(5) == {"done": "p50"}
    assert written.long_waits == 1
    assert len(told(written)) == 100 + 100 + 10 - (what == "a name without positions")


@pytest.mark.parametrize("error", [OperationalError("away"), InternalError("read only"), ValueError("a fault of ours")])
def test_when_it_cannot_be_seen_whose_rows_are_held(waiting, written, error):
    def fails(driver_ids):
        raise error

    waiting._held_up = fails
    held = waiting.put([fix(HELD, HERE)])
    waiting.put([fix(OTHER, HERE)]).result(5)
    waiting.put([fix(THIRD, HERE)]).result(5)
    assert not held.done()
    written.held.clear()
    assert held.result(5) is None


def test_a_database_that_goes_away_meanwhile(waiting, written):
    held = waiting.put([fix(HELD, HERE)])
    waiting.put([fix(OTHER, HERE)]).result(5)
    written.faults = [OperationalError("away")] * 5
    waiting.put([fix(OTHER, HERE)]).result(5)
    assert not held.done()
    written.held.clear()
    written.faults = [OperationalError("away")] * 5
    assert held.result(5) is None
    assert told(written).count(HELD) == 1


def test_a_fault_among_them_stops_neither_them_nor_others(waiting, written):
    held = waiting.put_named(named("p", HELD))
    waiting.put([fix(OTHER, HERE)]).result(5)
    written.faults = [ValueError("a fault of ours")]
    written.held.clear()
    assert code(held) == "internal_error"
    assert waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]).result(5) is None


def test_the_end_writes_all_others_and_tells_those(waiting, written):
    held = [waiting.put([fix(HELD, HERE)]), waiting.put_named(named("p", HELD))]
    waiting.put([fix(OTHER, HERE)]).result(5)
    mixed = waiting.put([fix(HELD, HERE), fix(OTHER, HERE)])
    others = waiting.put_named(named("q", THIRD))
    waiting.end()
    assert others.result(5) == {"done": "q"}
    assert held[0].result(5) == mixed.result(5) == code(held[1]) == "unavailable"
    assert told(written).count(OTHER) == 2


def test_too_many_aside_are_cut_to_the_newest_too(buffer, written, monkeypatch):
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.02)
    written.held = {HELD}
    waiting = buffer(every_s=0, at_most=100)
    futures = [waiting.put([fix(HELD, HERE)])]
    waiting.put([fix(OTHER, HERE)]).result(5)
    futures += [waiting.put([fix(HELD, HERE)]) for _ in range(500)]
    named_one = waiting.put_named(named("p", HELD))
    # Those that are being tried at a moment are not counted.
    assert waiting.count <= 100
    written.held.clear()
    for future in (*futures, named_one):
        future.result(5)
    assert waiting.put([fix(HELD, HERE)]).result(5) is None
    assert sum(len(batch) for batch in written.batches) < 200


def test_what_waited_long_is_not_written_all_at_once(waiting, written):
    futures = [waiting.put([fix(HELD, HERE)] * 900) for _ in range(20)]
    waiting.put([fix(OTHER, HERE)]).result(5)
    written.held.clear()
    for future in futures:
        assert future.result(5) is None
    assert max(len(batch) for batch in written.batches) <= buffers.BATCH_AT_MOST + buffers.AT


def test_too_many_while_they_are_tried(buffer, written, monkeypatch):
    """Batches aside become one while a thread goes through them."""
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.02)
    written.held = {HELD}
    waiting, cut = buffer(every_s=0, at=2, at_most=20), threading.Event()
    waiting.put([fix(HELD, HERE)])
    waiting.put([fix(OTHER, HERE)]).result(5)
    with waiting._news:  # no round begins
        futures = [waiting.put([fix(HELD, HERE)]) for _ in range(12)]
        assert len(waiting._aside) > 4

        def seen(driver_ids):
            waiting._held_up, count = written.held_up, 0
            while waiting.count >= count:  # until they are cut
                count = waiting.count
                futures.append(waiting.put([fix(HELD, HERE)]))
            cut.set()
            return written.held_up(driver_ids)

        waiting._held_up = seen
    assert cut.wait(5)
    written.held.clear()
    assert {future.result(5) for future in futures} == {None, "unavailable"}
    assert waiting.put([fix(HELD, HERE)]).result(5) is None


def test_who_is_free_is_not_behind_those_who_are_not(waiting, written, monkeypatch):
    """More than one batch of them, and more than can be tried at a time."""
    monkeypatch.setattr(buffers, "ASIDE_FOR_S", 0.005)
    written.wait_s = 0.002
    written.held, written.unseen = {HELD, OTHER}, {*range(100, 130)}
    waiting.put([fix(HELD, HERE)] * 6_000)
    for n in written.unseen:
        waiting.put([fix(n, HERE)])
    last = waiting.put([fix(OTHER, HERE)])
    waiting.put([fix(THIRD, HERE)]).result(5)
    assert not last.done()
    written.held = {HELD}
    assert last.result(5) is None


def test_however_long_it_is_held_who_waits_is_told_in_the_end(waiting, written, monkeypatch):
    """Hundreds of tries; and no more futures than positions."""
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.002)
    tries, seen = [], written.held_up
    waiting._held_up = lambda driver_ids: tries.append(driver_ids) or seen(driver_ids)
    futures = [waiting.put([fix(HELD, HERE), fix(OTHER, HERE)])]
    while len(tries) < 400:
        futures.append(waiting.put([fix(HELD, HERE)]))
        time.sleep(0.001)
    assert not any(future.done() for future in futures)
    with waiting._news:
        assert sum(len(one) for batch in waiting._aside._batches for one in batch.stored.values()) <= len(futures)
    written.held.clear()
    assert {future.result(5) for future in futures} == {None}
    assert told(written).count(HELD) == len(futures)


# --- batches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drivers", "names"), [(1, 1), (0, 2), (2, 0), (3, 0), (0, 3), (7, 4), (4, 7)])
def test_halves_are_not_empty_and_all_of_it(drivers, names):
    batch = Batch()
    for n in range(drivers):
        batch.put([fix(n, HERE), fix(n, HERE)])
    for n in range(names):
        batch.put_named(named(f"p{n}", n))
    whole = batch.count
    one, other = batch.halved()
    assert one.count > 0 < other.count
    assert one.count + other.count == whole
    assert {f.driver_id for f in one.fixes}.isdisjoint(f.driver_id for f in other.fixes)
    for half in (one, other):
        assert {f.driver_id for f in half.fixes} == {*half.stored}


@pytest.mark.parametrize(("drivers", "names"), [(1, 0), (0, 1)])
def test_what_has_no_halves(drivers, names):
    batch = Batch()
    for n in range(drivers):
        batch.put([fix(n, HERE), fix(n, HERE)])
    for n in range(names):
        batch.put_named(named(f"p{n}", n, n))
    assert batch.halved() is None


def test_one_for_many_that_end_on_many_threads():
    for _ in range(50):
        parts = [Stored() for _ in range(20)]
        whole = AllStored(parts)
        futures = [whole.future(), whole.future()]
        settle([parts[0]], "unavailable")
        threads = [threading.Thread(target=settle, args=([part],)) for part in parts[1:]]
        assert not whole.done()
        for thread in threads:
            thread.start()
        assert [future.result(5) for future in futures] == ["unavailable"] * 2
        assert (whole.done(), whole.result(0)) == (True, "unavailable")


def test_who_asks_in_the_moment_it_is_settled_is_told():
    for _ in range(300):
        one = Stored()
        settling = threading.Thread(target=settle, args=([one], "unavailable"))
        settling.start()
        assert one.result(5) == "unavailable"
        settling.join()
        settle([one])  # what is done stays as it is
        assert one.result(0) == "unavailable"


# --- the real database -------------------------------------------------------------------------------------------


@pytest.fixture
def drivers(request, make_driver, committed_db, monkeypatch):
    """Six of them; connections opened from now on wait for a lock a tenth as long as they would, or as a test says."""
    options, wait_ms = connection.settings_dict["OPTIONS"], getattr(request, "param", 200)
    monkeypatch.setitem(options, "options", f"{options['options']} -c lock_timeout={wait_ms}")
    at = datetime.now(UTC) - timedelta(hours=1)
    return [make_driver(-26.0, 28.0, recorded_at=at).pk for _ in range(6)]


@pytest.fixture
def running(drivers):
    """The ingest of this process, whose connections wait as `drivers` says."""
    ingest.start()
    yield
    ingest.stop(10)


def test_whose_rows_another_transaction_holds(drivers, admin_url):
    with psycopg.connect(admin_url) as holder:
        holder.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = ANY(%s)", [drivers[:2]])
        assert ingest.held_up([*drivers, 10**12]) == {*drivers[:2]}
        holder.rollback()
        assert ingest.held_up(drivers) == set()
        holder.execute("SELECT FROM mobility_driver_location WHERE driver_id = %s FOR UPDATE NOWAIT", [drivers[0]])


@pytest.mark.usefixtures("running")
def test_a_server_that_stands_still_in_a_batch_holds_up_its_drivers_only(drivers, admin_url, caplog):
    """Another server's transaction has written positions of two drivers, and does not end; those drivers come here."""
    held, others = drivers[:2], drivers[2:]
    with psycopg.connect(admin_url) as frozen:
        frozen.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = ANY(%s)", [held])
        blocked = [ingest.take([fix(driver_id, north(1))]).stored for driver_id in held]
        # The first ones wait for the lock as long as any statement may; whose it is, is known then.
        ingest.take([fix(held[0], north(2)), fix(others[0], north(2))])
        ingest.take([fix(others[1], north(3))]).stored.result(15)
        # From now on nobody else waits for it, whatever those two tell.
        for n in range(6):
            blocked.append(ingest.take([fix(held[n % 2], north(10 + n))]).stored)
            ingest.take([fix(driver_id, north(10 + n)) for driver_id in others]).stored.result(15)
        assert not any(future.done() for future in blocked)
        waited = [record for record in caplog.records if "positions_wait" in str(record.msg)]
        assert 1 <= len(waited) <= 2  # each of the two threads once
    assert [future.result(5) for future in blocked] == [None] * 8
    assert Position.objects.filter(driver_id__in=held).count() == 9
    assert from_point(DriverLocation.objects.get(pk=held[1]).position) == north(15)
    assert Position.objects.filter(driver_id__in=others).count() == 2 + 6 * len(others)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "what",
    [
        "the past",
        *(pytest.param(w, marks=pytest.mark.slow) for w in ("a name", "a name without positions", "a first position")),
    ],
)
def test_what_a_frozen_server_may_hold_beside_rows(drivers, make_driver, admin_url, what):
    at = time.time() - 600
    wanted = Wanted("user.9", "p1", "d" * 64)
    new = make_driver(None, None, status="offline").pk
    with psycopg.connect(admin_url) as frozen:
        if what.startswith("a name"):
            frozen.execute(
                "INSERT INTO mobility_command (principal, command_id, digest, answer)"
                " VALUES ('user.9', 'p1', repeat('d', 64), '{}')"
            )
            fixes = [fix(drivers[0], HERE)] if what == "a name" else []
            held = ingest.take_named(wanted, fixes, lambda dropped: {"done": "p1"})
        elif what == "the past":
            frozen.execute(
                "INSERT INTO mobility_position (driver_id, recorded_at, received_at, position, door)"
                " VALUES (%s, to_timestamp(%s), now(), ST_SetSRID(ST_MakePoint(28, -26), 4326), 'socket')",
                [drivers[0], at],
            )
            held = ingest.take([fix(drivers[0], HERE, at)]).stored
        else:
            frozen.execute(
                "INSERT INTO mobility_driver_location (driver_id, position, indexed_position, recorded_at, stationary,"
                " dispatchable, vehicle_type) SELECT %s, p, p, now(), false, false, ''"
                " FROM ST_SetSRID(ST_MakePoint(28, -26), 4326) AS p",
                [new],
            )
            held = ingest.take([fix(new, HERE)]).stored
        for n in range(2):
            others = [ingest.take([fix(driver_id, north(n))]).stored for driver_id in drivers[1:]]
            others += [
                ingest.take_named(
                    Wanted(f"user.{d}", f"q{n}", "d" * 64), [fix(d, north(10 + n))], lambda _: {"done": 1}
                )
                for d in drivers[1:]
            ]
            assert [future.result(15) for future in others] == [None] * 5 + [{"done": 1}] * 5
        assert not held.done()
        frozen.rollback()
    assert held.result(15) == ({"done": "p1"} if what.startswith("a name") else None)


@pytest.mark.parametrize("drivers", [0], indirect=True)
@pytest.mark.usefixtures("running")
def test_a_driver_whose_own_row_is_held_is_not_waited_for(drivers, admin_url, caplog):
    """Two were stationary and move. What follows for the one whose row is held, follows later.

    Positions have no limit of their own for locks here: who waited for this one would wait for its end.
    """
    Driver.objects.filter(pk__in=drivers[:2]).update(stationary=True)
    with psycopg.connect(admin_url) as holder:
        holder.execute("SELECT FROM mobility_driver WHERE id = %s FOR UPDATE", [drivers[0]])
        assert ingest.take([fix(driver_id, north(1)) for driver_id in drivers]).stored.result(15) is None
        assert [*Driver.objects.filter(pk__in=drivers, stationary=True).values_list("pk", flat=True)] == drivers[:1]
        assert "positions_not_followed" in caplog.text
    ingest.take([fix(drivers[0], north(2))]).stored.result(15)
    assert not Driver.objects.filter(stationary=True).exists()


def test_the_end_comes_while_rows_are_held(drivers, admin_url):
    ingest.start()
    with psycopg.connect(admin_url) as frozen:
        frozen.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = %s", [drivers[0]])
        held = ingest.take([fix(drivers[0], north(1))]).stored
        others = ingest.take([fix(drivers[1], north(1))]).stored
        stopped = threading.Thread(target=ingest.stop, args=(15,))
        stopped.start()
        stopped.join(15)
        assert not stopped.is_alive()
    assert (held.result(0), others.result(0)) == ("unavailable", None)
    assert Position.objects.filter(driver_id=drivers[1]).exists()
    assert not Position.objects.filter(driver_id=drivers[0]).exists()

"""Rows of some drivers are held by a transaction that does not end: everybody else's positions are stored meanwhile."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import OperationalError, connection

from geo.coordinates import from_point
from mobility.commands.services import Wanted
from mobility.errors import Refusal
from mobility.locations import buffer as buffers
from mobility.locations import ingest
from mobility.locations.buffer import Named
from mobility.models import DriverLocation, Position
from tests.locations.test_ingest import HERE, north
from tests.positions import fix

HELD, OTHER, THIRD = 1, 2, 3


def named(command_id, *driver_ids):
    return Named(Wanted("user.1", command_id, "d" * 64), {"done": command_id}, [fix(n, HERE) for n in driver_ids])


@pytest.fixture
def waiting(buffer, written, monkeypatch):
    """A buffer with one thread, whose first batch has a driver whose row is held and another one."""
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.02)
    written.held = {HELD}
    return buffer(every_s=0)


def drivers_of(batches):
    return [[f.driver_id for f in batch] for batch in batches]


def test_others_of_the_same_batch_are_written_and_those_held_when_they_are_free(waiting, written):
    both = waiting.put([fix(HELD, HERE), fix(OTHER, HERE)])
    waiting.put([fix(THIRD, HERE)]).result(5)
    assert sorted(n for batch in drivers_of(written.batches) for n in batch) == [OTHER, THIRD]
    assert not both.done()
    written.held.clear()
    both.result(5)
    assert drivers_of(written.batches)[-1] == [HELD]
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
    told = [n for batch in drivers_of(written.batches) for n in batch]
    assert (told.count(HELD), told.count(OTHER), told.count(THIRD)) == (62, 40, 20)


def test_what_they_told_before_it_was_known_waits_too(waiting, written):
    written.open.clear()
    first = waiting.put([fix(HELD, HERE)])
    # Not in the batch that fails: that one is with the thread, or takes these along and fails alike.
    later = [waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]), waiting.put_named(named("p", HELD))]
    others = waiting.put_named(named("q", OTHER))
    written.open.set()
    assert others.result(5) == {"done": "q"}
    assert not any(future.done() for future in (first, *later))
    assert HELD not in {n for batch in drivers_of(written.batches) for n in batch}
    written.held.clear()
    assert [future.result(5) for future in (first, *later)] == [None, None, {"done": "p"}]


def test_where_it_is_no_row_that_is_held_named_ones_wait_aside(waiting, written, monkeypatch):
    """It is a name then, which another transaction claims."""
    monkeypatch.setattr(waiting, "_held_up", lambda driver_ids: set())
    held = waiting.put_named(named("p", HELD))
    waiting.put([fix(OTHER, HERE)]).result(5)
    waiting.put_named(named("q", OTHER)).result(5)
    assert not held.done()
    written.held.clear()
    assert held.result(5) == {"done": "p"}


def test_where_nothing_is_held_any_more_when_it_is_looked_the_batch_is_tried_again(waiting, written):
    def free(driver_ids):
        written.held.clear()
        return set()

    waiting._held_up = free
    waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]).result(5)
    assert sorted(n for batch in drivers_of(written.batches) for n in batch) == [HELD, OTHER]


def test_when_it_cannot_be_looked_the_batch_is_tried_again(waiting, written):
    def away(driver_ids):
        written.held.clear()
        waiting._held_up = written.held_up
        raise OperationalError("away")

    waiting._held_up = away
    waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]).result(5)
    assert waiting._held_up == written.held_up


def test_a_database_that_goes_away_meanwhile(waiting, written):
    held = waiting.put([fix(HELD, HERE)])
    waiting.put([fix(OTHER, HERE)]).result(5)
    written.faults = [OperationalError("away")] * 5
    waiting.put([fix(OTHER, HERE)]).result(5)
    assert not held.done()
    written.held.clear()
    held.result(5)


def test_a_fault_among_them_stops_neither_them_nor_others(waiting, written):
    held = waiting.put_named(named("p", HELD))
    waiting.put([fix(OTHER, HERE)]).result(5)
    written.faults = [ValueError("a fault of ours")]
    written.held.clear()
    outcome = held.result(5)
    assert isinstance(outcome, Refusal)
    assert outcome.code == "internal_error"
    waiting.put([fix(HELD, HERE), fix(OTHER, HERE)]).result(5)


def test_the_end_writes_all_others_and_tells_those(waiting, written):
    held = [waiting.put([fix(HELD, HERE)]), waiting.put_named(named("p", HELD))]
    waiting.put([fix(OTHER, HERE)]).result(5)
    waiting.put([fix(HELD, HERE), fix(OTHER, HERE)])
    others = waiting.put_named(named("q", THIRD))
    waiting.end()
    assert others.result(5) == {"done": "q"}
    with pytest.raises(OperationalError):
        held[0].result(5)
    outcome = held[1].result(5)
    assert isinstance(outcome, Refusal)
    assert outcome.code == "unavailable"
    assert [n for batch in drivers_of(written.batches) for n in batch].count(OTHER) == 2


def test_too_many_aside_are_cut_to_the_newest_too(buffer, written, monkeypatch):
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.02)
    written.held = {HELD}
    waiting = buffer(every_s=0, at_most=100)
    futures = [waiting.put([fix(HELD, HERE)])]
    waiting.put([fix(OTHER, HERE)]).result(5)
    futures += [waiting.put([fix(HELD, HERE)]) for _ in range(500)]
    told = waiting.put_named(named("p", HELD))
    assert waiting.count <= 100
    written.held.clear()
    for future in futures:
        future.result(5)
    told.result(5)
    assert sum(len(batch) for batch in written.batches) < 200


# --- the real database -------------------------------------------------------------------------------------------


@pytest.fixture
def drivers(make_driver, committed_db, monkeypatch):
    """Six of them; connections opened from now on wait for a lock a tenth as long as they would."""
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", f"{options['options']} -c lock_timeout=200")
    at = datetime.now(UTC) - timedelta(hours=1)
    return [make_driver(-26.0, 28.0, recorded_at=at).pk for _ in range(6)]


def test_whose_rows_another_transaction_holds(drivers, admin_url):
    with psycopg.connect(admin_url) as holder:
        holder.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = ANY(%s)", [drivers[:2]])
        assert ingest.held_up([*drivers, 10**12]) == {*drivers[:2]}
        holder.rollback()
        assert ingest.held_up(drivers) == set()
        holder.execute("SELECT FROM mobility_driver_location WHERE driver_id = %s FOR UPDATE NOWAIT", [drivers[0]])


def test_a_server_that_stands_still_in_a_batch_holds_up_its_drivers_only(drivers, admin_url, caplog):
    """Another server's transaction has written positions of two drivers, and does not end; those drivers come here."""
    held, others = drivers[:2], drivers[2:]
    ingest.start()
    try:
        with psycopg.connect(admin_url) as frozen:
            frozen.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = ANY(%s)", [held])
            blocked = [ingest.take([fix(driver_id, north(1))]).written for driver_id in held]
            # The first ones wait for the lock as long as any statement may; whose it is, is known then.
            ingest.take([fix(held[0], north(2)), fix(others[0], north(2))])
            ingest.take([fix(others[1], north(3))]).written.result(15)
            # From now on nobody else waits for it, whatever those two tell.
            for n in range(12):
                blocked.append(ingest.take([fix(held[n % 2], north(10 + n))]).written)
                ingest.take([fix(driver_id, north(10 + n)) for driver_id in others]).written.result(15)
            assert not any(future.done() for future in blocked)
            waited = [record for record in caplog.records if "positions_wait" in str(record.msg)]
            assert 1 <= len(waited) <= 2  # each of the two threads once
        for future in blocked:
            future.result(5)
    finally:
        ingest.stop(10)
    assert Position.objects.filter(driver_id__in=held).count() == 15
    assert from_point(DriverLocation.objects.get(pk=held[1]).position) == north(21)
    assert Position.objects.filter(driver_id__in=others).count() == 2 + 12 * len(others)


def test_the_end_comes_while_rows_are_held(drivers, admin_url):
    ingest.start()
    with psycopg.connect(admin_url) as frozen:
        frozen.execute("UPDATE mobility_driver_location SET speed = 1 WHERE driver_id = %s", [drivers[0]])
        held = ingest.take([fix(drivers[0], north(1))]).written
        others = ingest.take([fix(drivers[1], north(1))]).written
        stopped = threading.Thread(target=ingest.stop, args=(15,))
        stopped.start()
        stopped.join(15)
        assert not stopped.is_alive()
    assert Position.objects.filter(driver_id=drivers[1]).exists()
    with pytest.raises(OperationalError):
        held.result(0)
    others.result(0)

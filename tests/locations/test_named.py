"""Positions under the name of a command: stored once, however often they are told, and answered alike."""

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection

from geo.coordinates import from_point, lat_lon
from mobility.commands.services import Wanted
from mobility.errors import Refusal
from mobility.locations import buffer as buffers
from mobility.locations import ingest
from mobility.locations.batches import Named
from mobility.locations.fixes import Drop
from mobility.locations.ingest import take_named, write_fixes
from mobility.models import Command, Driver, DriverLocation, Position
from tests.dispatch.test_contention import at_once
from tests.locations.test_ingest import HERE, north
from tests.positions import fix

FIRST = Wanted("user.1", "p1", "d" * 64)
COLD = lat_lon(0, 0)


def told(dropped):
    return {"dropped": dict(dropped)}


def named(wanted, *fixes, answer=None):
    return Named(wanted, {"done": wanted.command_id} if answer is None else answer, list(fixes))


def refused(future):
    """The code of what a future has instead of an answer."""
    outcome = future.result(5)
    assert isinstance(outcome, Refusal)
    return outcome.code


@pytest.fixture
def driver_id(make_driver, committed_db):
    return make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1)).pk


def places():
    return [round(row.position.y, 5) for row in Position.objects.order_by("recorded_at")]


def test_a_repeat_without_a_time_of_its_own_is_stored_once(driver_id):
    answers = [take_named(FIRST, [fix(driver_id, HERE), fix(driver_id, north(9))], told).result() for _ in range(3)]
    assert answers == [{"dropped": {}}] * 3
    assert Position.objects.count() == 2


def test_other_content_under_the_name_is_refused_and_changes_nothing(driver_id):
    take_named(FIRST, [fix(driver_id, HERE)], told)
    assert (
        refused(take_named(FIRST._replace(digest="e" * 64), [fix(driver_id, north(500))], told)) == "command_id_reused"
    )
    assert from_point(DriverLocation.objects.get().position) == HERE
    assert Position.objects.count() == 1


def test_what_was_dropped_is_told_again_though_it_would_be_dropped_otherwise_now(driver_id):
    first = take_named(FIRST, [fix(driver_id, COLD), fix(driver_id, HERE)], told).result()
    assert first == {"dropped": {Drop.NULL_ISLAND: 1}}
    assert take_named(FIRST, [fix(driver_id, COLD, time.time() - 25 * 3600)], told).result() == first
    nothing = take_named(FIRST._replace(command_id="p2"), [fix(driver_id, COLD)], told).result()
    assert take_named(FIRST._replace(command_id="p2"), [fix(driver_id, HERE)], told).result() == nothing
    assert Position.objects.count() == 1


def test_a_batch_has_positions_with_and_without_a_name(driver_id, make_driver):
    other = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1)).pk
    write_fixes([], [named(FIRST, fix(driver_id, north(1)))])
    second = FIRST._replace(command_id="p2")
    answers = write_fixes(
        [fix(other, north(2))],
        [
            named(FIRST, fix(driver_id, north(3))), named(second, fix(driver_id, north(4)), fix(other, north(5))),
            named(second, fix(driver_id, north(6))), named(second._replace(digest="e" * 64), fix(driver_id, north(7))),
            named(FIRST._replace(command_id="p3")),
        ],
    )  # fmt: skip
    assert answers[:3] == [{"done": "p1"}, {"done": "p2"}, {"done": "p2"}]
    assert isinstance(answers[3], Refusal)
    assert answers[4] == {"done": "p3"}
    assert Counter(places()) == Counter(round(north(m).latitude, 5) for m in (1, 2, 4, 5))
    assert Command.objects.count() == 3


def test_the_same_ones_on_many_connections_are_stored_once(driver_id):
    names = [FIRST._replace(command_id=f"p{n}") for n in range(40)]

    def work(i):
        turn = names[i * 5 :] + names[: i * 5]
        for part in (turn[:15], turn[15:]):
            write_fixes([], [named(name, fix(driver_id, north(names.index(name)))) for name in part])

    at_once(8, work)
    assert sorted(places()) == sorted(round(north(n).latitude, 5) for n in range(40))
    assert Command.objects.count() == 40


def test_a_fault_leaves_neither_the_position_nor_its_name(driver_id):
    with pytest.raises(IntegrityError, match="position_door_is_known"):
        write_fixes([], [named(FIRST, fix(driver_id, HERE, door="window"))])
    assert (Position.objects.count(), Command.objects.count()) == (0, 0)
    assert write_fixes([], [named(FIRST, fix(driver_id, HERE))]) == [{"done": "p1"}]


def test_what_follows_from_positions_may_fail_and_they_are_stored_once(driver_id, make_driver, admin_url):
    """Somebody holds the row of a driver who was stationary; another one was silent, and is heard again."""
    held = make_driver(-26.0, 28.0, stationary=True, recorded_at=datetime.now(UTC) - timedelta(hours=1)).pk
    with psycopg.connect(admin_url) as admin, psycopg.connect(admin_url) as holder:
        admin.execute(
            "UPDATE mobility_driver_location SET stale = true, dispatchable = false WHERE driver_id = %s", [driver_id]
        )
        admin.commit()
        holder.execute("SELECT FROM mobility_driver WHERE id = %s FOR UPDATE", [held])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")
        answers = write_fixes([fix(driver_id, north(1))], [named(FIRST, fix(held, north(2)))])
    assert answers == [{"done": "p1"}]
    assert sorted(places()) == sorted(round(north(m).latitude, 5) for m in (1, 2))
    assert not DriverLocation.objects.get(driver_id=driver_id).stale
    assert Driver.objects.get(pk=held).stationary  # until their next position
    write_fixes([fix(held, north(3))])
    assert not Driver.objects.get(pk=held).stationary


# --- the buffer --------------------------------------------------------------------------------------------------


def test_named_ones_wait_with_the_others_and_each_has_its_answer(buffer, written):
    waiting = buffer(every_s=0.2)
    futures = [waiting.put_named(named(FIRST._replace(command_id=f"p{n}"), fix(n, HERE))) for n in range(3)]
    waiting.put([fix(3, HERE)]).result(5)
    assert [future.result(0) for future in futures] == [{"done": f"p{n}"} for n in range(3)]
    assert [len(batch) for batch in written.batches] == [4]


def test_a_name_whose_positions_were_all_dropped_waits_like_one(buffer, written):
    written.open.clear()
    waiting = buffer(every_s=3600)
    future = waiting.put_named(named(FIRST))
    assert waiting.count == 1
    written.open.set()
    waiting.hurry()
    assert future.result(5) == {"done": "p1"}
    assert waiting.count == 0


def test_when_too_many_wait_named_ones_are_to_be_told_again(buffer, written):
    written.open.clear()
    waiting = buffer(every_s=3600, at_most=100, at=1000)
    first = waiting.put_named(named(FIRST, *(fix(1, HERE) for _ in range(60))))
    others = waiting.put([fix(2, HERE) for _ in range(41)])
    assert refused(first) == "unavailable"
    assert waiting.count == 1
    written.open.set()
    waiting.hurry()
    assert others.result(5) == "unavailable"
    while waiting.count:
        time.sleep(0.01)
    assert [f.driver_id for batch in written.batches for f in batch] == [2]


@pytest.mark.parametrize(
    ("error", "code"), [(OperationalError("away"), "unavailable"), (ValueError("a fault of ours"), "internal_error")]
)
def test_named_ones_that_cannot_be_written_are_told_so(buffer, written, monkeypatch, error, code):
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.01)
    written.faults = [error] * 1_000_000
    waiting = buffer(every_s=0)
    future = waiting.put_named(named(FIRST, fix(1, HERE)))
    waiting.end()
    assert refused(future) == code


def test_what_one_writer_gave_up_at_the_end_another_may_still_write(buffer, written):
    written.faults = [OperationalError("away")]
    waiting = buffer(every_s=3600)
    future, others = waiting.put_named(named(FIRST, fix(1, HERE))), waiting.put([fix(2, HERE)])
    waiting.end()
    assert refused(future) == "unavailable"
    assert others.result(5) == "unavailable"
    failed = ingest.counts["failed"]
    waiting.run()  # the other one
    assert [len(batch) for batch in written.batches] == [2]
    assert ingest.counts["failed"] == failed


def test_two_writers_and_many_repeats_of_a_running_ingest(driver_id):
    """The real buffer, its two threads, and names that are told again and again from several threads at once."""
    ingest.start()
    try:
        futures = []
        lock = threading.Lock()

        def work(i):
            for n in range(300):
                future = take_named(FIRST._replace(command_id=f"p{n % 50}"), [fix(driver_id, north(n % 50))], told)
                with lock:
                    futures.append(future)
                if n % 7 == i:
                    ingest.hurry()

        at_once(4, work)
        answers = [future.result(10) for future in futures]
    finally:
        ingest.stop(10)
    assert answers == [{"dropped": {}}] * 1_200
    assert sorted(places()) == sorted(round(north(n).latitude, 5) for n in range(50))

"""The ingest: whatever the order, the batches and the repeats, the newest position and the whole past."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.coordinates import LatLon, from_point, lat_lon
from mobility.locations import buffer as buffers
from mobility.locations import fixes, ingest
from mobility.locations.fixes import Door, Drop, sift
from mobility.locations.ingest import write_fixes
from mobility.models import DriverLocation, Position
from tests.positions import fix

HERE = lat_lon(-26.2, 28.05)


def north(metres: float) -> LatLon:
    return lat_lon(-26.2 + metres / 110_600, 28.05)


def past(driver_id: int) -> list[tuple[datetime, float]]:
    """The driver's history in order: when and at which latitude."""
    kept = Position.objects.filter(driver_id=driver_id).order_by("recorded_at")
    return [(row.recorded_at, row.position.y) for row in kept]


# --- what is stored ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_position_is_where_the_driver_is_and_was(make_driver):
    driver = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1))
    at = datetime.now(UTC) - timedelta(seconds=5)
    write_fixes([fix(driver.pk, HERE, at, heading=90.0, speed=12.5, accuracy_m=8.0, door=Door.FLEET)])
    now = DriverLocation.objects.get(pk=driver.pk)
    assert (from_point(now.position), now.heading, now.speed) == (HERE, 90.0, 12.5)
    assert abs(now.recorded_at - at) < timedelta(microseconds=2)
    assert now.dispatchable
    then = Position.objects.get()
    assert (then.driver_id, then.heading, then.speed, then.accuracy_m, then.door) == (driver.pk, 90, 12.5, 8, "fleet")
    assert (then.recorded_at, then.received_at) == (now.recorded_at, now.received_at)


@pytest.mark.django_db
def test_a_driver_without_a_position_gets_their_first(make_driver):
    driver = make_driver(None, None, status="offline", vehicle_type="suv")
    write_fixes([fix(driver.pk, HERE)])
    location = DriverLocation.objects.get(pk=driver.pk)
    assert (location.dispatchable, location.vehicle_type) == (False, "suv")


@pytest.mark.django_db
@pytest.mark.parametrize("metres", [0.0, 5e-324, 1e-50, 1e-38, 0.0009])
def test_an_accuracy_too_small_for_its_column_spoils_nobodys_batch(make_driver, metres):
    driver, other = make_driver(*HERE), make_driver(*HERE)
    now = time.time()
    taken, dropped = sift([fix(driver.pk, HERE, now, accuracy_m=metres), fix(other.pk, HERE, now)])
    write_fixes(taken)
    assert not dropped
    assert Position.objects.get(driver_id=driver.pk).accuracy_m == 0
    assert Position.objects.filter(driver_id=other.pk).exists()


@pytest.mark.django_db
def test_without_a_time_of_its_own_a_position_is_of_when_it_arrived(make_driver):
    driver = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1))
    write_fixes([fix(driver.pk, HERE, arrived=time.monotonic() - 20)])
    location = DriverLocation.objects.get(pk=driver.pk)
    assert location.recorded_at == location.received_at
    assert timedelta(seconds=19) < datetime.now(UTC) - location.received_at < timedelta(seconds=40)


@pytest.mark.django_db
def test_an_unknown_driver_has_a_past_only(make_driver):
    """The doors look who is known; should one be wrong, the others' positions are not lost for it."""
    driver = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1))
    write_fixes([fix(10**12, HERE), fix(driver.pk, HERE)])
    assert from_point(DriverLocation.objects.get().position) == HERE


def test_a_stationary_driver_who_tells_a_position_is_stationary_no_more(committed_db, make_driver):
    driver = make_driver(-26.0, 28.0, stationary=True, recorded_at=datetime.now(UTC) - timedelta(hours=1))
    write_fixes([fix(driver.pk, HERE)])
    driver.refresh_from_db()
    assert not driver.stationary
    assert not DriverLocation.objects.get().stationary


MOMENTS = st.lists(st.integers(0, 3_000), min_size=1, max_size=25, unique=True)


@st.composite
def _told(draw: st.DrawFn) -> list[list[tuple[int, int, str]]]:
    """Batches of (driver, moment, door): each moment at least once, some again, in any order."""
    tracks = draw(st.lists(MOMENTS, min_size=1, max_size=3))
    every = [(driver, moment) for driver, moments in enumerate(tracks) for moment in moments]
    again = draw(st.lists(st.sampled_from(every), max_size=10))
    shuffled = draw(st.permutations(every + again))
    doors = draw(st.lists(st.sampled_from([*Door]), min_size=len(shuffled), max_size=len(shuffled)))
    flow = [(*told, door) for told, door in zip(shuffled, doors, strict=True)]
    cuts = sorted(draw(st.lists(st.integers(0, len(flow)), max_size=5)))
    return [flow[a:b] for a, b in zip([0, *cuts], [*cuts, len(flow)], strict=True) if a < b]


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_told())
def test_any_order_in_any_batches_with_repeats_is_the_sorted_track(make_driver, batches):
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with transaction.atomic():
        drivers = [
            make_driver(-26.0, 28.0, recorded_at=begin - timedelta(hours=1), received_at=begin).pk for _ in range(3)
        ]
        for batch in batches:
            write_fixes(
                [fix(drivers[d], north(m), begin + timedelta(seconds=m), door=door) for d, m, door in batch]
            )  # fmt: skip
        for number, driver_id in enumerate(drivers):
            moments = sorted({m for batch in batches for d, m, _ in batch if d == number})
            track = [(begin + timedelta(seconds=m), pytest.approx(north(m).latitude)) for m in moments]
            assert past(driver_id) == track
            if moments:
                now = DriverLocation.objects.get(pk=driver_id)
                assert (now.recorded_at, now.position.y) == track[-1]
        transaction.set_rollback(True)


def test_writers_at_the_same_time_end_in_the_same_state(committed_db, make_driver):
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    drivers = [make_driver(-26.0, 28.0, recorded_at=begin - timedelta(hours=1), received_at=begin).pk for _ in range(8)]

    def writer(number: int) -> None:
        try:
            for turn in range(10):
                moments = [(number * 7 + turn * 13 + n) % 90 for n in range(30)]
                order = drivers if (number + turn) % 2 else drivers[::-1]
                write_fixes([fix(d, north(m), begin + timedelta(seconds=m)) for m in moments for d in order])
        finally:
            connection.close()

    threads = [threading.Thread(target=writer, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = sorted({(number * 7 + turn * 13 + n) % 90 for number in range(4) for turn in range(10) for n in range(30)})
    for driver_id in drivers:
        assert [at for at, _ in past(driver_id)] == [begin + timedelta(seconds=m) for m in told]
        assert DriverLocation.objects.get(pk=driver_id).recorded_at == begin + timedelta(seconds=told[-1])


# --- what is not taken -------------------------------------------------------------------------------------------


def test_positions_that_cannot_be_are_left_out_and_counted(settings):
    now = time.time()
    good = fix(1, HERE, now - 3, accuracy_m=200.0)
    told = [
        fix(1, HERE, now + 90), fix(1, HERE, now - 25 * 3600), fix(1, lat_lon(0.0004, -0.0003), now),
        fix(1, HERE, now, accuracy_m=200.1), fix(1, lat_lon(28.05, -26.2), now),
        good, fix(1, lat_lon(0, 28), now + 30), fix(1, HERE, None),
    ]  # fmt: skip
    taken, dropped = sift(told)
    assert taken == [good, *told[6:]]
    assert dropped == {Drop.FUTURE: 1, Drop.TOO_OLD: 1, Drop.NULL_ISLAND: 1, Drop.INACCURATE: 1, Drop.SWAPPED: 1}


@pytest.mark.django_db
def test_the_database_does_not_take_them_either(make_driver):
    """Its clock decides, should the server's be wrong."""
    driver = make_driver(-26.0, 28.0)
    now = time.time()
    write_fixes([fix(driver.pk, HERE, now + 90), fix(driver.pk, HERE, now - 25 * 3600)])
    assert not Position.objects.exists()
    assert from_point(DriverLocation.objects.get().position) == lat_lon(-26.0, 28.0)


def test_times_are_judged_by_the_databases_clock(committed_db, make_driver, monkeypatch):
    """This server's is two minutes ahead. What is taken is stored."""
    driver = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=30))
    stands, late = time.time() + 120, 24 * 3600
    monkeypatch.setattr(fixes, "_ahead_s", 0.0)
    monkeypatch.setattr(time, "time", lambda: stands)
    write_fixes([fix(driver.pk, HERE)])
    now = stands - fixes._ahead_s
    told = [fix(driver.pk, HERE, now + by) for by in (50, 58.9, 59.1, 100, 170, -late + 20, -late + 0.9, -late - 60)]
    taken, dropped = sift(told)
    assert taken == [told[0], told[1], told[5]]
    assert dropped == {Drop.FUTURE: 3, Drop.TOO_OLD: 2}
    write_fixes(taken)
    assert Position.objects.filter(driver_id=driver.pk).count() == 1 + len(taken)


def test_clocks_are_compared_before_the_first_position(committed_db, monkeypatch):
    monkeypatch.setattr(fixes, "_ahead_s", 3600.0)
    ingest.start()
    ingest.stop(10)
    assert abs(fixes._ahead_s) < 60


def test_what_the_database_leaves_out_is_counted_and_logged(committed_db, make_driver, caplog):
    driver, before = make_driver(-26.0, 28.0), ingest.counts["left_out"]
    write_fixes([fix(driver.pk, HERE), fix(driver.pk, HERE, time.time() + 90)])
    assert ingest.counts["left_out"] == before + 1
    assert "positions_left_out" in caplog.text


# --- the buffer --------------------------------------------------------------------------------------------------


def test_positions_are_written_together_some_time_after_the_first(buffer, written):
    waiting = buffer(every_s=0.2)
    futures = [waiting.put([fix(n, HERE)]) for n in range(5)]
    assert not any(future.done() for future in futures)
    for future in futures:
        future.result(5)
    assert [[f.driver_id for f in batch] for batch in written.batches] == [[0, 1, 2, 3, 4]]


def test_enough_positions_are_written_at_once(buffer, written):
    waiting = buffer(every_s=3600, at=3)
    waiting.put([fix(1, HERE), fix(2, HERE)])
    waiting.put([fix(3, HERE)]).result(5)
    assert len(written.batches) == 1


def test_who_waits_need_not_wait_for_the_batch(buffer, written):
    waiting = buffer(every_s=3600)
    future = waiting.put([fix(1, HERE)])
    waiting.hurry()
    future.result(5)


def test_the_end_writes_what_waits(buffer, written):
    waiting = buffer(every_s=3600)
    future = waiting.put([fix(1, HERE)])
    waiting.end()
    future.result(5)


def test_while_the_database_is_away_positions_wait(buffer, written, monkeypatch):
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.01)
    written.faults = [OperationalError("away")] * 3
    waiting = buffer(every_s=0)
    waiting.put([fix(1, HERE)]).result(5)
    assert len(written.batches) == 1


def test_a_batch_that_cannot_be_written_stops_no_other(buffer, written):
    written.faults = [ValueError("a fault of ours")]
    waiting = buffer(every_s=0)
    assert waiting.put([fix(1, HERE)]).result(5) == "internal_error"
    waiting.put([fix(2, HERE)]).result(5)
    assert written.batches[0][0].driver_id == 2


def test_too_many_positions_are_cut_to_the_newest_of_each_driver(buffer, written):
    written.open.clear()
    waiting = buffer(every_s=0, at_most=100)
    first = waiting.put([fix(99, HERE)])  # the writer is busy with it, or takes it together with what follows
    began = time.time() - 500
    futures = [waiting.put([fix(n % 7, HERE, began + (n * 37) % 500)]) for n in range(500)]
    assert waiting.count <= 101
    written.open.set()
    assert all(future.result(5) in {None, "unavailable"} for future in (first, *futures))
    assert "unavailable" in {future.result(0) for future in futures}
    while waiting.count:
        time.sleep(0.01)
    newest = {n: max(began + (m * 37) % 500 for m in range(500) if m % 7 == n) for n in range(7)}
    last = {f.driver_id: f.recorded_at for batch in written.batches for f in batch if f.recorded_at}
    stored = {
        n: max(f.recorded_at for b in written.batches for f in b if f.driver_id == n and f.recorded_at) for n in last
    }
    assert stored == newest
    assert sum(len(batch) for batch in written.batches) < 200


def test_what_cannot_be_written_until_the_end_is_told(buffer, written, monkeypatch):
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.01)
    written.faults = [OperationalError("away")] * 1_000_000
    waiting = buffer(every_s=0)
    future = waiting.put([fix(1, HERE)])
    waiting.end()
    assert future.result(5) == "unavailable"


def test_the_ingest_of_a_process_begins_and_ends(committed_db, make_driver):
    driver = make_driver(-26.0, 28.0, recorded_at=datetime.now(UTC) - timedelta(hours=1))
    ingest.start()
    try:
        assert ingest.is_buffered()
        taken = ingest.take([fix(driver.pk, HERE), fix(driver.pk, lat_lon(0, 0))])
        assert taken.dropped == {Drop.NULL_ISLAND: 1}
        assert taken.stored is not None
    finally:
        ingest.stop(10)
    assert taken.stored.done()
    assert from_point(DriverLocation.objects.get().position) == HERE
    assert not ingest.is_buffered()

"""What is counted by hexagon and hour, when, and how long it is kept."""

import random
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection, connections

from geo.coordinates import LatLon
from geo.geodesy import destination
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole, Status
from mobility.demand.models import SIZES_M
from mobility.demand.queries import demand_version
from mobility.demand.services import HOURS_AT_ONCE, count_due_hours, count_hour, forget_old_hours
from mobility.dispatch.driving import give_back_ride
from mobility.dispatch.services import cancel_ride
from mobility.models import Booking, DemandHour, DemandMade, Driver, Position
from mobility.sql import sql
from tests.bookings.test_guards import insert_booking
from tests.demand.staging import PLACE, cell_of, counts, due_now, hour_ago, only
from tests.positions import tell

pytestmark = pytest.mark.usefixtures("stage")
PASSENGER = Actor(None, ActorRole.PASSENGER)
MINUTE = timedelta(minutes=1)


def told(driver: Driver, at: datetime, place: LatLon = PLACE) -> None:
    tell(driver.pk, place, recorded_at=at)


# --- requests ----------------------------------------------------------------------------------------------------


def test_a_request_counts_where_and_when_it_was_made_in_every_size(stage):
    hour = hour_ago(2)
    stage.requested(hour + 20 * MINUTE)
    assert count_hour(hour)
    assert counts(hour) == {(size_m, cell_of(PLACE, size_m)): (1, 1, 0) for size_m in SIZES_M}


@pytest.mark.parametrize(("second", "counted"), [(-1e-6, 0), (0, 1), (3599.999999, 1), (3600, 0)])
def test_an_hour_has_its_first_moment_and_not_its_last(stage, second, counted):
    hour = hour_ago(3)
    stage.requested(hour + timedelta(seconds=second))
    told(stage.make_driver(-26.2, 28.04, status="offline"), hour + timedelta(seconds=second))
    count_hour(hour)
    assert DemandHour.objects.filter(hour=hour, size_m=1_000, requests=1).count() == counted
    assert sum(row[2] for row in counts(hour, size_m=1_000).values()) == counted


def test_hours_are_of_utc_whatever_zone_a_session_has(stage, admin_url):
    stage.requested(hour_ago(2) + 30 * MINUTE)
    with psycopg.connect(admin_url) as other:
        other.execute("SET timezone = 'Asia/Kolkata'")  # half an hour off
        found = other.execute(sql("demand/sql/due"), {"keep_days": 400, "at_once": 12}).fetchall()
    assert [hour for (hour,) in found] == [hour_ago(0), hour_ago(1), hour_ago(2)]


def waiting(stage, at: datetime) -> Booking:
    """A ride that is searched for: the only driver around is busy."""
    driver = stage.make_driver(-26.2041, 28.0473)
    stage.requested(at - timedelta(hours=5), driver=driver)
    booking = stage.requested(at)
    assert booking.status == Status.PENDING
    return booking


@pytest.mark.parametrize(
    ("what", "unfulfilled"),
    [("waiting", 0), ("no driver", 1), ("cancelled before", 1), ("cancelled after no driver", 1), ("driven", 0),
     ("cancelled with driver", 0), ("cancelled after given back", 1), ("confirmed", 0)],
)  # fmt: skip
def test_who_counts_as_unfulfilled(stage, what, unfulfilled):
    hour = hour_ago(1)
    at = hour + MINUTE
    if what in {"waiting", "cancelled before"}:
        booking = waiting(stage, at)
    elif what in {"no driver", "cancelled after no driver"}:
        booking = stage.requested(at)
        assert booking.status == Status.UNFULFILLED
    elif what == "driven":
        booking = stage.driven_by(stage.make_driver(-26.2041, 28.0473), at, at + 10 * MINUTE)
    else:
        booking = stage.requested(at, driver=stage.make_driver(-26.2041, 28.0473))
        assert booking.status == Status.CONFIRMED
    if what == "cancelled after given back":
        give_back_ride(booking.pk, SYSTEM)
    if what.startswith("cancelled"):
        cancel_ride(booking.pk, PASSENGER)
    count_hour(hour)
    assert only(hour)[:2] == (1, unfulfilled)


def test_a_scheduled_ride_that_was_called_off_before_its_search_lacked_no_driver(stage):
    hour = hour_ago(1)
    with connection.cursor() as cursor:
        cursor.execute(
            insert_booking(status="'scheduled'", due_at="NULL", requested_at=f"'{hour.isoformat()}'").replace(
                "INSERT INTO mobility_booking", "WITH b AS (INSERT INTO mobility_booking"
            )
            + " RETURNING id) INSERT INTO mobility_ride_event"
            " (booking_id, seq, event, from_status, to_status, actor_role, payload)"
            " SELECT id, 1, 'ride_scheduled', '', 'scheduled', 'passenger', '{}' FROM b"
        )
    booking = Booking.objects.get()
    count_hour(hour)
    assert only(hour)[:2] == (1, 0)
    cancel_ride(booking.pk, PASSENGER)
    due_now()
    count_hour(hour)
    assert only(hour)[:2] == (1, 0)


# --- idle drivers ------------------------------------------------------------------------------------------------


def test_an_idle_driver_counts_once_in_each_cell_they_told_of(stage):
    hour = hour_ago(2)
    first, second = (stage.make_driver(-26.0, 28.0, status="offline") for _ in range(2))
    far = destination(PLACE, bearing_deg=90, distance_m=9_000)
    for minute in (1, 2, 30):
        told(first, hour + minute * MINUTE)
    told(first, hour + 50 * MINUTE, far)
    told(second, hour + 51 * MINUTE, far)
    count_hour(hour)
    assert counts(hour, size_m=500) == {(500, cell_of(PLACE, 500)): (0, 0, 1), (500, cell_of(far, 500)): (0, 0, 2)}


@pytest.mark.parametrize(("second", "idle"), [(-0.001, 1), (0, 0), (300, 0), (599.999, 0), (600, 1)], ids=str)
def test_a_driver_is_not_idle_from_the_confirmation_to_the_end_of_a_ride(stage, second, idle):
    hour = hour_ago(2)
    driver = stage.make_driver(-26.2041, 28.0473)
    begun = hour + 10 * MINUTE
    stage.driven_by(driver, begun, begun + 10 * MINUTE)
    told(driver, begun + timedelta(seconds=second))
    count_hour(hour)
    assert only(hour) == (1, 0, idle)


def test_a_ride_that_goes_on_over_the_hour_counts_in_each(stage):
    driver = stage.make_driver(-26.2041, 28.0473)
    stage.driven_by(driver, hour_ago(5) - MINUTE, hour_ago(3) + MINUTE)
    for back in (5, 4, 3):
        told(driver, hour_ago(back))
    told(driver, hour_ago(3) + 2 * MINUTE)
    idle = []
    for back in (5, 4, 3):
        count_hour(hour_ago(back))
        idle.append(sum(row[2] for row in counts(hour_ago(back), size_m=500).values()))
    assert idle == [0, 0, 1]


def test_who_is_on_a_ride_now_is_not_idle(stage):
    hour = hour_ago(1)
    driver = stage.make_driver(-26.2041, 28.0473)
    booking = stage.requested(hour, driver=driver)
    stage.run("UPDATE mobility_booking SET confirmed_at = %s WHERE id = %s", hour, booking.pk)
    told(driver, hour + MINUTE)
    count_hour(hour)
    assert only(hour) == (1, 0, 0)


def test_in_the_present_hour_those_count_as_well_who_could_be_matched_now(stage):
    stage.make_driver(-26.2041, 28.0473)
    stage.make_driver(-26.2041, 28.0473, stationary=True, recorded_at=hour_ago(9), received_at=hour_ago(9))
    stage.make_driver(-26.2041, 28.0473, recorded_at=hour_ago(9), received_at=hour_ago(9))  # silent
    stage.make_driver(-26.2041, 28.0473, status="offline")
    assert count_hour(hour_ago(0))
    assert only(hour_ago(0)) == (0, 0, 2)
    assert count_hour(hour_ago(1))
    assert counts(hour_ago(1)) == {}


def test_where_positions_were_dropped_nobody_knows_who_was_idle(stage, set_knobs):
    set_knobs(position_keep_days=2)
    hour = hour_ago(24 * 4)
    stage.requested(hour)
    count_hour(hour)
    assert only(hour) == (1, 1, None)


# --- all of it against brute force -------------------------------------------------------------------------------


def brute_force(hour: datetime, size_m: int) -> dict[tuple[int, int], tuple[int, int, int]]:
    """The definition, spelled out."""
    end = hour + timedelta(hours=1)
    bookings = list(Booking.objects.all())
    found: dict = defaultdict(lambda: [0, 0, set()])
    for b in bookings:
        if hour <= b.requested_at < end:
            cell = found[size_m, cell_of(LatLon(b.pickup.y, b.pickup.x), size_m)]
            cell[0] += 1
            cell[1] += b.status == "unfulfilled" or (b.status == "cancelled" and b.driver_id is None)
    for p in Position.objects.all():
        on_a_ride = any(
            b.driver_id == p.driver_id
            and b.confirmed_at <= p.recorded_at
            and not ((ended := b.completed_at or b.cancelled_at or b.no_show_at) and ended <= p.recorded_at)
            for b in bookings
        )
        if hour <= p.recorded_at < end and not on_a_ride:
            found[size_m, cell_of(LatLon(p.position.y, p.position.x), size_m)][2].add(p.driver_id)
    return {key: (requests, lacking, len(idle)) for key, (requests, lacking, idle) in found.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_are_those_of_brute_force(stage, seed):
    rng = random.Random(seed)

    def somewhere() -> LatLon:
        return destination(PLACE, bearing_deg=rng.uniform(0, 360), distance_m=rng.uniform(0, 4_000))

    def sometime() -> datetime:
        return hour_ago(5) + timedelta(seconds=rng.uniform(0, 4 * 3600))

    drivers = [stage.make_driver(-26.2041, 28.0473, status="offline") for _ in range(5)]
    for _ in range(8):
        booking = stage.requested(sometime(), somewhere())
        if rng.random() < 0.4:
            cancel_ride(booking.pk, PASSENGER)
    for _ in range(8):
        begun = sometime()
        stage.driven_by(rng.choice(drivers), begun, begun + rng.uniform(5, 90) * MINUTE, somewhere())
    for _ in range(250):
        told(rng.choice(drivers), sometime(), somewhere())
    Driver.objects.update(status="offline")
    for back in (5, 4, 3, 2):
        assert count_hour(hour_ago(back))
        for size_m in SIZES_M:
            assert counts(hour_ago(back), size_m=size_m) == brute_force(hour_ago(back), size_m)
    assert DemandHour.objects.filter(idle_drivers__gt=1).exists()
    assert DemandHour.objects.filter(unfulfilled__gt=0).exists()


# --- again -------------------------------------------------------------------------------------------------------


def test_what_comes_late_is_counted_when_the_hour_is_due_again(stage):
    hour = hour_ago(2)
    booking = stage.requested(hour)
    count_hour(hour)
    before = counts(hour)
    cancel_ride(stage.requested(hour + MINUTE, driver=stage.make_driver(-26.2041, 28.0473)).pk, PASSENGER)
    told(stage.make_driver(-26.2, 28.0, status="offline"), hour + MINUTE)
    assert not count_hour(hour)
    assert counts(hour) == before
    due_now()
    assert count_hour(hour)
    assert only(hour) == (2, 1, 1)
    stage.run("UPDATE mobility_booking SET requested_at = %s", hour_ago(4))
    stage.run("DELETE FROM mobility_position")
    due_now()
    count_hour(hour)
    assert counts(hour) == {}
    assert booking.requested_at == hour


def test_counting_again_writes_nothing_where_nothing_changed(stage):
    hour = hour_ago(2)
    stage.requested(hour)
    told(stage.make_driver(-26.0, 28.0, status="offline"), hour)
    count_hour(hour)

    def rows() -> list:
        with connection.cursor() as cursor:
            cursor.execute("SELECT ctid::text, xmin::text, xmax::text FROM mobility_demand_hour ORDER BY 1")
            return cursor.fetchall()

    before, version = rows(), demand_version()
    due_now()
    assert count_hour(hour)
    assert rows() == before
    assert demand_version() == version
    stage.requested(hour)
    due_now()
    count_hour(hour)
    assert rows() != before
    assert demand_version() != version


def test_an_hour_that_ends_is_news_for_those_who_see_only_what_is_over(stage):
    """Even when its counts are the same as a minute before its end."""
    hour = hour_ago(1)
    stage.requested(hour)
    count_hour(hour)
    DemandMade.objects.update(made_at=hour + 59 * MINUTE)
    due_now()
    version = demand_version()
    count_hour(hour)
    assert demand_version() != version


def test_an_hour_is_looked_at_ever_more_seldom_and_after_two_days_never(stage):
    stage.requested(hour_ago(55))
    while count_due_hours():
        pass
    pauses = {}
    for made in DemandMade.objects.all():
        age = made.made_at - made.hour - timedelta(hours=1)
        pauses[round((made.hour - hour_ago(0)) / timedelta(hours=1))] = made.due_at and (made.due_at - made.made_at)
        if made.due_at is not None and age > timedelta(0):
            left = timedelta(hours=48, minutes=1) - age
            assert made.due_at - made.made_at == min(max(timedelta(minutes=10), 2 * age), left)
    assert pauses[0] is not None
    assert pauses[0] <= timedelta(seconds=61)
    assert all(pauses[-back] is not None for back in range(1, 48))
    assert all(pauses[-back] is None for back in range(50, 56))


def test_a_final_hour_stays(stage):
    hour = hour_ago(60)
    stage.requested(hour)
    count_hour(hour)
    before = counts(hour)
    stage.run("DELETE FROM mobility_ride_event")
    stage.run("DELETE FROM mobility_offer")
    stage.run("DELETE FROM mobility_booking")
    assert not count_hour(hour)
    count_due_hours()
    assert counts(hour) == before != {}


def test_late_positions_may_come_later_than_changes(stage, set_knobs):
    set_knobs(position_late_hours=72)
    count_hour(hour_ago(60))
    assert DemandMade.objects.get().due_at is not None


# --- all hours ---------------------------------------------------------------------------------------------------


def test_hours_that_nobody_counted_are_made_up_for_newest_first(stage):
    stage.requested(hour_ago(30) + 59 * MINUTE)
    stage.requested(hour_ago(17))
    assert count_due_hours() == HOURS_AT_ONCE == 6
    assert sorted(DemandMade.objects.values_list("hour", flat=True)) == [hour_ago(back) for back in range(5, -1, -1)]
    assert [count_due_hours() for _ in range(6)] == [6, 6, 6, 6, 1, 0]
    assert DemandMade.objects.count() == 31
    assert set(DemandHour.objects.values_list("hour", flat=True)) == {hour_ago(30), hour_ago(17)}
    DemandMade.objects.filter(hour=hour_ago(20)).delete()  # a hole in the middle
    assert count_due_hours() == 1
    assert DemandMade.objects.filter(hour=hour_ago(20)).exists()


def test_without_a_single_request_the_present_hour_is_counted_and_those_that_follow(stage):
    assert count_due_hours() == 1
    assert DemandMade.objects.get().hour == hour_ago(0)


def test_one_process_counts_at_a_time(stage, admin_url):
    stage.requested(hour_ago(1))
    with psycopg.connect(admin_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('demand', 8067))")
        assert not count_hour(hour_ago(1))
        assert count_due_hours() == 0
        assert not DemandMade.objects.exists()
        other.rollback()
    assert count_due_hours() == 2


def test_two_processes_at_once_count_an_hour_once(stage):
    stage.requested(hour_ago(1))
    together = threading.Barrier(4)
    done: list[bool] = []

    def count() -> None:
        try:
            together.wait(timeout=10)
            done.append(count_hour(hour_ago(1)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(done) == [False, False, False, True]
    assert only(hour_ago(1)) == (1, 1, 0)


def test_an_hour_that_fails_is_set_aside_and_stops_no_other(stage):
    """A position that no projection can take; no guard lets it in."""
    stage.requested(hour_ago(2))
    driver = stage.make_driver(-26.0, 28.0, status="offline")
    told(driver, hour_ago(1))
    stage.run("ALTER TABLE mobility_position DROP CONSTRAINT position_on_earth")
    try:
        stage.run("UPDATE mobility_position SET position = ST_SetSRID(ST_MakePoint(0, 'Infinity'), 4326)")
        assert count_due_hours() == 3
    finally:
        stage.run("DELETE FROM mobility_position")
        stage.run(
            "ALTER TABLE mobility_position ADD CONSTRAINT position_on_earth CHECK (coalesce("
            " ST_X(position) BETWEEN -180 AND 180 AND ST_Y(position) BETWEEN -90 AND 90, false))"
        )
    failed = DemandMade.objects.get(hour=hour_ago(1))
    assert failed.due_at - datetime.now(UTC) > timedelta(minutes=59)
    assert only(hour_ago(2)) == (1, 1, 0)
    assert DemandMade.objects.count() == 3
    assert count_due_hours() == 0
    due_now()
    assert count_due_hours() == 3


def test_old_counts_are_thrown_away_a_bounded_number_at_a_time(stage, set_knobs):
    set_knobs(demand_keep_days=3)
    stage.requested(hour_ago(0))
    for back in range(24 * 3 - 5, 24 * 3 + 31):
        DemandMade.objects.create(hour=hour_ago(back), made_at=hour_ago(1), changed_at=hour_ago(1))
        for size_m in SIZES_M:
            DemandHour.objects.create(
                hour=hour_ago(back), size_m=size_m, cell=1, requests=1, unfulfilled=0, idle_drivers=0
            )
    version = demand_version()
    assert [forget_old_hours() for _ in range(3)] == [24, 6, 0]
    assert demand_version() != version
    kept = [hour_ago(back) for back in range(24 * 3, 24 * 3 - 6, -1)]
    assert sorted(DemandMade.objects.values_list("hour", flat=True)) == kept
    assert DemandHour.objects.count() == 5 * len(kept)
    while count_due_hours():  # nor are they counted again
        pass
    assert min(DemandMade.objects.values_list("hour", flat=True)) == kept[0]

"""The trip of a ride: made after its end out of its driver's positions, made up for, and renewed by late ones."""

from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.coordinates import LatLon, lat_lon
from geo.geodesy import destination, distance_m
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.delivery import background
from mobility.dispatch.driving import complete_ride, give_back_ride, start_ride
from mobility.dispatch.services import cancel_ride
from mobility.models import Booking, Trip
from mobility.trips import services
from mobility.trips.services import make_due_trips, make_trip
from tests.trips.staging import ago, told

pytestmark = pytest.mark.usefixtures("stage")
PICKUP, FAR = lat_lon(-26.2041, 28.0473), lat_lon(-25.5, 28.05)


def corner(begin: LatLon = PICKUP, legs: int = 4, step_m: float = 100.0) -> list[LatLon]:
    """A staircase of 1 km legs, ten positions each."""
    path = [begin]
    for leg in range(legs):
        for _ in range(10):
            path.append(destination(path[-1], bearing_deg=90.0 * (leg % 2), distance_m=step_m))
    return path


def each(path: list[LatLon], every_s: float = 10.0) -> list[tuple[float, LatLon]]:
    return [(n * every_s, at) for n, at in enumerate(path)]


def length_m(path: list[LatLon]) -> float:
    return sum(distance_m(a, b) for a, b in pairwise(path))


def path_of(trip: Trip) -> list[LatLon]:
    return [LatLon(y, x) for x, y in trip.track.coords]


def content(booking: Booking) -> tuple:
    """What a trip says, without when it was made."""
    trip = Trip.objects.get(pk=booking.pk)
    line = None if trip.track is None else trip.track.hex
    return line, trip.length_m, trip.approach_m, trip.fixes, trip.jumps, trip.leaps


@pytest.fixture
def driven(stage):
    """driven(): a ride of ten minutes that ended a quarter of an hour ago."""
    return lambda **times: stage.driven(**{"started": ago(minutes=25), "ended": ago(minutes=15)} | times)


# --- what it says ------------------------------------------------------------------------------------------------


def test_a_trip_is_the_way_from_the_start_to_the_end(driven):
    booking = driven()
    path = corner()
    told(booking, each(path))
    told(booking, [(-20, FAR), (-10, FAR), (601, FAR)])  # before and after it
    assert make_trip(booking.pk)
    trip = Trip.objects.get()
    assert trip.length_m == pytest.approx(length_m(path), abs=0.01)
    assert trip.length_m == pytest.approx(4_000, rel=1e-6)
    assert (trip.fixes, trip.jumps, trip.leaps) == (41, 0, 0)
    assert (trip.started_at, trip.ended_at) == (booking.started_at, booking.completed_at)
    assert trip.track.srid == 4326
    corners = path_of(trip)
    assert len(corners) == 5  # a straight leg needs no more
    for found, true in zip(corners, path[::10], strict=True):
        assert distance_m(found, true) < 0.01
    # And when the driver was at each of them, by the device's clock.
    at = [told_at for told_at, _ in each(path)][::10]
    assert [(t - booking.started_at).total_seconds() for t in trip.times] == pytest.approx(at, abs=1e-5)


def test_a_jump_is_left_out_and_counted(driven):
    booking = driven()
    path = corner()
    told(booking, [*each(path), (155, FAR), (203, FAR)])
    make_trip(booking.pk)
    trip = Trip.objects.get()
    assert (trip.fixes, trip.jumps, trip.leaps) == (41, 2, 0)
    assert trip.length_m == pytest.approx(4_000, rel=1e-6)
    assert max(at.latitude for at in path_of(trip)) < -26


def test_the_limit_is_a_setting(driven, set_knobs):
    booking = driven()
    told(booking, each(corner(), 2.0))  # 180 km/h
    set_knobs(jump_km_h=100.0)
    make_trip(booking.pk)
    assert Trip.objects.get().jumps > 0


def test_a_leap_is_drawn_but_not_counted(driven):
    booking = driven()
    here, there = corner(legs=1), corner(FAR, legs=1)
    told(booking, [*each(here), *[(105 + second, at) for second, at in each(there)]])
    make_trip(booking.pk)
    trip = Trip.objects.get()
    assert (trip.fixes, trip.jumps, trip.leaps) == (22, 0, 1)
    assert trip.length_m == pytest.approx(2_000, rel=1e-6)
    assert length_m(path_of(trip)) > 70_000


def test_the_way_to_the_pickup_is_measured_as_well(driven):
    booking = driven(approach_s=300)
    told(booking, [(second - 200, at) for second, at in each(corner(legs=2))])
    told(booking, [(-400, FAR)])  # before the ride was the driver's
    make_trip(booking.pk)
    assert Trip.objects.get().approach_m == pytest.approx(2_000, rel=1e-6)


@pytest.mark.parametrize("known", [0, 1])
def test_without_two_positions_there_is_no_line_and_no_length(driven, known):
    booking = driven()
    told(booking, each(corner())[:known])
    make_trip(booking.pk)
    trip = Trip.objects.get()
    assert (trip.track, trip.length_m, trip.fixes) == (None, None, known)


def test_who_stood_still_has_a_line_without_length(driven):
    booking = driven()
    told(booking, [(n, LatLon(-26.2, 28.05)) for n in range(5)])
    make_trip(booking.pk)
    trip = Trip.objects.get()
    assert (trip.length_m, trip.fixes) == (0, 5)
    assert path_of(trip) == [pytest.approx(LatLon(-26.2, 28.05))] * 2


@pytest.mark.parametrize(
    "begin",
    [LatLon(-17.0, 179.995), LatLon(69.65, 18.95), LatLon(-0.001, -78.5), LatLon(89.9, 10.0), LatLon(-89.9, 0.0)],
    ids=["antimeridian", "Tromsoe", "equator", "north pole", "south pole"],
)
def test_a_track_is_right_and_simplified_to_metres_anywhere_on_earth(driven, begin):
    booking = driven()
    path = corner(begin)
    # A wave of 3 m beside the way is smoothed, a bend of 30 m stays.
    waved = [destination(at, bearing_deg=45.0, distance_m=3.0 * (n % 2)) for n, at in enumerate(path)]
    waved[5] = destination(path[5], bearing_deg=90.0, distance_m=30.0)
    told(booking, each(waved))
    make_trip(booking.pk)
    trip = Trip.objects.get()
    assert trip.jumps == 0
    assert trip.length_m == pytest.approx(length_m(waved), abs=0.01)
    simplified = path_of(trip)
    assert 5 <= len(simplified) <= 12
    assert length_m(simplified) == pytest.approx(4_000, rel=0.02)
    for at in (waved[0], waved[5], waved[-1]):
        assert min(distance_m(at, kept) for kept in simplified) < 5.0


def test_a_ride_that_was_forgotten_has_the_track_of_its_first_day(driven, monkeypatch):
    monkeypatch.setattr(services, "LONGEST_HOURS", 1)  # a day would be too long ago for positions to be taken
    booking = driven(started=ago(hours=2), ended=ago(minutes=1))
    told(booking, [*each(corner()), (3_601, PICKUP)])
    make_trip(booking.pk)
    assert Trip.objects.get().fixes == 41


# --- when it is made ---------------------------------------------------------------------------------------------


def test_the_end_of_a_ride_makes_its_trip(stage):
    booking = stage.ride()
    start_ride(booking.pk, SYSTEM)
    assert not Trip.objects.exists()
    complete_ride(booking.pk, SYSTEM)
    booking.refresh_from_db()
    trip = Trip.objects.get()
    assert (trip.pk, trip.started_at, trip.ended_at) == (booking.pk, booking.started_at, booking.completed_at)


def test_a_ride_that_was_called_off_under_way_has_a_trip_until_then(stage):
    booking = stage.ride()
    start_ride(booking.pk, SYSTEM)
    cancel_ride(booking.pk, Actor(None, ActorRole.OPERATOR), "breakdown")
    booking.refresh_from_db()
    assert Trip.objects.get().ended_at == booking.cancelled_at


def test_a_ride_that_never_began_has_none(stage):
    booking = stage.ride()
    assert not make_trip(booking.pk)
    give_back_ride(booking.pk, SYSTEM)
    cancel_ride(booking.pk, Actor(booking.passenger_id, ActorRole.PASSENGER), "")
    assert not make_trip(booking.pk)
    assert make_due_trips() == 0
    assert not Trip.objects.exists()


def test_what_the_end_did_not_make_is_made_up_for(stage):
    """A server is killed between the commit and the work after it."""
    booking = stage.ride()
    start_ride(booking.pk, SYSTEM)
    background.attach(lambda *_: None)
    try:
        complete_ride(booking.pk, SYSTEM)
    finally:
        background._run = None
    assert not Trip.objects.exists()
    assert make_due_trips() == 1
    assert Trip.objects.get().pk == booking.pk
    assert make_due_trips() == 0


def test_a_trip_that_fails_does_not_fail_the_ride_and_is_made_later(stage):
    booking = stage.ride()
    start_ride(booking.pk, SYSTEM)
    stage.run("ALTER TABLE mobility_trip RENAME COLUMN leaps TO hidden")
    try:
        complete_ride(booking.pk, SYSTEM)
    finally:
        stage.run("ALTER TABLE mobility_trip RENAME COLUMN hidden TO leaps")
    booking.refresh_from_db()
    assert booking.status == "completed"
    assert not Trip.objects.exists()
    assert make_due_trips() == 1
    assert Trip.objects.exists()


def test_one_that_cannot_be_made_is_set_aside_and_stops_no_other(driven, monkeypatch):
    bad, good = driven(), driven()
    told(bad, each(corner()))
    told(good, [(0, LatLon(-26.2, 28.05))])
    monkeypatch.setattr(services, "make_trip", _failing(bad.pk))
    assert make_due_trips() == 2
    monkeypatch.undo()
    assert Trip.objects.get(pk=good.pk).fixes == 1
    waiting = Trip.objects.get(pk=bad.pk)
    assert waiting.track is None
    assert waiting.due_at > ago(minutes=-50)
    assert make_due_trips() == 0
    Trip.objects.filter(pk=bad.pk).update(due_at=ago(seconds=1))
    assert make_due_trips() == 1
    assert Trip.objects.get(pk=bad.pk).fixes == 41


def _failing(booking_id: int):
    from django.db import DataError

    def make(wanted: int) -> bool:
        if wanted == booking_id:
            raise DataError("a track that cannot be")
        return make_trip(wanted)

    return make


def test_whoever_is_making_it_is_not_disturbed(driven, admin_url):
    booking = driven()
    with psycopg.connect(admin_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 8067))", [f"trip {booking.pk}"])
        assert not make_trip(booking.pk)
        assert not Trip.objects.exists()
        other.rollback()
    assert make_trip(booking.pk)


# --- late positions ----------------------------------------------------------------------------------------------


def due_now(booking: Booking) -> None:
    Trip.objects.filter(pk=booking.pk).update(due_at=ago(seconds=1))


def test_late_positions_renew_a_trip_once_it_is_due(driven):
    booking = driven()
    path = each(corner())
    told(booking, path[:20])
    make_trip(booking.pk)
    assert Trip.objects.get().fixes == 20
    told(booking, path[20:])
    assert not make_trip(booking.pk)
    assert make_due_trips() == 0
    assert Trip.objects.get().fixes == 20
    due_now(booking)
    assert make_due_trips() == 1
    assert Trip.objects.get().fixes == 41
    assert Trip.objects.get().length_m == pytest.approx(4_000, rel=1e-6)


def test_it_is_looked_at_again_ever_more_seldom_and_at_last_once_nothing_can_come_any_more(stage, driven):
    booking = driven(started=ago(minutes=11), ended=ago(minutes=1))
    told(booking, each(corner()))
    make_trip(booking.pk)
    pauses = []
    while (trip := Trip.objects.get()).due_at is not None:
        assert make_due_trips() == 0
        pauses.append((trip.due_at - trip.made_at).total_seconds() / 60)
        stage.pass_hours(booking, pauses[-1] / 60 + 0.001)
        assert make_due_trips() == 1
    assert pauses[0] == pytest.approx(10, abs=0.1)
    assert 4 < len(pauses) < 9
    assert sum(pauses) == pytest.approx(24 * 60, abs=5)


def test_a_final_trip_stays(stage, driven):
    booking = driven()
    told(booking, each(corner()))
    make_trip(booking.pk)
    before = content(booking)
    stage.run("UPDATE mobility_trip SET due_at = NULL")
    stage.run("DELETE FROM mobility_position")
    assert not make_trip(booking.pk)
    assert make_due_trips() == 0
    assert content(booking) == before


def test_a_trip_outlives_the_positions_it_was_made_of(stage, driven):
    """Nobody swept for a month, and the days were dropped: what is there is final."""
    booking = driven()
    told(booking, each(corner()))
    make_trip(booking.pk)
    before = content(booking)
    stage.pass_hours(booking, 31 * 24)
    stage.run("DELETE FROM mobility_position")
    assert make_due_trips() == 0
    assert content(booking) == before
    assert Trip.objects.get().due_at is None


def test_a_ride_whose_positions_may_be_gone_gets_no_trip(stage, driven):
    booking = driven()
    stage.pass_hours(booking, 31 * 24)
    assert make_due_trips() == 0
    assert not make_trip(booking.pk)
    assert not Trip.objects.exists()


FULL = each(corner())
NOISY = sorted([*FULL, (33.0, FAR), (155.0, FAR), (157.0, FAR), (399.5, FAR)])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(len(NOISY))),
    again=st.lists(st.integers(0, len(NOISY) - 1), max_size=10),
    cut=st.integers(0, 55),
)
def test_shuffled_repeated_and_late_positions_end_in_the_trip_of_the_sorted_track(stage, driven, order, again, cut):
    stage.run("DELETE FROM mobility_position")
    in_order, anyhow = driven(), driven()
    told(in_order, NOISY)
    make_trip(in_order.pk)
    flow = [NOISY[n] for n in (*order, *again)]
    told(anyhow, flow[:cut])
    make_trip(anyhow.pk)  # too early: the rest comes late
    told(anyhow, flow[cut:])
    due_now(anyhow)
    make_due_trips()
    assert content(anyhow) == content(in_order)
    assert content(in_order)[3:] == (41, 4, 0)


def test_the_sweep_reads_two_small_indexes(stage, driven):
    """However many rides there are: of those without a trip, and of trips that are due."""
    from django.db import connection

    from mobility.sql import sql

    stage.run("ANALYZE mobility_booking, mobility_trip")  # else the planner remembers the tables of other tests
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN " + sql("trips/sql/due"), {"keep_days": 30, "at_once": 50})
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("SET enable_seqscan = on")
    assert "booking_driven" in plan
    assert "trip_due" in plan


def test_times_are_kept_to_the_microsecond(stage):
    booking = stage.driven(started=ago(minutes=9) + timedelta(microseconds=1), ended=ago(minutes=2))
    make_trip(booking.pk)
    assert Trip.objects.get().started_at == booking.started_at

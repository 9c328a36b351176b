"""gis.nearest_drivers, gis.fleet_at, gis.waiting_at and the figures of the views, against answers known beforehand."""

import random
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction
from geopy.distance import geodesic

from geo.coordinates import lat_lon
from mobility.analytics.services import keep_gis
from mobility.bookings import services as bookings
from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import release_driver
from mobility.models import Driver
from mobility.transactions import rows
from mobility.trips.services import make_trip
from tests.positions import tell
from tests.trips.staging import TIMES, ago, told

PLACE = lat_lon(-26.2041, 28.0473)
INVALID = "22023"


@pytest.fixture(autouse=True)
def with_secrets(secrets):
    pass


def asked(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


def drivers_by_key():
    """driver_key of this month -> the driver's number."""
    rows = asked(
        "SELECT n.driver_key, l.driver_id FROM gis.drivers_now n JOIN mobility_driver_location l ON l.position = n.geom"
    )
    return dict(rows)


class TestNearestDrivers:
    @pytest.mark.parametrize(("count", "radius_m"), [(1, 100_000), (5, 3_000), (20, 8_000), (16, 100_000)])
    def test_they_are_those_of_matching_to_the_metre(self, make_driver, make_user, count, radius_m):
        draw = random.Random(count)
        for _ in range(60):
            make_driver(
                PLACE.latitude + draw.uniform(-0.08, 0.08), PLACE.longitude + draw.uniform(-0.08, 0.08),
                status=draw.choice(["available", "available", "offline"]), verified=draw.random() < 0.8,
            )  # fmt: skip
        expected = rows(
            "dispatch/sql/nearest",
            {"longitude": PLACE.longitude, "latitude": PLACE.latitude, "radius_m": float(radius_m), "slack_m": 76.0,
             "stale_after_s": 60.0, "vehicle_type": None, "passenger_id": None, "booking_id": None, "asking": True,
             "fetch": 1000},
        )[:count]  # fmt: skip
        found = asked(
            "SELECT driver_key, distance_m FROM gis.nearest_drivers(%s, %s, %s, %s)",
            PLACE.longitude, PLACE.latitude, radius_m, count,
        )  # fmt: skip
        numbers = drivers_by_key()
        assert [numbers[key] for key, _ in found] == [row.driver_id for row in expected if row.driver_id]
        assert [m for _, m in found] == pytest.approx([row.distance_m for row in expected if row.driver_id])

    def test_who_is_asked_or_out_of_reach_or_silent_is_not_among_them(self, stage, make_driver):
        make_driver(PLACE.latitude, PLACE.longitude, auto_accept=False)  # without an open socket
        make_driver(PLACE.latitude, PLACE.longitude, status="offline")
        make_driver(PLACE.latitude, PLACE.longitude, recorded_at=ago(seconds=61))
        found = "SELECT count(*) FROM gis.nearest_drivers(28.0473, -26.2041)"
        assert asked(found) == [(0,)]
        make_driver(PLACE.latitude, PLACE.longitude)
        assert asked(found) == [(1,)]

    def test_it_goes_by_the_services_settings(self, make_driver, set_knobs):
        make_driver(PLACE.latitude, PLACE.longitude, recorded_at=ago(seconds=100), received_at=ago(seconds=100))
        make_driver(PLACE.latitude, PLACE.longitude, auto_accept=False)
        both = "SELECT (SELECT count(*) FROM gis.nearest_drivers(28.0473, -26.2041)), count(*) FILTER (WHERE silent)" \
            " FROM gis.drivers_now"  # fmt: skip
        assert asked(both) == [(0, 1)]
        set_knobs(stale_after_s=120.0, auto_assign=True)
        keep_gis()
        assert asked(both) == [(2, 0)]

    def test_metres_are_those_of_the_ellipsoid(self, make_driver):
        make_driver(-26.1041, 28.1473)
        ((m,),) = asked("SELECT distance_m FROM gis.nearest_drivers(28.0473, -26.2041, 50000)")
        assert m == pytest.approx(geodesic((-26.2041, 28.0473), (-26.1041, 28.1473)).m, abs=0.01)

    @pytest.mark.parametrize(
        "wrong",
        [
            "181, 0", "0, 91", "-26.2, 'NaN'", "'NaN', 0", "NULL, 0", "0, NULL", "28, -26, 0", "28, -26, 200001",
            "28, -26, 'infinity'", "28, -26, NULL", "28, -26, 1000, 0", "28, -26, 1000, 1001", "28, -26, 1000, NULL",
        ],
    )  # fmt: skip
    def test_what_is_no_place_or_number_is_refused(self, operations, wrong):
        with pytest.raises(psycopg.Error, match=r"must be .* not") as refused:
            operations.execute(f"SELECT * FROM nearest_drivers({wrong})")
        assert refused.value.sqlstate == INVALID


class TestFleetAt:
    def test_the_last_position_before_the_instant_and_none_that_is_older(self, stage, make_driver):
        driver = make_driver(None, None)
        at = ago(hours=3)
        for second, north in ((0, 0.01), (60, 0.02), (120, 0.03)):
            tell(
                driver.pk,
                lat_lon(-26.2 + north, 28.0),
                recorded_at=at + timedelta(seconds=second),
                speed=10,
                heading=90,
            )
        fleet = "SELECT ST_Y(geom), recorded_at, age_s, speed_km_h, heading_deg, had_ride FROM gis.fleet_at(%s)"
        for after_s, north, age_s in ((0, 0.01, 0), (59.5, 0.01, 59.5), (60, 0.02, 0), (719.9, 0.03, 599.9)):
            ((y, recorded_at, age, speed, heading, had_ride),) = asked(fleet, at + timedelta(seconds=after_s))
            assert (y, age, speed, heading) == pytest.approx((-26.2 + north, age_s, 36, 90))
            assert recorded_at == at + timedelta(seconds=after_s - age_s)
            assert had_ride is False
        assert asked(fleet, at - timedelta(microseconds=1)) == []
        assert asked(fleet, at + timedelta(seconds=720)) == []
        assert len(asked("SELECT FROM gis.fleet_at(%s, 900)", at + timedelta(seconds=720))) == 1

    def test_who_had_a_ride(self, stage):
        started, ended = ago(minutes=90), ago(minutes=60)
        booking = stage.driven(started=started, ended=ended, approach_s=300)
        told(booking, [(second, PLACE) for second in range(-600, 2400, 60)])
        for offset_s, had in ((-301, False), (-300, True), (0, True), (1799, True), (1800, False)):
            found = asked("SELECT had_ride FROM gis.fleet_at(%s)", started + timedelta(seconds=offset_s))
            assert found == [(had,)], offset_s
        later = asked("SELECT had_ride FROM gis.fleet_at(%s)", ended + timedelta(minutes=5))
        assert later == [(False,)]

    def test_a_ride_that_goes_on_is_one(self, stage):
        booking = stage.ride()
        moved = ", ".join(f"{name} = {name} - interval '1 hour'" for name in TIMES if name != "search_until")
        stage.run(f"UPDATE mobility_booking SET {moved}")
        tell(booking.driver_id, PLACE, recorded_at=ago(minutes=1))
        assert asked("SELECT had_ride FROM gis.fleet_at(now())") == [(True,)]

    @pytest.mark.parametrize("function", ["fleet_at", "waiting_at"])
    @pytest.mark.parametrize("instant", ["NULL", "now() + interval '1 minute'", "'infinity'"])
    def test_the_future_is_not_told(self, operations, function, instant):
        with pytest.raises(psycopg.Error, match="must be a time of the past") as refused:
            operations.execute(f"SELECT * FROM {function}({instant})")
        assert refused.value.sqlstate == INVALID

    @pytest.mark.parametrize("within_s", ["0", "86401", "'NaN'", "NULL"])
    def test_a_sane_age(self, operations, within_s):
        with pytest.raises(psycopg.Error, match="1 to 86400 seconds"):
            operations.execute(f"SELECT * FROM fleet_at(now(), {within_s})")


class TestWaitingAt:
    def test_from_the_request_until_a_driver_is_found_and_again_after_a_release(self, stage):
        booking = stage.ride()
        Driver.objects.filter(pk=booking.driver_id).update(auto_accept=False)
        with transaction.atomic():
            release_driver(bookings.locked(booking.pk), SYSTEM, "driver_lost")
        # asked for, found, given back, and over: 10, 20 and 30 seconds later
        at = ago(hours=2)
        for seq, seconds in ((1, 0), (2, 10), (3, 20), (4, 30)):
            stage.run(
                "UPDATE mobility_ride_event SET occurred_at = %s WHERE booking_id = %s AND seq = %s",
                at + timedelta(seconds=seconds), booking.pk, seq,
            )  # fmt: skip
        log = asked("SELECT seq, to_status FROM mobility_ride_event ORDER BY seq")
        assert [status for _, status in log][:3] == ["pending", "confirmed", "pending"]
        waiting = "SELECT id, ST_X(geom), waited_s FROM gis.waiting_at(%s)"
        expected = {-1: None, 0: 0, 9.5: 9.5, 10: None, 19: None, 20: 0, 29: 9}
        for second, waited_s in expected.items():
            found = asked(waiting, at + timedelta(seconds=second))
            assert found == ([] if waited_s is None else [(booking.pk, 28.0473, waited_s)]), second


class TestFigures:
    def test_a_trip_has_its_length_time_and_detour(self, stage):
        """North 0.01 degrees, then east 0.01: 60 s each."""
        booking = stage.driven(started=ago(minutes=30), ended=ago(minutes=28))
        corner, end = lat_lon(-26.1941, 28.0473), lat_lon(-26.1941, 28.0573)
        told(booking, [(0, PLACE), (60, corner), (120, end)])
        assert make_trip(booking.pk)
        legs_m = [
            geodesic((a.latitude, a.longitude), (b.latitude, b.longitude)).m
            for a, b in ((PLACE, corner), (corner, end), (PLACE, end))
        ]
        ((length_m, duration_s, straight_m, detour, speed, kind),) = asked(
            "SELECT length_m, duration_s, straight_m, detour_ratio, mean_speed_km_h, ST_GeometryType(geom)"
            " FROM gis.trips"
        )
        assert (length_m, duration_s, straight_m) == pytest.approx((legs_m[0] + legs_m[1], 120, legs_m[2]), rel=1e-6)
        assert detour == pytest.approx((legs_m[0] + legs_m[1]) / legs_m[2])
        assert speed == pytest.approx((legs_m[0] + legs_m[1]) / 120 * 3.6)
        assert kind == "ST_LineString"

    def test_a_ride_has_its_times(self, stage):
        booking = stage.driven(started=ago(minutes=30), ended=ago(minutes=10), approach_s=240)
        stage.run("UPDATE mobility_booking SET requested_at = confirmed_at - interval '15 s'")
        assert asked("SELECT id, waiting_s, driven_s, status FROM gis.rides") == [(booking.pk, 15, 1200, "completed")]
        assert asked("SELECT waiting_s, picked_up_at FROM gis.pickups") == [(15, booking.started_at)]
        assert asked("SELECT ST_X(geom), dropped_off_at FROM gis.dropoffs") == [(28.1473, booking.completed_at)]

    def test_a_ride_over_the_antimeridian_is_two_short_lines(self, stage):
        stage.ride()
        stage.run(
            "UPDATE mobility_booking SET pickup = ST_SetSRID(ST_MakePoint(179.9, 0), 4326),"
            " dropoff = ST_SetSRID(ST_MakePoint(-179.9, 0), 4326)"
        )
        ((parts, m),) = asked("SELECT ST_NumGeometries(geom), ST_Length(geom::geography) FROM gis.rides")
        assert parts == 2
        assert m == pytest.approx(geodesic((0, 179.9), (0, -179.9)).m, rel=1e-6)

    def test_each_considered_driver_of_each_round_has_a_number_of_its_own_that_stays(self, stage, make_driver):
        for east in range(4):
            make_driver(-26.21, 28.05 + east / 1000, status="offline")
        booking = stage.ride()
        before = asked("SELECT id, driver_key, verdict FROM gis.matching ORDER BY id")
        stage.run(
            "INSERT INTO mobility_search_round (booking_id, round, made_at, strategy, radius_m, outcome)"
            " VALUES (%s, 99, now(), 'nearest', 1, 'nobody')", booking.pk,
        )  # fmt: skip
        after = asked("SELECT id, driver_key, verdict FROM gis.matching ORDER BY id")
        assert after[:-1] == before
        assert after[-1][1:] == (None, None)
        assert len({row[0] for row in after}) == len(after) == 6
        assert sorted(verdict for *_, verdict in before) == ["assigned", *["offline"] * 4]

    def test_an_answer_takes_its_time(self, stage):
        stage.ride()
        stage.run("UPDATE mobility_offer SET origin = 'asked', delivered_at = settled_at - interval '4 s'")
        assert asked("SELECT status, answer_s FROM gis.offers") == [("accepted", 4)]
        stage.run("UPDATE mobility_offer SET origin = 'auto_accept'")
        assert asked("SELECT answer_s FROM gis.offers") == [(None,)]

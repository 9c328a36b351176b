"""The indexes follow the positions at a distance, and nothing that is asked of them is answered differently for it."""

import json
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from geo.coordinates import Bounds, LatLon, from_point, lat_lon
from geo.geodesy import destination, distance_m
from geo.params import Circle
from mobility.dispatch.queries import Search, anybody_left, nearest_available
from mobility.dispatch.services import find_driver
from mobility.layers.render import rendered_page
from mobility.locations.ingest import write_fixes
from mobility.locations.layers import DRIVERS, drivers_params
from mobility.locations.models import INDEX_SLACK_M
from mobility.locations.queries import DriverFilter
from mobility.locations.services import place_driver
from mobility.models import DriverLocation
from tests.brute_force import five_nearest
from tests.positions import fix

pytestmark = pytest.mark.django_db
HERE = lat_lon(-26.2, 28.05)


@pytest.fixture
def parked(make_driver):
    """parked(at, **fields): the id of a driver who was last heard a minute ago."""
    return lambda at, **fields: make_driver(*at, recorded_at=datetime.now(UTC) - timedelta(seconds=50), **fields).pk


def moved(at: LatLon, metres: float, bearing_deg: float = 0) -> LatLon:
    end = destination(at, bearing_deg=bearing_deg, distance_m=metres)
    return lat_lon(end.latitude, (end.longitude + 180) % 360 - 180)


def indexed(driver_id: int) -> LatLon:
    return from_point(DriverLocation.objects.get(pk=driver_id).indexed_position)


def heap_only() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('mobility_driver_location'::regclass)")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("at", [HERE, lat_lon(78.2, 15.6), lat_lon(-17.8, 180), lat_lon(1.3, 103.8)])
@pytest.mark.parametrize("bearing_deg", [0, 90, 200])
def test_a_position_touches_the_indexes_only_when_it_has_gone_far(parked, at, bearing_deg):
    driver_id, before = parked(at), heap_only()
    for metres in (20, 45, 74):
        write_fixes([fix(driver_id, moved(at, metres, bearing_deg))])
        assert distance_m(from_point(DriverLocation.objects.get().position), at) == pytest.approx(metres, abs=0.1)
        assert indexed(driver_id) == at
    assert heap_only() == before + 3
    far = moved(at, 77, bearing_deg)
    write_fixes([fix(driver_id, far)])
    assert distance_m(indexed(driver_id), far) < 0.01
    assert heap_only() == before + 3


def test_the_place_of_a_driver_put_there_by_hand_is_indexed_at_once(parked):
    driver_id = parked(HERE)
    place_driver(driver_id, moved(HERE, 30))
    assert distance_m(indexed(driver_id), HERE) == pytest.approx(30, abs=0.1)


def test_the_nearest_are_exact_however_the_drivers_have_moved_since_they_were_indexed(parked):
    dice = random.Random(20_261)
    places = {}
    for _ in range(150):
        at = moved(HERE, dice.expovariate(1 / 400), dice.uniform(0, 360))
        places[parked(at)] = at
    for _ in range(3):
        places = {pk: moved(at, dice.uniform(0, 70), dice.uniform(0, 360)) for pk, at in places.items()}
        write_fixes([fix(pk, at) for pk, at in places.items()])
    strayed = [distance_m(indexed(pk), at) for pk, at in places.items()]
    assert sum(metres > INDEX_SLACK_M / 2 for metres in strayed) > 30
    for _ in range(200):
        pickup = moved(HERE, dice.uniform(0, 800), dice.uniform(0, 360))
        radius_m = dice.choice([100.0, 400.0, 5_000.0])
        expected = five_nearest(places, pickup, radius_m)
        found = nearest_available(pickup, radius_m=radius_m)
        assert [c.driver_id for c in found] == [pk for _, pk in expected]
        assert [c.distance_m for c in found] == pytest.approx([metres for metres, _ in expected], abs=0.001)


def test_many_indexed_within_the_radius_who_have_left_it_hide_nobody(parked):
    """The first fetch sees only drivers who are a few metres too far away by now."""
    gone = [moved(HERE, 990 + n % 3, n * 4) for n in range(60)]
    ids = [parked(at) for at in gone]
    write_fixes([fix(pk, moved(at, 20, n * 4)) for n, (pk, at) in enumerate(zip(ids, gone, strict=True))])
    came = parked(moved(HERE, 1_050, 77))
    write_fixes([fix(came, moved(HERE, 998, 77))])
    assert distance_m(indexed(came), HERE) > 1_040
    assert [c.driver_id for c in nearest_available(HERE, radius_m=1_000)] == [came]


@pytest.mark.parametrize(("metres", "anybody"), [(9_990, True), (10_010, False)])
@pytest.mark.parametrize("busy", [True, False])
def test_who_is_in_reach_is_told_by_the_position_itself(parked, make_user, ride_request, metres, anybody, busy):
    was = moved(HERE, 20_000 - metres)
    driver_id = parked(was)
    if busy:
        find_driver(make_user().pk, "theirs", ride_request(pickup=was))
        assert DriverLocation.objects.get().driver.status == "busy"
    write_fixes([fix(driver_id, moved(HERE, metres))])
    assert abs(distance_m(indexed(driver_id), HERE) - metres) > 10
    assert anybody_left(Search(0, "r", None, HERE, None)) is anybody


@pytest.mark.parametrize(("metres", "shown"), [(-3, True), (3, False)])
def test_a_map_shows_who_is_in_the_box_or_circle_by_their_position(parked, metres, shown):
    """The driver was indexed on the other side of the edge."""
    box = Bounds(28.0, -26.3, 28.1, -26.1)
    edge = lat_lon(-26.1, 28.05)
    circle = Circle(HERE, distance_m(HERE, edge))
    driver_id = parked(moved(edge, -math.copysign(40, metres)))
    write_fixes([fix(driver_id, moved(edge, metres))])
    assert (indexed(driver_id).latitude < edge.latitude) is not shown
    for wanted in (DriverFilter(box=box), DriverFilter(circle=circle)):
        page = rendered_page(DRIVERS, drivers_params(wanted, None), [], 10)
        assert [feature["id"] for feature in json.loads(f"[{page.features}]")] == [driver_id] * shown

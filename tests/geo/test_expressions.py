"""Spatial conditions in the database, against the same question asked in Python."""

import random

import pytest
from django.contrib.gis.geos import LineString, Point, Polygon
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from geo.coordinates import Bounds, LatLon, bounds, from_point
from geo.expressions import envelope_texts, in_bounds, within_metres
from geo.geodesy import destination, distance_m
from mobility.models import DriverLocation

pytestmark = pytest.mark.django_db
SPECIAL = [
    (0, 0), (90, 0), (-90, 0), (0, 180), (0, -180), (-18, 179.99), (-18, -179.99), (89.999, 45), (-26.2041, 28.0473),
    (-26.2041, 28.0473), (64.1, -21.9),
]  # fmt: skip


@pytest.fixture
def places(make_driver):
    """Driver ids and where they are: special places and random ones."""
    chance = random.Random(7)
    spots = [LatLon(*spot) for spot in SPECIAL]
    spots += [LatLon(chance.uniform(-90, 90), chance.uniform(-180, 180)) for _ in range(60)]
    for near in list(spots[:11]):
        for _ in range(3):
            end = destination(near, bearing_deg=chance.uniform(0, 360), distance_m=chance.uniform(0, 150_000))
            spots.append(LatLon(end.latitude, (end.longitude + 180) % 360 - 180))
    for spot in spots:
        make_driver(*spot)
    return {row.driver_id: from_point(row.position) for row in DriverLocation.objects.all()}


def found(condition):
    return set(DriverLocation.objects.filter(condition).values_list("driver_id", flat=True))


def test_within_metres_equals_the_geodesic_distance(places):
    for centre in (LatLon(*spot) for spot in sorted(set(SPECIAL))):
        for radius_m in (1.0, 5_000.0, 100_000.0, 200_000.0):
            expected = {driver for driver, at in places.items() if distance_m(centre, at) <= radius_m}
            assert found(within_metres("position", centre, radius_m)) == expected, (centre, radius_m)


def test_the_radius_itself_is_inside(make_driver):
    centre = LatLon(-26.2, 28.0)
    driver = make_driver(*destination(centre, bearing_deg=45, distance_m=1000))
    assert found(within_metres("position", centre, 1000.01)) == {driver.pk}
    assert found(within_metres("position", centre, 999.99)) == set()


BOXES = [
    "-180,-90,180,90", "170,-90,-170,90", "177,-20,-178,-15", "27,-27,29,-25", "0,0,0,0", "180,-90,-180,90",
    "28.0473,-26.2041,28.0473,-26.2041", "-180,89,180,90", "28,-27,28,-26",
]  # fmt: skip


def test_in_bounds_equals_the_box(places):
    for box in map(bounds, BOXES):
        assert found(in_bounds("position", box)) == {driver for driver, at in places.items() if box.contains(at)}, box


def test_the_complement_is_never_selected(make_driver):
    inside, outside = make_driver(-18, 178), make_driver(-18, 10)
    assert found(in_bounds("position", Bounds(170, -20, -170, -10))) == {inside.pk}
    assert found(in_bounds("position", Bounds(-170, -20, 170, -10))) == {outside.pk}


@pytest.mark.parametrize("centre", [LatLon(-26.2, 28.0), LatLon(-18, 179.9)])
def test_a_circle_is_looked_up_in_the_index(make_driver, centre):
    make_driver(*centre)
    query = DriverLocation.objects.filter(within_metres("indexed_position", centre, 10_000))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = query.explain()
    assert "indexed_position" in plan.split("Index Cond")[1]
    assert "Seq Scan" not in plan


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90))
@example(-180.0, 5e-324, 1e-07, 5e-324)
@example(28.0, -26.0, 28.0, -26.0)
@example(28.0, -26.0, 28.0, -25.0)
def test_postgis_reads_of_a_box_what_geos_makes_of_it(a, b, c, d):
    west, south, east, north = min(a, c), min(b, d), max(a, c), max(b, d)
    if (west, south) == (east, north):
        expected = Point(west, south)
    elif west == east or south == north:
        expected = LineString((west, south), (east, north))
    else:
        expected = Polygon.from_bbox((west, south, east, north))
    expected.srid = 4326
    (text,) = envelope_texts(Bounds(west, south, east, north))
    with connection.cursor() as cursor:
        cursor.execute("SELECT ST_AsHEXEWKB(%s::geometry)", [text])
        assert cursor.fetchone()[0] == expected.hexewkb.decode()

"""Distances and directions, against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.coordinates import LatLon, lat_lon
from geo.geodesy import destination, distance_m, initial_bearing_deg, surrounding_box

anywhere = st.builds(lat_lon, st.floats(-90, 90), st.floats(-180, 180))
FLINDERS_PEAK, BUNINYONG = LatLon(-37.95103342, 144.42486789), LatLon(-37.65282114, 143.92649553)


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        # Geoscience Australia's worked example for Vincenty's formula, on GRS80 (the same to a tenth of a millimetre).
        (FLINDERS_PEAK, BUNINYONG, 54_972.271),
        # A degree of the equator, and the quarter meridian of WGS 84.
        (LatLon(0, 0), LatLon(0, 1), 111_319.491),
        (LatLon(0, 0), LatLon(90, 0), 10_001_965.729),
        # Half a degree short of the antipode, where Vincenty's formula does not converge.
        (LatLon(0, 0), LatLon(0.5, 179.5), 19_936_288.579),
        (LatLon(-26.2041, 28.0473), LatLon(-26.2041, 28.0473), 0),
        # The same place, told from both sides of the antimeridian and from a pole.
        (LatLon(-18, 180), LatLon(-18, -180), 0),
        (LatLon(90, 0), LatLon(90, 120), 0),
    ],
)
def test_distance_is_the_geodesic_one(a, b, metres):
    assert distance_m(a, b) == pytest.approx(metres, abs=0.001)


def test_the_protocols_own_example_is_14_9_km():
    assert distance_m(LatLon(-26.2041, 28.0473), LatLon(-26.1041, 28.1473)) == pytest.approx(14_930, abs=10)


@pytest.mark.parametrize(
    ("a", "b", "bearing"),
    [
        (LatLon(0, 0), LatLon(1, 0), 0),
        (LatLon(0, 0), LatLon(0, 1), 90),
        (LatLon(1, 0), LatLon(0, 0), 180),
        (LatLon(0, 0), LatLon(0, -1), 270),
        (LatLon(0, 179.5), LatLon(0, -179.5), 90),
        # Geodesic azimuth 306 52' 05.37"; the great circle differs by a tenth of a degree at most.
        (FLINDERS_PEAK, BUNINYONG, 306.868),
    ],
)
def test_bearing_is_clockwise_from_north(a, b, bearing):
    assert initial_bearing_deg(a, b) == pytest.approx(bearing, abs=0.15)


@given(anywhere, anywhere)
def test_a_bearing_is_always_on_the_compass(a, b):
    assert 0 <= initial_bearing_deg(a, b) < 360


@given(st.builds(lat_lon, st.floats(-89, 89), st.floats(-180, 180)), st.floats(0, 360), st.floats(0, 1_000_000))
def test_going_somewhere_and_measuring_back_agree(start, bearing_deg, metres):
    end = destination(start, bearing_deg=bearing_deg, distance_m=metres)
    assert distance_m(start, end) == pytest.approx(metres, abs=0.001)


@given(anywhere, st.floats(1, 200_000), st.floats(0, 360), st.floats(0, 1))
def test_the_box_around_a_circle_holds_all_of_it(centre, radius_m, bearing_deg, share):
    box = surrounding_box(centre, radius_m)
    there = destination(centre, bearing_deg=bearing_deg, distance_m=radius_m * share)
    assert -180 <= box.west <= 180
    assert -180 <= box.east <= 180
    assert -90 <= box.south <= box.north <= 90
    assert box.contains(there)


@given(st.builds(lat_lon, st.floats(-60, 60), st.floats(-180, 180)), st.floats(1000, 200_000))
def test_the_box_is_not_much_larger_than_the_circle(centre, radius_m):
    box = surrounding_box(centre, radius_m)
    assert (box.north - box.south) * 110_000 < 2.1 * radius_m
    width = (box.east - box.west) % 360
    assert distance_m(LatLon(centre.latitude, 0), LatLon(centre.latitude, width)) < 2.3 * radius_m


def test_the_box_of_a_circle_over_a_pole_is_the_whole_cap():
    box = surrounding_box(LatLon(89.5, 20), 100_000)
    assert (box.west, box.east, box.north) == (-180, 180, 90)
    assert box.contains(LatLon(89.6, -160))

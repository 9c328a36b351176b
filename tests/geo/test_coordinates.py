"""Positions at the door."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.coordinates import Bounds, CoordinateError, LatLon, bounds, from_point, lat_lon, looks_swapped, point

HOME = Bounds(16.3, -35.0, 33.1, -22.0)
anywhere = st.builds(lat_lon, st.floats(-90, 90), st.floats(-180, 180))


@given(st.floats(), st.floats())
def test_a_position_is_accepted_exactly_when_it_is_on_earth(latitude, longitude):
    on_earth = math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180
    if on_earth:
        assert lat_lon(latitude, longitude) == (latitude, longitude)
    else:
        with pytest.raises(CoordinateError):
            lat_lon(latitude, longitude)


@pytest.mark.parametrize(("latitude", "longitude", "axis"), [(91, 0, "latitude"), (0, -180.1, "longitude")])
def test_the_refusal_names_the_axis(latitude, longitude, axis):
    with pytest.raises(CoordinateError, match=axis) as refused:
        lat_lon(latitude, longitude)
    assert refused.value.axis == axis


@given(anywhere)
def test_a_geos_point_has_its_longitude_first_and_comes_back_the_same(at):
    p = point(at)
    assert (p.x, p.y, p.srid) == (at.longitude, at.latitude, 4326)
    assert from_point(p) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "nan,0,1,1",
        "0,0,inf,1",
        "0,0,1,1e400",
        "0,-91,1,1",
        "-181,0,1,1",
        "0,2,1,1",
    ],
)
def test_a_box_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        bounds(text)


def test_a_box_over_the_antimeridian_holds_both_sides_and_not_the_rest():
    fiji = bounds("177,-20,-178,-15")
    assert fiji.contains(LatLon(-18, 178.4))
    assert fiji.contains(LatLon(-18, -179))
    assert not fiji.contains(LatLon(-18, 0))
    assert not fiji.contains(LatLon(-21, 178.4))


@given(anywhere, st.floats(-90, 90), st.floats(-90, 90), st.floats(-180, 180), st.floats(-180, 180))
def test_a_box_and_its_complement_share_only_their_edge(at, a, b, west, east):
    south, north = sorted((a, b))
    inside = Bounds(west, south, east, north).contains(at)
    outside = Bounds(east, south, west, north).contains(at)
    if south <= at.latitude <= north and west != east:
        assert inside or outside
        assert inside != outside or at.longitude in {west, east}
    elif not south <= at.latitude <= north:
        assert not inside
        assert not outside


def test_exchanged_coordinates_are_noticed_only_where_they_can_be_meant():
    assert looks_swapped(LatLon(28.0473, -26.2041), HOME)
    assert not looks_swapped(LatLon(-26.2041, 28.0473), HOME)
    assert not looks_swapped(LatLon(52.5, 13.4), HOME)

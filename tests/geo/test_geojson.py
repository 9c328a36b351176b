"""Geometries as GeoJSON."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from geo.coordinates import LatLon, lat_lon
from geo.geojson import line_geometry, path_geometry, path_times, point_geometry

anywhere = st.builds(lat_lon, st.floats(-90, 90), st.floats(-180, 180))


def test_a_point_is_longitude_first_with_six_decimals():
    assert point_geometry(LatLon(-26.20410049, 28.04730051)) == {"type": "Point", "coordinates": [28.047301, -26.2041]}


def test_a_line_goes_from_start_to_end():
    assert line_geometry(LatLon(1, 2), LatLon(3, 4)) == {"type": "LineString", "coordinates": [[2, 1], [4, 3]]}


def test_a_line_over_the_antimeridian_is_cut_there():
    assert line_geometry(LatLon(-18, 179), LatLon(-16, -179)) == {
        "type": "MultiLineString",
        "coordinates": [[[179, -18], [180, -17]], [[-180, -17], [-179, -16]]],
    }
    assert line_geometry(LatLon(-16, -179), LatLon(-18, 179))["coordinates"] == [
        [[-179, -16], [-180, -17]],
        [[180, -17], [179, -18]],
    ]


def test_a_path_is_one_line_until_it_crosses_the_antimeridian():
    there = [LatLon(0, 178), LatLon(1, 179)]
    assert path_geometry(there) == {"type": "LineString", "coordinates": [[178, 0], [179, 1]]}
    assert path_geometry([*there, LatLon(3, -179), LatLon(1, 179)]) == {
        "type": "MultiLineString",
        "coordinates": [[[178, 0], [179, 1], [180, 2]], [[-180, 2], [-179, 3], [-180, 2]], [[180, 2], [179, 1]]],
    }


def test_a_path_may_stand_on_the_antimeridian():
    on_it = path_geometry([LatLon(0, 179), LatLon(0, 180), LatLon(0, -180), LatLon(0, -179)])
    assert on_it["type"] == "MultiLineString"
    assert [piece[0] for piece in on_it["coordinates"]] == [[179, 0], [-180, 0]]


@given(anywhere, anywhere)
def test_no_piece_is_longer_than_half_the_way_round_and_all_is_on_earth(start, end):
    line = line_geometry(start, end)
    pieces = [line["coordinates"]] if line["type"] == "LineString" else line["coordinates"]
    for piece in pieces:
        assert abs(piece[0][0] - piece[1][0]) <= 180.000001
        assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in piece)


def test_times_are_in_the_shape_of_the_coordinates():
    began = datetime(2026, 1, 1, 8, tzinfo=UTC)
    path = [LatLon(-18, 179), LatLon(-16, -179), LatLon(-16, -178)]
    times = [began, began + timedelta(seconds=10), began + timedelta(seconds=20)]
    assert path_times(path, times) == [
        ["2026-01-01T08:00:00.000Z", "2026-01-01T08:00:05.000Z"],
        ["2026-01-01T08:00:05.000Z", "2026-01-01T08:00:10.000Z", "2026-01-01T08:00:20.000Z"],
    ]
    assert path_times(path[1:], times[1:]) == ["2026-01-01T08:00:10.000Z", "2026-01-01T08:00:20.000Z"]


@given(st.lists(anywhere, min_size=2, max_size=6))
def test_each_position_has_its_time(path):
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(len(path))]
    geometry, told = path_geometry(path), path_times(path, times)
    if geometry["type"] == "LineString":
        assert len(told) == len(geometry["coordinates"])
    else:
        assert [len(line) for line in told] == [len(line) for line in geometry["coordinates"]]

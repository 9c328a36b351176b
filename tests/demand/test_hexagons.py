"""The grid of hexagons: that of PostGIS, found without looking, all over the Earth."""

import math

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobility.demand.models import SIZES_M

pytestmark = pytest.mark.django_db
TRIALS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONGITUDES = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, -179.999, 0.0, 179.999, 180.0]))
LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.9999, -26.2, 0.0, 60.0, 89.9999, 90.0]))
SIZES = st.sampled_from(SIZES_M)
POINT = "ST_SetSRID(ST_MakePoint(%s, %s), 4326)"
# Ordinary places, and those where hexagons are cut.
PLACES = [(28.05, -26.2), (24.94, 60.17), (180.0, -17.0), (-180.0, -17.0), (0.0, 89.0), (0.0, 90.0), (180.0, -90.0)]


def asked(query: str, *params):
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def column_and_row(cell: int) -> tuple[int, int]:
    return (cell & 131071) - 65536, (cell >> 17) - 32768


@given(LONGITUDES, LATITUDES, SIZES)
@TRIALS
def test_a_point_is_in_the_hexagon_that_postgis_has_there(lon, lat, size_m):
    ((cell,),) = asked(f"SELECT mobility_hex_of({POINT}, %s)", lon, lat, size_m)
    found = asked(
        f"SELECT i, j FROM (SELECT ST_Transform({POINT}, 6933) AS p) at, ST_HexagonGrid(%s, ST_Expand(p, 1))"
        " WHERE ST_Distance(geom, p) < 1e-6",
        lon, lat, size_m,
    )  # fmt: skip
    assert column_and_row(cell) in found  # one, but for points on an edge
    assert len(found) <= 3


@given(LONGITUDES, st.floats(-80, 80), SIZES)
@TRIALS
def test_a_cell_is_drawn_around_its_points(lon, lat, size_m):
    """But for the arrow of an edge: what is straight in degrees is slightly bent on the projection."""
    ((off_m,),) = asked(
        f"SELECT ST_Distance(mobility_hex_cell(mobility_hex_of(p, %s), %s)::geography, p::geography) FROM {POINT} p",
        size_m, size_m, lon, lat,
    )  # fmt: skip
    high_m = 0.75 * size_m / math.cos(math.radians(lat))  # of an edge, on the ground
    arrow_m = high_m**2 * math.tan(math.radians(abs(lat))) / 8 / 6.37e6
    assert off_m < 0.01 + 1.2 * arrow_m


@given(LONGITUDES, LATITUDES, SIZES)
@TRIALS
def test_a_cell_is_a_polygon_as_rfc_7946_wants_it(lon, lat, size_m):
    ((kind, srid, valid, winding, west, south, east, north),) = asked(
        "SELECT GeometryType(g), ST_SRID(g), ST_IsValid(g), ST_IsPolygonCCW(g), ST_XMin(g), ST_YMin(g), ST_XMax(g),"
        f" ST_YMax(g) FROM (SELECT mobility_hex_cell(mobility_hex_of({POINT}, %s), %s) AS g) cell",
        lon, lat, size_m, size_m,
    )  # fmt: skip
    assert (kind, srid, valid, winding) == ("POLYGON", 4326, True, True)
    assert west is not None  # not an empty one
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    assert east - west < 1  # never round the Earth


@pytest.mark.parametrize("size_m", SIZES_M)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_cells_tile_the_earth_without_overlap_or_gap(place, size_m):
    """All cells around a place: what they cover together is one piece without holes, and as large as all of them."""
    ((cells, together, apart, parts, holes),) = asked(
        f"WITH near AS (SELECT ST_Expand(ST_Transform({POINT}, 6933), 5 * %s) AS b), drawn AS ("
        "  SELECT mobility_hex_cell(((j + 32768)::bigint << 17) + i + 65536, %s) AS g FROM near,"
        "  ST_HexagonGrid(%s, b) h"
        "  WHERE ST_XMin(h.geom) < 17367530 AND ST_XMax(h.geom) > -17367530"
        "    AND ST_YMin(h.geom) < 7342230 AND ST_YMax(h.geom) > -7342230"
        "), whole AS (SELECT ST_Union(g) AS u FROM drawn)"
        " SELECT (SELECT count(*) FROM drawn WHERE NOT ST_IsEmpty(g)), ST_Area(u), (SELECT sum(ST_Area(g)) FROM drawn),"
        " ST_NumGeometries(u), ST_NumInteriorRings(ST_GeometryN(u, 1)) FROM whole",
        *place, size_m, size_m, size_m,
    )  # fmt: skip
    assert (cells > 10, parts, holes) == (True, 1, 0)
    assert together == pytest.approx(apart, rel=1e-7)


@pytest.mark.parametrize("size_m", SIZES_M)
@pytest.mark.parametrize("lat", [0.0, -26.2, 60.0, 80.0])
def test_cells_have_the_same_area_everywhere(lat, size_m):
    ((area_m2,),) = asked(
        f"SELECT ST_Area(mobility_hex_cell(mobility_hex_of({POINT}, %s), %s)::geography)", 28.0, lat, size_m, size_m
    )
    assert area_m2 == pytest.approx(1.5 * math.sqrt(3) * size_m**2, rel=2e-3)


@given(LONGITUDES, LATITUDES, st.floats(0, 3), st.floats(0, 3), SIZES)
@TRIALS
def test_what_meets_a_box_is_within_its_reach(lon, lat, wide, high, size_m):
    """Cells of points all over the box, and its neighbours that touch it."""
    # Rounded, because dividing what is next to nothing ends in PostgreSQL's underflow, here in the test's own sums.
    box = tuple(round(side, 9) for side in (lon, lat, min(lon + wide, 180), min(lat + high, 90)))
    missed = asked(
        "SELECT cell FROM (SELECT ST_MakeEnvelope(%s, %s, %s, %s, 4326) AS b) box, generate_series(0, 4) x,"
        " generate_series(0, 4) y, mobility_hex_of(ST_SetSRID(ST_MakePoint("
        "   ST_XMin(b) + x * (ST_XMax(b) - ST_XMin(b)) / 4, ST_YMin(b) + y * (ST_YMax(b) - ST_YMin(b)) / 4),"
        " 4326), %s) cell, mobility_hex_reach(b, %s) r"
        " WHERE NOT (cell BETWEEN r[1] AND r[2] AND cell & 131071 BETWEEN r[3] AND r[4])",
        *box, size_m, size_m,
    )  # fmt: skip
    assert missed == []
    touching = asked(
        "SELECT h.i, h.j FROM (SELECT ST_MakeEnvelope(%s, %s, %s, %s, 4326) AS b) box,"
        " mobility_hex_reach(b, %s) r, LATERAL (SELECT ((j + 32768)::bigint << 17) + i + 65536 AS cell, i, j FROM"
        " ST_HexagonGrid(%s, ST_Expand("
        "   ST_Transform(ST_SetSRID(ST_MakePoint(ST_XMax(b), ST_YMax(b)), 4326), 6933), %s))) h"
        " WHERE ST_Intersects(mobility_hex_cell(h.cell, %s), b)"
        " AND NOT (h.cell BETWEEN r[1] AND r[2] AND h.cell & 131071 BETWEEN r[3] AND r[4])",
        *box, size_m, size_m, size_m, size_m,
    )  # fmt: skip
    assert touching == []


def test_a_reach_is_not_much_larger_than_its_box():
    ((first, last, west, east),) = asked(
        "SELECT r[1], r[2], r[3], r[4] FROM mobility_hex_reach(ST_MakeEnvelope(28, -26.2, 28.1, -26.1, 4326), 500) r"
    )
    assert column_and_row(last)[1] - column_and_row(first)[1] < 20
    assert east - west < 20


@pytest.mark.parametrize(
    ("counted", "shown"), [(0, None), (9, None), (10, 10), (12, 10), (13, 15), (17, 15), (18, 20), (None, None)]
)
def test_small_counts_are_not_told_and_others_are_rounded(counted, shown):
    assert asked("SELECT mobility_coarse_count(%s)", counted) == [(shown,)]


def test_a_number_off_the_earth_is_an_empty_hexagon():
    assert asked("SELECT ST_IsEmpty(mobility_hex_cell(0, 500)), ST_IsEmpty(mobility_hex_cell(4295032832, 500))") == [
        (True, False)
    ]

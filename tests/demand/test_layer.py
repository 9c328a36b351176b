"""demand_layer.sql, which every face of demand is made of: what it gives, in which order, and to whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.geodesy import destination
from mobility.demand.models import SIZES_M
from mobility.demand.queries import MIN_COUNT
from mobility.models import DemandHour, DemandMade
from mobility.sql import sql
from tests.demand.staging import PLACE, cell_of, hour_ago

pytestmark = pytest.mark.django_db
COLUMNS = ["id", "geom", "cell", "hour", "requests", "unfulfilled", "idle_drivers"]
EVERYTHING: dict[str, Any] = {
    "size_m": 500, "begin": None, "end": None, "box_a": None, "box_b": None, "after_hour": None, "after_id": None,
    "limit": None, "only": None, "suppress": False, "min_count": MIN_COUNT,
}  # fmt: skip
TRIALS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def layer(*, explain: bool = False, **changes: Any) -> list[dict[str, Any]]:
    """The rows, as psycopg puts in literals."""
    connection.ensure_connection()
    with psycopg.ClientCursor(connection.connection) as cursor:
        cursor.execute(
            ("EXPLAIN (VERBOSE, COSTS OFF) " if explain else "") + sql("demand/sql/demand_layer"), EVERYTHING | changes
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def box(west: float, south: float, east: float, north: float) -> str:
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return f"SRID=4326;POLYGON(({', '.join(f'{x} {y}' for x, y in corners)}))"


def counted(hour: datetime, cell: int, *, size_m: int = 500, **numbers: int | None) -> None:
    DemandMade.objects.get_or_create(hour=hour, defaults={"made_at": datetime.now(UTC), "changed_at": hour})
    given_counts = {"requests": 1, "unfulfilled": 0, "idle_drivers": 0} | numbers
    DemandHour.objects.create(size_m=size_m, hour=hour, cell=cell, **given_counts)


def cells_around(count: int, size_m: int = 500) -> list[int]:
    """Different cells on a line to the east."""
    return [cell_of(destination(PLACE, bearing_deg=90, distance_m=2.0 * size_m * n), size_m) for n in range(count)]


def keys(rows: list[dict[str, Any]]) -> list[tuple[datetime, int]]:
    return [(row["hour"], row["cell"]) for row in rows]


@pytest.fixture
def week():
    """Ten cells in each of six hours."""
    for back in (60, 30, 5, 3, 2, 1):
        for n, cell in enumerate(cells_around(10)):
            counted(hour_ago(back), cell, requests=n + 1)


def test_a_row_is_a_hexagon_of_an_hour(week):
    row = layer()[0]
    assert list(row) == COLUMNS
    assert row["hour"] == hour_ago(60)
    assert (row["requests"], row["unfulfilled"], row["idle_drivers"]) == (
        DemandHour.objects.get(hour=row["hour"], cell=row["cell"]).requests, 0, 0
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT mobility_hex_cell(%s, 500)::text", [row["cell"]])
        assert cursor.fetchone() == (row["geom"],)


def test_an_id_is_of_one_cell_and_hour_and_javascript_keeps_it(week):
    rows = layer()
    assert len({row["id"] for row in rows}) == 60
    hours = {row["id"]: (row["hour"] - datetime(2000, 1, 1, tzinfo=UTC)) / timedelta(hours=1) for row in rows}
    assert all(row["id"] == hours[row["id"]] * 2**33 + row["cell"] for row in rows)
    largest = (2**20 - 1) * 2**33 + 2**33 - 1  # the hours end in 2119
    assert max(hours) < largest <= 2**53


def test_each_size_is_a_layer_of_its_own(week):
    counted(hour_ago(1), cell_of(PLACE, 2_000), size_m=2_000, requests=55)
    assert [row["requests"] for row in layer(size_m=2_000)] == [55]
    assert len(layer()) == 60
    assert layer(size_m=250) == []


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [(None, None, [60, 30, 5, 3, 2, 1]), (5, None, [5, 3, 2, 1]), (None, 5, [60, 30]), (30, 3, [30, 5]), (4, 3, []),
     (2, 2, [])],
)  # fmt: skip
def test_times_are_half_open(week, begin, end, hours):
    rows = layer(begin=None if begin is None else hour_ago(begin), end=None if end is None else hour_ago(end))
    assert [hour for hour, _ in keys(rows)] == [hour_ago(back) for back in hours for _ in range(10)]


def test_rows_come_by_hour_and_id_page_by_page(week):
    everything = layer()
    assert [(row["hour"], row["id"]) for row in everything] == sorted((row["hour"], row["id"]) for row in everything)
    for size in (1, 7, 10, 60, 61):
        paged, after = [], {"after_hour": None, "after_id": None}
        while page := layer(limit=size, **after):
            assert len(page) <= size
            paged += page
            after = {"after_hour": page[-1]["hour"], "after_id": page[-1]["id"]}
        assert paged == everything
    filtered = layer(begin=hour_ago(30), end=hour_ago(2))
    last = filtered[12]
    rest = layer(begin=hour_ago(30), end=hour_ago(2), after_hour=last["hour"], after_id=last["id"])
    assert rest == filtered[13:]


def meeting(*boxes: str) -> list[tuple[datetime, int]]:
    """Brute force: every polygon against every box."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hour, cell FROM mobility_demand_hour WHERE size_m = 500"
            " AND EXISTS (SELECT FROM unnest(%s::text[]) b"
            "   WHERE ST_Intersects(mobility_hex_cell(cell, size_m), b::geometry))"
            " ORDER BY 1, 2",
            [list(boxes)],
        )
        return cursor.fetchall()


@pytest.mark.usefixtures("grid")
class TestBoxes:
    @pytest.fixture
    def grid(self):
        """Cells all over a town, and some at the antimeridian and a pole."""
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH cell AS (SELECT DISTINCT mobility_hex_of(ST_SetSRID(ST_MakePoint(x, y), 4326), 500) AS cell"
                " FROM (SELECT 28 + 0.005 * x, -26.2 + 0.005 * y"
                "  FROM generate_series(0, 19) x, generate_series(0, 19) y"
                "  UNION ALL VALUES (179.999, -17.0), (-179.999, -17.0), (179.9, -17.0), (10, 89.99)) p (x, y))"
                " INSERT INTO mobility_demand_hour SELECT 500, '2026-01-01 10:00Z', cell, 12, 0, 0 FROM cell"
            )
            cursor.execute("INSERT INTO mobility_demand_made VALUES ('2026-01-01 10:00Z', now(), now(), NULL)")

    @given(st.floats(27.98, 28.12), st.floats(-26.22, -26.08), st.floats(0, 0.05), st.floats(0, 0.05))
    @TRIALS
    def test_a_row_counts_when_its_hexagon_meets_the_box(self, west, south, wide, high):
        area = box(west, south, west + wide, south + high)
        assert keys(layer(box_a=area)) == meeting(area)

    @given(
        st.lists(st.tuples(st.floats(27.98, 28.12), st.floats(-26.22, -26.08)), min_size=2, max_size=2),
        st.floats(0.001, 0.03),
    )
    @TRIALS
    def test_or_the_other_box(self, corners, wide):
        boxes = [box(x, y, x + wide, y + wide) for x, y in corners]
        assert keys(layer(box_a=boxes[0], box_b=boxes[1])) == meeting(*boxes)
        assert keys(layer(box_b=boxes[1])) == meeting(boxes[1])

    def test_boxes_on_both_sides_of_the_antimeridian(self):
        east, west = box(179.95, -17.1, 180, -16.9), box(-180, -17.1, -179.95, -16.9)
        assert len(layer(box_a=east, box_b=west)) == 2
        assert len(layer(box_a=east)) == len(layer(box_a=west)) == 1
        assert len(layer(box_a=box(-180, -90, 180, 90))) == len(layer())
        assert len(layer(box_a=box(-180, 89, 180, 90))) == 1

    def test_what_is_out_of_reach_is_left_out_by_the_index(self):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # what the planner does when there are more rows
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in layer(explain=True, box_a=box(28, -26.2, 28.01, -26.19)))
        assert "mobility_hex_reach" not in plan  # known before the query runs
        condition = next(line for line in plan.splitlines() if "Cond" in line)
        assert "cell >=" in condition
        assert "cell <=" in condition

    def test_without_a_box_there_is_nothing_to_compare(self):
        plan = "\n".join(row["QUERY PLAN"] for row in layer(explain=True))
        assert "st_intersects" not in plan
        assert "mobility_coarse_count" not in plan
        assert " OR " not in plan


# --- for readers who must not learn about single persons -----------------------------------------------------------


def test_small_counts_are_suppressed_each_by_itself_and_others_rounded():
    first, second, third, fourth = cells_around(4)
    counted(hour_ago(1), first, requests=23, unfulfilled=9, idle_drivers=12)
    counted(hour_ago(1), second, requests=9, unfulfilled=9, idle_drivers=9)
    counted(hour_ago(1), third, requests=3, unfulfilled=0, idle_drivers=10)
    counted(hour_ago(1), fourth, requests=11, unfulfilled=10, idle_drivers=None)
    shown = {row["cell"]: (row["requests"], row["unfulfilled"], row["idle_drivers"]) for row in layer(suppress=True)}
    assert shown == {first: (25, None, 10), third: (None, None, 10), fourth: (10, 10, None)}
    assert len(layer()) == 4


def test_how_small_is_a_parameter():
    first, second = cells_around(2)
    counted(hour_ago(1), first, requests=23, idle_drivers=20)
    counted(hour_ago(1), second, requests=19, idle_drivers=19)
    rows = layer(suppress=True, min_count=20)
    assert [(row["cell"], row["requests"], row["idle_drivers"]) for row in rows] == [(first, 25, 20)]


def test_a_page_is_full_although_rows_are_left_out():
    cells = cells_around(12)
    for n, cell in enumerate(sorted(cells)):
        counted(hour_ago(1), cell, requests=20 if n % 3 == 0 else 2)
    assert [row["cell"] for row in layer(suppress=True, limit=4)] == sorted(cells)[::3]


def test_the_hour_that_goes_on_is_for_operators():
    """Who asks every minute would see each single request arrive."""
    for back in (1, 0):
        counted(hour_ago(back), cell_of(PLACE, 500), requests=50)
    DemandMade.objects.filter(hour=hour_ago(0)).update(due_at=datetime.now(UTC))
    assert [row["hour"] for row in layer()] == [hour_ago(1), hour_ago(0)]
    assert [row["hour"] for row in layer(suppress=True)] == [hour_ago(1)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), min_size=1, max_size=40))
@TRIALS
def test_no_size_shows_a_small_count_or_an_exact_one(groups):
    """Groups of requests at eight places, counted in every size: what is shown is ten or more, and rounded."""
    DemandHour.objects.all().delete()
    hour = hour_ago(2)
    for size_m in SIZES_M:
        found: dict[int, int] = {}
        for where, requests in groups:
            at = destination(PLACE, bearing_deg=45.0 * where, distance_m=700.0)
            found[cell_of(at, size_m)] = found.get(cell_of(at, size_m), 0) + requests
        for cell, requests in found.items():
            if requests:
                counted(hour, cell, size_m=size_m, requests=requests, unfulfilled=requests // 3)
        for row in layer(size_m=size_m, suppress=True):
            true = found[row["cell"]]
            for shown, exact in ((row["requests"], true), (row["unfulfilled"], true // 3)):
                assert shown is None or (exact >= MIN_COUNT and shown >= MIN_COUNT and shown % 5 == 0)
                assert (shown is None) == (exact < MIN_COUNT)
            assert row["idle_drivers"] is None

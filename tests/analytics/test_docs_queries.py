"""docs/gis.md holds: its queries answer what was worked out by hand, and it names what there is and nothing else."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.gis.geos import GEOSGeometry

from geo.coordinates import lat_lon
from mobility.analytics.services import keep_gis
from tests.analytics.city import Ride
from tests.analytics.people import refusal
from tests.environment import ROOT
from tests.positions import tell

TEXT = (ROOT / "docs" / "gis.md").read_text()
QUERIES = {
    int(number): (role, query)
    for number, role, query in re.findall(
        r"^### (\d+)\. [^\n]*\((analyst|operations)\)\n(?:(?!^###).)*?^```sql\n(.*?)^```",
        TEXT,
        re.MULTILINE | re.DOTALL,
    )
}
OF_ANALYST = {number: query for number, (role, query) in QUERIES.items() if role == "analyst"}
OF_OPERATIONS = {number: query for number, (role, query) in QUERIES.items() if role == "operations"}

# Three hexagons, by what lies in them: the clinic of the queries, and places 5 km and 10 km east of it.
CLINIC = (28.0473, -26.2041)
CELLS = {"clinic": CLINIC, "5 km": (28.0973, -26.2041), "10 km": (28.1473, -26.2041)}
FRIDAY, MONDAY, TUESDAY = date(2026, 2, 20), date(2026, 3, 2), date(2026, 3, 3)
# A degree of latitude at 26.2 degrees south is 110.79 km: 997 m.
NORTH_DEG = 0.009


def test_there_are_enough_and_each_is_numbered_once():
    assert list(QUERIES) == list(range(1, len(re.findall(r"^```sql$", TEXT, re.MULTILINE)) + 1))
    assert len(OF_ANALYST) >= 10
    assert len(OF_OPERATIONS) >= 5


# --- what analysts ask ---------------------------------------------------------------------------------------------


@pytest.fixture
def published(city):
    """Two areas of 0.1 by 0.1 degrees at the equator, and numbers of three days and two months, two hours east."""
    city.areas(1, 2, side_deg=0.1)
    for name, (lon, lat) in CELLS.items():
        city.admin.execute(
            "INSERT INTO mobility_published_hexagon SELECT cell, mobility_hex_cell(cell, 1000)"
            " FROM mobility_hex_of(ST_Point(%s, %s, 4326), 1000) cell",
            [lon, lat],
        )
        assert cell_of(city, name)
    _periods(city)
    _hours(city)
    _areas(city)
    return city


def cell_of(city, name):
    return city.admin.execute("SELECT mobility_hex_of(ST_Point(%s, %s, 4326), 1000)", CELLS[name]).fetchone()[0]


def insert(city, table, columns, *lines):
    for line in lines:
        places = ", ".join(["%s"] * len(line))
        city.admin.execute(f"INSERT INTO mobility_published{table} ({columns}) VALUES ({places})", line)


def _periods(city):
    at = datetime(2026, 3, 6, tzinfo=UTC)
    insert(
        city, "", "kind, begins, time_zone, published_at, published_by",
        *(("day", day, "Africa/Johannesburg", at, "1") for day in (FRIDAY, MONDAY, TUESDAY)),
        *(("supply", day, "Africa/Johannesburg", at, "1") for day in (MONDAY, TUESDAY)),
        *(("month", date(2026, month, 1), "Africa/Johannesburg", at, "1") for month in (1, 2)),
    )  # fmt: skip


def _hours(city):
    clinic, near, far = (cell_of(city, name) for name in CELLS)

    def at(day, hour):
        return day, datetime(day.year, day.month, day.day, hour - 2, tzinfo=UTC)

    insert(
        city, "_hour", "period, hour, area_id, cell, requests",
        (*at(FRIDAY, 8), 1, clinic, 50),
        (*at(MONDAY, 8), 1, clinic, 20),
        (*at(MONDAY, 17), 1, clinic, 10),
        (*at(MONDAY, 8), 1, near, 15),
        (*at(TUESDAY, 8), 2, far, 10),  # on a boundary: a row for each of its areas
        (*at(TUESDAY, 8), 1, far, 15),
    )  # fmt: skip
    insert(
        city, "_supply", "period, hour, cell, idle_drivers",
        (*at(MONDAY, 8), clinic, 10), (*at(MONDAY, 17), clinic, 15), (*at(TUESDAY, 8), near, 10),
    )  # fmt: skip


def _areas(city):
    insert(
        city, "_area", "kind, period, area_id, requests, followed, completed, not_completed, cancelled, wait_median_s,"
        " wait_p90_s, acceptance_pct",
        ("day", FRIDAY, 1, 50, None, 35, 15, None, 420, None, None),
        ("day", MONDAY, 1, 45, None, 30, 15, None, 300, 750, None),
        ("day", TUESDAY, 1, 15, None, None, None, None, None, None, None),
        ("month", date(2026, 1, 1), 1, 400, 400, 300, 100, 60, 300, None, 65),
        ("month", date(2026, 2, 1), 1, 500, 480, 400, 80, 50, 300, None, 70),
        ("month", date(2026, 2, 1), 2, 100, None, None, None, None, None, None, None),
    )  # fmt: skip
    insert(
        city, "_flow", "period, from_area_id, to_area_id, requests",
        (date(2026, 1, 1), 1, 2, 500),  # of a month that the query does not ask for
        *((date(2026, 2, 1), *flow) for flow in ((1, 1, 200), (1, 2, 150), (1, 0, 50), (2, 1, 50))),
    )  # fmt: skip
    insert(
        city, "_verdict", "period, area_id, verdict, passed_over",
        (date(2026, 1, 15), 1, "offline", 500),  # more than 30 days before the last
        (MONDAY, 1, "busy", 60), (MONDAY, 1, "stale", 20), (TUESDAY, 1, "busy", 20),
    )  # fmt: skip


ANALYSTS_ANSWERS = {
    2: [
        ("day", 3, FRIDAY, TUESDAY, datetime(2026, 3, 6, tzinfo=UTC)),
        ("month", 2, date(2026, 1, 1), date(2026, 2, 28), datetime(2026, 3, 6, tzinfo=UTC)),
        ("supply", 2, MONDAY, TUESDAY, datetime(2026, 3, 6, tzinfo=UTC)),
    ],
    # 0.1 degrees of longitude at the equator are 11.132 km, of latitude 11.057 km.
    3: [(1, "Area 1", True, 123, "polygon"), (2, "Area 2", True, 123, "polygon")],
    # From 25 February on: Friday's 50 are older. 20 + 10, then 10 + 15 of the boundary, then 15.
    4: [("clinic", 30, "clinic"), ("10 km", 25, "10 km"), ("5 km", 15, "5 km")],
    # Monday at eight: 20 + 15; Tuesday: 10 + 15.
    5: [("Fri", 8, 50), ("Mon", 8, 35), ("Tue", 8, 25), ("Mon", 17, 10)],
    # 300 s, 750 s, 420 s; Tuesday tells none.
    6: [(MONDAY, "Area 1", 5, 12.5), (FRIDAY, "Area 1", 7, None)],
    # 400 and 50 of 480; 300 and 60 of 400.
    7: [
        (date(2026, 2, 1), "Area 1", 500, 83, 10, 70),
        (date(2026, 2, 1), "Area 2", 100, None, None, None),
        (date(2026, 1, 1), "Area 1", 400, 75, 15, 65),
    ],
    # 150 of 200 + 150 + 50 is 37.5 %; what stays in its area or leaves for none is no line.
    8: [
        ("Area 1", "Area 2", 150, 38, [(1.05, 0.05), (2.05, 0.05)]),
        ("Area 2", "Area 1", 50, 100, [(2.05, 0.05), (1.05, 0.05)]),
    ],
    # The clinic had drivers in both of Monday's hours, 5 km east only on Tuesday, when nobody asked there; Friday's
    # supply is not published.
    9: [("10 km", 1, 25, "10 km"), ("5 km", 1, 15, "5 km")],
    10: [
        ("Area 1", date(2026, 1, 1), 400, None, None),
        ("Area 1", date(2026, 2, 1), 500, 100, 25),
        ("Area 2", date(2026, 2, 1), 100, None, None),
    ],
    11: [("busy", 80, 80), ("stale", 20, 20)],
    12: [(FRIDAY, 50), (MONDAY, 30)],
    # Friday is 12 days before the end.
    13: [("10 km", 25, 0, 25, "10 km"), ("5 km", 15, 0, 15, "5 km"), ("clinic", 30, 50, -20, "clinic")],
}


def test_analysts_queries_answer_what_was_worked_out_by_hand(published, analyst):
    cells = {cell_of(published, name): name for name in CELLS}
    views = [name for name, who in named().items() if who == "analyst" and "(" not in name]
    found = {number: answer(analyst, query, cells) for number, query in OF_ANALYST.items()}
    assert [name for name, _ in found.pop(1)] == sorted(views)
    found[8] = [row[1:] for row in found[8]]  # its first column is the flow's own number
    for number, rows in found.items():
        assert rows == ANALYSTS_ANSWERS[number], number
    assert found.keys() == ANALYSTS_ANSWERS.keys()


def test_the_first_query_answers_in_a_database_that_is_new(committed_db, analyst):
    rows = answer(analyst, QUERIES[1][1])
    assert len(rows) >= 8
    assert all(about for _, about in rows)


def test_every_query_runs_where_nothing_has_happened_yet(committed_db, operations):
    assert {
        number: len(answer(operations, query)) for number, (_, query) in QUERIES.items() if number != 1
    } == dict.fromkeys(range(2, len(QUERIES) + 1), 0)


# --- what operations ask -------------------------------------------------------------------------------------------


@pytest.fixture
def driven(city, make_driver):
    """Three drivers north of the clinic and five rides, times before now."""
    keep_gis()
    lon, lat = CLINIC
    # 997 m, 1,994 m, and 11 km away.
    first, second, _ = (make_driver(lat + north, lon) for north in (NORTH_DEG, 2 * NORTH_DEG, 0.1))
    now = datetime.now(UTC)
    city.add(
        Ride(n, n, 0, 0, now - timedelta(days=days), outcome)
        for n, (days, outcome) in enumerate(
            [(1, "completed"), (1, "completed"), (2, "completed"), (1, "cancelled"), (40, "completed")], 1
        )
    )
    ids = [one for (one,) in city.admin.execute("SELECT id FROM mobility_booking ORDER BY passenger_id")]
    _pickups(city, ids)
    _trips(city, ids)
    _offers(city, ids)
    # An hour ago both had told where they were; the second was on the third ride.
    for driver, back_s in ((first, 3660), (second, 3720)):
        tell(driver.pk, lat_lon(lat, lon), recorded_at=now - timedelta(seconds=back_s))
    city.admin.execute(
        "UPDATE mobility_booking SET driver_id = %s, confirmed_at = %s, completed_at = %s WHERE id = %s",
        [second.pk, now - timedelta(hours=2), now - timedelta(minutes=30), ids[2]],
    )
    # The first ride's search began 65 minutes ago and ended after 15; the second's began and ended before the hour.
    for ride, began_min, ended_min in ((ids[0], 65, 50), (ids[1], 90, 80)):
        for seq, to, back in ((1, "pending", began_min), (2, "confirmed", ended_min)):
            city.admin.execute(
                "INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_role,"
                " occurred_at, payload) VALUES (%s, %s, 'x', '', %s, 'system', %s, '{}')",
                [ride, seq, to, now - timedelta(minutes=back)],
            )
    return ids


def _pickups(city, ids):
    """The first at the clinic's door, the second and fourth 499 m away, the third 997 m, the fifth 40 days ago."""
    for ride, north, waited_s in zip(ids, (0, 0.0045, NORTH_DEG, 0.0045, 0), (30, 90, 1000, 20, 1000), strict=True):
        city.admin.execute(
            "UPDATE mobility_booking SET pickup = ST_Point(%s, %s, 4326), confirmed_at = requested_at"
            " + make_interval(secs => %s) WHERE id = %s",
            [CLINIC[0], CLINIC[1] + north, waited_s, ride],
        )


def _trips(city, ids):
    """Of 997 m straight: one twice as long, one a tenth longer, one with a part that is not known."""
    for ride, length_m, leaps in ((ids[0], 1994.2, 0), (ids[1], 1096.8, 0), (ids[4], 5000, 1)):
        city.admin.execute(
            "INSERT INTO mobility_trip (booking_id, track, length_m, fixes, jumps, leaps, started_at, ended_at)"
            " SELECT id, ST_MakeLine(ST_Point(%s, %s, 4326), ST_Point(%s, %s, 4326)), %s, 2, 0, %s, started_at,"
            " completed_at FROM mobility_booking WHERE id = %s",
            [CLINIC[0], CLINIC[1], CLINIC[0], CLINIC[1] + NORTH_DEG, length_m, leaps, ride],
        )


def _offers(city, ids):
    """Within a kilometre one accepted after 10 s and one declined after 20 s, beyond it one ran out; two do not
    count."""
    at = datetime.now(UTC) - timedelta(days=1)
    for number, (away_m, status, origin, answered_s) in enumerate(
        [(400, "accepted", "asked", 10), (900, "declined", "asked", 20), (1500, "expired", "asked", 30),
         (1600, "withdrawn", "asked", 5), (300, "accepted", "auto_accept", 0)]
    ):  # fmt: skip
        city.admin.execute(
            "INSERT INTO mobility_offer (booking_id, driver_id, round, status, reason, origin,"
            " pickup_distance_m, offered_at, settled_at) VALUES (%s, %s, 1, %s, %s, %s, %s, %s, %s)",
            [
                ids[number % len(ids)], 1000 + number, status, "taken" if status == "withdrawn" else None, origin,
                away_m, at, at + timedelta(seconds=answered_s),
            ],
        )  # fmt: skip


def operations_answers(ids):
    lon, lat = (round(x, 4) for x in CLINIC)
    return {
        # The third driver is 11 km away.
        14: [("key", 997, "sedan", (lon, -26.1951)), ("key", 1994, "sedan", (lon, -26.1861))],
        15: [(False, 1), (True, 1)],
        16: [(ids[0], 5, (lon, lat))],
        17: [(ids[0], 1994, 997, 2, [(lon, lat), (lon, -26.1951)])],
        # Between 30 s and 90 s lies 60 s.
        18: [("cancelled", 1, 20), ("completed", 2, 60)],
        19: [(0, 2, 50, 15), (1, 1, 0, None)],
    }


def test_queries_of_operations_answer_what_was_worked_out_by_hand(driven, operations):
    found = {number: answer(operations, query) for number, query in OF_OPERATIONS.items()}
    expected = operations_answers(driven)
    for number, rows in found.items():
        assert rows == expected[number], number
    assert found.keys() == expected.keys()


def test_an_analyst_is_refused_what_is_for_operations(committed_db, analyst):
    assert {refusal(analyst, query) for query in OF_OPERATIONS.values()} == {"42501"}


# --- what is named -------------------------------------------------------------------------------------------------


def named():
    """Of each view and function in the table of docs/gis.md who reads it."""
    return dict(re.findall(r"^\| `gis\.([^`]+)` \| (analyst|operations) \| [^|]+ \|$", TEXT, re.MULTILINE))


def test_everything_in_the_schema_is_in_the_table_with_who_reads_it(committed_db, admin_url, city):
    there = city.admin.execute(
        "SELECT relname, has_table_privilege('careconnect_analyst', oid, 'SELECT') FROM pg_class"
        " WHERE relnamespace = 'gis'::regnamespace AND relkind IN ('v', 'm', 'r', 'p', 'f')"
        " UNION ALL SELECT proname || '(' || array_to_string((SELECT array_agg(a ORDER BY n) FROM unnest(proargnames,"
        " proargmodes) WITH ORDINALITY u (a, mode, n) WHERE mode = 'i'), ', ') || ')',"
        " has_function_privilege('careconnect_analyst', oid, 'EXECUTE') FROM pg_proc"
        " WHERE pronamespace = 'gis'::regnamespace"
    ).fetchall()
    assert named() == {name: "analyst" if analyst else "operations" for name, analyst in there}


def test_nothing_is_named_that_is_not_there():
    plain = {name.split("(")[0] for name in named()}
    assert set(re.findall(r"\bgis\.([a-z_]+)", TEXT)) == plain


# --- answers -------------------------------------------------------------------------------------------------------


def answer(connection, query, cells=None):
    """The rows, numbers as Python's, keys of people as "key", cells by name, geometry by coordinates or by name."""
    cursor = connection.execute(query)
    names = [column.name for column in cursor.description]
    return [
        tuple(_plain(name, value, cells or {}) for name, value in zip(names, row, strict=True))
        for row in cursor.fetchall()
    ]


def _plain(name, value, cells):
    if name == "geom":
        return _shape(GEOSGeometry(value))
    if name.endswith("_key"):
        assert value > 0
        return "key"
    if name == "cell":
        return cells[value]
    return float(value) if isinstance(value, Decimal) else value


def _shape(geometry):
    assert geometry.srid == 4326
    if geometry.geom_type == "Point":
        return tuple(round(x, 4) for x in geometry.coords)
    if geometry.geom_type == "LineString":
        return [tuple(round(x, 4) for x in place) for place in geometry.coords]
    inside = [
        name for name, at in CELLS.items() if geometry.contains(GEOSGeometry(f"SRID=4326;POINT({at[0]} {at[1]})"))
    ]
    return inside[0] if inside else "polygon"

"""What the table of trips refuses, from psql as well."""

import pytest
from django.db import connection

from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import find_driver
from mobility.invariants.queries import broken_invariants
from tests.bookings.test_guards import named, refused
from tests.staged import attacked

LINE = "ST_GeomFromText('LINESTRING(28 -26, 28.1 -26)', 4326)"
COLUMNS = {"track": LINE, "length_m": "10007", "approach_m": "NULL", "fixes": "2", "jumps": "0", "leaps": "0"}


def insert_trip(where: str = "true", **changes: str) -> str:
    """An INSERT for every driven ride, as somebody with psql would write it; values are SQL over its booking."""
    columns = {"booking_id": "b.id", "started_at": "b.started_at", "ended_at": "b.completed_at"} | COLUMNS | changes
    return (
        f"INSERT INTO mobility_trip ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
        f" FROM mobility_booking b WHERE {where}"
    )


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def ride(make_user, make_driver, ride_request):
    """The id of a ride under way."""
    make_driver(-26.2041, 28.0473)
    booking_id = find_driver(make_user().pk, "r1", ride_request()).booking_id
    start_ride(booking_id, SYSTEM)
    return booking_id


@pytest.fixture
def driven(ride):
    """The id of a completed ride; its trip comes after the commit, and there is none."""
    complete_ride(ride, SYSTEM)
    return ride


@pytest.mark.django_db
def test_a_trip_that_can_be_is_kept(driven):
    run(insert_trip())
    run("UPDATE mobility_trip SET length_m = 1, due_at = now()")
    assert refused("DELETE FROM mobility_trip").startswith("permission denied")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"track": "ST_GeomFromText('LINESTRING(28 -26, 181 -26)', 4326)"}, "trip_track_on_earth"),
        ({"track": "ST_GeomFromText('LINESTRING(28 -26, 28 -91)', 4326)"}, "trip_track_on_earth"),
        ({"track": "ST_GeomFromText('LINESTRING EMPTY', 4326)"}, "trip_track_on_earth"),
        (
            {"track": "ST_MakeLine(ST_SetSRID(ST_MakePoint(28, 'NaN'), 4326), ST_SetSRID(ST_MakePoint(28, 1), 4326))"},
            "trip_track_on_earth",
        ),
        ({"length_m": "-1"}, "trip_lengths_are_sane"),
        ({"length_m": "'NaN'"}, "trip_lengths_are_sane"),
        ({"length_m": "'Infinity'"}, "trip_lengths_are_sane"),
        ({"approach_m": "-1"}, "trip_lengths_are_sane"),
        ({"approach_m": "'NaN'"}, "trip_lengths_are_sane"),
        ({"fixes": "1"}, "trip_line_has_fixes"),
        ({"length_m": "NULL"}, "trip_line_has_fixes"),
        ({"track": "NULL"}, "trip_line_has_fixes"),
        ({"track": "NULL", "length_m": "NULL"}, "trip_line_has_fixes"),
        ({"track": "NULL", "length_m": "NULL", "fixes": "-1"}, "trip_counts_not_negative"),
        ({"times": "ARRAY[now()]"}, "trip_positions_have_times"),
        ({"times": "ARRAY[]::timestamptz[]"}, "trip_positions_have_times"),
        ({"jumps": "-1"}, "trip_counts_not_negative"),
        ({"leaps": "-1"}, "trip_counts_not_negative"),
    ],
    ids=named,
)
def test_a_trip_that_cannot_be_is_refused(driven, changes, constraint):
    assert refused(insert_trip(**changes)) == constraint


@pytest.mark.django_db
def test_a_track_is_in_degrees_of_wgs_84(driven):
    assert "SRID (3857) does not match" in refused(insert_trip(track="ST_SetSRID(" + LINE + ", 3857)"))


@pytest.mark.django_db
def test_a_ride_has_one_trip(driven):
    assert refused(insert_trip(), insert_trip()) == "mobility_trip_pkey"


@pytest.mark.django_db
def test_a_ride_that_goes_on_has_no_trip(ride):
    assert refused(insert_trip(ended_at="b.started_at")) == "trip_is_of_a_driven_ride"


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["started_at", "ended_at"])
def test_a_trip_begins_and_ends_with_its_ride(driven, column):
    other = {"started_at": "b.started_at - interval '1 s'", "ended_at": "b.completed_at + interval '1 s'"}
    assert refused(insert_trip(**{column: other[column]})) == "trip_is_of_a_driven_ride"
    run(insert_trip())
    shift = {"started_at": "- interval '1 s'", "ended_at": "+ interval '1 s'"}[column]
    assert refused(f"UPDATE mobility_trip SET {column} = {column} {shift}") == "trip_is_of_a_driven_ride"


def test_behind_the_guard_stands_a_check_of_the_order_of_times(admin_url):
    insert = (
        "INSERT INTO mobility_trip (booking_id, fixes, jumps, leaps, started_at, ended_at)"
        " VALUES (1, 0, 0, 0, now(), now() {})"
    )
    assert attacked(admin_url, insert.format("- interval '1 s'"), triggers=False) == "trip_times_in_order"
    assert attacked(admin_url, insert.format("+ interval '1 s'"), triggers=False) == ""


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    "changes", ["started_at = started_at - interval '1 s'", "ended_at = ended_at + interval '1 s'"]
)
def test_check_invariants_tells_of_a_trip_of_other_times(
    committed_db, make_user, make_driver, ride_request, admin_url, changes
):
    import psycopg

    make_driver(-26.2041, 28.0473)
    booking_id = find_driver(make_user().pk, "r1", ride_request()).booking_id
    start_ride(booking_id, SYSTEM)
    complete_ride(booking_id, SYSTEM)
    assert broken_invariants() == []
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(f"UPDATE mobility_trip SET {changes}")
    assert [broken.name for broken in broken_invariants()] == ["trips_are_of_driven_rides"]

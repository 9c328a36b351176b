"""Where drivers were: what the table refuses, and its days."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from mobility.locations.partitions import keep_partitions, partitions
from mobility.models import Position
from tests.bookings.test_guards import named, refused

pytestmark = pytest.mark.django_db
COLUMNS = {
    "driver_id": "1", "recorded_at": "now()", "received_at": "now()",
    "position": "ST_SetSRID(ST_MakePoint(28, -26), 4326)", "heading": "NULL", "speed": "NULL", "accuracy_m": "NULL",
    "door": "'socket'",
}  # fmt: skip


def insert_position(**changes: str) -> str:
    """An INSERT as somebody with psql would write it; values are SQL."""
    columns = COLUMNS | changes
    return f"INSERT INTO mobility_position ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def run(statement: str, *params: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


def of_day(day: datetime) -> str:
    return f"mobility_position_{day:%Y%m%d}"


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"position": "ST_SetSRID(ST_MakePoint(181, 0), 4326)"}, "position_on_earth"),
        ({"position": "ST_SetSRID(ST_MakePoint(28, 'NaN'), 4326)"}, "position_on_earth"),
        ({"position": "'SRID=4326;POINT EMPTY'"}, "position_on_earth"),
        ({"recorded_at": "now() + interval '61 s'"}, "position_not_from_the_future"),
        ({"heading": "360"}, "position_heading_in_circle"),
        ({"heading": "-1"}, "position_heading_in_circle"),
        ({"speed": "-1"}, "position_speed_is_sane"),
        ({"speed": "'NaN'"}, "position_speed_is_sane"),
        ({"accuracy_m": "-1"}, "position_accuracy_is_sane"),
        ({"door": "'window'"}, "position_door_is_known"),
    ],
    ids=named,
)
def test_a_wrong_position_is_refused(changes, constraint):
    assert refused(insert_position(**changes)) == constraint


def test_a_position_is_kept_once():
    assert refused(insert_position(), insert_position()).endswith("_pkey")


def test_the_application_neither_rewrites_nor_removes_the_past():
    run(insert_position())
    for attack in (
        "UPDATE mobility_position SET speed = 1", "DELETE FROM mobility_position", "TRUNCATE mobility_position",
        f"DELETE FROM {of_day(datetime.now(UTC))}", "DELETE FROM mobility_position_default",
    ):  # fmt: skip
        assert refused(attack).startswith("permission denied")
    assert refused(f"DROP TABLE {of_day(datetime.now(UTC))}").startswith("must be owner")


def test_a_position_goes_into_the_partition_of_its_day_in_utc():
    run("SET LOCAL timezone = 'Pacific/Kiritimati'")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for n, at in enumerate((midnight, midnight - timedelta(microseconds=1))):
        run(insert_position(driver_id=str(n + 1), recorded_at=f"'{at.isoformat()}'"))
    found = run("SELECT driver_id, tableoid::regclass::text FROM mobility_position ORDER BY 1")
    assert found == [(1, of_day(midnight)), (2, of_day(midnight - timedelta(1)))]


def test_days_are_made_ahead_and_again_changes_nothing():
    today = datetime.now(UTC) + timedelta(20)
    made = keep_partitions(today=today).made
    assert made == 6  # two days back for late positions, today, three ahead
    names = {name for name, _, _ in partitions()}
    assert {of_day(today + timedelta(n)) for n in range(-2, 4)} <= names
    assert keep_partitions(today=today).made == 0


def test_a_position_without_a_day_waits_until_its_day_is_made():
    late = datetime.now(UTC) - timedelta(10)
    run(insert_position(recorded_at=f"'{late.isoformat()}'"))
    assert run("SELECT tableoid::regclass::text FROM mobility_position") == [("mobility_position_default",)]
    keep_partitions(today=late)
    assert run("SELECT tableoid::regclass::text FROM mobility_position") == [(of_day(late),)]
    assert Position.objects.get().driver_id == 1


def test_old_days_are_dropped_with_their_positions_and_no_other(settings):
    today = datetime.now(UTC)
    old, kept = today - timedelta(31), today - timedelta(30)
    keep_partitions(today=kept)
    for n, at in enumerate((old, kept, today)):
        run(insert_position(driver_id=str(n), recorded_at=f"'{at.isoformat()}'"))
    very_old = today - timedelta(100)
    run(insert_position(driver_id="9", recorded_at=f"'{very_old.isoformat()}'"))  # has no day: the default partition
    done = keep_partitions()
    assert done.dropped == 2  # 31 and 32 days ago
    assert [row[0] for row in run("SELECT driver_id FROM mobility_position ORDER BY 1")] == [1, 2]
    assert of_day(old) not in {name for name, _, _ in partitions()}
    assert of_day(kept) in {name for name, _, _ in partitions()}


def test_the_last_days_are_never_dropped():
    today = "(now() AT TIME ZONE 'UTC')::date"
    assert refused(f"SELECT mobility_drop_position_days({today})") == "position_last_days_stay"


def test_nobody_makes_days_without_end():
    assert refused("SELECT mobility_make_position_days('2000-01-01', '9999-01-01')") == "position_days_are_few"


def test_the_command_says_what_it_did_and_lists():
    out = StringIO()
    call_command("partitions", stdout=out)
    assert "30 days are kept" in out.getvalue()
    call_command("partitions", "--list", stdout=out)
    assert of_day(datetime.now(UTC)) in out.getvalue()
    assert "mobility_position_default" in out.getvalue()


def test_a_day_is_read_by_time_with_the_block_range_index():
    run("SET LOCAL enable_seqscan = off")
    plan = run("EXPLAIN SELECT * FROM mobility_position WHERE recorded_at > now() - interval '1 hour'")
    text = "\n".join(row[0] for row in plan)
    assert "recorded_at" in text
    assert of_day(datetime.now(UTC) - timedelta(2)) not in text  # other days are not even looked at

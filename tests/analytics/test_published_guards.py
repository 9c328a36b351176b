"""What the published numbers refuse, from psql as well, and from the owner."""

import pytest
from django.db import connection

from tests.bookings.test_guards import refused
from tests.staged import attacked

DAY = "2026-01-01"
BEGIN = "INSERT INTO mobility_published (kind, begins, time_zone) VALUES ('{}', '" + DAY + "', 'UTC')"
# Table -> the kind of its periods, and a row's columns as SQL.
ROWS = {
    "hour": ("day", {"hour": "'2026-01-01 08:00+00'", "area_id": "1", "cell": "7", "requests": "10"}),
    "supply": ("supply", {"hour": "'2026-01-01 08:00+00'", "cell": "7", "idle_drivers": "10"}),
    "area": ("month", {"kind": "'month'", "area_id": "1", "requests": "20", "completed": "10", "wait_median_s": "70"}),
    "flow": ("month", {"from_area_id": "1", "to_area_id": "2", "requests": "10"}),
    "verdict": ("day", {"area_id": "1", "verdict": "'busy'", "passed_over": "10"}),
}
TABLES = sorted(ROWS)


def insert(table: str, **changes: str) -> str:
    columns = {"period": f"'{DAY}'"} | ROWS[table][1] | changes
    return f"INSERT INTO mobility_published_{table} ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def before(kind: str) -> str:
    """The period as another transaction published it."""
    return (
        f"INSERT INTO mobility_published (kind, begins, time_zone, published_by) VALUES ('{kind}', '{DAY}', 'UTC', '3')"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_numbers_come_with_their_period(table):
    with connection.cursor() as cursor:
        cursor.execute(BEGIN.format(ROWS[table][0]))
        cursor.execute(insert(table))
        cursor.execute(f"SELECT count(*) FROM mobility_published_{table}")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("hour", {"requests": "5"}), ("hour", {"requests": "12"}), ("supply", {"idle_drivers": "5"}),
        ("supply", {"idle_drivers": "11"}), ("flow", {"requests": "5"}), ("flow", {"requests": "11"}),
        ("verdict", {"passed_over": "5"}), ("verdict", {"passed_over": "14"}), ("area", {"requests": "5"}),
        *(("area", {name: value}) for name in ("followed", "completed", "not_completed", "cancelled", "no_show",
          "unfulfilled", "still_open") for value in ("0", "5", "13")),
        ("area", {"requests": "21"}), ("area", {"wait_median_s": "75"}), ("area", {"wait_p90_s": "75"}),
        ("area", {"trip_length_median_m": "50"}), ("area", {"trip_duration_median_s": "7"}),
        ("area", {"acceptance_pct": "51"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()),
)  # fmt: skip
def test_a_number_that_is_too_small_or_too_fine_is_refused(table, changes):
    assert refused(BEGIN.format(ROWS[table][0]), insert(table, **changes)) == f"published_{table}_is_coarse"


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_numbers_of_no_period_are_refused(table):
    assert refused(insert(table)) == "published_at_once"


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_added_to_what_was_published_before(table, admin_url):
    assert attacked(admin_url, insert(table), staged=[before(ROWS[table][0])]) == "published_at_once"


@pytest.mark.parametrize("how", ["update", "delete"])
@pytest.mark.parametrize("table", TABLES)
def test_even_the_owner_cannot_change_published_numbers(table, how, admin_url):
    statement = {
        "update": f"UPDATE mobility_published_{table} SET period = '2001-01-01'",
        "delete": f"DELETE FROM mobility_published_{table}",
    }[how]
    staged = [before(ROWS[table][0]), insert(table, period="(current_date - 399)")]
    assert attacked(admin_url, statement, staged=staged, role="careconnect_owner") == "published_is_frozen"


@pytest.mark.parametrize("table", TABLES)
def test_old_numbers_may_be_thrown_away(table, admin_url):
    staged = [before(ROWS[table][0]), insert(table, period="(current_date - 400)")]
    assert attacked(admin_url, f"DELETE FROM mobility_published_{table}", staged=staged) == ""


@pytest.mark.parametrize(
    "how", ["UPDATE mobility_published SET begins = '2001-01-01'", "DELETE FROM mobility_published"]
)
def test_even_the_owner_cannot_forget_that_a_day_was_published(how, admin_url):
    assert attacked(admin_url, how, staged=[before("day")], role="careconnect_owner") == "published_once_and_for_all"


@pytest.mark.django_db
def test_a_day_is_published_once():
    assert refused(BEGIN.format("day"), BEGIN.format("day")) == "published_once"


@pytest.mark.django_db
def test_days_are_published_in_one_zone():
    other = "INSERT INTO mobility_published (kind, begins, time_zone) VALUES ('day', '2026-01-02', 'Asia/Kolkata')"
    assert refused(BEGIN.format("day"), other) == "published_in_one_zone"


@pytest.mark.django_db
def test_a_period_is_a_day_or_a_month():
    assert refused(BEGIN.format("week")) == "published_kind_is_known"
    month = "INSERT INTO mobility_published (kind, begins, time_zone) VALUES ('month', '2026-01-02', 'UTC')"
    assert refused(month) == "published_month_begins_on_the_first"


@pytest.mark.django_db
def test_a_hexagon_has_one_shape():
    shape = "INSERT INTO mobility_published_hexagon VALUES (1, ST_MakeEnvelope(0, 0, 1, 1, 4326))"
    assert refused(shape, shape) == "published_hexagon_once"


def test_nobody_says_when_or_by_whom_a_day_was_published(admin_url):
    """Else numbers could be added to an old day by a row that claims to be of this transaction, or dated back."""
    backdated = (
        "INSERT INTO mobility_published (kind, begins, time_zone, published_at, published_by)"
        f" VALUES ('day', '{DAY}', 'UTC', '2001-01-01', '3')"
    )
    same = (
        "DO $$ BEGIN IF EXISTS (SELECT FROM mobility_published WHERE published_at <> transaction_timestamp()"
        " OR published_by <> pg_current_xact_id()) THEN RAISE EXCEPTION 'kept'; END IF; END $$"
    )
    assert attacked(admin_url, backdated, same) == ""

"""What the tables of demand refuse, from psql as well."""

import psycopg
import pytest
from django.db import connection

from mobility.invariants.queries import broken_invariants
from mobility.models import DemandHour
from tests.bookings.test_guards import named, refused
from tests.demand.staging import hour_ago

COLUMNS = {
    "size_m": "500", "hour": "'2026-01-01 10:00+00'", "cell": "7", "requests": "2", "unfulfilled": "1",
    "idle_drivers": "NULL",
}  # fmt: skip


def insert_counts(**changes: str) -> str:
    """An INSERT as somebody with psql would write it; values are SQL."""
    columns = COLUMNS | changes
    return f"INSERT INTO mobility_demand_hour ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def insert_made(**changes: str) -> str:
    """The same for an hour that was counted."""
    columns = {"hour": COLUMNS["hour"], "made_at": "now()", "changed_at": "now()"} | changes
    return f"INSERT INTO mobility_demand_made ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


@pytest.mark.django_db
def test_counts_that_can_be_are_kept():
    with connection.cursor() as cursor:
        cursor.execute(insert_made())
        for counts in ({}, {"cell": "8", "requests": "0", "unfulfilled": "0", "idle_drivers": "1"}):
            cursor.execute(insert_counts(**counts))
    assert DemandHour.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"size_m": "501"}, "demand_size_is_offered"),
        ({"hour": "'2026-01-01 10:30+00'"}, "demand_hour_is_whole"),
        ({"hour": "'2026-01-01 10:00:00.000001+00'"}, "demand_hour_is_whole"),
        ({"cell": "-1"}, "demand_cell_has_number"),
        ({"cell": "8589934592"}, "demand_cell_has_number"),
        ({"requests": "0", "unfulfilled": "-1"}, "demand_counts_are_sane"),
        ({"unfulfilled": "3"}, "demand_counts_are_sane"),
        ({"idle_drivers": "-1"}, "demand_counts_are_sane"),
        ({"requests": "0", "unfulfilled": "0", "idle_drivers": "0"}, "demand_counts_are_sane"),
    ],
    ids=named,
)
def test_counts_that_cannot_be_are_refused(changes, constraint):
    assert refused(insert_counts(**changes)) == constraint


@pytest.mark.django_db
def test_a_cell_is_counted_once_an_hour():
    assert refused(insert_counts(), insert_counts()) == "mobility_demand_hour_pkey"


@pytest.mark.django_db
def test_an_hour_is_counted_once():
    assert refused(insert_made(), insert_made()) == "mobility_demand_made_pkey"


@pytest.mark.django_db
def test_what_is_counted_is_a_whole_hour():
    assert refused(insert_made(hour="'2026-01-01 10:30+00'")) == "demand_made_hour_is_whole"


@pytest.mark.breaks_invariants
def test_check_invariants_tells_of_counts_of_an_hour_that_nobody_counted(committed_db, admin_url):
    with psycopg.connect(admin_url) as admin:
        admin.execute(insert_made())
        admin.execute(insert_counts())
    assert broken_invariants() == []
    with psycopg.connect(admin_url) as admin:
        admin.execute("UPDATE mobility_demand_hour SET hour = %s", [hour_ago(3)])
    assert [broken.name for broken in broken_invariants()] == ["demand_is_of_counted_hours"]

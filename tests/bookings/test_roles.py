"""Who may do what in the database: what the application's role was not granted, tried."""

import pytest
from django.db import connection

from tests.bookings.test_guards import refused
from tests.permissions.database import may
from tests.permissions.table import table

pytestmark = pytest.mark.django_db

FULL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
# What the application's role may do with each table: tests/permissions.toml, which tests/permissions hold against the
# catalog.
GRANTED = {table_name: may("app", table_name) for table_name in table()["database"]["table"]}


def test_the_tests_connect_as_the_application():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, usesuper, usecreatedb FROM pg_user WHERE usename = current_user")
        assert cursor.fetchone() == ("careconnect_app", False, False)


def test_the_application_owns_nothing_and_creates_nothing():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relowner = 'careconnect_app'::regrole")
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "SELECT has_schema_privilege(current_user, 'public', 'CREATE'),"
            " has_database_privilege(current_user, current_database(), 'CREATE')"
        )
        assert cursor.fetchone() == (False, False)


MISSING = sorted(
    (name, privilege)
    for name, granted in GRANTED.items()
    for privilege in FULL - granted
    if name.startswith("mobility_")
)


@pytest.mark.parametrize(("table", "privilege"), MISSING)
def test_what_is_not_granted_is_refused(table, privilege):
    with connection.cursor() as cursor:
        cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table])
        column = cursor.fetchone()[0]
    attack = {
        "SELECT": f"SELECT {column} FROM {table}",
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f"UPDATE {table} SET {column} = DEFAULT",  # which reads nothing, so that only UPDATE is asked for
        "DELETE": f"DELETE FROM {table}",
    }
    assert refused(attack[privilege]) == f"permission denied for table {table}"

"""Who may do what in the database: the privileges of the application's role, enumerated from the catalog."""

import pytest
from django.db import connection

from tests.bookings.test_guards import refused

pytestmark = pytest.mark.django_db

# Tables from which the application's role must not take rows or in which it must not rewrite them.
FULL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
EXCEPTIONS = {
    "django_migrations": {"SELECT"},
    "mobility_allowed_move": {"SELECT"},
    "mobility_api_key": {"SELECT", "INSERT"},  # and UPDATE of two columns
    "mobility_booking": FULL - {"DELETE"},
    "mobility_command": FULL - {"UPDATE"},
    "mobility_driver": FULL - {"DELETE"},
    "mobility_driver_inbox": {"SELECT", "INSERT"},
    "mobility_driver_location": FULL - {"DELETE"},
    "mobility_driver_presence": FULL - {"DELETE"},
    "mobility_offer": FULL - {"DELETE"},
    "mobility_position": {"SELECT", "INSERT"},
    "mobility_published": {"SELECT", "INSERT"},
    "mobility_published_area": FULL - {"UPDATE"},
    "mobility_published_flow": FULL - {"UPDATE"},
    "mobility_published_hexagon": {"SELECT", "INSERT"},
    "mobility_published_hour": FULL - {"UPDATE"},
    "mobility_published_ride": FULL - {"UPDATE"},
    "mobility_published_supply": FULL - {"UPDATE"},
    "mobility_published_verdict": FULL - {"UPDATE"},
    "mobility_ride_event": {"SELECT", "INSERT"},
    "mobility_search_considered": FULL - {"UPDATE"},
    "mobility_search_round": FULL - {"UPDATE"},
    "mobility_surrogate_secret": set(),  # who could read it could tell whom a key of schema gis stands for
    "mobility_trip": FULL - {"DELETE"},
    "spatial_ref_sys": {"SELECT"},
}


def test_the_tests_connect_as_the_application():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, usesuper, usecreatedb FROM pg_user WHERE usename = current_user")
        assert cursor.fetchone() == ("careconnect_app", False, False)


def test_the_application_has_exactly_the_listed_privileges():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, array_agg(privilege_type::text) FROM information_schema.role_table_grants g"
            " JOIN pg_tables t ON t.tablename = g.table_name AND t.schemaname = g.table_schema"
            " WHERE grantee IN ('careconnect_app', 'PUBLIC') AND table_schema = 'public' GROUP BY table_name"
        )
        granted = {table: set(privileges) for table, privileges in cursor.fetchall()}
    assert "mobility_booking" in granted
    assert granted == {table: EXCEPTIONS.get(table, FULL) for table in granted}


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
    (table, privilege)
    for table, granted in EXCEPTIONS.items()
    for privilege in FULL - granted
    if table.startswith("mobility_")
)


@pytest.mark.parametrize(("table", "privilege"), MISSING)
def test_what_is_not_granted_is_refused(table, privilege):
    with connection.cursor() as cursor:
        cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table])
        column = cursor.fetchone()[0]
    attack = {
        "SELECT": f"SELECT {column} FROM {table}",
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
    }
    assert refused(attack[privilege]) == f"permission denied for table {table}"

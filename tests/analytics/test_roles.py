"""Who may do what beside the service: nobody who is not named."""

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


def rows(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_no_function_of_ours_is_everybodys():
    """PostgreSQL gives them to PUBLIC unless it is told otherwise; a later migration must not bring one back."""
    assert rows("SELECT count(*) > 10 FROM pg_proc WHERE proowner = 'careconnect_owner'::regrole") == [(True,)]
    assert (
        rows(
            "SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
            " WHERE proowner = 'careconnect_owner'::regrole AND a.grantee = 0"
        )
        == []
    )


def test_nothing_of_ours_is_everybodys():
    assert (
        rows(
            "SELECT relname FROM pg_class, aclexplode(relacl) a WHERE a.grantee = 0"
            " AND relowner = 'careconnect_owner'::regrole"
        )
        == []
    )
    assert (
        rows(
            "SELECT nspname FROM pg_namespace, aclexplode(nspacl) a WHERE a.grantee = 0"
            " AND nspname NOT IN ('pg_catalog', 'information_schema')"
        )
        == []
    )


@pytest.mark.parametrize("role", ["careconnect_analyst", "careconnect_operations"])
def test_the_roles_are_groups_that_can_do_nothing_by_themselves(role):
    assert rows(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        f" WHERE rolname = '{role}'"
    ) == [(False,) * 6]
    assert rows(
        f"SELECT has_database_privilege('{role}', current_database(), 'CREATE, TEMP'),"
        f" has_schema_privilege('{role}', 'gis', 'CREATE'), has_schema_privilege('{role}', 'public', 'CREATE'),"
        f" has_schema_privilege('{role}', 'gis', 'USAGE')"
    ) == [(False, False, False, True)]


@pytest.mark.parametrize("role", ["careconnect_analyst", "careconnect_operations"])
def test_they_read_no_table(role):
    assert (
        rows(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
            " AND relowner = 'careconnect_owner'::regrole"
            f" AND has_any_column_privilege('{role}', c.oid, 'SELECT')"
        )
        == []
    )

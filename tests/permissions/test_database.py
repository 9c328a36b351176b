"""The table names every schema, table, view, sequence and function, and who may do what with each."""

import pytest
from django.db import connection

from tests.permissions.database import KINDS, granted, listed
from tests.permissions.table import DATABASE_ROLES, NAME, REVIEW, differences, privileges, table

pytestmark = pytest.mark.django_db

# They read nothing. Who reads a view runs the functions in it as themselves, unlike its tables.
CALLED_BY_VIEWS = {
    "mobility_ride_line(geometry, geometry)", "mobility_surrogate_key(bytea, bytea, bytea, bigint)",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_says_what_the_catalog_says(kind):
    wrong = differences(f"database.{kind}", granted()[kind], listed(kind))
    assert not wrong, "\n".join(["", *wrong, REVIEW])


def test_nobody_is_named_who_is_no_role_of_ours():
    named = {role for kind in KINDS for line in table()["database"].get(kind, {}).values() for role in privileges(line)}
    assert named <= {*DATABASE_ROLES, "PUBLIC"}, f"{NAME} names others"


def test_analysts_and_operations_read_schema_gis_and_nothing_else():
    for kind in ("table", "view", "sequence", "function"):
        for name, line in table()["database"].get(kind, {}).items():
            for role in ("analyst", "operations"):
                rights = privileges(line).get(role, frozenset())
                if not name.startswith("gis.") and name not in CALLED_BY_VIEWS:
                    assert not rights, f"{name} is not in gis: {role} has {set(rights)}"
                assert rights <= {"select", "execute"}, f"{role} may more than read {name}"


def test_what_is_everybodys_is_the_extensions_alone():
    mine = {
        name: line for kind in KINDS for name, line in table()["database"].get(kind, {}).items() if "PUBLIC" in line
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_depend ON objid = pg_class.oid AND deptype = 'e'"
            " AND classid = 'pg_class'::regclass"
        )
        assert set(mine) <= {name for (name,) in cursor.fetchall()}


def test_no_view_is_a_superusers_and_none_asks_with_the_rights_of_who_reads():
    """A view reads as its owner: one that a superuser owned would read everything (S22)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles r ON"
            " r.oid = relowner WHERE nspname IN ('public', 'gis') AND relkind IN ('v', 'm') AND rolsuper AND NOT EXISTS"
            " (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')"
        )
        assert cursor.fetchall() == []


def test_a_function_with_its_owners_rights_has_its_search_path_fixed():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE nspname IN ('public', 'gis') AND prosecdef AND NOT EXISTS"
            " (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%') AND NOT EXISTS"
            " (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"
        )
        assert cursor.fetchall() == []


def test_a_partition_is_read_through_its_table_or_lets_nobody_do_more():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, p.relname, a.grantee::regrole::text, a.privilege_type"
            " FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid JOIN pg_class p ON p.oid = inhparent"
            " CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE a.grantee <> c.relowner AND c.relispartition"
            " AND NOT EXISTS (SELECT FROM aclexplode(p.relacl) b"
            " WHERE b.grantee = a.grantee AND b.privilege_type = a.privilege_type)"
        )
        assert cursor.fetchall() == []

"""What the catalog of the database says about privileges, in the words of the table."""

from collections import defaultdict
from pathlib import Path

from django.db import connection

from tests.permissions.table import DATABASE_ROLES, privilege_line, privileges, table

KINDS = ("schema", "table", "view", "sequence", "function")
_STATEMENT = Path(__file__).with_name("granted.sql").read_text()
_SHORT = {name: short for short, name in DATABASE_ROLES.items()}


def granted() -> dict[str, dict[str, str]]:
    """Kind -> name -> who has which privileges, as a line of the table."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT)
        rows = cursor.fetchall()
    found: dict[str, dict[str, dict[str, set[str]]]] = {kind: {} for kind in KINDS}
    columns: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for kind, name, grantee, privilege, column in rows:
        of_thing, role = found[kind].setdefault(name, {}), _SHORT.get(grantee, grantee)
        if role and column is None:
            of_thing.setdefault(role, set()).add(privilege)
        elif role:
            columns[kind, name, role, privilege].add(column)
    for (kind, name, role, privilege), names in columns.items():
        found[kind][name].setdefault(role, set()).add(f"{privilege} ({', '.join(sorted(names))})")
    return {kind: {name: privilege_line(of) for name, of in things.items()} for kind, things in found.items()}


def listed(kind: str) -> dict[str, str]:
    """The same as the table has it, written alike."""
    rows: dict[str, str] = table()["database"].get(kind, {})
    return {name: privilege_line(privileges(line)) for name, line in rows.items()}


def may(role: str, name: str) -> frozenset[str]:
    """What the table lets a role do with a table, in upper case; privileges on columns alone do not count."""
    rights = privileges(table()["database"]["table"][name]).get(role, frozenset())
    return frozenset(right.upper() for right in rights if "(" not in right)

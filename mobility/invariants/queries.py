"""Run the checks in mobility/invariants/sql: one file an invariant, its first line says it in words."""

from functools import cache
from typing import Any, NamedTuple

import psycopg
from django.db import connection, transaction
from psycopg.rows import dict_row

from mobility.sql import HERE

FOLDER = HERE / "invariants" / "sql"


class Broken(NamedTuple):
    """An invariant that does not hold, and rows that show it (ids and numbers, no personal data)."""

    name: str
    says: str
    rows: list[dict[str, Any]]


@cache
def names() -> list[str]:
    """Every invariant by name."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def broken_invariants(limit: int = 100) -> list[Broken]:
    """The invariants that do not hold now, all seen in one snapshot, each with at most `limit` rows."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.needs_rollback and len(connection.savepoint_ids) == 0:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # The whole of every table is read: the limit meant for answers to people does not apply.
        cursor.execute("SET LOCAL statement_timeout = 0")
        return [broken for name in names() if (broken := _check(name, limit)).rows]


def _check(name: str, limit: int) -> Broken:
    text, raw = _text(name), connection.connection
    # Prepared: whoever checks often, such as the tests, plans each of them once a connection.
    with connection.wrap_database_errors, psycopg.Cursor(raw, row_factory=dict_row) as cursor:
        cursor.execute(b"SELECT * FROM (%b) broken LIMIT %%s" % text.encode(), [limit], prepare=True)
        return Broken(name, text.splitlines()[0].removeprefix("-- "), cursor.fetchall())


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8").rstrip()

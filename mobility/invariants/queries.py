"""Run the checks in mobility/invariants/sql: one file an invariant, its first line says it in words."""

from typing import Any, NamedTuple

from django.db import connection, transaction

from mobility.sql import HERE

FOLDER = HERE / "invariants" / "sql"


class Broken(NamedTuple):
    """An invariant that does not hold, and rows that show it (ids and numbers, no personal data)."""

    name: str
    says: str
    rows: list[dict[str, Any]]


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
        return [broken for name in names() if (broken := _check(cursor, name, limit)).rows]


def _check(cursor: Any, name: str, limit: int) -> Broken:
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    cursor.execute(f"SELECT * FROM ({text.rstrip()}) broken LIMIT %s", [limit])  # noqa: S608 (our own files)
    columns = [column.name for column in cursor.description]
    return Broken(
        name, text.splitlines()[0].removeprefix("-- "), [dict(zip(columns, row, strict=True)) for row in cursor]
    )

"""How many features a layer has, and how far they reach: a help for readers, left out where it would cost too much."""

from typing import Any, NamedTuple

import psycopg
from django.db import OperationalError, connection, transaction

from mobility.layers.layer import Layer
from mobility.sql import sql

AT_MOST, PATIENCE_MS = 100_000, 250
_CANCELLED = "57014"


class Extent(NamedTuple):
    """What some features cover: west, south, east, north in degrees, None where none has a place; and from when to
    when, as ISO 8601 in UTC, None where none has a time."""

    box: tuple[float, float, float, float] | None
    begin: str | None
    end: str | None


def counted(layer: Layer, params: dict[str, Any]) -> int | None:
    """How many features there are; None where to count them takes too long, or where there are too many."""
    row = _in_patience(f"SELECT count(*) FROM ({sql(layer.source)}) s", params)  # noqa: S608 (our own text)
    return None if row is None or row[0] > AT_MOST else row[0]


def extent(layer: Layer, params: dict[str, Any], begins: str, ends: str) -> Extent | None:
    """What the features cover, their times by two SQL expressions of a row `s`; None like `counted`."""
    row = _in_patience(
        "SELECT n, ST_XMin(box), ST_YMin(box), ST_XMax(box), ST_YMax(box),"  # noqa: S608 (our own text)
        f" {_utc('begins')}, {_utc('ends')} FROM ("
        f"SELECT count(*) AS n, ST_Extent(s.geom) AS box, min({begins}) AS begins, max({ends}) AS ends"
        f" FROM ({sql(layer.source)}) s) covered",
        params,
    )
    if row is None or row[0] > AT_MOST:
        return None
    _, west, south, east, north, begin, end = row
    return Extent(None if west is None else (west, south, east, north), begin, end)


def _utc(column: str) -> str:
    # to_json writes "2026-01-01T08:00:00.5+00:00" where the session's time zone is UTC, as ours is.
    return f"left(trim(BOTH '\"' FROM to_json({column})::text), -6) || 'Z'"


def _in_patience(statement: str, params: dict[str, Any]) -> Any:
    """The one row of a statement over one more than `AT_MOST` rows of a source; None when it took too long."""
    connection.ensure_connection()
    raw: Any = connection.connection
    try:
        with transaction.atomic(), connection.wrap_database_errors, psycopg.ClientCursor(raw) as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
            row = cursor.execute(statement, params | {"limit": AT_MOST + 1}).fetchone()
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELLED:
            raise
        return None
    return row

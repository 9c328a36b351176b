"""Layers of schema gis as files. The catalog says which there are and what they hold; nothing is listed here.

What one run writes is one state of the database, in bounded memory, and is there as a whole or not at all.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.db import connection
from psycopg import sql

from geo.coordinates import Bounds
from geo.expressions import envelopes
from mobility.conf import knobs
from mobility.transactions import rows

AT_A_TIME = 2_000
# (rows written, rows there will be)
Progress = Callable[[int, int], None]


class LayerRefused(Exception):
    """This can't be had of this layer; the text says why."""


class Layer(NamedTuple):
    """A view of schema gis: `geometry` and `moment` are columns, None where it has none."""

    name: str
    about: str
    columns: list[str]
    geometry: str | None
    geometry_type: str | None
    moment: str | None
    moment_is_date: bool | None


class Part(NamedTuple):
    """Which rows: from `since` on, before `until`, touching `box`; None is no limit."""

    since: datetime | None = None
    until: datetime | None = None
    box: Bounds | None = None


def layers() -> dict[str, Layer]:
    """Everything in schema gis that the service may read, by name."""
    return {found.name: Layer(*found) for found in rows("analytics/sql/export_layers", {})}


def rows_of(layer: Layer, part: Part) -> sql.Composed:
    """The SELECT of these rows in the order of their first column, without parameters. Raises LayerRefused where the
    layer has no time, or no place, to choose them by."""
    wanted = [*_of_time(layer, part), *_of_place(layer, part)]
    where = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(wanted) if wanted else sql.SQL("")
    return sql.SQL("SELECT * FROM gis.{}{} ORDER BY {}").format(
        sql.Identifier(layer.name), where, sql.Identifier(layer.columns[0])
    )


def _of_time(layer: Layer, part: Part) -> Iterator[sql.Composed]:
    if part.since is None and part.until is None:
        return
    if layer.moment is None:
        raise LayerRefused(f"{layer.name} has no time: --since and --until choose nothing in it")
    moment: sql.Composable = sql.Identifier(layer.moment)
    if layer.moment_is_date:
        # A day is in it when its beginning is.
        zone = sql.Literal(knobs().reporting_time_zone)
        moment = sql.SQL("({}::timestamp AT TIME ZONE {})").format(moment, zone)
    if part.since is not None:
        yield sql.SQL("{} >= {}::timestamptz").format(moment, sql.Literal(part.since.isoformat()))
    if part.until is not None:
        yield sql.SQL("{} < {}::timestamptz").format(moment, sql.Literal(part.until.isoformat()))


def _of_place(layer: Layer, part: Part) -> Iterator[sql.Composed]:
    if part.box is None:
        return
    if layer.geometry is None:
        raise LayerRefused(f"{layer.name} has no geometry: --bbox chooses nothing in it")
    touched = [
        sql.SQL("ST_Intersects({}, {}::geometry)").format(sql.Identifier(layer.geometry), sql.Literal(box.ewkt))
        for box in envelopes(part.box)
    ]
    yield sql.SQL("({})").format(sql.SQL(" OR ").join(touched))


@contextmanager
def one_state() -> Iterator["psycopg.Connection[Any]"]:
    """The service's connection, in a transaction that only reads, sees one state and may take its time."""
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors, raw.transaction():
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        raw.execute("SET LOCAL statement_timeout = 0")
        raw.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield raw


@contextmanager
def made_beside(output: Path, ending: str) -> Iterator[Path]:
    """A path on the same disk for a file that becomes `output` when the block ends well, and is gone otherwise."""
    with tempfile.TemporaryDirectory(prefix=f".{output.name[:80]}.", dir=output.parent) as folder:
        made = Path(folder) / f"whole.{ending}"
        yield made
        made.replace(output)


def write_geojsonseq(layer: Layer, part: Part, path: Path, progress: Progress | None) -> int:
    """A GeoJSON Feature on each line (RFC 8142 without separators, as GDAL writes it); how many."""
    query = rows_of(layer, part)
    features = sql.SQL("SELECT ST_AsGeoJSON(f.*, {}) FROM ({}) f").format(sql.Literal(layer.geometry), query)
    done = 0
    with one_state() as raw, path.open("w", encoding="utf-8") as file:
        total = count(raw, query) if progress else 0
        with raw.cursor("export") as cursor:
            cursor.itersize = AT_A_TIME
            for (text,) in cursor.execute(features):
                file.write(text + "\n")
                done += 1
                if progress and done % AT_A_TIME == 0:
                    progress(done, total)
    return done


def write_csv(layer: Layer, part: Part, path: Path, progress: Progress | None) -> int:
    """RFC 4180 with a header; the geometry last, as WKT in a column named so, which GDAL and QGIS know; how many."""
    query = rows_of(layer, part)
    done = -1  # the header
    with one_state() as raw, path.open("wb") as file, raw.cursor() as cursor:
        total = count(raw, query) if progress else 0
        # The server sends each row as one piece.
        with cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(_with_wkt(layer, query))) as copy:
            for row in copy:
                file.write(row)
                done += 1
                if progress and done and done % AT_A_TIME == 0:
                    progress(done, total)
    return done


def _with_wkt(layer: Layer, query: sql.Composed) -> sql.Composed:
    listed: list[sql.Composable] = [sql.Identifier(name) for name in layer.columns if name != layer.geometry]
    if layer.geometry:
        listed.append(sql.SQL('ST_AsText({}) AS "WKT"').format(sql.Identifier(layer.geometry)))
    return sql.SQL("SELECT {} FROM ({}) f").format(sql.SQL(", ").join(listed), query)


def count(raw: "psycopg.Connection[Any]", query: sql.Composed) -> int:
    """How many rows the query has."""
    found = raw.execute(sql.SQL("SELECT count(*) FROM ({}) f").format(query)).fetchone()
    return int(found[0]) if found else 0


def without_geometry(layer: Layer, part: Part) -> int:
    """How many of these rows lie nowhere."""
    nowhere = sql.SQL("SELECT FROM ({}) f WHERE {} IS NULL").format(
        rows_of(layer, part), sql.Identifier(str(layer.geometry))
    )
    with one_state() as raw:
        return count(raw, nowhere)


def surroundings() -> dict[str, str]:
    """The environment for a program that connects to the service's database by libpq and only reads: neither address
    nor password is on its command line, where everybody on the machine could read them."""
    params = connection.get_connection_params()
    params["options"] = f"{params.get('options', '')} -c statement_timeout=0 -c default_transaction_read_only=on"
    known = {option.keyword.decode(): option.envvar for option in psycopg.pq.Conninfo.get_defaults()}
    told = {known[name]: str(value) for name, value in params.items() if value is not None and known.get(name)}
    # A service of whoever runs this would win over the address that is told here.
    others = {name: value for name, value in os.environ.items() if name != "PGSERVICE" or "host" not in params}
    return others | {name.decode(): value for name, value in told.items() if name}

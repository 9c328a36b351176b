"""Rows as GeoJSON Features, written by PostGIS: the text of a collection never becomes objects in Python.

A *source* is a SELECT with the columns `id`, `geom` (any geometry in WGS 84, or null) and one column a field. What
stands here only turns such rows into text; names of fields come from our own code, never from a request.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from geo.geojson import DECIMALS

Kind = Literal["integer", "number", "boolean", "text", "time", "json"]


class Field(NamedTuple):
    """A property of a layer: the name of its column, what kind of value, and what it tells in a sentence."""

    name: str
    kind: Kind
    about: str


# A column as the text of a JSON value. What is null here becomes null in JSON.
_JSON: dict[Kind, str] = {
    "integer": "s.{0}::text",
    "number": "s.{0}::text",
    "boolean": "s.{0}::text",
    "text": "to_json(s.{0})::text",
    # to_json writes a timestamptz as "2026-01-01T08:00:00.5+00:00" where the session's time zone is UTC, which ours
    # always is.
    "time": "left(to_json(s.{0})::text, -7) || 'Z\"'",
    "json": "s.{0}::text",
}


def feature(fields: Iterable[Field], *, areas: bool = False) -> str:
    """The SQL expression of a row `s` of a source as the text of a Feature; `areas`: exteriors go counter-clockwise
    then."""
    geometry = "ST_ForcePolygonCCW(s.geom)" if areas else "s.geom"
    properties = " || ',".join(f"\"{f.name}\":' || coalesce({_JSON[f.kind].format(f.name)}, 'null')" for f in fields)
    opening = f"',\"properties\":{{{properties} || '}}}}'" if properties else "',\"properties\":{}}'"
    return (
        '\'{"type":"Feature","id":\' || s.id'
        f" || ',\"geometry\":' || coalesce(ST_AsGeoJSON({geometry}, {DECIMALS}), 'null') || {opening}"
    )

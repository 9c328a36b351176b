"""Rows as GeoJSON Features, written by PostGIS: the text of a collection never becomes objects in Python.

A *source* is a SELECT with the columns `id`, `geom` (any geometry in WGS 84, or null) and one column a field. What
stands here only turns such rows into text; names of fields come from our own code, never from a request.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from geo.geojson import DECIMALS

Kind = Literal["integer", "number", "boolean", "text", "word", "time", "json"]


class Field(NamedTuple):
    """A property of a layer: the name of its column, what kind of value, and what it tells in a sentence.

    A `word` is text that a constraint holds to letters, digits and the like, so that nothing in it is ever escaped;
    `null` says whether there may be none.
    """

    name: str
    kind: Kind
    about: str
    null: bool = True


# A column as the text of a JSON value. Every `||` of the expression costs each row some hundred nanoseconds, so what
# need not be put together is not: tests/bench/maps.py.
_JSON: dict[Kind, str] = {
    "integer": "s.{0}::text",
    "number": "s.{0}::text",
    "boolean": "s.{0}::text",
    "text": "to_json(s.{0})::text",
    "word": "'\"' || s.{0} || '\"'",
    # to_json writes a timestamptz as "2026-01-01T08:00:00.5+00:00" where the session's time zone is UTC, as ours is.
    "time": "left(to_json(s.{0})::text, -7) || 'Z\"'",
    "json": "s.{0}::text",
}


def feature(fields: Iterable[Field], *, made_ahead: Iterable[str] = (), areas: bool = False) -> str:
    """The SQL expression of a row `s` of a source as the text of a Feature; with `areas`, exteriors are
    counter-clockwise. `made_ahead` are columns with the text of some properties, `"a":1,"b":2`, which come first. The
    expression alternates between constants and values, as few of both as can be.
    """
    geometry = "ST_ForcePolygonCCW(s.geom)" if areas else "s.geom"
    parts = [
        '\'{"type":"Feature","id":\'',
        "s.id",
        "',\"geometry\":'",
        f"coalesce(ST_AsGeoJSON({geometry}, {DECIMALS}), 'null')",
        "',\"properties\":{'",
    ]
    comma = ""
    for column in made_ahead:
        parts += [f"'{comma}'", f"s.{column}"]
        comma = ","
    for field in fields:
        parts += _member(f'{comma}"{field.name}":', field)
        comma = ","
    return " || ".join(_joined([*parts, "'}}'"]))


def _member(key: str, field: Field) -> list[str]:
    value = _JSON[field.kind].format(field.name)
    if field.null:
        return [f"'{key}'", f"coalesce({value}, 'null')"]
    if field.kind == "boolean":
        return [f"CASE WHEN s.{field.name} THEN '{key}true' ELSE '{key}false' END"]
    if field.kind == "word":
        return [f"'{key}\"'", f"s.{field.name}", "'\"'"]
    return [f"'{key}'", value]


def _joined(parts: Iterable[str]) -> list[str]:
    """The parts with neighbouring constants as one."""
    joined: list[str] = []
    for part in parts:
        if joined and _is_constant(part) and _is_constant(joined[-1]):
            joined[-1] = joined[-1][:-1] + part[1:]
        else:
            joined.append(part)
    return joined


def _is_constant(part: str) -> bool:
    return part.startswith("'") and part.endswith("'")

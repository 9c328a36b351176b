"""Files of places, read a row at a time: CSV, GeoJSON with a feature on each line, and whole FeatureCollections."""

import codecs
import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from geo.coordinates import CoordinateError, lat_lon
from geo.geocoding.geocoder import plain
from mobility.places.folding import folded

LONGEST_LINE = 1024 * 1024
LATITUDES, LONGITUDES = ("lat", "latitude", "y"), ("lon", "lng", "long", "longitude", "x")
NAMES, LABELS, KINDS, IDS = ("name",), ("label", "display_name"), ("kind", "type"), ("id", "source_id", "osm_id")
ENDINGS = {".csv": "csv", ".geojsonl": "lines", ".geojsonseq": "lines", ".geojsons": "lines", ".ndjson": "lines"}
WHOLE = {".geojson", ".json"}


class UnreadableFile(Exception):
    """A file that cannot be read at all; the text says where and why."""


class BadRow(NamedTuple):
    """A row that is no place: its line, or its number in a FeatureCollection, and why."""

    line: int
    reason: str


class Row(NamedTuple):
    """A place of a file."""

    line: int
    name: str
    kind: str
    label: str
    folded: str
    latitude: float
    longitude: float
    importance: float
    source_id: str


def rows_of(path: Path) -> Iterator[Row | BadRow]:
    """The file's places in its order. `.csv` and a feature on each line are never in memory as a whole."""
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None and path.suffix.lower() not in WHOLE:
        known = ", ".join(sorted([*ENDINGS, *WHOLE]))
        raise UnreadableFile(f"{path.name}: the ending says how to read it, and must be one of {known}")
    with path.open("rb") as file:
        if kind == "csv":
            yield from _csv(file)
        elif kind == "lines" or _begins_with_a_feature(file):
            yield from _lines(file)
        else:
            yield from _collection(file)


def _csv(file: IO[bytes]) -> Iterator[Row | BadRow]:
    reader = csv.DictReader(codecs.getreader("utf-8-sig")(file), strict=True)
    names = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    for needed in (NAMES, LATITUDES, LONGITUDES):
        if not set(needed) & set(names):
            raise UnreadableFile(f"line 1: there is no column {' or '.join(needed)}")
    while True:
        try:
            told = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError:
            raise UnreadableFile(f"after line {reader.line_num}: this is not UTF-8") from None
        except csv.Error as wrong:
            yield BadRow(reader.line_num, str(wrong))
            continue
        members = {name: told[column] for name, column in names.items() if told[column] not in (None, "")}
        yield _row(reader.line_num, members, _first(members, LATITUDES), _first(members, LONGITUDES))


def _lines(file: IO[bytes]) -> Iterator[Row | BadRow]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield BadRow(number, f"longer than {LONGEST_LINE // 1024} KiB")
            continue
        text = line.strip().lstrip(b"\x1e").strip()  # RFC 8142 begins each with a record separator
        if text:
            yield _feature(number, _json(text))


def _collection(file: IO[bytes]) -> Iterator[Row | BadRow]:
    whole = _json(file.read())
    features = whole.get("features") if isinstance(whole, dict) else None
    if isinstance(whole, dict) and whole.get("type") == "Feature":
        features = [whole]
    if not isinstance(features, list):
        raise UnreadableFile("this is neither a FeatureCollection nor a feature on each line")
    for number, feature in enumerate(features, 1):
        yield _feature(number, feature)


def _begins_with_a_feature(file: IO[bytes]) -> bool:
    line = file.readline(LONGEST_LINE)
    file.seek(0)
    first = _json(line.strip().lstrip(b"\x1e"))
    return isinstance(first, dict) and first.get("type") == "Feature"


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _feature(number: int, feature: Any) -> Row | BadRow:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return BadRow(number, "this is no GeoJSON Feature")
    geometry, properties = feature.get("geometry"), feature.get("properties")
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        return BadRow(number, "its geometry is no Point")
    at = geometry.get("coordinates")
    if not isinstance(at, list) or len(at) not in (2, 3):
        return BadRow(number, "its coordinates are not longitude and latitude")
    members = dict(properties) if isinstance(properties, dict) else {}
    if feature.get("id") is not None:
        members["id"] = feature["id"]
    return _row(number, members, at[1], at[0])


def _row(line: int, members: Mapping[str, Any], latitude: Any, longitude: Any) -> Row | BadRow:
    try:
        at = lat_lon(_number(latitude), _number(longitude))
        importance = _number(members.get("importance") or 0)
    except CoordinateError as wrong:
        return BadRow(line, str(wrong))
    except (TypeError, ValueError):
        return BadRow(line, "its latitude, longitude or importance is no number")
    if not 0 <= importance <= 1:
        return BadRow(line, "its importance is not from 0 to 1")
    name = plain(_words(members, NAMES), 200)
    if not folded(name):
        return BadRow(line, "it has no name")
    label, kind = plain(_words(members, LABELS)) or name, plain(_words(members, KINDS), 50)
    own = plain(_words(members, IDS), 200)
    return Row(line, name, kind, label, _searched(name, label), *at, importance, own or _digest(name, kind, *at))


def _searched(name: str, label: str) -> str:
    """What a place is found by: its label, with its name in front where the label has it not."""
    short, long = folded(name), folded(label)
    return (long if short in long else f"{short} {long}")[:600]


def _digest(*told: object) -> str:
    """An id for a place that has none: the same for the same row of the file read again."""
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _first(members: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((members[name] for name in names if name in members), None)


def _words(members: Mapping[str, Any], names: tuple[str, ...]) -> str:
    value = _first(members, names)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number

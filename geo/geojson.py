"""Positions as GeoJSON geometries (RFC 7946): longitude first, six decimals, which is a hand's breadth."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from geo.coordinates import LatLon

DECIMALS = 6


def position(at: LatLon) -> list[float]:
    """The coordinates of one position."""
    return [round(at.longitude, DECIMALS), round(at.latitude, DECIMALS)]


def point_geometry(at: LatLon) -> dict[str, Any]:
    """A Point."""
    return {"type": "Point", "coordinates": position(at)}


def line_geometry(start: LatLon, end: LatLon) -> dict[str, Any]:
    """A LineString from start to end, or a MultiLineString cut at the antimeridian (RFC 7946, 3.1.9)."""
    return path_geometry([start, end])


def path_geometry(path: Sequence[LatLon]) -> dict[str, Any]:
    """A LineString through these positions, two at least, or a MultiLineString cut wherever it crosses the antimeridian
    (RFC 7946, 3.1.9)."""
    lines = [[position(at) for at, _ in line] for line in _cut(path, [0.0] * len(path))]
    if len(lines) == 1:
        return {"type": "LineString", "coordinates": lines[0]}
    return {"type": "MultiLineString", "coordinates": lines}


def path_times(path: Sequence[LatLon], times: Sequence[datetime]) -> list[Any]:
    """When each position of `path_geometry` was, in ISO 8601: a list, or one for each of its lines. Where a line is
    cut, the time is between those of its neighbours."""
    cut = _cut(path, [at.timestamp() for at in times])
    lines = [[_iso(seconds) for _, seconds in line] for line in cut]
    return lines[0] if len(lines) == 1 else lines


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cut(path: Sequence[LatLon], marks: Sequence[float]) -> list[list[tuple[LatLon, float]]]:
    """The path in pieces that do not cross the antimeridian; `marks` go along, in between where it is cut."""
    lines = [[(path[0], marks[0])]]
    for (start, begun), (end, ended) in pairwise(zip(path, marks, strict=True)):
        if abs(start.longitude - end.longitude) > 180:
            before, after, share = _at_antimeridian(start, end)
            between = begun + share * (ended - begun)
            lines[-1].append((before, between))
            lines.append([(after, between)])
        lines[-1].append((end, ended))
    return lines


def _at_antimeridian(start: LatLon, end: LatLon) -> tuple[LatLon, LatLon, float]:
    """Where the short way crosses it, as a position on either side, and after which share of it."""
    edge = 180.0 if start.longitude > end.longitude else -180.0
    span = end.longitude + 2 * edge - start.longitude
    # Both on it, on either side: no way at all.
    share = (edge - start.longitude) / span if span else 0.0
    latitude = start.latitude + share * (end.latitude - start.latitude)
    return LatLon(latitude, edge), LatLon(latitude, -edge), share

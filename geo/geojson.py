"""Positions as GeoJSON geometries (RFC 7946): longitude first, six decimals, which is a hand's breadth."""

from collections.abc import Sequence
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
    lines = [[position(path[0])]]
    for start, end in pairwise(path):
        if abs(start.longitude - end.longitude) > 180:
            before, after = _at_antimeridian(start, end)
            lines[-1].append(position(before))
            lines.append([position(after)])
        lines[-1].append(position(end))
    if len(lines) == 1:
        return {"type": "LineString", "coordinates": lines[0]}
    return {"type": "MultiLineString", "coordinates": lines}


def _at_antimeridian(start: LatLon, end: LatLon) -> tuple[LatLon, LatLon]:
    """Where the short way crosses it, as a position on either side."""
    edge = 180.0 if start.longitude > end.longitude else -180.0
    span = end.longitude + 2 * edge - start.longitude
    # Both on it, on either side: no way at all.
    share = (edge - start.longitude) / span if span else 0.0
    latitude = start.latitude + share * (end.latitude - start.latitude)
    return LatLon(latitude, edge), LatLon(latitude, -edge)

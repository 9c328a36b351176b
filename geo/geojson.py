"""Positions as GeoJSON geometries (RFC 7946): longitude first, six decimals, which is a hand's breadth."""

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
    shift = 360.0 if start.longitude - end.longitude > 180 else -360.0 if end.longitude - start.longitude > 180 else 0.0
    if not shift:
        return {"type": "LineString", "coordinates": [position(start), position(end)]}
    edge = 180.0 if shift > 0 else -180.0
    span = end.longitude + shift - start.longitude
    share = (edge - start.longitude) / span
    latitude = start.latitude + share * (end.latitude - start.latitude)
    before, after = LatLon(latitude, edge), LatLon(latitude, -edge)
    return {
        "type": "MultiLineString",
        "coordinates": [[position(start), position(before)], [position(after), position(end)]],
    }

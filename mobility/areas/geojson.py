"""Polygons in GeoJSON (RFC 7946) that strangers wrote: understood, or refused with the reason. No GDAL and no WKT.

Whether a shape crosses itself is PostGIS's to say (services.py). Heights are dropped; which way rings turn does not
matter.
"""

import json
from itertools import pairwise
from typing import Any

from geo.coordinates import CoordinateError, lat_lon

MOST_POSITIONS = 500_000
# How WGS 84 with longitude first was called before RFC 7946 did away with `crs`.
WGS84_NAMES = {"urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "OGC:CRS84"}

Ring = list[list[float]]


class BadShape(ValueError):
    """A geometry that is no polygon on Earth; the text says where and why."""


class _BadNumber(ValueError):
    """A constant that JSON does not have."""


def parsed(text: str | bytes) -> Any:
    """JSON as the standard has it; BadShape for anything else."""
    try:
        return json.loads(text, parse_constant=_refused)
    except _BadNumber as wrong:
        raise BadShape(str(wrong)) from None
    except RecursionError:
        raise BadShape("this is nested too deep") from None
    except UnicodeDecodeError:
        raise BadShape("this is not UTF-8") from None
    except ValueError as wrong:
        raise BadShape(f"this is not JSON: {wrong}") from None


def _refused(name: str) -> Any:
    raise _BadNumber(f"{name} is not a number in JSON")


def require_wgs84(value: dict[str, Any]) -> None:
    """Refuse a `crs` that says anything but WGS 84, longitude first."""
    crs = value.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if name not in WGS84_NAMES:
        raise BadShape(f"its crs is {str(name)[:60]}: GeoJSON is WGS 84, longitude first (RFC 7946, 4)")


def polygons_of(geometry: Any) -> str:
    """A Polygon or MultiPolygon as the text of a GeoJSON MultiPolygon of plain longitudes and latitudes."""
    if not isinstance(geometry, dict):
        raise BadShape("it has no geometry")
    require_wgs84(geometry)
    kind, told = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise BadShape(f"its geometry is {str(kind)[:30]}, not Polygon or MultiPolygon")
    shapes = [told] if kind == "Polygon" else told
    if not isinstance(shapes, list) or not shapes:
        raise BadShape("it is empty")
    left = MOST_POSITIONS
    polygons: list[list[Ring]] = []
    for number, shape in enumerate(shapes, 1):
        polygon = _polygon(shape, f"polygon {number}, " if len(shapes) > 1 else "")
        left -= sum(map(len, polygon))
        if left < 0:
            raise BadShape(f"it has more than {MOST_POSITIONS} positions")
        polygons.append(polygon)
    return json.dumps({"type": "MultiPolygon", "coordinates": polygons})


def _polygon(told: Any, where: str) -> list[Ring]:
    if not isinstance(told, list) or not told:
        raise BadShape(f"{where}no ring")
    return [_ring(ring, f"{where}ring {number}") for number, ring in enumerate(told, 1)]


def _ring(told: Any, where: str) -> Ring:
    if not isinstance(told, list) or len(told) < 4:
        raise BadShape(f"{where}: a ring has four positions at least, the first again at the end")
    ring = [_position(at, f"{where}, position {number}") for number, at in enumerate(told, 1)]
    if ring[0] != ring[-1]:
        raise BadShape(f"{where}: not closed, its end {_said(ring[-1])} is not its beginning {_said(ring[0])}")
    for (west, _), (east, south) in pairwise(ring):
        # All the way round the Earth is meant; nearly all the way is a short way that was not cut.
        if 180 < abs(west - east) < 360:
            raise BadShape(
                f"{where}: from longitude {west:.6g} to {east:.6g} at latitude {south:.6g} is more than half the Earth:"
                " cut it at the antimeridian (RFC 7946, 3.1.9), or put positions in between"
            )
    return ring


def _position(told: Any, where: str) -> list[float]:
    if not isinstance(told, list) or len(told) < 2 or not all(map(_is_number, told[:3])):
        raise BadShape(f"{where}: not a longitude and a latitude in numbers")
    try:
        at = lat_lon(float(told[1]), float(told[0]))
    except CoordinateError as wrong:
        raise BadShape(f"{where}: {wrong}") from None
    except OverflowError:
        raise BadShape(f"{where}: a number is too large") from None
    return [at.longitude, at.latitude]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(at: list[float]) -> str:
    return f"{at[0]:.6f}, {at[1]:.6f}"

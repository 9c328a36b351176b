"""Shapes checked before they are stored, and areas kept by name."""

from typing import NamedTuple

from mobility.areas.geojson import BadShape
from mobility.transactions import rows

# A repair may change this share of the surface: slivers and crossings, not what was meant.
MOST_CHANGED = 0.01


class Shape(NamedTuple):
    """A shape that may be stored: hex EWKB of a valid MultiPolygon; what was wrong with it before it was repaired."""

    hex: str
    repaired: str = ""


def checked_shape(polygons: str, *, repair: bool) -> Shape:
    """The text of a GeoJSON MultiPolygon (see geojson.py) as a shape; BadShape with the place of the fault where it
    cannot be stored, or repairing it would change too much."""
    found = rows("areas/sql/checked", {"geojson": polygons})[0]
    if found.valid:
        if found.changed > 0:
            raise BadShape("it has no surface")
        return Shape(found.shape)
    fault = f"{found.reason.lower()} at {found.longitude:.6f}, {found.latitude:.6f}"
    if not repair:
        raise BadShape(fault)
    if found.changed > MOST_CHANGED:
        share = "all" if found.changed > 1 else f"{found.changed:.1%}"
        raise BadShape(f"{fault}; repairing it would change {share} of its surface")
    return Shape(found.shape, fault)


def keep_area(name: str, shape: Shape, *, active: bool, radius_m: float | None, told: frozenset[str]) -> str:
    """Store an area under its name: `new`, `changed`, or `` where it is so already. Of one that is known, only what was
    `told` (active, radius_m) and its shape change."""
    kept = rows(
        "areas/sql/keep",
        {
            "name": name, "shape": shape.hex, "active": active, "radius_m": radius_m,
            "active_told": "active" in told, "radius_told": "radius_m" in told,
        },
    )  # fmt: skip
    return "" if not kept else "new" if kept[0].is_new else "changed"

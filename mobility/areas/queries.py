"""Is a place served, and which area is it in? Reads only."""

from typing import NamedTuple

from django.core.cache import cache
from redis.exceptions import RedisError

from geo.coordinates import Bounds, LatLon
from mobility.transactions import rows

BOUNDS_KEPT_S = 10
_BOUNDS = "served_bounds"


class Area(NamedTuple):
    """The area a pickup lies in and its radius of matching in metres, each None where nothing is said: everywhere is
    served then. Where it is not `served`, the nearest area's name and how far it is."""

    served: bool
    area_id: int | None = None
    radius_m: float | None = None
    nearest: str | None = None
    distance_m: float | None = None


def area_of(pickup: LatLon) -> Area:
    """The smallest active area over a pickup, edges included; one statement."""
    found = rows("areas/sql/area_of", {"longitude": pickup.longitude, "latitude": pickup.latitude})
    return Area(*found[0])


def served_bounds() -> Bounds | None:
    """The box around all active areas, None where none is; some seconds old at most."""
    try:
        known = cache.get(_BOUNDS)
        if known is None:
            known = _bounds() or ()
            cache.set(_BOUNDS, known, BOUNDS_KEPT_S)
    except (RedisError, OSError):  # nothing is remembered then
        return _bounds()
    return Bounds(*known) if known else None


def _bounds() -> Bounds | None:
    box = rows("areas/sql/served_bounds", {})[0]
    if box.west is None:
        return None
    if box.over_0 or box.east - box.west <= box.east_from_0 - box.west_from_0:
        return Bounds(box.west, box.south, box.east, box.north)
    return Bounds(_west_of_180(box.west_from_0), box.south, _west_of_180(box.east_from_0), box.north)


def _west_of_180(longitude: float) -> float:
    return longitude - 360 if longitude > 180 else longitude

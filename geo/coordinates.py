"""Points on Earth, checked at the door. The only module that swaps latitude-longitude and longitude-latitude.

The wire names its fields (`pickup_latitude`), GeoJSON and PostGIS put longitude first, people say latitude first.
Inside the house a position is a `LatLon`; it becomes longitude-first only through `point` and `lonlat`.
"""

import math
from typing import NamedTuple

from django.contrib.gis.geos import Point

WGS84 = 4326


class CoordinateError(ValueError):
    """A coordinate that is not on Earth; `axis` is `latitude` or `longitude`."""

    def __init__(self, axis: str, value: float) -> None:
        limit = 90 if axis == "latitude" else 180
        super().__init__(f"{axis} must be a finite number from -{limit} to {limit}, not {value!r}")
        self.axis = axis


class LatLon(NamedTuple):
    """A position in WGS 84 decimal degrees. Build it with `lat_lon`, which checks it."""

    latitude: float
    longitude: float


class Bounds(NamedTuple):
    """A box in degrees; `west` > `east` means that it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, at: LatLon) -> bool:
        """Whether the position lies in the box, its edge included."""
        if not self.south <= at.latitude <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= at.longitude <= self.east
        return at.longitude >= self.west or at.longitude <= self.east


def lat_lon(latitude: float, longitude: float) -> LatLon:
    """The checked position, or `CoordinateError` (NaN and infinity included)."""
    for axis, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not math.isfinite(value) or not -limit <= value <= limit:
            raise CoordinateError(axis, value)
    return LatLon(float(latitude), float(longitude))


def bounds(text: str) -> Bounds:
    """`west,south,east,north` as Bounds; ValueError that says what is wrong."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("must be four numbers: west,south,east,north") from None
    lat_lon(south, west)
    lat_lon(north, east)
    if south > north:
        raise ValueError("its south is north of its north")
    return Bounds(west, south, east, north)


def looks_swapped(at: LatLon, home: Bounds) -> bool:
    """Whether the position is outside `home` but lies inside once latitude and longitude are exchanged."""
    return not home.contains(at) and home.contains(LatLon(at.longitude, at.latitude))


def point(at: LatLon) -> Point:
    """The position as a GEOS point, longitude first, SRID 4326."""
    return Point(at.longitude, at.latitude, srid=WGS84)


def from_point(p: Point) -> LatLon:
    """A GEOS point (SRID 4326) as a position."""
    return LatLon(p.y, p.x)

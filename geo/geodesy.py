"""Distances and directions on the WGS 84 ellipsoid: pure functions over positions."""

import math

from geopy.distance import geodesic

from geo.coordinates import Bounds, LatLon

# The smallest radius of curvature of the ellipsoid (along the meridian, at the equator): no metre spans more degrees.
_SMALLEST_RADIUS_M = 6_335_439.0
_MARGIN = 1.01


def distance_m(a: LatLon, b: LatLon) -> float:
    """Geodesic distance in metres (Karney's method, by geopy)."""
    return geodesic(a, b).meters


def initial_bearing_deg(a: LatLon, b: LatLon) -> float:
    """Direction from `a` to `b` at `a`, in degrees clockwise from true north, 0 <= bearing < 360.

    Great-circle formula: atan2(sin dlon cos lat2, cos lat1 sin lat2 - sin lat1 cos lat2 cos dlon).
    """
    lat1, lat2 = math.radians(a.latitude), math.radians(b.latitude)
    dlon = math.radians(b.longitude - a.longitude)
    east = math.sin(dlon) * math.cos(lat2)
    north = math.cos(lat1) * math.sin(lat2) - math.sin(lat1) * math.cos(lat2) * math.cos(dlon)
    # Twice: the first remainder of a tiny negative angle is rounded to 360 itself.
    return math.degrees(math.atan2(east, north)) % 360.0 % 360.0


def destination(start: LatLon, *, bearing_deg: float, distance_m: float) -> LatLon:
    """Where one arrives going `distance_m` metres from `start` in the direction `bearing_deg`."""
    end = geodesic(meters=distance_m).destination(start, bearing_deg)
    return LatLon(end.latitude, end.longitude)


def surrounding_box(centre: LatLon, radius_m: float) -> Bounds:
    """A box that certainly holds everything within `radius_m` of `centre`, and somewhat more.

    Over a pole it is the whole cap; over the antimeridian its west is greater than its east.
    """
    reach_deg = math.degrees(radius_m / _SMALLEST_RADIUS_M) * _MARGIN
    south, north = max(centre.latitude - reach_deg, -90.0), min(centre.latitude + reach_deg, 90.0)
    if south == -90.0 or north == 90.0:
        return Bounds(-180.0, south, 180.0, north)
    aside_deg = reach_deg / math.cos(math.radians(max(abs(south), abs(north))))
    if aside_deg >= 180.0:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(_wrapped(centre.longitude - aside_deg), south, _wrapped(centre.longitude + aside_deg), north)


def grown_box(box: Bounds, margin_m: float) -> Bounds:
    """A box that certainly holds everything within `margin_m` of `box`, and somewhat more.

    Over a pole it is the whole cap; over the antimeridian its west is greater than its east.
    """
    reach_deg = math.degrees(margin_m / _SMALLEST_RADIUS_M) * _MARGIN
    south, north = max(box.south - reach_deg, -90.0), min(box.north + reach_deg, 90.0)
    width = (box.east - box.west) % 360.0 if box.west > box.east else box.east - box.west
    if south == -90.0 or north == 90.0:
        return Bounds(-180.0, south, 180.0, north)
    aside_deg = reach_deg / math.cos(math.radians(max(abs(south), abs(north))))
    if width + 2 * aside_deg >= 360.0:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(_wrapped(box.west - aside_deg), south, _wrapped(box.east + aside_deg), north)


def _wrapped(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0

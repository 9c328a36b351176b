"""The nearest, found by measuring one by one."""

import math
from collections.abc import Mapping

from geopy.distance import geodesic

from geo.coordinates import LatLon

# A distance on the sphere is at most this much longer or shorter than on the spheroid.
WRONG_BY = 0.006


def five_nearest(places: Mapping[int, LatLon], pickup: LatLon, radius_m: float) -> list[tuple[float, int]]:
    """Metres along the geodesic and key of up to five places within the radius, nearest first.

    Geodesics are slow in Python: only those are measured that can be among the five by their distance on a sphere.
    """
    sphere = {key: _haversine_m(pickup, at) for key, at in places.items()}
    fifth_m = sorted(sphere.values())[:5][-1]
    limit_m = min(radius_m / (1 - WRONG_BY), fifth_m * (1 + WRONG_BY) / (1 - WRONG_BY)) + 1
    exact = sorted((geodesic(pickup, places[key]).meters, key) for key, away_m in sphere.items() if away_m <= limit_m)
    return [(metres, key) for metres, key in exact if metres <= radius_m][:5]


def _haversine_m(a: LatLon, b: LatLon) -> float:
    p, q = math.radians(a.latitude), math.radians(b.latitude)
    h = (
        math.sin((q - p) / 2) ** 2
        + math.cos(p) * math.cos(q) * math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    )
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(h)))

"""How somebody finds a driver who can only ask "is anybody in reach of this place?". `ask` is a function.

Two attackers. `by_rays` knows nothing of how the answer is made: it looks for the edge of the area where the answer is
yes, along rays from a place inside, and lays a circle through the edge. `by_elimination` knows everything but the
driver's place: of all places (or cells) where the driver could be it keeps those that every answer allows, and asks
wherever that halves them.

Positions are metres east and north of `CENTRE`, arrays of shape (2,) or (n, 2).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.coordinates import LatLon, lat_lon

CENTRE = lat_lon(-26.2041, 28.0473)
TOWN_M = 5_000  # the driver is known to be somewhere within this many metres east or west, north or south of CENTRE
RADIUS_M = 10_000
_A, _E2 = 6_378_137.0, 0.00669437999014
Plane = NDArray[np.float64]
Ask = Callable[[LatLon], bool]


class BudgetSpent(Exception):
    """No further question is allowed."""


class Found(NamedTuple):
    """Where the attacker believes the driver to be, and how many questions that took."""

    at: Plane
    asked: int


def _per_degree(latitude: float) -> tuple[float, float]:
    """Metres a degree of longitude and of latitude, on the ellipsoid."""
    s = math.sin(math.radians(latitude))
    prime = _A / math.sqrt(1 - _E2 * s * s)
    meridian = _A * (1 - _E2) / (1 - _E2 * s * s) ** 1.5
    return math.radians(prime * math.cos(math.radians(latitude))), math.radians(meridian)


def place(at: Plane) -> LatLon:
    """A position of the plane as degrees. Good to some metres in 20 km."""
    _, north_m = _per_degree(CENTRE.latitude)
    latitude = CENTRE.latitude + at[1] / north_m
    east_m, _ = _per_degree((CENTRE.latitude + latitude) / 2)
    return lat_lon(latitude, CENTRE.longitude + at[0] / east_m)


def plane(latitude: float, longitude: float) -> Plane:
    """The inverse of `place`."""
    east_m, north_m = _per_degree((CENTRE.latitude + latitude) / 2)
    return np.array([(longitude - CENTRE.longitude) * east_m, (latitude - CENTRE.latitude) * north_m])


def by_rays(ask: Ask, rays: int = 6, to_m: float = 10.0) -> Found:
    """The edge of "yes" along `rays` from the centre, by halving, then the circle that fits best: its centre."""
    asked, edge = 0, []
    for n in range(rays):
        towards = np.array([math.sin(2 * math.pi * n / rays), math.cos(2 * math.pi * n / rays)])
        inside, outside = 0.0, 2.0 * RADIUS_M + TOWN_M
        try:
            while outside - inside > to_m:
                middle = (inside + outside) / 2
                yes = ask(place(middle * towards))
                asked += 1
                inside, outside = (middle, outside) if yes else (inside, middle)
        except BudgetSpent:
            break
        edge.append(inside * towards)
    return Found(_centre_of_circle(np.array(edge)), asked)


def _centre_of_circle(points: Plane) -> Plane:
    """Least squares (Kåsa): x² + y² = 2ax + 2by + c."""
    left = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(left, (points**2).sum(axis=1), rcond=None)[0]
    return np.asarray(solution[:2])


def by_elimination(
    ask: Ask,
    could_be: Plane,
    far_m: Callable[[Plane, Plane], Plane],
    rng: np.random.Generator,
    reach_m: float = RADIUS_M,
) -> Found:
    """The middle of those places that every answer allows. `far_m` says how far each of the `could_be` (n, 2) is from a
    pickup, as the service reckons; whoever is within `reach_m` of it makes the answer yes.

    Ends when no question splits what is left any more.
    """
    left, asked = np.arange(len(could_be)), 0
    while len(left) > 1:
        tried = [rng.uniform(-2 * RADIUS_M, 2 * RADIUS_M, 2) for _ in range(60)] + _around(could_be[left], rng)
        splits = [int((far_m(left, pickup) <= reach_m).sum()) for pickup in tried]
        best = int(np.argmin([abs(2 * s - len(left)) for s in splits]))
        if splits[best] in {0, len(left)}:
            break
        try:
            yes = ask(place(tried[best]))
        except BudgetSpent:
            break
        asked += 1
        left = left[(far_m(left, tried[best]) <= reach_m) == yes]
        assert len(left), "the answers contradict each other: the attacker's idea of the service is wrong"
    return Found(could_be[left].mean(axis=0), asked)


def _around(left: Plane, rng: np.random.Generator) -> list[Plane]:
    """Pickups whose circle runs through the middle of what is left."""
    bearings = rng.uniform(0, 2 * math.pi, 40)
    middle = left.mean(axis=0) + rng.normal(0, left.std(axis=0) / 3 + 1, (40, 2))
    return [m + RADIUS_M * np.array([math.sin(b), math.cos(b)]) for m, b in zip(middle, bearings, strict=True)]


def far_from_cells(corners: NDArray[np.float64]) -> Callable[[Plane, Plane], Plane]:
    """How far a pickup is from each of these convex cells, (n, corners, 2): 0 inside."""

    def far_m(which: Plane, pickup: Plane) -> Plane:
        a = corners[which]
        b = np.roll(a, -1, axis=1)
        edge, to = b - a, pickup - a
        along = np.clip((edge * to).sum(-1) / (edge**2).sum(-1), 0, 1)[..., None]
        nearest = np.linalg.norm(to - along * edge, axis=-1).min(axis=1)
        side = edge[..., 0] * to[..., 1] - edge[..., 1] * to[..., 0]
        inside = (side >= 0).all(axis=1) | (side <= 0).all(axis=1)
        return np.where(inside, 0.0, nearest)

    return far_m

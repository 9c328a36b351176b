"""The interface to routing engines, and the one that is always there: the great circle with a detour."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from geopy.distance import great_circle

from geo.coordinates import LatLon

GREAT_CIRCLE = "great_circle"


class Leg(NamedTuple):
    """A drive from one place to another: metres and seconds, and which engine says so."""

    distance_m: float
    duration_s: float
    engine: str


class Router(Protocol):
    """Knows how long drives take. Does not fail: at worst it guesses, and the legs say so."""

    def legs(self, origins: Sequence[LatLon], destination: LatLon, *, within_s: float | None = None) -> list[Leg]:
        """The drive from each origin to the destination, in the origins' order; in `within_s` seconds, if given."""

    def drives(self, pairs: Sequence[tuple[LatLon, LatLon]]) -> list[Leg]:
        """The drive from the first to the second of each pair, in the pairs' order; all of them within one bound."""


class GreatCircle:
    """Great-circle distance times a detour factor, at one speed in km/h: no roads, no traffic, no waiting.

    On the sphere, which is 0.6 % from the truth at most; the detour is a guess anyway.
    """

    def __init__(self, *, detour: float, speed_km_h: float) -> None:
        self._detour, self._m_s = detour, speed_km_h / 3.6

    def legs(self, origins: Sequence[LatLon], destination: LatLon, *, within_s: float | None = None) -> list[Leg]:  # noqa: ARG002 (asks nobody)
        """The drive from each origin to the destination."""
        return self.drives([(origin, destination) for origin in origins])

    def drives(self, pairs: Sequence[tuple[LatLon, LatLon]]) -> list[Leg]:
        """The drive from the first to the second of each pair."""
        return [self._leg(self._detour * great_circle(origin, destination).meters) for origin, destination in pairs]

    def _leg(self, metres: float) -> Leg:
        return Leg(metres, metres / self._m_s, GREAT_CIRCLE)

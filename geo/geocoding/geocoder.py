"""The interface to geocoders, what they answer, and how they fail."""

import math
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from geo.coordinates import Bounds, LatLon
from geo.geodesy import distance_m

LONGEST_LABEL = 300
NEAR_M = 50_000.0


class Place(NamedTuple):
    """Something with a name and a position. `importance` is from 0 to 1 where the source tells it; `source` says who
    knows of it, and `attribution` how that must be told to people."""

    label: str
    name: str
    at: LatLon
    kind: str = ""
    importance: float | None = None
    source: str = ""
    attribution: str = ""


class GeocodingError(Exception):
    """No answer. `retry_after_s`: not before so many seconds is it worth asking again, where that is known."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_s = reason, retry_after_s


class TimedOut(GeocodingError):
    """It did not answer within the bound."""


class Refused(GeocodingError):
    """It does not want to be asked: too often, more than was paid for, or by whom it does not know."""


class Unavailable(GeocodingError):
    """It cannot be reached, is broken, or says what cannot be."""


class Misconfigured(GeocodingError):
    """The settings name no geocoder that could be asked; the text says why."""


class Geocoder(Protocol):
    """Knows places. Raises a GeocodingError and nothing else of its own."""

    name: str

    def forward(self, text: str, *, limit: int, near: LatLon | None = None, box: Bounds | None = None) -> list[Place]:
        """Places of this text, best first; those inside `box` before all others, whose place `near` only nudges."""

    def reverse(self, at: LatLon) -> Place | None:
        """What is at this position, or None."""


def plain(text: str, longest: int = LONGEST_LABEL) -> str:
    """A text of others on one line and without control characters, cut where it is too long."""
    kept = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in text)
    return " ".join(kept.split())[:longest].rstrip()


def ranked(places: Iterable[Place], *, near: LatLon | None, box: Bounds | None) -> list[Place]:
    """In the geocoder's own order, but those inside the box first, and of these the ones around `near`."""

    def rank(place: Place) -> tuple[bool, bool]:
        is_outside = box is not None and not box.contains(place.at)
        is_far = near is not None and distance_m(near, place.at) > NEAR_M
        return is_outside, is_far

    return sorted(places, key=rank)


def around(at: LatLon) -> Bounds:
    """A box that reaches some 50 km in each direction; `west` > `east` across the antimeridian."""
    high = NEAR_M / 111_000
    wide = min(high / max(math.cos(math.radians(at.latitude)), 0.01), 179.0)
    south, north = max(at.latitude - high, -90.0), min(at.latitude + high, 90.0)
    return Bounds((at.longitude - wide + 540) % 360 - 180, south, (at.longitude + wide + 540) % 360 - 180, north)


def share(value: object) -> float | None:
    """A number from 0 to 1, or None for whatever else it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, float(value)))

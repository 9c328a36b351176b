"""One position as a device tells it, and which ones are not taken.

All four doors (the driver's socket, a driver's and a fleet's REST resource, phone trackers) come through `sift`.
"""

import time
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from geo.coordinates import Bounds, LatLon, bounds, looks_swapped
from mobility.conf import knobs

FUTURE_S = 60.0  # device clocks are never quite right
# What is taken here must be taken by the database, whose own check comes a moment later: its limits are so much wider.
MARGIN_S = 1.0
NULL_ISLAND_DEG = 0.001  # a receiver without a fix says 0, 0
# Nobody's accuracy is less, and what is far less does not fit the column: one such value spoilt the batch of all.
LEAST_M = 0.001


class Door(StrEnum):
    """How a position came in."""

    SOCKET = "socket"
    DRIVER = "driver"
    FLEET = "fleet"
    TRACKER = "tracker"


class Drop(StrEnum):
    """Why a position is not taken."""

    FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    NULL_ISLAND = "null_island"
    INACCURATE = "inaccurate"
    SWAPPED = "coordinates_swapped"


SENTENCES = {
    Drop.FUTURE: "A position from the future was not taken: set the device's clock.",
    Drop.TOO_OLD: "A position that is too old was not taken.",
    Drop.NULL_ISLAND: "The position 0, 0 was not taken: the device does not know where it is.",
    Drop.INACCURATE: "A position was not taken because it is too inaccurate.",
    Drop.SWAPPED: "A position was not taken: latitude and longitude seem to be exchanged.",
}


class Fix(NamedTuple):
    """A position of a driver's device.

    Degrees; `recorded_at` in seconds since 1970 by the device's clock, None: when it arrived; `arrived` by this
    process's monotonic clock; heading in degrees clockwise from true north, speed in metres per second.
    """

    driver_id: int
    latitude: float
    longitude: float
    recorded_at: float | None
    heading: float | None
    speed: float | None
    accuracy_m: float | None
    door: str
    arrived: float


@cache
def home_region(text: str) -> Bounds | None:
    """The region that exchanged coordinates are told by; None where the setting is empty."""
    return bounds(text) if text else None


_ahead_s = 0.0


def compare_clocks(ahead_s: float) -> None:
    """Say how many seconds this process's clock is ahead of the database's, which is the one that counts."""
    global _ahead_s  # noqa: PLW0603 (one per process, like its clock)
    _ahead_s = ahead_s


def sift(fixes: Iterable[Fix]) -> tuple[list[Fix], "Counter[Drop]"]:
    """Those that are taken, in their order, and how many are not, by reason. Times are judged by the database's
    clock."""
    now, limits = time.time() - _ahead_s, knobs()
    newest, oldest = now + FUTURE_S - MARGIN_S, now - limits.position_late_hours * 3600 + MARGIN_S
    worst = limits.position_accuracy_m
    home = home_region(limits.service_bounds)
    taken: list[Fix] = []
    dropped: Counter[Drop] = Counter()
    for fix in fixes:
        at = fix.recorded_at
        if at is not None and at > newest:
            dropped[Drop.FUTURE] += 1
        elif at is not None and at < oldest:
            dropped[Drop.TOO_OLD] += 1
        elif abs(fix.latitude) < NULL_ISLAND_DEG and abs(fix.longitude) < NULL_ISLAND_DEG:
            dropped[Drop.NULL_ISLAND] += 1
        elif fix.accuracy_m is not None and fix.accuracy_m > worst:
            dropped[Drop.INACCURATE] += 1
        elif home is not None and looks_swapped(LatLon(fix.latitude, fix.longitude), home):
            dropped[Drop.SWAPPED] += 1
        else:
            taken.append(fix if fix.accuracy_m is None or fix.accuracy_m >= LEAST_M else fix._replace(accuracy_m=0.0))
    return taken, dropped

"""What an engine said a moment ago, bounded in number and age."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from geo.coordinates import LatLon

DECIMALS = 4  # of a degree: 11 m at most, a second's drive


class Drive(NamedTuple):
    """What an engine says about a drive: metres and seconds."""

    distance_m: float
    duration_s: float


Key = tuple[float, float, float, float]


def key_of(origin: LatLon, destination: LatLon) -> Key:
    """What drives must have in common to be the same."""
    return tuple(round(degrees, DECIMALS) for degrees in (*origin, *destination))  # type: ignore[return-value]


class DriveCache:
    """At most `size` drives, each for `keep_s` seconds; the one not asked for longest makes room. For many threads.

    That there is no way is kept too (None), so that such a place is not asked about again and again.
    """

    def __init__(self, *, size: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._keep_s, self._clock = size, keep_s, clock
        self._drives: OrderedDict[Key, tuple[float, Drive | None]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._drives)

    def known(self, origin: LatLon, destination: LatLon) -> tuple[bool, Drive | None]:
        """Whether it is known, and then the drive, or None where there is no way."""
        key = key_of(origin, destination)
        with self._lock:
            kept = self._drives.get(key)
            if kept is None:
                return False, None
            since, drive = kept
            if self._clock() - since >= self._keep_s:
                del self._drives[key]
                return False, None
            self._drives.move_to_end(key)
            return True, drive

    def keep(self, origin: LatLon, destination: LatLon, drive: Drive | None) -> None:
        """Remember it from now on."""
        with self._lock:
            key = key_of(origin, destination)
            self._drives[key] = (self._clock(), drive)
            self._drives.move_to_end(key)
            while len(self._drives) > self._size:
                self._drives.popitem(last=False)

"""How much one socket may send."""

import time
from collections import deque


class TokenBucket:
    """`burst` at once, `per_s` a second for long."""

    __slots__ = ("_burst", "_filled_at", "_level", "_per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._level, self._filled_at = burst, time.monotonic()

    def take(self) -> bool:
        """Whether one more is within the limit; if so it is counted."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken for long enough to fill it again."""
        return self._level >= self._burst - 1


class RecentCount:
    """How often something happened in the last `window_s` seconds."""

    __slots__ = ("_times", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque()

    def add(self) -> int:
        """Count one more; how many it makes."""
        now = time.monotonic()
        self._times.append(now)
        while self._times[0] <= now - self._window_s:
            self._times.popleft()
        return len(self._times)

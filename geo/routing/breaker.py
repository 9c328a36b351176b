"""Leaves an engine alone that has failed several times in a row."""

import threading
import time
from collections.abc import Callable


class Breaker:
    """After `failures` in a row nothing is asked for `rest_s` seconds, then one question at a time tries again.

    For many threads. A trial that never comes back blocks nothing: the next is allowed `rest_s` later.
    """

    def __init__(self, *, failures: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed, self._rest_s, self._clock = failures, rest_s, clock
        self._failures, self._again_at = 0, 0.0
        self._lock = threading.Lock()

    @property
    def is_resting(self) -> bool:
        """Whether a question would not be allowed now."""
        with self._lock:
            return self._failures >= self._allowed and self._clock() < self._again_at

    def allows(self) -> bool:
        """Whether a question may be asked now; whoever hears yes must tell how it ended."""
        with self._lock:
            if self._failures < self._allowed:
                return True
            now = self._clock()
            if now < self._again_at:
                return False
            self._again_at = now + self._rest_s
            return True

    def succeeded(self) -> bool:
        """It answered; whether it had been left alone until now."""
        with self._lock:
            was_resting, self._failures = self._failures >= self._allowed, 0
            return was_resting

    def failed(self) -> bool:
        """It did not answer; whether it is left alone from now on, which it was not before."""
        with self._lock:
            self._failures += 1
            if self._failures < self._allowed:
                return False
            self._again_at = self._clock() + self._rest_s
            return self._failures == self._allowed

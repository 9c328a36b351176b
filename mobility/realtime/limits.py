"""How much one socket may send, and who goes first where many want the same."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from weakref import WeakValueDictionary


class TokenBucket:
    """`burst` at once, `per_s` a second for long."""

    __slots__ = ("_burst", "_filled_at", "_level", "_per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._level, self._filled_at = burst, time.monotonic()

    def take(self, count: int = 1) -> bool:
        """Whether so many more are within the limit; if so they are counted."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._level < count:
            return False
        self._level -= count
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


class LastInLine:
    """Work that goes at once, any number of it, and work that comes last: one at a time, and begun while no other is
    under way, or when it has waited `patience_s` for that. So it takes nothing from the others that they could use, and
    goes on all the same.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._turn = asyncio.Lock()
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Not waiting for anything."""
        self._under_way += 1
        self._none_under_way.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._none_under_way.set()

    @asynccontextmanager
    async def last(self) -> AsyncIterator[None]:
        """After everybody else."""
        async with self._turn:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    await self._none_under_way.wait()
            yield


class TakingTurns:
    """One at a time for each key, in the order they came. Whoever has waited `patience_s` goes in beside the others:
    this spares the database from many who would wait there for one row; what keeps them apart is the row's lock.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for one's turn, and have it until the block ends."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(self._patience_s):
                await lock.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            lock.release()

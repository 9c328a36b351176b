"""The way in for positions: from every door into one buffer of the process, from there in batches into the database.

A batch is written 150 ms after its first position, or as soon as there are 1,000. Two threads with a connection each
write, so that nothing else waits for it: one packs its batch while the database works on the other's. While the
database is slow or away, positions wait; when they are too many, the newest of each driver stays and the others are let
go.

A batch is committed like everything else, so an answered position survives; a server that is killed loses the ones that
waited, at most those of the last 0.2 s.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from mobility.conf import knobs
from mobility.drivers.models import Driver
from mobility.locations.arrays import bigints, doubles, teach, texts
from mobility.locations.fixes import Drop, Fix, sift
from mobility.locations.freshness import mark_returned
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
EVERY_S, AT = 0.15, 1_000
BATCH_AT_MOST = 5_000
WAITING_AT_MOST = 100_000
AGAIN_AFTER_S = 0.5
WRITERS = 2

# What became of positions in this process since its start: dropped by reason, stored, superseded, failed.
counts: Counter[str] = Counter()


@state_change
def write_fixes(fixes: Sequence[Fix]) -> None:
    """Store positions, in one statement; the newest of each driver is where they are. Repeats change nothing.

    A stationary driver whose device tells a newer position is stationary no more, and a silent one can be matched
    again.
    """
    now = time.monotonic()
    driver_ids, latitudes, longitudes, recorded_ats, headings, speeds, accuracies_m, doors, arrived = zip(
        *fixes, strict=True
    )
    connection.ensure_connection()
    teach(connection.connection)
    done = rows(
        "locations/sql/write_fixes",
        {
            "driver_ids": bigints(driver_ids), "latitudes": doubles(latitudes), "longitudes": doubles(longitudes),
            "recorded_ats": doubles(recorded_ats), "ages_s": doubles([now - at for at in arrived]),
            "headings": doubles(headings), "speeds": doubles(speeds), "accuracies_m": doubles(accuracies_m),
            "doors": texts(doors), "late_hours": knobs().position_late_hours,
        },
    )[0]  # fmt: skip
    counts["stored"] += done.stored
    # After the commit: who changes a driver locks the driver first and the position second.
    if done.restless:
        transaction.on_commit(lambda: _set_moving(done.restless))
    if done.returned:
        transaction.on_commit(lambda: mark_returned(done.returned))


@state_change
def _set_moving(driver_ids: list[int]) -> None:
    Driver.objects.filter(pk__in=driver_ids, stationary=True).update(stationary=False)


class _Batch(NamedTuple):
    """Positions, and what is done when they are written: one future for all who brought them."""

    fixes: list[Fix]
    written: "list[Future[None]]"


class Buffer:
    """Positions that wait to be written by `run`, which threads of their own execute. All methods are thread-safe."""

    def __init__(
        self, write: Callable[[Sequence[Fix]], None], *, every_s: float = EVERY_S, at: int = AT,
        at_most: int = WAITING_AT_MOST,
    ) -> None:  # fmt: skip
        self._write, self._every_s, self._at, self._at_most = write, every_s, at, at_most
        self._news = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._count, self._since, self._hurry, self._over = 0, 0.0, False, False

    @property
    def count(self) -> int:
        """How many wait."""
        return self._count

    def put(self, fixes: Sequence[Fix]) -> "Future[None]":
        """Have these written soon. The future is done when they are, or when newer ones of their drivers are."""
        with self._news:
            if not self._count:
                self._since = time.monotonic()
            if not self._waiting or len(self._waiting[-1].fixes) >= self._at:
                self._waiting.append(_Batch([], [Future()]))
            batch = self._waiting[-1]
            batch.fixes.extend(fixes)
            before, self._count = self._count, self._count + len(fixes)
            if self._count > self._at_most:
                self._keep_newest()
            if not before or before < self._at <= self._count:
                self._news.notify()
            return batch.written[0]

    def hurry(self) -> None:
        """Somebody waits: write now what is there."""
        with self._news:
            self._hurry = True
            self._news.notify()

    def run(self) -> None:
        """Write what comes, until `end` was called and all is written or cannot be."""
        while batch := self._next():
            try:
                self._write(batch.fixes)
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if not self._put_back(batch, error):
                    return
            except Exception as error:
                log.exception("positions_failed", positions=len(batch.fixes))
                counts["failed"] += len(batch.fixes)
                for future in batch.written:
                    future.set_exception(error)
            else:
                for future in batch.written:
                    future.set_result(None)

    def end(self) -> None:
        """Write what waits and stop waiting for more."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def _next(self) -> _Batch | None:
        with self._news:
            while not self._is_due():
                if self._count:
                    self._news.wait(max(0.0, self._since + self._every_s - time.monotonic()))
                elif self._over:
                    return None
                else:
                    self._news.wait()
            batch = _Batch([], [])
            while self._waiting and len(batch.fixes) < BATCH_AT_MOST:
                some = self._waiting.popleft()
                batch.fixes.extend(some.fixes)
                batch.written.extend(some.written)
            self._count -= len(batch.fixes)
            self._since, self._hurry = time.monotonic(), False
            return batch

    def _is_due(self) -> bool:
        return self._count > 0 and (
            self._count >= self._at or self._hurry or self._over or time.monotonic() >= self._since + self._every_s
        )

    def _put_back(self, batch: _Batch, error: Exception) -> bool:
        """The database is away or overloaded: these wait again, in front. False at the end, when they are lost."""
        log.warning("positions_wait", positions=len(batch.fixes) + self._count, error=type(error).__name__)
        with self._news:
            self._waiting.appendleft(batch)
            self._count += len(batch.fixes)
            if self._count > self._at_most:
                self._keep_newest()
            if not self._over:
                self._news.wait_for(lambda: self._over, AGAIN_AFTER_S)
                return True
            for lost in self._waiting:
                for future in lost.written:
                    if not future.done():  # the other writer has said so already
                        future.set_exception(error)
            return False

    def _keep_newest(self) -> None:
        """Let go of all but the newest of each driver; one without a time of its own is as new as its arrival."""
        wall = time.time() - time.monotonic()
        newest: dict[int, Fix] = {}
        written: list[Future[None]] = []
        for batch in self._waiting:
            written += batch.written
            for fix in batch.fixes:
                known = newest.get(fix.driver_id)
                if known is None or _when(known, wall) < _when(fix, wall):
                    newest[fix.driver_id] = fix
        counts["superseded"] += self._count - len(newest)
        self._waiting.clear()
        self._waiting.append(_Batch([*newest.values()], written))
        self._count = len(newest)


def _when(fix: Fix, wall: float) -> float:
    return wall + fix.arrived if fix.recorded_at is None else fix.recorded_at


_buffer: Buffer | None = None
_threads: list[threading.Thread] = []


def start() -> None:
    """From now on positions of this process are buffered."""
    global _buffer  # noqa: PLW0603
    buffer = Buffer(write_fixes)

    def run() -> None:
        try:
            buffer.run()
        finally:
            connection.close()

    _buffer = buffer
    _threads[:] = [threading.Thread(target=run, name=f"positions {n}", daemon=True) for n in range(WRITERS)]
    for thread in _threads:
        thread.start()


def stop(within_s: float) -> None:
    """Write what waits, for at most so long; afterwards positions are written at once by whoever brings them."""
    global _buffer
    buffer, _buffer = _buffer, None
    if buffer is not None:
        buffer.end()
        deadline = time.monotonic() + within_s
        for thread in _threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if buffer.count:
            log.error("positions_lost", positions=buffer.count)


class Taken(NamedTuple):
    """What became of positions that were brought: why some were not taken, and a future that is done once the others
    are stored; None where they are stored already."""

    dropped: "Counter[Drop]"
    written: "Future[None] | None"


def take(fixes: Iterable[Fix]) -> Taken:
    """Let positions in. Without a running buffer (a command, a test) they are stored at once, on this connection."""
    taken, dropped = sift(fixes)
    for reason, count in dropped.items():
        counts[reason] += count
    if not taken:
        return Taken(dropped, None)
    if _buffer is not None:
        return Taken(dropped, _buffer.put(taken))
    write_fixes(taken)
    return Taken(dropped, None)


def is_buffered() -> bool:
    """Whether `take` only puts aside what it is given, so that it may be called from the event loop."""
    return _buffer is not None


def hurry() -> None:
    """Somebody waits for what was taken: write it now."""
    if _buffer is not None:
        _buffer.hurry()

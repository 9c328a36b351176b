"""The way in for positions: from every door into one buffer of the process, from there in batches into the database.

A batch is written 150 ms after its first position, or as soon as there are 1,000. Two threads with a connection each
write, so that nothing else waits for it: one packs its batch while the database works on the other's. While the
database is slow or away, positions wait; when they are too many, the newest of each driver stays and the others are let
go.

A batch is committed like everything else, so an answered position survives; a server that is killed loses the ones that
waited, at most those of the last 0.2 s.

Positions that came under the name of a command are remembered by it in the transaction that stores them, so they are
stored once, however often and wherever they are told.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from mobility.commands.services import Answer, Wanted, once_each
from mobility.conf import knobs
from mobility.drivers.models import Driver
from mobility.errors import Refusal
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


class Named(NamedTuple):
    """Positions that came under the name of a command, perhaps none that can be taken, and what their client is told
    when that is remembered."""

    wanted: Wanted
    answer: Answer
    fixes: list[Fix]


@state_change
def write_fixes(fixes: Sequence[Fix], named: Sequence[Named] = ()) -> list[Answer | Refusal]:
    """Store positions, in one statement; the newest of each driver is where they are. Repeats change nothing.

    A stationary driver whose device tells a newer position is stationary no more, and a silent one can be matched
    again. Those of `named` are stored where the name is new; for each the answer, or why there is none.
    """
    if not named:
        _write(fixes)
        return []
    settled = once_each([(one.wanted, one.answer) for one in named])
    due = [*fixes, *(fix for one, came in zip(named, settled, strict=True) if came.is_new for fix in one.fixes)]
    if due:
        _write(due)
    return [came.answer for came in settled]


def _write(fixes: Sequence[Fix]) -> None:
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
        transaction.on_commit(lambda: _follow(_set_moving, done.restless))
    if done.returned:
        transaction.on_commit(lambda: _follow(mark_returned, done.returned))


def _follow(work: Callable[[list[int]], Any], driver_ids: list[int]) -> None:
    """What follows from positions that are stored. A failure must not have them stored again; the next one of a driver
    makes up for it."""
    try:
        work(driver_ids)
    except Exception as error:
        log.warning("positions_not_followed", work=work.__name__, drivers=len(driver_ids), error=repr(error))


@state_change
def _set_moving(driver_ids: list[int]) -> None:
    Driver.objects.filter(pk__in=driver_ids, stationary=True).update(stationary=False)


Write = Callable[[Sequence[Fix], Sequence[Named]], list[Answer | Refusal]]


class _Batch:
    """Positions, and what is done when they are written: one future for all who brought them, for named ones each its
    own. `count`: how many positions, a name without any as one.

    At the end a future may be done before its positions are written: one writer gave up, and the other can.
    """

    def __init__(self) -> None:
        self.fixes: list[Fix] = []
        self.written: list[Future[None]] = []
        self.named: list[tuple[Named, Future[Answer | Refusal]]] = []
        self.count = 0

    def add(self, fixes: Sequence[Fix]) -> None:
        """These too."""
        self.fixes.extend(fixes)
        self.count += len(fixes)

    def add_named(self, named: Named) -> "Future[Answer | Refusal]":
        """These too; the future is their answer."""
        told: Future[Answer | Refusal] = Future()
        self.named.append((named, told))
        self.count += max(1, len(named.fixes))
        return told

    def join(self, other: "_Batch") -> None:
        """All of another batch too."""
        self.fixes += other.fixes
        self.written += other.written
        self.named += other.named
        self.count += other.count

    def write(self, write: Write) -> None:
        """Have them written and tell everybody who waits."""
        answers = write(self.fixes, [named for named, _ in self.named])
        for future in self.written:
            if not future.done():
                future.set_result(None)
        for (_, told), answer in zip(self.named, answers, strict=True):
            if not told.done():
                told.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Tell everybody who waits."""
        for future in self.written:
            if not future.done():
                future.set_exception(error)
        self.refuse_named("unavailable" if isinstance(error, OperationalError | InterfaceError) else "internal_error")

    def refuse_named(self, code: str) -> None:
        """Tell those who wait for named ones."""
        for _, told in self.named:
            if not told.done():
                told.set_result(Refusal(code))


class Buffer:
    """Positions that wait to be written by `run`, which threads of their own execute. All methods are thread-safe."""

    def __init__(
        self, write: Write, *, every_s: float = EVERY_S, at: int = AT, at_most: int = WAITING_AT_MOST
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
            batch = self._open_batch()
            batch.add(fixes)
            self._grew(len(fixes))
            return batch.written[0]

    def put_named(self, named: Named) -> "Future[Answer | Refusal]":
        """Have these written soon, once under their name. The future is the answer, or why there is none."""
        with self._news:
            batch = self._open_batch()
            before = batch.count
            told = batch.add_named(named)
            self._grew(batch.count - before)
            return told

    def _open_batch(self) -> _Batch:
        if not self._count:
            self._since = time.monotonic()
        if not self._waiting or self._waiting[-1].count >= self._at:
            self._waiting.append(_Batch())
            self._waiting[-1].written.append(Future())
        return self._waiting[-1]

    def _grew(self, by: int) -> None:
        before, self._count = self._count, self._count + by
        if self._count > self._at_most:
            self._keep_newest()
        if not before or before < self._at <= self._count:
            self._news.notify()

    def hurry(self) -> None:
        """Somebody waits: write now what is there."""
        with self._news:
            self._hurry = True
            self._news.notify()

    def run(self) -> None:
        """Write what comes, until `end` was called and all is written or cannot be."""
        while batch := self._next():
            try:
                batch.write(self._write)
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if not self._put_back(batch, error):
                    return
            except Exception as error:
                log.exception("positions_failed", positions=batch.count)
                counts["failed"] += batch.count
                batch.fail(error)

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
            batch = _Batch()
            while self._waiting and batch.count < BATCH_AT_MOST:
                batch.join(self._waiting.popleft())
            self._count -= batch.count
            self._since, self._hurry = time.monotonic(), False
            return batch

    def _is_due(self) -> bool:
        return self._count > 0 and (
            self._count >= self._at or self._hurry or self._over or time.monotonic() >= self._since + self._every_s
        )

    def _put_back(self, batch: _Batch, error: Exception) -> bool:
        """The database is away or overloaded: these wait again, in front. False at the end, when they are lost."""
        log.warning("positions_wait", positions=batch.count + self._count, error=type(error).__name__)
        with self._news:
            self._waiting.appendleft(batch)
            self._count += batch.count
            if self._count > self._at_most:
                self._keep_newest()
            if not self._over:
                self._news.wait_for(lambda: self._over, AGAIN_AFTER_S)
                return True
            for lost in self._waiting:
                lost.fail(error)
            return False

    def _keep_newest(self) -> None:
        """Let go of all but the newest of each driver; one without a time of its own is as new as its arrival.

        Named ones are let go of all: their clients are told so and tell them again.
        """
        wall = time.time() - time.monotonic()
        newest: dict[int, Fix] = {}
        kept = _Batch()
        for batch in self._waiting:
            kept.written += batch.written
            for fix in batch.fixes:
                known = newest.get(fix.driver_id)
                if known is None or _when(known, wall) < _when(fix, wall):
                    newest[fix.driver_id] = fix
            batch.refuse_named("unavailable")
        kept.add([*newest.values()])
        counts["superseded"] += self._count - kept.count
        self._waiting.clear()
        self._waiting.append(kept)
        self._count = kept.count


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
    taken, dropped = _sifted(fixes)
    if not taken:
        return Taken(dropped, None)
    if _buffer is not None:
        return Taken(dropped, _buffer.put(taken))
    write_fixes(taken)
    return Taken(dropped, None)


def take_named(
    wanted: Wanted, fixes: Iterable[Fix], answer: Callable[["Counter[Drop]"], Answer]
) -> "Future[Answer | Refusal]":
    """Let positions in that came under a name, once. `answer` says what is told when those that were dropped are these.

    The future is that answer, or the one that was given under this name before; or why there is none. Without a running
    buffer it is done when this returns.
    """
    taken, dropped = _sifted(fixes)
    named = Named(wanted, answer(dropped), taken)
    if _buffer is not None:
        return _buffer.put_named(named)
    batch = _Batch()
    told = batch.add_named(named)
    batch.write(write_fixes)
    return told


def _sifted(fixes: Iterable[Fix]) -> tuple[list[Fix], "Counter[Drop]"]:
    taken, dropped = sift(fixes)
    for reason, count in dropped.items():
        counts[reason] += count
    return taken, dropped


def is_buffered() -> bool:
    """Whether `take` only puts aside what it is given, so that it may be called from the event loop."""
    return _buffer is not None


def hurry() -> None:
    """Somebody waits for what was taken: write it now."""
    if _buffer is not None:
        _buffer.hurry()

"""Positions that wait, and the threads that write them: batches, lines, and who is told what became of theirs."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import NamedTuple

import structlog
from django.db import InterfaceError, OperationalError, connection

from mobility.commands.services import Answer, Wanted
from mobility.errors import Refusal
from mobility.locations.fixes import Fix

log = structlog.get_logger(__name__)
EVERY_S, AT = 0.15, 1_000
BATCH_AT_MOST = 5_000
WAITING_AT_MOST = 100_000
AGAIN_AFTER_S = 0.5
SHARES = 64
LOCKED = "55P03"  # somebody else's lock was waited for in vain

# What became of positions in this process since its start: dropped by reason, stored, superseded, failed.
counts: Counter[str] = Counter()


class Named(NamedTuple):
    """Positions that came under the name of a command, perhaps none that can be taken, and what their client is told
    when that is remembered."""

    wanted: Wanted
    answer: Answer
    fixes: list[Fix]

    @property
    def drivers(self) -> set[int]:
        """Whose positions they are."""
        return {fix.driver_id for fix in self.fixes}


Write = Callable[[Sequence[Fix], Sequence[Named]], list[Answer | Refusal]]
HeldUp = Callable[[Iterable[int]], set[int]]


class Batch:
    """Positions, and what is done when they are written: a future for each group of drivers (by id, of SHARES), for who
    brings those of several, and for each name. `count`: how many positions, a name without any as one.

    At the end a future may be done before its positions are written: one writer gave up, and the other can.
    """

    def __init__(self) -> None:
        self.fixes: list[Fix] = []
        self.written: list[tuple[Future[None], set[int]]] = []
        self._shared: dict[int, tuple[Future[None], set[int]]] = {}
        self.named: list[tuple[Named, Future[Answer | Refusal]]] = []
        self.count = 0

    def put(self, fixes: Sequence[Fix]) -> "Future[None]":
        """These too; the future is done when they are written."""
        self._add(fixes)
        driver_id = fixes[0].driver_id
        if len(fixes) > 1 and len(drivers := {fix.driver_id for fix in fixes}) > 1:
            self.written.append((Future(), drivers))
            return self.written[-1][0]
        shared = self._shared.get(driver_id % SHARES)
        if shared is None:
            shared = self._shared[driver_id % SHARES] = Future(), set()
            self.written.append(shared)
        shared[1].add(driver_id)
        return shared[0]

    def _add(self, fixes: Sequence[Fix]) -> None:
        self.fixes.extend(fixes)
        self.count += len(fixes)

    def add_named(self, named: Named, told: "Future[Answer | Refusal]") -> None:
        """These too; the future is their answer."""
        self.named.append((named, told))
        self.count += max(1, len(named.fixes))

    def join(self, other: "Batch") -> None:
        """All of another batch too."""
        self.fixes += other.fixes
        self.written += other.written
        self.named += other.named
        self.count += other.count

    def drivers(self) -> set[int]:
        """Whose positions they are."""
        return {fix.driver_id for fix in self.fixes}.union(*(named.drivers for named, _ in self.named))

    def parted(self, drivers: set[int]) -> "tuple[Batch, Batch]":
        """The positions of others, and of these drivers; this batch is not to be used any more. Named ones stay
        together."""
        others, theirs = Batch(), Batch()
        if drivers.isdisjoint(self.drivers()):
            return self, theirs
        others._add([fix for fix in self.fixes if fix.driver_id not in drivers])
        theirs._add([fix for fix in self.fixes if fix.driver_id in drivers])
        for named, told in self.named:
            (others if drivers.isdisjoint(named.drivers) else theirs).add_named(named, told)
        for future, whose in self.written:
            parts: list[Future[None]] = []
            for part, those in ((others, whose - drivers), (theirs, whose & drivers)):
                if those:
                    part.written.append((Future(), those))
                    parts.append(part.written[-1][0])
            follow(future, *parts)
        return others, theirs

    def newest(self) -> "Batch":
        """Those of them that are the newest of a driver; one without a time of its own is as new as its arrival. All
        are told when these are written. Named ones are none of them: who told those is to tell them again."""
        wall = time.time() - time.monotonic()
        newest: dict[int, Fix] = {}
        for fix in self.fixes:
            known = newest.get(fix.driver_id)
            if known is None or _when(known, wall) < _when(fix, wall):
                newest[fix.driver_id] = fix
        self.refuse_named("unavailable")
        kept = Batch()
        kept._add([*newest.values()])
        kept.written = self.written
        return kept

    def write(self, write: Write) -> None:
        """Have them written, if there are any, and tell everybody who waits."""
        answers = write(self.fixes, [named for named, _ in self.named]) if self.count else []
        for future, _ in self.written:
            if not future.done():
                future.set_result(None)
        for (_, told), answer in zip(self.named, answers, strict=True):
            if not told.done():
                told.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Tell everybody who waits."""
        for future, _ in self.written:
            if not future.done():
                future.set_exception(error)
        self.refuse_named("unavailable" if isinstance(error, OperationalError | InterfaceError) else "internal_error")

    def refuse_named(self, code: str) -> None:
        """Tell those who wait for named ones."""
        for _, told in self.named:
            if not told.done():
                told.set_result(Refusal(code))


def follow(future: "Future[None]", *parts: "Future[None]") -> None:
    """Have a future be done when all its parts are; it fails if one of them did."""

    def look(_part: "Future[None]") -> None:
        if not all(part.done() for part in parts):
            return
        error = next((part.exception() for part in parts if part.exception() is not None), None)
        with suppress(InvalidStateError):  # the parts were done at once, by two threads
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    for part in parts:
        part.add_done_callback(look)


class Line:
    """Batches that wait, in order; a batch that has `at` positions takes no more."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._batches: deque[Batch] = deque()
        self.count = 0

    def put(self, fixes: Sequence[Fix]) -> "Future[None]":
        """These too; the future is done when they are written."""
        self.count += len(fixes)
        return self._open().put(fixes)

    def put_named(self, named: Named) -> "Future[Answer | Refusal]":
        """These too; the future is their answer."""
        told: Future[Answer | Refusal] = Future()
        batch = self._open()
        before = batch.count
        batch.add_named(named, told)
        self.count += batch.count - before
        return told

    def _open(self) -> Batch:
        if not self._batches or self._batches[-1].count >= self._at:
            self._batches.append(Batch())
        return self._batches[-1]

    def take(self, at_most: int) -> Batch:
        """The first ones as one batch: so many, or what is left of the batch that has the last of them."""
        taken = Batch()
        while self._batches and taken.count < at_most:
            taken.join(self._batches.popleft())
        self.count -= taken.count
        return taken

    def put_back(self, batch: Batch) -> None:
        """These again, in front."""
        if batch.count:
            self._batches.appendleft(batch)
            self.count += batch.count
        else:
            batch.write(_nothing)

    def drivers(self) -> set[int]:
        """Whose positions wait."""
        return set[int]().union(*(batch.drivers() for batch in self._batches))

    def part(self, drivers: set[int]) -> list[Batch]:
        """Take out the positions of these drivers."""
        batches, taken = [*self._batches], []
        self._batches.clear()
        self.count = 0
        for batch in reversed(batches):
            others, theirs = batch.parted(drivers)
            self.put_back(others)
            taken.append(theirs)
        return taken

    def keep_newest(self) -> int:
        """Let go of all but the newest of each driver; how many were let go of."""
        before = self.count
        self.put_back(self.take(before).newest())
        return before - self.count

    def fail(self, error: Exception) -> None:
        """Tell everybody who waits; another writer may still write these."""
        for batch in self._batches:
            batch.fail(error)


def _nothing(_fixes: Sequence[Fix], _named: Sequence[Named]) -> list[Answer | Refusal]:
    raise AssertionError("a batch without positions is not written")


def _when(fix: Fix, wall: float) -> float:
    return wall + fix.arrived if fix.recorded_at is None else fix.recorded_at


class Buffer:
    """Positions that wait to be written by `run`, which threads of their own execute. All methods are thread-safe.

    Where another transaction holds drivers' rows for long (a server that stands still in the middle of a batch), what
    these drivers tell waits aside, and is tried now and then by one thread without waiting for the rows: everybody
    else's is written meanwhile. `held_up` says whose rows are held.
    """

    def __init__(
        self, write: Write, held_up: HeldUp, *, every_s: float = EVERY_S, at: int = AT, at_most: int = WAITING_AT_MOST
    ) -> None:  # fmt: skip
        self._write, self._held_up, self._every_s, self._at, self._at_most = write, held_up, every_s, at, at_most
        self._news = threading.Condition()
        self._waiting, self._since, self._hurry, self._over = Line(at), 0.0, False, False
        # Whose new positions go aside; from when those there may be tried; whether a thread does so.
        self._aside, self._aside_of, self._aside_from, self._aside_tried = Line(at), set[int](), 0.0, False

    @property
    def count(self) -> int:
        """How many wait."""
        return self._waiting.count + self._aside.count

    def put(self, fixes: Sequence[Fix]) -> "Future[None]":
        """Have these written soon (one at least). The future is done when they are, or when newer ones of their drivers
        are."""
        with self._news:
            theirs = [fix for fix in fixes if fix.driver_id in self._aside_of] if self._aside_of else []
            if not theirs:
                return self._put(fixes)
            aside = self._aside.put(theirs)
            self._keep_few()
            if len(theirs) == len(fixes):
                return aside
            both: Future[None] = Future()
            follow(both, aside, self._put([fix for fix in fixes if fix.driver_id not in self._aside_of]))
            return both

    def _put(self, fixes: Sequence[Fix]) -> "Future[None]":
        before = self._waiting.count
        written = self._waiting.put(fixes)
        self._grew(before)
        return written

    def put_named(self, named: Named) -> "Future[Answer | Refusal]":
        """Have these written soon, once under their name. The future is the answer, or why there is none."""
        with self._news:
            if self._aside_of and not self._aside_of.isdisjoint(named.drivers):
                told = self._aside.put_named(named)
                self._keep_few()
                return told
            before = self._waiting.count
            told = self._waiting.put_named(named)
            self._grew(before)
            return told

    def _grew(self, before: int) -> None:
        now = self._waiting.count
        if not before:
            self._since = time.monotonic()
        self._keep_few()
        if not before or before < self._at <= now:
            self._news.notify()

    def _keep_few(self) -> None:
        if self.count > self._at_most:
            counts["superseded"] += self._waiting.keep_newest() + self._aside.keep_newest()

    def hurry(self) -> None:
        """Somebody waits: write now what is there."""
        with self._news:
            self._hurry = True
            self._news.notify()

    def run(self) -> None:
        """Write what comes, until `end` was called and all is written or cannot be."""
        while (due := self._next()) is not None:
            batch, was_aside = due
            try:
                if was_aside and not self._over:
                    batch = self._free_part(batch)
                batch.write(self._write)
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if not self._put_back(batch, error):
                    return
            except Exception as error:
                log.exception("positions_failed", positions=batch.count)
                counts["failed"] += batch.count
                batch.fail(error)
            finally:
                if was_aside:
                    self._aside_was_tried()

    def end(self) -> None:
        """Write what waits and stop waiting for more."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def _next(self) -> tuple[Batch, bool] | None:
        """What is due, and whether it was aside; None at the end."""
        with self._news:
            while True:
                now = time.monotonic()
                if self._aside.count and not self._aside_tried and (self._over or now >= self._aside_from):
                    self._aside_tried = True
                    return self._aside.take(BATCH_AT_MOST), True
                if self._is_due(now):
                    self._since, self._hurry = now, False
                    return self._waiting.take(BATCH_AT_MOST), False
                if self._over:
                    return None
                self._news.wait(self._until_due(now))

    def _is_due(self, now: float) -> bool:
        waiting = self._waiting.count
        return waiting > 0 and (waiting >= self._at or self._hurry or self._over or now >= self._since + self._every_s)

    def _until_due(self, now: float) -> float | None:
        """For how many seconds nothing is due unless something comes; None: for ever."""
        due = [self._since + self._every_s] if self._waiting.count else []
        if self._aside.count and not self._aside_tried:
            due.append(self._aside_from)
        return max(0.0, min(due) - now) if due else None

    # --- when it cannot be written -------------------------------------------------------------------------------

    def _put_back(self, batch: Batch, error: Exception) -> bool:
        """The database is away or overloaded, or somebody holds rows: these wait again. False at the end, when they are
        lost."""
        log.warning("positions_wait", positions=batch.count + self.count, error=type(error).__name__)
        if getattr(error.__cause__, "sqlstate", None) == LOCKED:
            self._put_aside(batch, error)
            return True
        with self._news:
            self._waiting.put_back(batch)
            self._keep_few()
            if not self._over:
                self._news.wait_for(lambda: self._over, AGAIN_AFTER_S)
                return True
            self._waiting.fail(error)
            self._aside.fail(error)
            return False

    def _put_aside(self, batch: Batch, error: Exception) -> None:
        """The positions of those whose rows are held wait aside, or fail at the end; all others' wait again."""
        try:
            held = self._held_up(batch.drivers())
        except (OperationalError, InterfaceError):
            connection.close()
            held = set()
        if not held:  # any more; or it was the name of a command, which another transaction claims
            held = set[int]().union(*(named.drivers for named, _ in batch.named)) or batch.drivers()
        others, theirs = batch.parted(held)
        with self._news:
            self._waiting.put_back(others)
            if self._over:
                theirs.fail(error)
                return
            self._aside.put_back(theirs)
            self._aside_of |= theirs.drivers()
            # What they told before this was known would hold up everybody else's once more.
            for more in self._waiting.part(self._aside_of):
                self._aside.put_back(more)
            self._aside_from = time.monotonic() + AGAIN_AFTER_S
            self._keep_few()
            self._news.notify_all()

    def _free_part(self, batch: Batch) -> Batch:
        """Of what was aside, the positions of those whose rows are not held any more; the others stay there."""
        free, theirs = batch.parted(self._held_up(batch.drivers()))
        with self._news:
            self._aside.put_back(theirs)
            self._aside_from = time.monotonic() + AGAIN_AFTER_S
        return free

    def _aside_was_tried(self) -> None:
        with self._news:
            self._aside_tried = False
            self._aside_of = self._aside.drivers()
            self._news.notify_all()

"""The buffer of positions, and what its threads do with it.

Batches wait in two lines: what comes, and aside what another transaction holds up (docs/decisions/0032).
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from django.db import InterfaceError, OperationalError, connection

from mobility.connections import keeping
from mobility.locations.batches import Answered, Batch, Line, Named, Whose, Write
from mobility.locations.fixes import Fix
from mobility.locations.stored import AllStored, Stored

log = structlog.get_logger(__name__)
EVERY_S, AT = 0.15, 1_000
BATCH_AT_MOST = 5_000
WAITING_AT_MOST = 100_000
# A database that is away, or rows that are held: tried again after this, and what is aside for so long at a time.
AGAIN_AFTER_S, ASIDE_FOR_S = 0.5, 1.0
LOCKED, CANCELED = "55P03", "57014"

# What became of positions in this process since its start: dropped by reason, stored, superseded, failed.
counts: Counter[str] = Counter()


# Which of these drivers' rows another transaction holds. Waits for none.
HeldUp = Callable[[Sequence[int]], set[int]]


class Buffer:
    """Positions that wait to be written by `run`, which threads of their own execute. All methods are thread-safe.

    Where another transaction holds drivers' rows for long (a server that stands still in the middle of a batch), what
    these drivers tell waits aside, and is tried now and then by one thread that hardly waits for locks: everybody
    else's is written meanwhile.
    """

    def __init__(
        self, write: Write, held_up: HeldUp, *, every_s: float = EVERY_S, at: int = AT, at_most: int = WAITING_AT_MOST
    ) -> None:  # fmt: skip
        self._write, self._held_up, self._every_s, self._at, self._at_most = write, held_up, every_s, at, at_most
        self._news = threading.Condition()
        self._waiting, self._since, self._hurry, self._over = Line(at), 0.0, False, False
        # Whose new positions go aside; from when those there may be tried; whether a thread does so.
        self._aside, self._aside_of, self._aside_from, self._aside_tried = Line(at), set[Whose](), 0.0, False

    @property
    def count(self) -> int:
        """How many wait."""
        return self._waiting.count + self._aside.count

    def put(self, fixes: Sequence[Fix]) -> Stored:
        """Have these written soon (one at least)."""
        with self._news:
            if not self._aside_of or self._aside_of.isdisjoint(fix.driver_id for fix in fixes):
                return self._put(fixes)
            theirs = [fix for fix in fixes if fix.driver_id in self._aside_of]
            others = [fix for fix in fixes if fix.driver_id not in self._aside_of]
            aside = self._aside.put(theirs)
            self._keep_few()
            return AllStored([aside, self._put(others)]) if others else aside

    def _put(self, fixes: Sequence[Fix]) -> Stored:
        before = self._waiting.count
        stored = self._waiting.put(fixes)
        self._grew(before)
        return stored

    def put_named(self, named: Named) -> Answered:
        """Have these written soon, once under their name."""
        with self._news:
            if self._aside_of and not self._aside_of.isdisjoint(named.whose):
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

    def end(self) -> None:
        """Write what waits and stop waiting for more."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def run(self) -> None:
        """Write what comes, until `end` was called and all is written or cannot be."""
        while work := self._next():
            with keeping():
                goes_on = work()
            if not goes_on:
                return

    def _next(self) -> Callable[[], bool] | None:
        """What is to be done now, which says whether it goes on after it; None at the end."""
        with self._news:
            while True:
                now = time.monotonic()
                if self._aside.count and not self._aside_tried and (self._over or now >= self._aside_from):
                    self._aside_tried = True
                    return self._try_aside
                if self._is_due(now):
                    self._since, self._hurry = now, False
                    return partial(self._try, self._waiting.take(BATCH_AT_MOST))
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

    def _try(self, batch: Batch) -> bool:
        try:
            batch.write(self._write)
        except (OperationalError, InterfaceError) as error:
            log.warning("positions_wait", positions=batch.count + self.count, error=type(error).__name__)
            if is_locked(error):
                self._put_aside(batch)
                return True
            with self._news:
                self._waiting.put_first(batch)
            return self._pause()
        except Exception:
            _give_up(batch)
        return True

    def _pause(self) -> bool:
        """The database is away or overloaded: wait a moment. At the end there is none: what waits is lost."""
        connection.close()
        with self._news:
            self._keep_few()
            if not self._over:
                self._news.wait_for(lambda: self._over, AGAIN_AFTER_S)
                return True
            self._waiting.refuse("unavailable")
            self._aside.refuse("unavailable")
            return False

    # --- rows that are held --------------------------------------------------------------------------------------

    def _put_aside(self, batch: Batch) -> None:
        """Somebody holds rows of these: they are tried aside at once, and what their drivers told meanwhile too, which
        would be held up as long as they were."""
        with self._news:
            whose = batch.whose()
            self._aside.put_first(batch)
            for more in self._waiting.part(whose):
                self._aside.put_last(more)
            self._aside_of |= whose
            self._aside_from = 0.0
            self._news.notify_all()

    def _try_aside(self) -> bool:
        """Write of what is aside the positions of those whose rows are free; the others stay.

        At the end this is done once more, and those that are held still are lost.
        """
        with self._news:
            turns, is_last = len(self._aside), self._over
        until, parts, held = time.monotonic() + ASIDE_FOR_S, list[Batch](), list[Batch]()
        goes_on = True
        while goes_on and (parts or turns) and (is_last or time.monotonic() < until):
            if not parts:
                turns -= 1
                with self._news:  # there may be fewer by now, with the newest of all
                    parts.append(self._aside.first() if self._aside.count else Batch())
            goes_on = self._try_part(parts, held)
        with self._news:
            for part in (*held, *parts):
                if is_last:
                    part.refuse("unavailable")
                else:
                    self._aside.put_last(part)
            self._aside_tried, self._aside_of = False, self._aside.whose()
            # Those for whom there was no time are tried at once.
            self._aside_from = time.monotonic() + (0.0 if goes_on and (parts or turns) else AGAIN_AFTER_S)
            self._news.notify_all()
        return goes_on or self._pause()

    def _try_part(self, parts: list[Batch], held: list[Batch]) -> bool:
        """Write the last of the parts. Those whose rows are held are left in `held`. Where it is something else that is
        held (the name of a command, a first position, the past), or takes too long, the part is halved until it is
        found. False where the database is away."""
        tried = parts.pop()
        part, theirs = tried.parted({*self._known_held(tried)})
        _leave(theirs, held)
        try:
            if part.count:
                part.write(partial(self._write, brief=True))
        except (OperationalError, InterfaceError) as error:
            is_there = _sqlstate(error) in {LOCKED, CANCELED}
            halves = part.halved() if is_there else None
            if halves is None:
                _leave(part, held)
            else:
                parts += halves
            return is_there
        except Exception:
            _give_up(part)
        return True

    def _known_held(self, batch: Batch) -> set[int]:
        """Whose rows are held; none where that cannot be known just now: writing tells."""
        try:
            return self._held_up([driver_id for driver_id in batch.whose() if isinstance(driver_id, int)])
        except Exception as error:
            log.warning("positions_held_unknown", error=repr(error))
            connection.close()
            return set()


def is_locked(error: Exception) -> bool:
    """Whether somebody else's lock was waited for in vain."""
    return _sqlstate(error) == LOCKED


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _leave(part: Batch, held: list[Batch]) -> None:
    """Put it to the others, in batches that can be written at once when they are free."""
    if held and held[-1].count + part.count <= BATCH_AT_MOST:
        held[-1].join(part)
    else:
        held.append(part)


def _give_up(batch: Batch) -> None:
    """These can never be written; within the handler of what says so."""
    log.exception("positions_failed", positions=batch.count)
    counts["failed"] += batch.count
    batch.refuse("internal_error")

"""Positions that wait, those who wait to hear what became of them, and lines of both. No threads here, and no
database."""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from mobility.commands.services import Answer, Wanted
from mobility.errors import Refusal
from mobility.locations.fixes import Fix
from mobility.locations.stored import AllStored, Stored, settle

# A driver, or a user of whom there is only a name.
Whose = int | str


class Named(NamedTuple):
    """Positions that came under the name of a command, perhaps none that can be taken, and what their client is told
    when that is remembered."""

    wanted: Wanted
    answer: Answer
    fixes: list[Fix]

    @property
    def whose(self) -> "set[Whose]":
        """Whose positions they are: of which drivers, or of which user where none was taken."""
        return {fix.driver_id for fix in self.fixes} or {self.wanted.principal}


class Write(Protocol):
    """Stores positions."""

    def __call__(self, fixes: Sequence[Fix], named: Sequence[Named], *, brief: bool = False) -> list[Answer | Refusal]:
        """For each name the answer, or why there is none. A `brief` one hardly waits for locks."""


Answered = Future[Answer | Refusal]


class Batch:
    """Positions, and what is told of them: of each driver's whether they are stored, and an answer for each name. Its
    future never raises: an exception would keep whoever waited in memory. `count`: how many positions, a name without
    any as one.

    At the end of a process those who wait may be told before their positions are written: one writer gave up, and the
    other can.
    """

    def __init__(self) -> None:
        self.fixes: list[Fix] = []
        self.stored: dict[int, list[Stored]] = {}
        self.named: list[tuple[Named, Answered]] = []
        self.count = 0

    def put(self, fixes: Sequence[Fix]) -> Stored:
        """These too."""
        self.fixes.extend(fixes)
        self.count += len(fixes)
        if len(fixes) == 1:
            return self._stored(fixes[0].driver_id)
        drivers = {fix.driver_id for fix in fixes}
        parts = [self._stored(driver_id) for driver_id in drivers]
        return parts[0] if len(parts) == 1 else AllStored(parts)

    def _stored(self, driver_id: int) -> Stored:
        known = self.stored.get(driver_id)
        if known is None:
            known = self.stored[driver_id] = [Stored()]
        return known[0]

    def put_named(self, named: Named) -> Answered:
        """These too."""
        told: Answered = Future()
        self._add_named(named, told)
        return told

    def _add_named(self, named: Named, told: Answered) -> None:
        self.named.append((named, told))
        self.count += max(1, len(named.fixes))

    def join(self, other: "Batch") -> None:
        """All of another batch too."""
        self.fixes += other.fixes
        for driver_id, stored in other.stored.items():
            self.stored.setdefault(driver_id, []).extend(stored)
        self.named += other.named
        self.count += other.count

    def whose(self) -> set[Whose]:
        """Whose positions they are."""
        return {fix.driver_id for fix in self.fixes}.union(*(named.whose for named, _ in self.named))

    def parted(self, whose: set[Whose]) -> "tuple[Batch, Batch]":
        """The positions of others, and of these. This batch is not to be used any more."""
        if whose.isdisjoint(self.whose()):
            return self, Batch()
        return self._divided(whose, [not whose.isdisjoint(named.whose) for named, _ in self.named])

    def halved(self) -> "tuple[Batch, Batch] | None":
        """Two halves, None where it is one driver's or one name. This batch is not to be used any more."""
        drivers = [*dict.fromkeys(fix.driver_id for fix in self.fixes)]
        names = len(self.named)
        if len(drivers) + names == 1:
            return None
        return self._divided({*drivers[: len(drivers) // 2]}, [2 * n < names for n in range(names)])

    def _divided(self, drivers: "set[int] | set[Whose]", names: Sequence[bool]) -> "tuple[Batch, Batch]":
        """The rest, and the positions of these drivers without a name with those of the names that are marked."""
        rest, part = Batch(), Batch()
        for fix in self.fixes:
            (part if fix.driver_id in drivers else rest).fixes.append(fix)
        rest.count, part.count = len(rest.fixes), len(part.fixes)
        for driver_id, stored in self.stored.items():
            (part if driver_id in drivers else rest).stored[driver_id] = stored
        for (named, told), is_marked in zip(self.named, names, strict=True):
            (part if is_marked else rest)._add_named(named, told)
        return rest, part

    def newest(self) -> "Batch":
        """The newest of each driver; one without a time of its own is as new as its arrival.

        Everybody who waits is told to try again: named ones are let go of, and who waits is not remembered for as long
        as the database is away.
        """
        wall = time.time() - time.monotonic()
        newest: dict[int, Fix] = {}
        for fix in self.fixes:
            known = newest.get(fix.driver_id)
            if known is None or _when(known, wall) < _when(fix, wall):
                newest[fix.driver_id] = fix
        self.refuse("unavailable")
        kept = Batch()
        kept.fixes, kept.count = [*newest.values()], len(newest)
        return kept

    def write(self, write: Write) -> None:
        """Have them written and tell everybody who waits."""
        answers = write(self.fixes, [named for named, _ in self.named])
        settle(one for stored in self.stored.values() for one in stored)
        for (_, told), answer in zip(self.named, answers, strict=True):
            if not told.done():
                told.set_result(answer)

    def refuse(self, code: str) -> None:
        """Tell everybody who waits."""
        settle((one for stored in self.stored.values() for one in stored), code)
        for _, told in self.named:
            if not told.done():
                told.set_result(Refusal(code))


def _when(fix: Fix, wall: float) -> float:
    return wall + fix.arrived if fix.recorded_at is None else fix.recorded_at


class Line:
    """Batches that wait, in order; a batch that has `at` positions takes no more."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._batches: deque[Batch] = deque()
        self.count = 0

    def __len__(self) -> int:
        """How many batches."""
        return len(self._batches)

    def put(self, fixes: Sequence[Fix]) -> Stored:
        """These too."""
        self.count += len(fixes)
        return self._open().put(fixes)

    def put_named(self, named: Named) -> Answered:
        """These too."""
        batch = self._open()
        before = batch.count
        told = batch.put_named(named)
        self.count += batch.count - before
        return told

    def _open(self) -> Batch:
        if not self._batches or self._batches[-1].count >= self._at:
            self._batches.append(Batch())
        return self._batches[-1]

    def first(self) -> Batch:
        """Take the first batch, of a line that has one."""
        batch = self._batches.popleft()
        self.count -= batch.count
        return batch

    def take(self, at_most: int) -> Batch:
        """Take the first ones as one batch: so many positions, and the rest of the batch that has the last of them."""
        taken = self.first() if self._batches else Batch()
        while self._batches and taken.count < at_most:
            taken.join(self.first())
        return taken

    def put_first(self, batch: Batch) -> None:
        """These again, in front."""
        if batch.count:
            self._batches.appendleft(batch)
            self.count += batch.count

    def put_last(self, batch: Batch) -> None:
        """These too, as a batch of their own."""
        if batch.count:
            self._batches.append(batch)
            self.count += batch.count

    def whose(self) -> set[Whose]:
        """Whose positions wait."""
        return set[Whose]().union(*(batch.whose() for batch in self._batches))

    def part(self, whose: set[Whose]) -> list[Batch]:
        """Take out the positions of these."""
        taken = []
        for _ in range(len(self._batches)):
            others, theirs = self.first().parted(whose)
            self.put_last(others)
            taken.append(theirs)
        return taken

    def keep_newest(self) -> int:
        """Let go of all but the newest of each driver; how many were let go of."""
        before = self.count
        self.put_first(self.take(before).newest())
        return before - self.count

    def refuse(self, code: str) -> None:
        """Tell everybody who waits; another writer may still write these."""
        for batch in self._batches:
            batch.refuse(code)

"""The buffer in a storm: rows held and names claimed at random, a database that comes and goes, threads that race.

Whatever happens, every position is stored once or its client is told otherwise, nobody is told too early, and nobody
waits for ever. The database is a stand-in here, so that minutes of trouble take a second; tests/chaos has a real one.
"""

import random
import threading
import time
from collections import Counter

import psycopg
import pytest
from django.db import InternalError, OperationalError

from mobility.commands.services import Wanted
from mobility.locations import buffer as buffers
from mobility.locations.batches import Named
from mobility.locations.buffer import Buffer
from mobility.locations.fixes import Fix
from mobility.locations.ingest import WRITERS

DRIVERS, SECONDS = 60, 1.0


class Storm:
    """A stand-in for the database that stores positions by their number (`latitude`), and names with their answers."""

    def __init__(self, rng: random.Random) -> None:
        self.stored: Counter[float] = Counter()
        self.answers: dict[str, dict] = {}
        self.given_up: set[float] = set()
        self.is_calm = False
        self._rng, self._lock = rng, threading.Lock()
        self._held: set[int] = set()
        self._claimed: set[str] = set()
        self._away, self._faulty, self._blind = rng.choice([0, 0.05]), rng.choice([0, 0.02]), rng.choice([0, 0.1])

    def blow(self) -> None:
        """Other transactions hold something else from now on."""
        with self._lock:
            self._held = {*self._rng.sample(range(DRIVERS), self._rng.choice([0, 1, 4, 20]))}
            of = self._rng.randrange(DRIVERS)
            self._claimed = {f"{of}.{n}" for n in range(50)} if self._rng.random() < 0.3 else set()

    def calm(self, *, holds: bool) -> None:
        """No more trouble, but perhaps rows that stay held."""
        with self._lock:
            self._claimed.clear()
            self._held = self._held if holds else set()
            self.is_calm = True

    def write(self, fixes, named, *, brief=False):
        """Store them all, or nothing."""
        time.sleep(self._rng.random() * 0.002)
        trouble = 1.0 if self.is_calm else self._rng.random()
        if trouble < self._away:
            raise OperationalError("away")
        with self._lock:
            if trouble < self._away + self._faulty:
                self.given_up.update(f.latitude for f in fixes)
                raise ValueError("a fault of ours")
            new = {}
            for one in named:
                if one.wanted.command_id not in self.answers:
                    new.setdefault(one.wanted.command_id, one)
            due = [*fixes, *(f for one in new.values() for f in one.fixes)]
            is_free = self._held.isdisjoint(f.driver_id for f in due) and self._claimed.isdisjoint(
                one.wanted.command_id for one in named
            )
            if is_free:
                self.stored.update(f.latitude for f in due)
                self.answers.update({name: one.answer for name, one in new.items()})
                return [self.answers[one.wanted.command_id] for one in named]
        time.sleep(0.002 if brief else 0.02)
        raise OperationalError("lock timeout") from psycopg.errors.LockNotAvailable()

    def held_up(self, driver_ids):
        """Now and then it cannot be said, or is wrong."""
        if not self.is_calm and self._rng.random() < self._blind:
            raise self._rng.choice([OperationalError("away"), InternalError("read only")])
        with self._lock:
            wrong = {self._rng.choice(driver_ids)} if driver_ids and self._rng.random() < self._blind else set()
            return (self._held & {*driver_ids}) | (set() if self.is_calm else wrong)


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 25))])
def test_in_a_storm_nothing_is_lost_or_stored_twice_and_nobody_waits_for_ever(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(buffers, "AGAIN_AFTER_S", 0.003)
    monkeypatch.setattr(buffers, "ASIDE_FOR_S", rng.choice([0.005, 1.0]))
    monkeypatch.setattr(buffers, "BATCH_AT_MOST", rng.choice([20, 200, 5_000]))
    storm = Storm(random.Random(seed))
    waiting = Buffer(storm.write, storm.held_up, every_s=0.004, at=rng.choice([5, 50, 1_000]))
    writers = [threading.Thread(target=waiting.run, daemon=True) for _ in range(WRITERS)]
    told, numbers, until = [], iter(range(1, 10**9)), time.monotonic() + SECONDS
    early: list[Fix] = []

    def fixes(driver_ids):
        now = time.monotonic()
        return [Fix(d, float(next(numbers)), 0.0, None, None, None, None, "socket", now) for d in driver_ids]

    def tell(rng):
        while time.monotonic() < until:
            kind, one = rng.random(), rng.randrange(DRIVERS)
            if kind < 0.5:
                brought, name = fixes([one] * rng.choice([1, 1, 4])), None
            elif kind < 0.7:
                brought, name = fixes(rng.sample(range(DRIVERS), rng.randrange(2, 9))), None
            else:
                brought, name = fixes([one] * rng.randrange(3)), f"{one}.{rng.randrange(50)}"
            if name is None:
                told.append((brought, waiting.put(brought), None))
            else:
                named = Named(Wanted(f"user.{one}", name, "d"), {"name": name, "by": id(brought)}, brought)
                told.append((brought, waiting.put_named(named), name))
            if rng.random() < 0.05:
                waiting.hurry()
            time.sleep(rng.random() * 0.003)

    def look():
        while time.monotonic() < until:
            storm.blow()
            for brought, future, name in told[-300:]:
                if name is None and future.done() and future.result() is None:
                    early.extend(f for f in brought if storm.stored[f.latitude] != 1)
            time.sleep(rng.random() * 0.1)

    others = [threading.Thread(target=tell, args=(random.Random(seed * 100 + n),)) for n in range(3)]
    others.append(threading.Thread(target=look))
    for thread in (*writers, *others):
        thread.start()
    for thread in others:
        thread.join()
    holds = rng.random() < 0.5
    storm.calm(holds=holds)
    if not holds:
        for _, future, _ in told:
            future.result(20)
    waiting.end()
    for thread in writers:
        thread.join(20)
    assert not any(thread.is_alive() for thread in writers)
    assert waiting.count == 0
    assert early == []
    assert [number for number, times in storm.stored.items() if times > 1] == []
    for brought, future, name in told:
        outcome = future.result(0)
        if name is not None:
            kept = storm.answers.get(name)
            assert outcome == kept or outcome.code in {"internal_error", *(["unavailable"] if holds else [])}
            if outcome == kept and kept["by"] == id(brought):
                assert all(storm.stored[f.latitude] == 1 for f in brought)
        elif outcome is None:
            assert all(storm.stored[f.latitude] == 1 for f in brought)
        elif outcome == "internal_error":
            assert any(f.latitude in storm.given_up for f in brought)
        else:
            assert (outcome, holds) == ("unavailable", True)

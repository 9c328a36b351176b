"""Fixtures of tests/rest.py, and a buffer for positions that writes into a list."""

import threading
import time
from collections.abc import Sequence

import psycopg
import pytest
from django.db import OperationalError

from mobility.commands.services import Answer
from mobility.errors import Refusal
from mobility.locations.batches import Named
from mobility.locations.buffer import Buffer
from mobility.locations.fixes import Fix
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


class Written:
    """Stands where the database is: notes what is written, and fails when told to, or where others hold something: rows
    of drivers, seen or `unseen`, or names."""

    def __init__(self) -> None:
        self.batches: list[list[Fix]] = []
        self.faults: list[Exception] = []
        self.held: set[int] = set()
        self.unseen: set[int] = set()
        self.claimed: set[str] = set()
        self.long_waits, self.wait_s = 0, 0.0
        self.open = threading.Event()
        self.open.set()

    def __call__(self, fixes: Sequence[Fix], named: Sequence[Named], *, brief: bool = False) -> list[Answer | Refusal]:
        assert self.open.wait(10)
        if self.faults:
            raise self.faults.pop(0)
        batch = [*fixes, *(f for one in named for f in one.fixes)]
        names = {one.wanted.command_id for one in named}
        if (self.held | self.unseen) & {f.driver_id for f in batch} or self.claimed & names:
            self.long_waits += not brief
            time.sleep(self.wait_s)
            raise OperationalError("lock timeout") from psycopg.errors.LockNotAvailable()
        self.batches.append(batch)
        return [one.answer for one in named]

    def held_up(self, driver_ids: Sequence[int]) -> set[int]:
        """Whose rows are seen to be held."""
        return self.held & {*driver_ids}


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def buffer(written):
    """buffer(**limits): a running buffer that writes into `written`."""
    running: list[tuple[Buffer, threading.Thread]] = []

    def make(**limits) -> Buffer:
        made = Buffer(written, written.held_up, **limits)
        thread = threading.Thread(target=made.run)
        thread.start()
        running.append((made, thread))
        return made

    yield make
    for made, thread in running:
        made.end()
        thread.join(10)
        assert not thread.is_alive()

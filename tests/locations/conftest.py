"""Fixtures of tests/rest.py, and a buffer for positions that writes into a list."""

import threading
from collections.abc import Sequence

import pytest

from mobility.commands.services import Answer
from mobility.errors import Refusal
from mobility.locations.fixes import Fix
from mobility.locations.ingest import Buffer, Named
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


class Written:
    """Stands where the database is: notes what is written, and fails when told to."""

    def __init__(self) -> None:
        self.batches: list[list[Fix]] = []
        self.faults: list[Exception] = []
        self.open = threading.Event()
        self.open.set()

    def __call__(self, fixes: Sequence[Fix], named: Sequence[Named]) -> list[Answer | Refusal]:
        assert self.open.wait(10)
        if self.faults:
            raise self.faults.pop(0)
        self.batches.append([*fixes, *(f for one in named for f in one.fixes)])
        return [one.answer for one in named]


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def buffer(written):
    """buffer(**limits): a running buffer that writes into `written`."""
    running: list[tuple[Buffer, threading.Thread]] = []

    def make(**limits) -> Buffer:
        made = Buffer(written, **limits)
        thread = threading.Thread(target=made.run)
        thread.start()
        running.append((made, thread))
        return made

    yield make
    for made, thread in running:
        made.end()
        thread.join(10)
        assert not thread.is_alive()

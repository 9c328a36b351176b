"""The races' world (tests/dispatch/test_interleavings.py), and the machine on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mobility.delivery import background, hub
from tests.dispatch.test_interleavings import as_superuser, world
from tests.faults.nth_call import Machine, Tables
from tests.faults.wire import Wire
from tests.put_back import kept

__all__ = ["as_superuser", "world"]


@pytest.fixture
def later(monkeypatch) -> list[tuple[Any, ...]]:
    """What reactions leave for later, in order, as (work, *args): in the server it runs on other connections."""
    left: list[tuple[Any, ...]] = []
    monkeypatch.setattr(background, "_run", lambda *work: left.append(work))
    monkeypatch.setattr(hub, "_server_loop", None)
    return left


@pytest.fixture
def machine(world, later, admin_url) -> Iterator[Callable[..., Machine]]:
    """machine(start): the machine, from where `start` left the world."""
    with Wire(admin_url).in_place() as wire:
        tables, holding = Tables(admin_url), []

        def made(start: Callable[[Any], None]) -> Machine:
            start(world)
            keeping = kept(admin_url)
            holding.append(keeping)
            return Machine(wire, tables, keeping.__enter__())

        yield made
        for keeping in holding:
            keeping.__exit__(None, None, None)
        tables.close()

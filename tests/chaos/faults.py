"""Which faults strike when, decided by the seed alone, and striking them."""

import random
import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.chaos.history import Struck
from tests.chaos.system import SERVERS, Daemon, Postgres, System

# A round of faults, shuffled anew each time: kills are most of them, and nothing is left out for long.
DECK = (
    *[("kill", "server")] * 4, *[("kill", "postgresql")] * 3, *[("kill", "redis")] * 2, *[("kill", "dispatcher")] * 2,
    ("stop", "server"), ("stop", "postgresql"), ("stop", "redis"), ("stop", "dispatcher"),
    ("restart", "server"), ("restart", "postgresql"),
)  # fmt: skip
STOPPED_S = (1.0, 8.0)
WORDS = {"kill": "kill -9", "stop": "SIGSTOP", "restart": "restart"}
FIRST_AT_S = 2.0
WORKS_BETWEEN_S = 1.0  # from the end of one fault to the next, at least


class Fault(NamedTuple):
    """One fault of the plan: `at_s` seconds after the clients began; a stop lasts `for_s`."""

    at_s: float
    action: str
    target: str
    server: int | None
    for_s: float

    @property
    def name(self) -> str:
        """The target's name in the system."""
        return self.target if self.server is None else f"{self.target} {self.server}"


def plan(seed: int, count: int, seconds: float, targets: Iterable[str]) -> list[Fault]:
    """So many faults spread over so many seconds; only on those of the targets that there are."""
    rng, there, drawn = random.Random(seed), {name.split()[0] for name in targets}, list[tuple[str, str]]()
    while len(drawn) < count:
        deck = [card for card in DECK if card[1] in there]
        rng.shuffle(deck)
        drawn += deck
    every_s = (seconds - FIRST_AT_S) / max(count, 1)
    return [
        Fault(
            at_s=FIRST_AT_S + every_s * (number + rng.random() / 2),
            action=action,
            target=target,
            server=rng.randrange(SERVERS) if target == "server" else None,
            # Short ones more often than long ones.
            for_s=STOPPED_S[0] + (STOPPED_S[1] - STOPPED_S[0]) * rng.random() ** 2 if action == "stop" else 0.0,
        )
        for number, (action, target) in enumerate(drawn[:count])
    ]


def strike(system: System, fault: Fault, hit: Callable[[], None]) -> Struck:
    """Do it, and return when what was struck is there again; `hit` is called when it has struck. Blocks: for a thread.

    The time to the next booking begins with `hit`; for a stopped PostgreSQL with its going on, because while it stands
    nothing can be booked by anybody.
    """
    target = system.targets[fault.name]
    struck = Struck(fault.action, fault.target, fault.server, time.monotonic())

    def has_struck() -> None:
        struck.counted_from = time.monotonic()
        hit()

    if fault.action == "stop":
        _stop(target, fault, has_struck)
    else:
        if fault.action == "kill":
            target.kill()
            has_struck()
        elif isinstance(target, Postgres):
            target.end()
            has_struck()
        else:
            target.signal(signal.SIGTERM)
            has_struck()
            target.end()
        target.start()
    target.wait()
    struck.over = time.monotonic()
    return struck


def _stop(target: Daemon | Postgres, fault: Fault, has_struck: Callable[[], None]) -> None:
    waits = isinstance(target, Postgres)
    target.signal(signal.SIGSTOP)
    try:
        if not waits:
            has_struck()
        time.sleep(fault.for_s)
    finally:
        target.signal(signal.SIGCONT)
    if waits:
        has_struck()

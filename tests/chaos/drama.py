"""The play itself: people ride, faults strike one after the other, everybody goes home, and what is left is judged."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.report import say
from tests.bench.stage import BenchError
from tests.chaos import truth
from tests.chaos.app import World
from tests.chaos.checker import not_converged, violations
from tests.chaos.faults import WORDS, WORKS_BETWEEN_S, Fault, strike
from tests.chaos.history import History, Struck, Truth, View, Violation
from tests.chaos.people import Driver, Passenger, Probe, travel
from tests.chaos.system import DRIVERS, PASSENGERS, SERVERS, System

GO_HOME_S = 90.0  # for the rides that are under way when the last fault is over
CONVERGE_S = 15.0
END_S = 45.0  # for what is left when every client has gone: a search and a lost driver


@dataclass
class Outcome:
    """What a run did and found. `next_s` is, for each fault in its order, the time until the next booking began and was
    answered; `probes_s` the slower of the two probes, of which one sat on the server that was struck."""

    history: History
    truth: Truth
    found: list[Violation]
    next_s: list[float] = field(default_factory=list)
    probes_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    strays: dict[str, int] = field(default_factory=dict)
    late_s: float = 0.0
    postgres: str = ""


async def play(system: System, faults: list[Fault], seed: int) -> Outcome:
    """All of it. When it fails, what had happened until then is kept."""
    world = World(system.ports, system.tokens)
    players = _Players(world, seed)
    try:
        await players.begin()
        probes_s, late_s = await players.endure(system, faults)
        hanging = await players.go_home(system)
        early = await _converged(system, players, world.history)
        hanging += await players.ask_and_vanish()
    except BaseException:
        world.history.keep(system.folder / "history.jsonl")
        raise
    finally:
        await players.close()
    say("every client has gone; waiting until no ride is under way")
    await _in_thread(_at_rest, system, END_S)
    found = await _in_thread(truth.read, system.fleet)
    found.broken = await _in_thread(truth.broken_invariants, system.env)
    history = world.history
    return Outcome(
        history, found, [*violations(history, found), *hanging, *early], next_bookings(history), probes_s,
        dict(world.errors), dict(world.strays), late_s,
        system.fleet.one("SELECT version() || ', PostGIS ' || postgis_lib_version()"),
    )  # fmt: skip


def next_bookings(history: History) -> list[float]:
    """For each fault: seconds until the first answer with a booking to a find_driver that was begun after it."""
    asked = [(op.began, op.ended) for op in history.ops if op.command == "find_driver" and op.outcome == "ok"]
    return [
        min((ended - s.counted_from for began, ended in asked if ended and began >= s.counted_from), default=math.inf)
        for s in history.struck
    ]


async def _in_thread(work: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


def _at_rest(system: System, within_s: float) -> bool:
    """Wait until nothing is under way; whether it came to that."""
    deadline = time.monotonic() + within_s
    while truth.under_way(system.fleet):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


async def _converged(system: System, players: "_Players", history: History) -> list[Violation]:
    """Wait until every connected client believes what the database says; where they don't."""
    deadline = time.monotonic() + CONVERGE_S
    while True:
        there = await _in_thread(truth.read, system.fleet)
        history.views = players.views()
        wrong = list(not_converged(history, there))
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(0.5)


class _Players:
    """Everybody who has an app."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world

        def dice(who: object) -> random.Random:
            return random.Random(f"{seed} {who}")

        self._drivers = [Driver(world, n, dice(n), confirms=n % 2 == 0) for n in range(1, DRIVERS + 1)]
        people = range(DRIVERS + 1, DRIVERS + PASSENGERS + 1)
        self._travellers = {who: dice(who) for who in people[:-SERVERS]}
        self._probes = [Probe(world, who, n, dice(who)) for n, who in enumerate(people[-SERVERS:])]
        self._apps: dict[int, Passenger] = {}
        self._working: list[asyncio.Task[None]] = []
        self._travelling: list[asyncio.Task[None]] = []
        self._patience_s = GO_HOME_S

    async def begin(self) -> None:
        """Open the drivers' apps, and have everybody do what they do."""
        for app in self._drivers:
            await app.open()
        self._working = [asyncio.create_task(app.work()) for app in self._drivers]
        await asyncio.gather(*(probe.sit() for probe in self._probes))
        self._travelling = [
            asyncio.create_task(travel(self._world, who, rng, self._apps)) for who, rng in self._travellers.items()
        ]

    async def endure(self, system: System, faults: list[Fault]) -> tuple[list[float], float]:
        """One fault after the other; the slower probe's time for each, and how late the last one struck."""
        began, slower, late_s = time.monotonic(), [], 0.0
        for number, fault in enumerate(faults, 1):
            late_s = max(0.0, time.monotonic() - began - fault.at_s)
            await asyncio.sleep(began + fault.at_s - time.monotonic())
            struck, slow_s = await self._strike(system, fault)
            slower.append(slow_s)
            words = f"{WORDS[fault.action]} {fault.name}" + (f" for {fault.for_s:.1f} s" if fault.for_s else "")
            say(f"fault {number} of {len(faults)}: {words}; there again after {struck.over - struck.at:.1f} s, "
                f"both probes had a booking after {slow_s:.2f} s")  # fmt: skip
            await asyncio.gather(*(probe.sit() for probe in self._probes))
            self._require_alive()
            await asyncio.sleep(WORKS_BETWEEN_S)
        return slower, late_s

    async def _strike(self, system: System, fault: Fault) -> tuple[Struck, float]:
        loop, hit = asyncio.get_running_loop(), asyncio.Event()

        def has_hit() -> None:
            loop.call_soon_threadsafe(hit.set)

        striking = loop.run_in_executor(None, strike, system, fault, has_hit)
        striking.add_done_callback(lambda _: hit.set())  # also when it failed before
        await hit.wait()
        booked = asyncio.gather(*(probe.book() for probe in self._probes))
        struck = await striking
        self._world.history.struck.append(struck)
        return struck, max(await booked) - struck.counted_from

    def _require_alive(self) -> None:
        """End the run when a client of ours failed: it is not what this is about."""
        for task in (*self._working, *self._travelling):
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise BenchError(f"a client failed: {error!r}") from error

    async def go_home(self, system: System) -> list[Violation]:
        """No new rides; those under way are driven to their end. Then drivers rest, still connected. Clients that never
        come to an end wait for something that is not there any more.
        """
        say("the faults are over; rides under way go to their end")
        self._world.closing = True
        hanging = await self._all("passengers", self._travelling)
        hanging += await self._all("probes", [asyncio.create_task(probe.sit()) for probe in self._probes])
        await _in_thread(_at_rest, system, self._patience_s)
        self._world.ended = True
        return hanging + await self._all("drivers", self._working)

    async def _all(self, who: str, tasks: Iterable["asyncio.Task[Any]"]) -> list[Violation]:
        done, late = await asyncio.wait(tasks, timeout=self._patience_s)
        self._require_alive()
        if late:
            self._patience_s = 10  # it is found out; the rest need not be waited for as long
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        never = f"{len(late)} of {len(done) + len(late)} {who} waited in vain"
        return [Violation("left hanging", never)] if late else []

    def views(self) -> list[View]:
        """What everybody believes who is connected and has something to believe."""
        passengers = [app for app in self._apps.values() if app.booking_id is not None]
        return [app.view() for app in passengers if app.is_open] + [d.view() for d in self._drivers if d.is_open]

    async def ask_and_vanish(self) -> list[Violation]:
        """Last requests, after which every client goes without a word."""
        return await self._all("probes", [asyncio.create_task(probe.book()) for probe in self._probes])

    async def close(self) -> None:
        """Close every socket, whatever its owner was doing."""
        for task in (*self._working, *self._travelling):
            task.cancel()
        leaving = [app.close() for app in (*self._apps.values(), *self._drivers)]
        await asyncio.gather(*leaving, *(probe.close() for probe in self._probes))

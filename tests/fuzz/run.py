"""One run against a server: open, warm up, a control load, the shots, the control load again.

What a neighbour may be cost is judged against the control: the same number of valid pings a second over the same
sockets, sent in the same volleys by the same process, which makes as many shots meanwhile and throws them away. Without
it the verdict would say nothing: on two cores any load generator takes CPU from server and neighbour, so a load of pure
pings alone multiplies a p99, and what is asked here is only whether hostile frames cost the neighbour more than
harmless ones. Whoever attacks makes them on a machine of their own.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.stage import BenchError, cpu_s, resident_kib
from tests.bench.wire import WireError
from tests.fuzz.grammar import role_of, shot
from tests.fuzz.messages import DRIVER, PASSENGER
from tests.fuzz.neighbour import Neighbour, neighbour
from tests.fuzz.sockets import ANSWER_LIMIT_S, REST_S, VOLLEY, Client
from tests.fuzz.tally import Tally

OPENED_TOGETHER = 16
# Of the speed that the warming up reached: a saturated server would show what saturation costs, not what shots do.
SHARE_OF_SPEED = 0.6
FASTEST_PER_S = 2_300
# Without a pace: sockets that have sent and wait for answers. A thousand at once would queue up frames for longer than
# a busy machine may be silent.
WAIT_TOGETHER = 128
# Floods that go on until they are closed. More of them would be all that the server still works at.
FLOOD_TOGETHER = 4
TOO_MANY = 50  # violations; what follows them is not worth the time


@dataclass(frozen=True)
class Plan:
    """How much of what. `control_s`: seconds of each control load; 0: none, and nobody's time is judged."""

    frames: int
    seed: int
    control_s: float = 0

    @property
    def sockets(self) -> int:
        """Kept open; each may send some 2.5 frames a second for long that are not understood."""
        return max(80, min(1_000, self.frames // 20))

    @property
    def drivers(self) -> int:
        """How many of them are drivers'."""
        return self.sockets // 8

    @property
    def warm_up(self) -> int:
        """Shots before speed and memory are first read: so few that no socket has to rest among them."""
        return min(self.frames // 4, 12 * self.sockets)


@dataclass(frozen=True)
class Ground:
    """A server that stands on a database with people in it (people.py)."""

    port: int
    pid: int
    log: Path
    drivers: dict[int, str]  # id -> token


@dataclass
class Outcome:
    """What a run saw."""

    plan: Plan
    tally: Tally
    took_s: float = 0.0
    pace_per_s: float = 0.0
    reached_per_s: float = 0.0
    memory_kib: list[int] = field(default_factory=list)
    neighbour: dict[str, Any] = field(default_factory=dict)
    server_share: dict[str, float] = field(default_factory=dict)  # of a core, by phase

    @contextmanager
    def phase(self, name: str, ground: Ground, beside: Neighbour) -> Iterator[None]:
        """Tell the neighbour, and note what the server uses meanwhile."""
        beside.phase(name)
        began, used = time.monotonic(), cpu_s(ground.pid)
        yield
        self.server_share[name] = round((cpu_s(ground.pid) - used) / (time.monotonic() - began), 2)


class _Load:
    """All clients of a run, and the pace they keep together."""

    def __init__(self, ground: Ground, plan: Plan, tally: Tally, say: Callable[[str], None]) -> None:
        self._plan, self._tally, self._say = plan, tally, say
        floods = asyncio.Semaphore(FLOOD_TOGETHER)
        self._clients: dict[str, list[Client]] = {
            DRIVER: [Client(ground.port, tally, n, driver, floods) for n, driver in enumerate(ground.drivers.items())],
            PASSENGER: [Client(ground.port, tally, n, None, floods) for n in range(plan.sockets - plan.drivers)],
        }
        self._every_s, self._next = 0.0, 0.0
        self._fired, self._said, self._said_at = 0, 0, time.monotonic()

    async def open(self) -> None:
        together = asyncio.Semaphore(OPENED_TOGETHER)

        async def one(client: Client) -> None:
            async with together:
                await client.ready()

        try:
            await asyncio.gather(*(one(client) for client in self._all()))
        except (WireError, OSError) as fault:
            raise BenchError(f"the server takes no sockets: {fault}") from fault

    async def shots(self, first: int, last: int, per_s: float = 0.0) -> float:
        """Fire all shots with these numbers at this pace, 0: as fast as can be; how many a second it came to."""
        numbers = {role: iter([n for n in range(first, last) if role_of(n) == role]) for role in (DRIVER, PASSENGER)}

        all_fired = {role: asyncio.Event() for role in numbers}
        turns = nullcontext() if per_s else asyncio.Semaphore(WAIT_TOGETHER)

        async def client(role: str, mine: Client) -> None:
            while not all_fired[role].is_set():
                if mine.is_tired:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REST_S):
                            await all_fired[role].wait()
                            return
                    mine.rested()
                volley = self._volley(numbers[role])
                if not volley:
                    all_fired[role].set()
                await self._turn(len(volley))
                async with turns:
                    await mine.fire(volley)
                self._progress(len(volley))

        began = time.monotonic()
        await self._all_do(per_s, client)
        return (last - first) / (time.monotonic() - began)

    async def pings(self, seconds: float, per_s: float) -> None:
        """The control: volleys of valid pings."""
        stop = time.monotonic() + seconds
        unused = itertools.count(self._plan.frames)

        async def client(mine: Client) -> None:
            while time.monotonic() < stop:
                self._volley(unused)
                await self._turn(VOLLEY)
                await mine.ping(VOLLEY)

        await self._all_do(per_s, lambda _, mine: client(mine))

    def close(self) -> None:
        for client in self._all():
            client.close()

    def _all(self) -> Iterator[Client]:
        for clients in self._clients.values():
            yield from clients

    async def _all_do(self, per_s: float, what: Any) -> None:
        self._every_s, self._next = 1 / per_s if per_s else 0.0, time.monotonic()
        watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.gather(*(what(role, client) for role, client in self._mixed()))
        finally:
            watching.cancel()

    def _mixed(self) -> list[tuple[str, Client]]:
        """All clients, drivers evenly among passengers: else each second has either the ones or the others."""
        placed = [
            (place / len(clients), role, client)
            for role, clients in self._clients.items()
            for place, client in enumerate(clients)
        ]
        return [(role, client) for _, role, client in sorted(placed, key=lambda one: one[:2])]

    def _volley(self, numbers: Iterator[int]) -> list[tuple[int, Any]]:
        if len(self._tally.violations) >= TOO_MANY:
            return []
        return [(n, shot(self._plan.seed, n)) for _, n in zip(range(VOLLEY), numbers, strict=False)]

    async def _turn(self, count: int) -> None:
        """Wait until so many more may be sent."""
        if self._every_s:
            now = time.monotonic()
            # What was late is not made up for: sent at once it would be a burst, which is not what is compared.
            self._next = max(self._next, now) + count * self._every_s
            await asyncio.sleep(self._next - now)

    async def _watch(self) -> None:
        """End the waits that are too long. One look a second costs less than a time limit for each answer."""
        while True:
            await asyncio.sleep(1)
            late = time.monotonic() - ANSWER_LIMIT_S
            for client in self._all():
                if client.waits_since is not None and client.waits_since < late:
                    client.give_up()

    def _progress(self, count: int) -> None:
        self._fired += count
        for violation in self._tally.violations[self._said :]:
            self._say(f"{violation['what']}: {violation['kind']}, --replay {violation['replay']}")
        self._said = len(self._tally.violations)
        if time.monotonic() - self._said_at >= 10:
            self._said_at = time.monotonic()
            self._say(
                f"{self._fired:,} of {self._plan.frames:,} frames, {self._tally.opened:,} sockets opened, "
                f"{len(self._tally.violations)} violations"
            )


async def run(ground: Ground, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Everything in its order; the server is expected to go on living."""
    tally = Tally(plan.seed)
    outcome = Outcome(plan, tally)
    began = time.monotonic()
    with neighbour(ground.port) as beside:
        load = _Load(ground, plan, tally, say)
        await load.open()
        with outcome.phase("warming up", ground, beside):
            speed = await load.shots(0, plan.warm_up)
        outcome.pace_per_s = round(min(FASTEST_PER_S, SHARE_OF_SPEED * speed)) if plan.control_s else 0
        outcome.memory_kib.append(resident_kib(ground.pid))
        if plan.control_s:
            say(f"control load before the shots: {outcome.pace_per_s:,.0f} pings a second")
            with outcome.phase("before", ground, beside):
                await load.pings(plan.control_s, outcome.pace_per_s)
        with outcome.phase("shots", ground, beside):
            outcome.reached_per_s = await load.shots(plan.warm_up, plan.frames, outcome.pace_per_s)
        outcome.memory_kib.append(resident_kib(ground.pid))
        if plan.control_s:
            say("control load after the shots")
            with outcome.phase("after", ground, beside):
                await load.pings(plan.control_s, outcome.pace_per_s)
        beside.phase("end")
        load.close()
        outcome.neighbour = await asyncio.get_running_loop().run_in_executor(None, beside.seen)
    outcome.took_s = time.monotonic() - began
    return outcome

"""An honest neighbour on the same server, in a process of its own: pings on some sockets, rides on another.

`python -m tests.fuzz.neighbour PORT`: each line on stdin names the phase that begins, the end of stdin ends it. Then it
prints one JSON object: how many pings and rides there were by phase, their p50, p99 and longest in milliseconds, and
what was not as it must be.

A ping's time counts from when it was due, not from when it could be sent: a server that stands still for a second is
then seen by every ping of that second.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.report import percentile
from tests.bench.wire import Wire, WireError
from tests.environment import ROOT

# Far from everybody the shots are about: only the neighbour's own driver is in reach.
PLACE = (-40.32, -9.93)
PING_SOCKETS, PING_EVERY_S, RIDE_EVERY_S = 4, 0.07, 0.2
LIMIT_S = 20
FIND = {
    "type": "find_driver", "pickup_latitude": PLACE[0], "pickup_longitude": PLACE[1], "dropoff_latitude": -40.35,
    "dropoff_longitude": -9.99,
}  # fmt: skip
RIDE_ID = "neighbour"


class Neighbour:
    """The process's side that is told about phases, and asked for what was seen."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def phase(self, name: str) -> None:
        """From now on measurements belong to this phase."""
        assert self._child.stdin is not None
        print(name, file=self._child.stdin, flush=True)

    def seen(self) -> dict[str, Any]:
        """End it; what it saw."""
        try:
            out, _ = self._child.communicate(timeout=LIMIT_S + 10)
            found: dict[str, Any] = json.loads(out)
        except (subprocess.TimeoutExpired, ValueError) as fault:
            return {"times": {}, "wrong": [f"did not come to its end: {fault}"]}
        return found


@contextmanager
def neighbour(port: int) -> Iterator[Neighbour]:
    """Run it during the block."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.neighbour", str(port)],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield Neighbour(child)
    finally:
        child.kill()
        child.wait()


# --------------------------------------------------------------------------------------------- in the process itself


class _Life:
    def __init__(self, port: int) -> None:
        self._port, self._phase, self._over = port, "start", False
        self._ms: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"ping": [], "ride": []})
        self._wrong: list[str] = []

    async def run(self) -> dict[str, Any]:
        living = [asyncio.ensure_future(self._safely(self._pings, n)) for n in range(PING_SOCKETS)]
        living.append(asyncio.ensure_future(self._safely(self._rides, 0)))
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self._phase = line.strip()
        self._over = True
        await asyncio.gather(*living)
        times = {
            phase: {kind: _summary(ms) for kind, ms in kinds.items() if ms} for phase, kinds in self._ms.items()
        }  # fmt: skip
        return {"times": times, "wrong": self._wrong}

    async def _safely(self, live: Any, number: int) -> None:
        try:
            await live(number)
        except (TimeoutError, WireError, OSError) as fault:
            self._wrong.append(f"{live.__name__.strip('_')}: {type(fault).__name__} {fault} in {self._phase}")

    async def _open(self, ride_id: str) -> Wire:
        async with asyncio.timeout(LIMIT_S):
            wire = await Wire.open(self._port, f"/ws/ride/{ride_id}/")
            await self._hear(wire, "connection_established")
        return wire

    async def _hear(self, wire: Wire, *kinds: str) -> None:
        for kind in kinds:
            async with asyncio.timeout(LIMIT_S):
                # Where the driver is may be told at any time of the ride.
                while (told := json.loads(await wire.receive()))["type"] == "driver_location":
                    pass
            if told["type"] != kind:
                self._wrong.append(f"{told} instead of {kind} in {self._phase}")

    async def _pings(self, number: int) -> None:
        wire = await self._open(f"neighbour-{number}")
        due = time.perf_counter() + number * PING_EVERY_S / PING_SOCKETS
        while not self._over:
            await asyncio.sleep(due - time.perf_counter())
            phase = self._phase
            wire.send(b'{"type": "ping"}')
            await self._hear(wire, "pong")
            self._ms[phase]["ping"].append((time.perf_counter() - due) * 1e3)
            due = max(due + PING_EVERY_S, time.perf_counter() - 1)  # the limit of 20 a second holds for neighbours too
        wire.close()

    async def _rides(self, _: int) -> None:
        wire = await self._open(RIDE_ID)
        due = time.perf_counter()
        while not self._over:
            await asyncio.sleep(due - time.perf_counter())
            phase, began = self._phase, time.perf_counter()
            wire.send(json.dumps(FIND).encode())
            await self._hear(wire, "searching", "driver_assigned")
            self._ms[phase]["ride"].append((time.perf_counter() - began) * 1e3)
            wire.send(b'{"type": "cancel_ride", "reason": "measured"}')
            await self._hear(wire, "ride_cancelled")
            due = max(due + RIDE_EVERY_S, time.perf_counter())
        wire.close()


def _summary(ms: list[float]) -> dict[str, float]:
    found = {"p50": percentile(ms, 50), "p99": percentile(ms, 99), "max": max(ms)}
    return {"count": len(ms)} | {name: round(value, 2) for name, value in found.items()}


def _main() -> None:
    import uvloop

    print(json.dumps(uvloop.run(_Life(int(sys.argv[1])).run())), flush=True)


if __name__ == "__main__":
    _main()

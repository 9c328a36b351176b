"""A city's positions, and rides meanwhile: the `soak` of the load generator.

It goes on until `end` comes on stdin. For every other line it tells what happened since the last one.
"""

import asyncio
import json
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from tests.bench.crowd_load import open_all, position_frame
from tests.bench.load import find_driver_frame
from tests.bench.own_code import drawn
from tests.bench.stage import BenchError, Box
from tests.bench.wire import Wire

AT_ONCE = 5_000  # positions in a request
SPEED_M_S = 8.3
TURN_DEG = 20.0
M_A_DEGREE = 111_320.0
ACKNOWLEDGED_S, SLOTS = 0.2, 20
PATIENCE_S = 30
RIDES_AT_ONCE = 500


class Soak:
    """Positions by one of two doors at their rate, whether the server keeps up or not, and rides at theirs."""

    def __init__(self, how: dict[str, Any]) -> None:
        self._how, self._port, self._box = how, how["port"], Box(*how["box"])
        self._rng = random.Random(how["seed"])
        self._positions, self._all_positions, self._all_rides = 0, 0, 0
        self._stored_ms: list[float] = []
        self._rides_ms: list[float] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._failed: BaseException | None = None

    async def run(self) -> dict[str, Any]:
        """Until the end; what was done in all."""
        tell = self._fleet_door() if "places" in self._how else await self._socket_door()
        print(json.dumps({"ready": True}), flush=True)
        loads = [asyncio.ensure_future(load) for load in (tell(), self._ask_for_rides())]
        loop, cpu, since = asyncio.get_running_loop(), time.process_time(), time.perf_counter()
        while (await loop.run_in_executor(None, sys.stdin.readline)).strip() != "end":
            self._require_health(loads)
            now = time.perf_counter()
            told = {
                "positions": self._positions, "positions_ms": self._stored_ms, "rides_ms": self._rides_ms,
                "seconds": now - since, "own_cpu_share": (time.process_time() - cpu) / (now - since),
            }  # fmt: skip
            print(json.dumps(told), flush=True)
            self._positions, self._stored_ms, self._rides_ms = 0, [], []
            cpu, since = time.process_time(), now
        self._over.set()
        await asyncio.gather(*loads)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=PATIENCE_S)
        self._require_health(loads)
        return {"all_positions": self._all_positions, "all_rides": self._all_rides, "unended": len(self._under_way)}

    def _require_health(self, loads: "list[asyncio.Task[None]]") -> None:
        for load in loads:
            if load.done():
                load.result()
        if self._failed is not None:
            raise self._failed

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._failed = self._failed or task.exception()

    async def _every(self, seconds: float, act: Callable[[], None]) -> None:
        """At these times, late or not: who cannot keep up has more to do, not less."""
        due = time.perf_counter()
        while not self._over.is_set():
            act()
            due += seconds
            await asyncio.sleep(due - time.perf_counter())

    # --- positions -----------------------------------------------------------------------------------------------

    def _fleet_door(self) -> Callable[[], Awaitable[None]]:
        import httpx

        driver_ids = [int(driver_id) for driver_id in self._how["places"]]
        at = [tuple(place) for place in self._how["places"].values()]
        headings = [self._rng.uniform(0, 360) for _ in at]
        apart_s = len(at) / self._how["per_s"]
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE_S,
            headers={"Authorization": f"Key {self._how['key']}", "Content-Type": "application/json"},
        )  # fmt: skip
        begin = 0

        def body() -> bytes:
            nonlocal begin
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            told = []
            for n in range(begin, min(begin + AT_ONCE, len(at))):
                latitude, longitude = at[n]
                headings[n] = heading = (headings[n] + self._rng.uniform(-TURN_DEG, TURN_DEG)) % 360
                step = SPEED_M_S * apart_s / M_A_DEGREE
                latitude += step * math.cos(math.radians(heading))
                longitude += step * math.sin(math.radians(heading)) / math.cos(math.radians(latitude))
                at[n] = latitude, longitude
                told.append(
                    f'{{"driver_id":{driver_ids[n]},"latitude":{latitude:.6f},"longitude":{longitude:.6f},'
                    f'"heading":{heading:.0f},"speed":{SPEED_M_S},"accuracy_m":6,"recorded_at":"{now}"}}'
                )
            begin = (begin + AT_ONCE) % len(at)
            return ('{"locations":[' + ",".join(told) + "]}").encode()

        async def post(content: bytes) -> None:
            began = time.perf_counter()
            answer = await client.post("/api/v1/locations/", content=content)
            if answer.status_code != 200 or answer.json()["dropped"]:
                raise BenchError(f"positions were answered with {answer.status_code} {answer.text[:300]}")
            self._stored(answer.json()["taken"], began)

        return lambda: self._every(AT_ONCE / self._how["per_s"], lambda: self._begin(post(body())))

    async def _socket_door(self) -> Callable[[], Awaitable[None]]:
        sockets = [
            (f"/ws/driver/{driver_id}/", f"Authorization: Token {token}\r\n")
            for driver_id, token in self._how["drivers"].items()
        ]
        wires = await open_all(self._port, sockets, 2)
        at = [drawn(self._rng, self._box) for _ in wires]
        asking, slot, number = wires[0], 0, 0

        def tell() -> None:
            nonlocal slot
            for n in range(1 + slot, len(wires), SLOTS):
                latitude, longitude = at[n]
                at[n] = latitude + self._rng.uniform(-1e-4, 1e-4), longitude + self._rng.uniform(-1e-4, 1e-4)
                wires[n].forget()
                wires[n].send(position_frame(*at[n]))
                self._positions += 1
                self._all_positions += 1
            slot = (slot + 1) % SLOTS

        async def acknowledged() -> None:
            """How long it takes until one is stored."""
            nonlocal number
            while not self._over.is_set():
                number, began = number + 1, time.perf_counter()
                named = position_frame(*at[0])[:-1] + b', "command_id": "soak-%08d"}' % number
                asking.send(named)
                async with asyncio.timeout(PATIENCE_S):
                    while b'"command_done"' not in await asking.receive():
                        pass
                self._stored(1, began)
                await asyncio.sleep(ACKNOWLEDGED_S)

        async def both() -> None:
            await asyncio.gather(self._every(1 / SLOTS, tell), acknowledged())

        return both

    def _stored(self, count: int, began: float) -> None:
        self._stored_ms.append((time.perf_counter() - began) * 1e3)
        self._positions += count
        self._all_positions += count

    # --- rides ---------------------------------------------------------------------------------------------------

    async def _ask_for_rides(self) -> None:
        """At random times, as people come."""
        due, number = time.perf_counter(), 0
        while not self._over.is_set():
            due += self._rng.expovariate(self._how["rides_per_s"])
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(self._under_way) > RIDES_AT_ONCE:
                raise BenchError(
                    f"{len(self._under_way)} rides and requests are under way: the server has fallen behind"
                )
            number += 1
            self._begin(self._ride(number))

    async def _ride(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            wire = await Wire.open(self._port, f"/ws/ride/soak-{number}/")
            await wire.receive()
            began = time.perf_counter()
            wire.send(find_driver_frame(*drawn(self._rng, self._box)).encode())
            await self._until(wire, "driver_assigned", {"searching"})
            self._rides_ms.append((time.perf_counter() - began) * 1e3)
            wire.send(b'{"type": "cancel_ride", "reason": "measured"}')
            await self._until(wire, "ride_cancelled", {"driver_location"})
            wire.close()
            self._all_rides += 1

    @staticmethod
    async def _until(wire: Wire, kind: str, before: set[str]) -> None:
        while (told := json.loads(await wire.receive()))["type"] in before:
            pass
        if told["type"] != kind:
            raise BenchError(f"a passenger waited for {kind} and was told {told}")

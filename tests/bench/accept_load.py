"""Drivers who accept at once whatever they are asked, and passengers who ask: the `accepts` of the load generator."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from typing import Any

from tests.bench.load import OPENED_TOGETHER, find_driver_frame
from tests.bench.own_code import drawn
from tests.bench.stage import BenchError, Box, cpu_s
from tests.bench.wire import Wire, WireError

PATIENCE_S = 30  # without an answer for so long, a passenger or an accept was met with silence
CANCEL = b'{"type": "cancel_ride", "reason": "measured"}'


class Accepts:
    """All in one process and so by one clock: when each accept was sent, and when the passenger heard of the driver."""

    def __init__(self, how: dict[str, Any]) -> None:
        self._port, self._box, self._server = how["port"], Box(*how["box"]), how["server_pid"]
        self._drivers: dict[str, str] = how["drivers"]
        self._passengers, self._each, self._name = how["passengers"], how["each"], how["name"]
        self._rng = random.Random(how["seed"])
        self._per_s: float | None = how["per_s"]
        self._next = 0.0
        self._sent: defaultdict[int, dict[int, float]] = defaultdict(dict)  # booking -> driver -> when
        self._unanswered: set[tuple[int, int]] = set()
        self._answers: Counter[str] = Counter()

    async def run(self) -> dict[str, Any]:
        """Connect the drivers, have the passengers ask, wait for the last answer."""
        wires: list[tuple[int, Wire]] = []
        named = [(int(driver_id), token) for driver_id, token in self._drivers.items()]
        for at in range(0, len(named), OPENED_TOGETHER):
            wires += await asyncio.gather(*(self._connect(*driver) for driver in named[at : at + OPENED_TOGETHER]))
        driving = [asyncio.ensure_future(self._drive(*driver)) for driver in wires]
        self._next = time.perf_counter()
        cpu, server_cpu, began = time.process_time(), cpu_s(self._server), time.perf_counter()
        asking = asyncio.gather(*(self._ask(*passenger) for passenger in enumerate(self._passengers)))
        # A driver's end is an error, and ends the wait for the passengers too.
        await asyncio.wait([asking, *driving], return_when=asyncio.FIRST_COMPLETED)
        for ended in (task for task in driving if task.done()):
            ended.result()
        ends = await asking
        took = time.perf_counter() - began
        shares = {
            "own_cpu_share": (time.process_time() - cpu) / took,
            "server_cpu_share": (cpu_s(self._server) - server_cpu) / took,
            "server_ms": (cpu_s(self._server) - server_cpu) * 1e3 / (len(self._passengers) * self._each),
        }
        for _ in range(20 * PATIENCE_S):
            if not self._unanswered:
                break
            await asyncio.sleep(0.05)
        for task in driving:
            task.cancel()
        for _, wire in wires:
            wire.close()
        await asyncio.sleep(0.5)
        accepts = sum(len(sent) for sent in self._sent.values())
        return {
            "ends": ends, "accepts": accepts, "answers": self._answers, "silent": len(self._unanswered), **shares,
        }  # fmt: skip

    # --- drivers -------------------------------------------------------------------------------------------------

    async def _connect(self, driver_id: int, token: str) -> tuple[int, Wire]:
        wire = await Wire.open(self._port, f"/ws/driver/{driver_id}/", f"Authorization: Token {token}\r\n")
        for expected in ("connection_established", "driver_state"):
            told = json.loads(await wire.receive())
            if told["type"] != expected or told.get("request") or told.get("ride"):
                raise BenchError(f"driver {driver_id} was greeted with {told}")
        return driver_id, wire

    async def _drive(self, driver_id: int, wire: Wire) -> None:
        try:
            while True:
                told = json.loads(await wire.receive())
                about = told.get("booking_id", 0)
                if told["type"] == "ride_request":
                    accept = {"type": "accept_ride", "ride_id": told["ride_id"], "booking_id": about}
                    self._sent[about][driver_id] = time.perf_counter()
                    self._unanswered.add((about, driver_id))
                    wire.send(json.dumps(accept).encode())
                elif told["type"] == "error" or (about, driver_id) in self._unanswered:
                    self._answered(driver_id, about, told)
        except WireError as closed:
            raise BenchError(f"the socket of driver {driver_id} was closed") from closed

    def _answered(self, driver_id: int, booking_id: int, told: dict[str, Any]) -> None:
        """Won, or refused and why. That the request is closed is no answer: that comes to every loser, asked or not."""
        if told["type"] in {"ride_assigned", "error"}:
            self._answers[told.get("code", told["type"])] += 1
            if (booking_id, driver_id) not in self._unanswered:
                raise BenchError(f"driver {driver_id} was told what they had not asked: {told}")
            self._unanswered.remove((booking_id, driver_id))

    # --- passengers ----------------------------------------------------------------------------------------------

    async def _ask(self, number: int, token: str) -> list[tuple[float, float, float]]:
        """Ride after ride: when it had its driver, and milliseconds since the first accept and since the winner's."""
        ends = []
        for ride in range(self._each):
            await self._pace()
            path = f"/ws/ride/{self._name}-{number}-{ride}/"
            wire = await Wire.open(self._port, path, f"Authorization: Token {token}\r\n")
            wire.send(find_driver_frame(*drawn(self._rng, self._box)).encode())
            assigned = await self._until(wire, "driver_assigned", {"connection_established", "searching"})
            heard = time.perf_counter()
            sent = self._sent[assigned["booking_id"]]
            won = sent[assigned["driver"]["id"]]
            ends.append((heard, (heard - min(sent.values())) * 1e3, (heard - won) * 1e3))
            wire.send(CANCEL)  # so that the driver is free again
            await self._until(wire, "ride_cancelled", {"driver_location"})
            wire.close()
        return ends

    async def _pace(self) -> None:
        """Wait for this ride's time, where so many a second are wanted: at random times, as people come."""
        if self._per_s is not None:
            now = time.perf_counter()
            self._next = max(self._next, now - 1) + self._rng.expovariate(self._per_s)
            await asyncio.sleep(self._next - now)

    @staticmethod
    async def _until(wire: Wire, kind: str, before: set[str]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (told := json.loads(await wire.receive()))["type"] in before:
                    pass
        except TimeoutError:
            raise BenchError(f"a passenger waited for {kind} in vain") from None
        if told["type"] != kind:
            raise BenchError(f"a passenger waited for {kind} and was told {told}")
        found: dict[str, Any] = told
        return found

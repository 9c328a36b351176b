"""Many sockets that send on end or hear the same: the `updates` and `fanout` of the load generator."""

import asyncio
import json
import random
import time
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from tests.bench.load import OPENED_TOGETHER
from tests.bench.pgbench import steady
from tests.bench.stage import BenchError, Box
from tests.bench.wire import Wire, frame

PING = b'{"type": "ping"}'
UNDER_WAY = 4  # messages to the group that not everybody has heard yet
PATIENCE_S = 60
AGAIN_AFTER_S = 0.5


async def open_all(port: int, sockets: list[tuple[str, str]], greetings: int) -> list[Wire]:
    """Open a socket for each path and its headers, and read what it is greeted with."""
    wires: list[Wire] = []
    for at in range(0, len(sockets), OPENED_TOGETHER):
        together = sockets[at : at + OPENED_TOGETHER]
        wires += await asyncio.gather(*(Wire.open(port, path, headers) for path, headers in together))
    for wire in wires:
        for _ in range(greetings):
            await wire.receive()
    return wires


def position_frame(latitude: float, longitude: float) -> bytes:
    """The protocol's `location_update`."""
    return (
        b'{"type": "location_update", "latitude": %.6f, "longitude": %.6f, "heading": 90.0, "speed": 8.3}'
        % (latitude, longitude)
    )  # fmt: skip


class Updates:
    """Each socket sends so many position messages at once and the next ones when those are answered.

    `acknowledged`: by one pong to a ping behind them, as from the driver's socket, which answers in order and does not
    answer positions; otherwise each by its echo.
    """

    def __init__(self, how: dict[str, Any]) -> None:
        self._how, self._window = how, how["window"]
        self._rng, self._box = random.Random(how["seed"]), Box(*how["box"])

    async def run(self) -> dict[str, Any]:
        how = self._how
        wires = await open_all(how["port"], how["sockets"], 2 if how["acknowledged"] else 0)
        stop = time.perf_counter() + how["seconds"]
        cpu, began = time.process_time(), time.perf_counter()
        ends = await asyncio.gather(*(self._client(wire, stop) for wire in wires))
        busy = (time.process_time() - cpu) / (time.perf_counter() - began)
        if how["acknowledged"]:
            await asyncio.gather(*(self._last(wire) for wire in wires))
        took = time.perf_counter() - began
        for wire in wires:
            wire.close()
        await asyncio.sleep(0.5)
        sent = self._window * sum(len(e) for e in ends)
        # Taken and not stored yet would be a flattering figure: the clock stops when the last one is stored.
        return asdict(steady(ends)) | {"per_s": sent / took, "sent": sent, "own_cpu_share": busy}

    async def _client(self, wire: Wire, stop: float) -> list[tuple[float, float]]:
        ends, side = [], self._box.side_deg
        while (began := time.perf_counter()) < stop:
            latitude = self._box.latitude + side * self._rng.random()
            longitude = self._box.longitude + side * self._rng.random()
            told = [position_frame(latitude + 1e-5 * n, longitude) for n in range(self._window)]
            if self._how["acknowledged"]:
                told.append(PING)
            wire.send_raw(b"".join(frame(message) for message in told))
            for _ in range(1 if self._how["acknowledged"] else self._window):
                answer = await wire.receive()
                if b'"error"' in answer:
                    raise BenchError(f"a position was answered with {answer!r}")
            ended = time.perf_counter()
            ends.append((ended, (ended - began) * 1e3))
        return ends

    @staticmethod
    async def _last(wire: Wire) -> None:
        """One that is answered when it is stored, and so everything before it; sent again where an app would."""
        last = position_frame(-26.2, 28.0)[:-1] + b', "command_id": "%s"}' % uuid4().hex.encode()
        async with asyncio.timeout(PATIENCE_S):
            wire.send(last)
            while b'"command_done"' not in (answer := await wire.receive()):
                if b'"unavailable"' in answer or b'"try_again"' in answer:  # a disk that stands still for seconds
                    await asyncio.sleep(AGAIN_AFTER_S)
                    wire.send(last)
                elif b'"error"' in answer:
                    raise BenchError(f"the last position was answered with {answer!r}")


class FanOut:
    """Sockets in one group, and a message to all of them again and again, sent through Redis by this process.

    `layer`: "core", Channels' core layer as its documentation has it; "hub", as our servers tell each other.
    """

    def __init__(self, how: dict[str, Any]) -> None:
        self._how = how

    async def run(self) -> dict[str, Any]:
        how = self._how
        wires = await open_all(how["port"], [(path, "") for path in how["paths"]], 0)
        await asyncio.sleep(1)  # everybody is subscribed
        publish = self._publisher()
        gate, sent_at = asyncio.Semaphore(UNDER_WAY), {}
        left: dict[int, int] = {}
        took: list[tuple[float, float]] = []

        async def listen(wire: Wire) -> None:
            for number in range(how["messages"]):
                await wire.receive()
                left[number] -= 1
                if not left[number]:
                    now = time.perf_counter()
                    took.append((now, (now - sent_at[number]) * 1e3))
                    gate.release()

        listening = asyncio.gather(*(listen(wire) for wire in wires))
        cpu, began = time.process_time(), time.perf_counter()
        for number in range(how["messages"]):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await gate.acquire()
            except TimeoutError:
                raise BenchError(f"message {number} did not reach everybody, {len(took)} did") from None
            left[number], sent_at[number] = len(wires), time.perf_counter()
            await publish({"number": number} | how["content"])
        async with asyncio.timeout(PATIENCE_S):
            await listening
        busy = (time.process_time() - cpu) / (time.perf_counter() - began)
        for wire in wires:
            wire.close()
        timing = asdict(steady([took]))
        timing["per_s"] *= len(wires)
        return timing | {"own_cpu_share": busy}

    def _publisher(self) -> Any:
        how = self._how
        if how["layer"] == "core":
            from channels_redis.core import RedisChannelLayer

            core = RedisChannelLayer(hosts=[how["redis"]])
            return lambda content: core.group_send(how["group"], {"type": "fan.out", "content": content})
        from channels_redis.pubsub import RedisPubSubChannelLayer

        pubsub = RedisPubSubChannelLayer(hosts=[how["redis"]])
        sealed = {"type": "hub.hint", "from": "bench", "group": how["group"]}
        return lambda content: pubsub.group_send(
            how["group"], sealed | {"message": {"type": "fan.out", "text": json.dumps(content)}}
        )

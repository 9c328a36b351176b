"""The load generator, a process of its own: `python -m tests.bench.load` with one JSON object on stdin, one on stdout.

`rides`   so many clients, each asking for one ride after the other, a socket per ride as the apps do it
`accepts` drivers who accept whatever they are asked, and passengers who ask (accept_load.py)
`echo`    so many sockets, each sending its next message when the answer to the last one has come
`idle`    so many sockets, open and silent until a line comes on stdin
`soak`    a city's positions and rides for minutes on end (soak_load.py)
`updates` sockets that send positions on end; `fanout` sockets that all hear the same (crowd_load.py)
It measures its own CPU, because a figure is worth nothing when this process is the bottleneck.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tests.bench.own_code import drawn
from tests.bench.pgbench import steady
from tests.bench.stage import BenchError, Box, process

OPENED_TOGETHER = 32
LIMIT_S = 300


def find_driver_frame(latitude: float, longitude: float) -> str:
    """The message of the protocol's example, from another pickup."""
    return json.dumps(
        {
            "type": "find_driver", "pickup_latitude": latitude, "pickup_longitude": longitude,
            "dropoff_latitude": -26.1041, "dropoff_longitude": 28.1473, "pickup_address": "123 Main St, Johannesburg",
            "dropoff_address": "456 Oak St, Johannesburg", "distance_km": 15.0, "estimated_duration_minutes": 25,
            "fare_amount": 150.00,
            "passenger_phone": "+27123456789",
        }
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- the bench's side


def load(env: Mapping[str, str], do: str, **how: Any) -> dict[str, Any]:
    """Run one load to its end."""
    with generator(env, do, how) as child:
        try:
            out, _ = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the load generator has not finished after {LIMIT_S} s") from None
    return answer_in(out)


@contextmanager
def idle_sockets(env: Mapping[str, str], port: int, paths: list[str]) -> Iterator[None]:
    """Keep these sockets open during the block."""
    with generator(env, "idle", {"port": port, "paths": paths}) as child:
        assert child.stdout is not None
        answer_in(child.stdout.readline())
        yield
        child.communicate("\n")


def answer_in(line: str) -> dict[str, Any]:
    """What the generator's line says."""
    if not line:
        raise BenchError("the load generator ended without an answer, see above")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def generator(env: Mapping[str, str], do: str, how: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """The process with this work; it answers with a JSON object a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process([sys.executable, "-m", "tests.bench.load"], env, **pipes) as child:
        assert child.stdin is not None
        print(json.dumps({"do": do, **how}), file=child.stdin, flush=True)
        yield child


# --------------------------------------------------------------------------------------------- in the process itself


class Riders:
    """Clients that ask for rides. `opened`: the sockets are open before the clock starts."""

    def __init__(self, how: dict[str, Any]) -> None:
        self._port, self._box, self._opened = how["port"], Box(*how["box"]), how["opened"]
        self._clients, self._each, self._name = how["clients"], how["each"], how["name"]
        self._tokens: deque[str] = deque(how["tokens"])
        self._rng = random.Random(how["seed"])
        self._sockets: deque[Any] = deque()
        self._answers: Counter[str] = Counter()
        self._begun = 0

    async def run(self) -> dict[str, Any]:
        total = self._clients * self._each
        if self._opened:
            while len(self._sockets) < total:
                wanted = min(OPENED_TOGETHER, total - len(self._sockets))
                self._sockets.extend(await asyncio.gather(*(self._open() for _ in range(wanted))))
        cpu, began = time.process_time(), time.perf_counter()
        ends = await asyncio.gather(*(self._client() for _ in range(self._clients)))
        busy = (time.process_time() - cpu) / (time.perf_counter() - began)
        return asdict(steady(ends)) | {"answers": self._answers, "own_cpu_share": busy}

    async def _open(self) -> Any:
        from tests.bench.wire import Wire

        self._begun += 1
        header = f"Authorization: Token {self._tokens.popleft()}\r\n" if self._tokens else ""
        wire = await Wire.open(self._port, f"/ws/ride/{self._name}-{self._begun}/", header)
        greeting = await wire.receive()
        if b"connection_established" not in greeting:
            raise BenchError(f"the server greeted with {greeting!r}")
        return wire

    async def _client(self) -> list[tuple[float, float]]:
        ends = []
        for _ in range(self._each):
            began = time.perf_counter()
            wire = self._sockets.popleft() if self._opened else await self._open()
            wire.send(find_driver_frame(*drawn(self._rng, self._box)).encode())
            answer = json.loads(await wire.receive())
            while answer["type"] == "searching":
                answer = json.loads(await wire.receive())
            ended = time.perf_counter()
            ends.append((ended, (ended - began) * 1e3))
            self._answers[answer["type"]] += 1
            wire.close()
        return ends


async def _echo(how: dict[str, Any]) -> dict[str, Any]:
    from tests.bench.wire import Wire

    message = how["message"].encode()
    wires = [await Wire.open(how["port"], path) for path in how["paths"]]
    for wire in wires:
        if how["greeted"]:
            await wire.receive()
    stop = time.perf_counter() + how["seconds"]

    async def client(wire: Wire) -> list[tuple[float, float]]:
        ends = []
        while (began := time.perf_counter()) < stop:
            wire.send(message)
            await wire.receive()
            ended = time.perf_counter()
            ends.append((ended, (ended - began) * 1e3))
        return ends

    cpu, began = time.process_time(), time.perf_counter()
    ends = await asyncio.gather(*(client(wire) for wire in wires))
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    for wire in wires:
        wire.close()
    return asdict(steady(ends)) | {"own_cpu_share": busy}


async def _idle(how: dict[str, Any]) -> dict[str, Any]:
    from tests.bench.wire import Wire

    wires = []
    for at in range(0, len(how["paths"]), OPENED_TOGETHER):
        together = how["paths"][at : at + OPENED_TOGETHER]
        wires += await asyncio.gather(*(Wire.open(how["port"], path) for path in together))
    await asyncio.sleep(1)  # greetings are sent and read
    print(json.dumps({"open": len(wires)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for wire in wires:
        wire.close()
    await asyncio.sleep(0.5)
    return {"open": 0}


def _main() -> None:
    import uvloop

    from tests.bench.accept_load import Accepts
    from tests.bench.crowd_load import FanOut, Updates
    from tests.bench.soak_load import Soak

    how = json.loads(sys.stdin.readline())
    work = {
        "rides": lambda: Riders(how).run(),
        "accepts": lambda: Accepts(how).run(),
        "echo": lambda: _echo(how),
        "idle": lambda: _idle(how),
        "updates": lambda: Updates(how).run(),
        "fanout": lambda: FanOut(how).run(),
        "soak": lambda: Soak(how).run(),
    }
    print(json.dumps(uvloop.run(work[how["do"]]())), flush=True)


if __name__ == "__main__":
    _main()

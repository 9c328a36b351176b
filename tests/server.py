"""A real server process on the tests' database, and a client that speaks to it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import websockets

from tests import forks
from tests.forks import Fork

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE: dict[str, Any] = {
    "type": "find_driver", "pickup_latitude": -26.2041, "pickup_longitude": 28.0473, "dropoff_latitude": -26.1041,
    "dropoff_longitude": 28.1473, "pickup_address": "123 Main St, Johannesburg",
    "dropoff_address": "456 Oak St, Johannesburg", "distance_km": 12.5, "estimated_duration_minutes": 25,
    "fare_amount": 150.00, "passenger_phone": "+27123456789",
}  # fmt: skip


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stop(process_id: int) -> None:
    """SIGSTOP, and wait until every thread of the process stands still: some go on for a moment."""
    os.kill(process_id, signal.SIGSTOP)
    for _ in range(5_000):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread has ended
            stats = [path.read_text() for path in Path(f"/proc/{process_id}/task").glob("*/stat")]
            if {stat.rpartition(")")[2].split()[0] for stat in stats} <= set("TtZX"):
                return
        time.sleep(0.001)
    raise AssertionError("the process does not stop")


class Server:
    """A running server process: where it is, what it printed."""

    def __init__(self, port: int, process: Fork, output: Path) -> None:
        self.port, self.process, self._output = port, process, output
        self.redis_url: str | None = None
        self.http = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}"

    @property
    def output(self) -> str:
        """Everything it printed so far."""
        time.sleep(0.1)  # a thread of the server's writes it, moments after what it tells of
        return self._output.read_text(errors="replace")

    @contextlib.asynccontextmanager
    async def ride(self, ride_id: str = "12345", *, greeted: bool = True, **options: Any) -> AsyncIterator["Client"]:
        """A passenger socket; with `greeted` the first frame is read already."""
        async with websockets.connect(f"{self.ws}/ws/ride/{ride_id}/", **options) as connection:
            client = Client(connection)
            if greeted:
                first = await client.receive()
                assert first["type"] == "connection_established", first
            yield client

    def get(self, path: str) -> tuple[int, bytes]:
        """GET over HTTP."""
        with urllib.request.urlopen(self.http + path, timeout=10) as response:  # the server of this test
            return response.status, response.read()


class Client:
    """Frames in and out of one socket."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.positions: list[dict[str, Any]] = []

    async def send(self, frame: Any) -> None:
        """A frame: an object as JSON, text and bytes as they are."""
        await self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self, within_s: float = 10) -> dict[str, Any]:
        """The next frame that is an answer or a move: where the driver is comes when it comes, and into `positions`."""
        async with asyncio.timeout(within_s):
            while (frame := json.loads(await self.connection.recv()))["type"] == "driver_location":
                self.positions.append(frame)
            return frame

    async def position(self, within_s: float = 10) -> dict[str, Any]:
        """The next frame, which must say where the driver is."""
        async with asyncio.timeout(within_s):
            frame = json.loads(await self.connection.recv())
        assert frame["type"] == "driver_location", frame
        return frame

    async def ask(self, frame: Any) -> dict[str, Any]:
        """Send, and the next frame."""
        await self.send(frame)
        return await self.receive()

    async def until(self, kind: str, within_s: float = 10) -> dict[str, Any]:
        """The next frame of this type; others are passed over."""
        async with asyncio.timeout(within_s):
            while (frame := await self.receive(within_s))["type"] != kind:
                pass
            return frame

    async def quiet(self) -> None:
        """Nothing was said: the next frame is the answer to this ping."""
        assert (await self.ask({"type": "ping"}))["type"] == "pong"

    async def close_code(self, within_s: float = 10) -> int:
        """Read until the server closes; its code."""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await self.connection.recv()
        return self.connection.close_code


@contextlib.contextmanager
def serving(tmp_path: Path, **environment: str) -> Iterator[Server]:
    """Run bin/serve with these changes to the environment until the end of the block."""
    port = free_port()
    output = tmp_path / f"server-{port}.log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {
        "PORT": str(port), "HOST": "127.0.0.1", "DB_POOL": "yes", "DB_POOL_MIN": "2", "LOG_FORMAT": "json",
    } | environment  # fmt: skip
    with output.open("wb") as out:
        process = forks.serve(env, out)
    server = Server(port, process, output)
    try:
        _wait(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{server.output}")

"""What a socket leaves behind in memory when it is over.

A full garbage collection holds up every other socket, so none must be needed because sockets come and go.
"""

import asyncio
import gc
from concurrent.futures import Future

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.server import ServerProtocol

from config import wire
from mobility.errors import Refusal
from mobility.locations import ingest
from mobility.realtime.driver import DriverSocket
from mobility.realtime.protocol import LocationUpdate, Misunderstood
from mobility.realtime.socket import Socket, UnknownPath
from tests.realtime.test_wire import HANDSHAKE, MASK


class Anybody(Socket):
    """A socket that needs no database."""

    def check_path(self):
        """Any."""

    async def frame(self, text):
        """Misunderstood, whatever it is."""
        raise Misunderstood("invalid_json")


class Refused(DriverSocket):
    """A driver's socket without a database, whose named positions are refused a moment after they were told."""

    check_path = Anybody.check_path

    async def admit(self):
        """Anybody."""
        self.driver_id, self._storing = 1, []

    async def opened(self):
        """Without a greeting."""

    async def frame(self, text):
        """A position, whatever it is."""
        update = {"type": "location_update", "latitude": 0.0, "longitude": 0.0, "command_id": "c"}
        await self._take_positions(LocationUpdate(**update))


SOCKETS = {"/ws/driver/1/": Refused.as_asgi(), "/ws/nowhere/": UnknownPath.as_asgi(), "/ws/ride/x/": Anybody.as_asgi()}
CLOSE = b"\x88\x80" + MASK
ENDS = {
    "left": b"", "closed": CLOSE, "misunderstood and closed": b"\x81\x80" + MASK + CLOSE, "broken": b"\x83\x80" + MASK,
    "flooded": (b"\x89\x80" + MASK) * 1_000,
}  # fmt: skip


@pytest.fixture
async def port():
    """Our protocols in front of `SOCKETS`."""

    async def app(scope, receive, send):
        await SOCKETS[scope["path"]](scope, receive, send)

    config = Config(app, lifespan="off", log_config=None, http=wire.Http, ws=wire.WebSocket)
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: wire.Http(config, ServerState(), {}, loop), "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


@pytest.fixture
def without_collector():
    """Only reference counts free memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def come_and_go(port, path="/ws/ride/x/", more="", end=b""):
    """One connection from its handshake to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.replace("/ws/ride/{ride_id}/", path).format(port=port, more=more).encode())
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(end)
        if end:
            await reader.read()
    writer.transport.abort()


async def nothing_is_left():
    """Within some seconds no connection is in memory."""
    of_one = (wire.WebSocket, wire.Http, ServerProtocol, Socket)
    for _ in range(100):
        # By its type: isinstance() asks the object, and a weak proxy of another test may be of something gone.
        kept = [type(kept) for kept in gc.get_objects() if issubclass(type(kept), of_one)]
        if not kept:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still in memory: {kept}")


@pytest.mark.usefixtures("without_collector")
async def test_a_refused_position_keeps_no_socket(port, monkeypatch):
    refused = []

    def take_named(*_):
        future = Future()
        refused.append(None)
        asyncio.get_running_loop().call_later(0.05, future.set_result, Refusal("command_id_reused"))
        return future

    monkeypatch.setattr(ingest, "is_buffered", lambda: True)
    monkeypatch.setattr(ingest, "take_named", take_named)
    await come_and_go(port, "/ws/driver/1/", end=b"\x81\x80" + MASK + CLOSE)
    assert refused
    await nothing_is_left()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("end", ENDS)
async def test_a_socket_that_is_over_is_gone(port, end):
    await come_and_go(port, end=ENDS[end])
    await nothing_is_left()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    "odd",
    [{"path": "/ws/nowhere/", "end": CLOSE}, {"more": "Content-Length: 5\r\n"}, {"more": "Origin: https://evil.example\r\n"}],
    ids=["unknown path", "no handshake", "foreign origin"],
)  # fmt: skip
async def test_a_socket_that_never_was_is_gone(port, odd):
    await come_and_go(port, **odd)
    await nothing_is_left()

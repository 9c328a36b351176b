"""What a socket leaves behind in memory when it is over.

A full garbage collection holds up every other socket, so none must be needed because sockets come and go.
"""

import asyncio
import gc

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.server import ServerProtocol

from config import wire
from mobility.realtime.protocol import Misunderstood
from mobility.realtime.socket import Socket, UnknownPath
from tests.realtime.test_wire import HANDSHAKE, MASK


class Anybody(Socket):
    """A socket that needs no database."""

    def check_path(self):
        """Any."""

    async def frame(self, text):
        """Misunderstood, whatever it is."""
        raise Misunderstood("invalid_json")


SOCKETS = {"/ws/nowhere/": UnknownPath.as_asgi(), "/ws/ride/x/": Anybody.as_asgi()}
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

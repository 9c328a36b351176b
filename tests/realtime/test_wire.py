"""Below the messages: frames that never become one, handshakes that are none, and requests that never end."""

import asyncio
import json

import httpx
import pytest
import websockets
from uvicorn.config import Config
from uvicorn.server import ServerState

from config import wire

pytestmark = pytest.mark.usefixtures("committed_db")
MASK = b"\0\0\0\0"
EMPTY = {"pings": b"\x89\x80" + MASK, "pongs": b"\x8a\x80" + MASK, "fragments": b"\x00\x80" + MASK}
HANDSHAKE = (
    "GET /ws/ride/{ride_id}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


async def shaken(port, ride_id="wire", more=""):
    """Send a handshake by hand; the two ends of the connection, and the answer's head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.format(ride_id=ride_id, port=port, more=more).encode())
    async with asyncio.timeout(5):
        return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def closing_code(reader) -> int:
    """Read to the end; the code of the close frame, which comes last."""
    async with asyncio.timeout(10):
        told = await reader.read()
    at = told.rindex(b"\x88")
    return int.from_bytes(told[at + 2 : at + 4], "big")


@pytest.mark.parametrize("count", [1_000, 40_000])
@pytest.mark.parametrize("kind", EMPTY)
async def test_a_flood_of_empty_frames_is_closed_with_4429(server, kind, count):
    async with server.ride("neighbour") as neighbour:
        reader, writer, head = await shaken(server.port)
        assert head.startswith(b"HTTP/1.1 101")
        writer.write((b"\x01\x80" + MASK if kind == "fragments" else b"") + EMPTY[kind] * count)
        try:
            assert await closing_code(reader) == 4429
        except ConnectionResetError:
            # The kernel says so when more had arrived than was read, and may swallow the code.
            assert count > 1_000
        writer.close()
        await neighbour.quiet()


async def test_pings_in_reason_are_all_answered(server):
    async with server.ride() as client:
        for _ in range(300):
            await (await client.connection.ping())
        await client.quiet()


async def test_a_message_in_many_fragments_is_understood(server):
    async with server.ride() as client:
        await client.connection.send(iter('{"type": "ping"}'))
        assert (await client.receive())["type"] == "pong"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x81\x82" + MASK + b"\xff\xfe",
        b"\x01\x81" + MASK + b"\xc3" + b"\x80\x81" + MASK + b"(",
        b"\x81\x82" + MASK + b"\xff\xfe" + b"\x88\x82" + MASK + b"\x03\xe8",
    ],
    ids=["one frame", "fragments", "a close frame behind it"],
)
async def test_text_that_is_not_utf8_closes_with_1007_and_is_no_error_of_ours(server, sent):
    before = len(server.output)
    reader, writer, _ = await shaken(server.port)
    writer.write(sent)
    # Whoever sent a close frame as well hears that one's answer or ours.
    assert await closing_code(reader) in {1007, 1000}
    writer.close()
    async with server.ride() as client:
        await client.quiet()
    assert [line for line in server.output[before:].splitlines() if json.loads(line)["level"] in {"error"}] == []
    assert "Traceback" not in server.output[before:]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("".join(f"X-{n}: y\r\n" for n in range(200)), b"431"),
        (f"X-Long: {'y' * 9_000}\r\n", b"431"),
        ("Content-Length: 5\r\n", b"400"),
        ("Transfer-Encoding: chunked\r\n", b"400"),
    ],
    ids=["200 headers", "a header of 9 kB", "a body", "a body in chunks"],
)
async def test_a_handshake_that_cannot_be_taken_is_answered_and_closed(server, more, status):
    reader, writer, head = await shaken(server.port, more=more)
    assert head.split()[1] == status
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()


@pytest.fixture
async def http_port(monkeypatch):
    """Our HTTP protocol alone, with less patience, in front of an application that greets."""
    monkeypatch.setattr(wire, "HEAD_WITHIN_S", 0.3)
    monkeypatch.setattr(wire, "BODY_WITHIN_S", 0.3)

    async def greet(_scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})

    config = Config(greet, lifespan="off", log_config=None, http=wire.Http)
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: wire.Http(config, ServerState(), {}, loop), "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def test_a_client_whose_command_takes_long_is_not_taken_for_dead():
    """While a command is worked on nothing is read, so no pong is heard: that says nothing about the client."""

    async def slow(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await asyncio.sleep(0.5)
            await send({"type": "websocket.send", "text": message["text"]})

    config = Config(slow, lifespan="off", log_config=None, http=wire.Http, ws=wire.WebSocket, ws_ping_interval=0.1,
                    ws_ping_timeout=0.1)  # fmt: skip
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: wire.Http(config, ServerState(), {}, loop), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with asyncio.timeout(10), websockets.connect(f"ws://127.0.0.1:{port}/") as client:
        for text in ("first", "second", "third"):
            await client.send(text)
        assert [await client.recv() for _ in range(3)] == ["first", "second", "third"]
        await asyncio.sleep(0.3)  # it is read again, and its pongs are heard
        await client.send("fourth")
        assert await client.recv() == "fourth"
    reader, writer, _ = await shaken(port)
    assert await closing_code(reader) == 1011  # whoever does not answer a ping is gone
    writer.close()
    listening.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        [b""], [b"GET / HT"], [b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "], [REQUEST, b"\r\n"], [REQUEST + b"GET / HT"],
        [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"],
    ],
    ids=[
        "nothing", "half a line", "half a header", "an empty line after an answer", "half a request after an answer",
        "half a body",
    ],
)  # fmt: skip
async def test_a_request_that_never_ends_is_closed(http_port, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
    for part in sent:
        writer.write(part)
        await asyncio.sleep(0.05)  # so that each part is read by itself
    async with asyncio.timeout(3):
        assert (await reader.read()).count(b"HTTP/1.1 200") == sum(part.count(REQUEST) for part in sent)
    writer.close()


async def test_a_head_without_end_is_refused(http_port):
    reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
    writer.write(b"GET / HTTP/1.1\r\nX-Long: " + b"y" * 100_000)
    async with asyncio.timeout(3):
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_requests_in_time_are_served_on_one_connection(http_port):
    async with httpx.AsyncClient() as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{http_port}/")).text == "hi"
            await asyncio.sleep(0.2)  # between requests uvicorn's own patience counts


async def test_whoever_sends_two_requests_and_leaves_is_no_error_of_ours(server):
    """Against the real server, because asyncio's own transport forgives what uvloop's does not."""
    before = len(server.output)
    for n in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        await asyncio.sleep(n / 5_000)
        writer.transport.abort()
    async with server.ride() as client:
        await client.quiet()
    await asyncio.sleep(0.2)  # the answers come when nobody is there
    assert "Exception in ASGI application" not in server.output[before:]

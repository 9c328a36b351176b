"""A WebSocket client that does as little as possible, so that the load generator is not what is measured."""

import asyncio
import base64
import os
from collections import deque

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class WireError(Exception):
    """The server did not do what a WebSocket server does."""


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One client frame. Its mask is all zeros: legal, the server unmasks as ever, and we need not mask."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((0x80 | opcode, 0x80 | 126, size >> 8, size & 255, 0, 0, 0, 0)) + payload


class Wire(asyncio.Protocol):
    """One socket. Make it with `Wire.open`."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = bytearray()
        self._upgraded = False
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, port: int, path: str, headers: str = "") -> "Wire":
        """Connect and shake hands."""
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: cls(request.encode()), "127.0.0.1", port)
        while not wire._upgraded:
            await wire._news()
        return wire

    def send(self, message: bytes) -> None:
        """Send one text message."""
        self._transport.write(frame(message))

    def send_raw(self, frames: bytes) -> None:
        """Send frames that are made already, in one write."""
        self._transport.write(frames)

    async def receive(self) -> bytes:
        """The next text message."""
        while not self._messages:
            await self._news()
        return self._messages.popleft()

    def forget(self) -> None:
        """Drop the messages that nobody will ask for."""
        self._messages.clear()

    def close(self) -> None:
        """Say goodbye; the server's answer ends the connection."""
        self._transport.write(frame(b"\x03\xe8", _CLOSE))

    async def _news(self) -> None:
        if self._closed:
            raise WireError("the server closed the socket")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
        self._waiter = None

    # --- asyncio's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._transport.abort()
                return
            self._upgraded, self._buffer = True, rest
        self._take_frames()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(buffer[at + 2 : at + head], "big")
            if len(buffer) - at < head + size:
                break
            self._handle(buffer[at] & 0xF, bytes(buffer[at + head : at + head + size]))
            at += head + size
        del buffer[:at]

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._messages.append(payload)
        elif opcode == _PING:
            self._transport.write(frame(payload, _PONG))
        elif opcode == _CLOSE:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

"""A TCP proxy on loopback that breaks each connection somewhere: seeded, so that the same run can be tried again."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

FROZEN_S = 0.15
# So many bytes at most pass before the break: a handshake is some 300 each way, a frame 100 to 1,000.
UP_BYTES, DOWN_BYTES = 1_200, 3_000


class Break(NamedTuple):
    """Where a connection breaks: after so many bytes up (client to server) or down, and how."""

    up: bool
    after: int
    how: str  # reset: RST both ways; close: FIN both ways; freeze: silence first, then reset


class FaultProxy:
    """Breaks connections while `breaking`; `breaks` counts them by kind."""

    def __init__(self, server_port: int, seed: int) -> None:
        self.server_port, self._rng = server_port, random.Random(seed)
        self.breaking = True
        self.breaks: Counter[str] = Counter()
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["FaultProxy"]:
        """Accept connections on `port` until the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._serving.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plan = self._draw() if self.breaking else None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:  # the server is away: so are we
            _reset(writer)
            return
        both = (writer, server_writer)
        pumps = [
            asyncio.ensure_future(_pump(reader, server_writer, plan.after if plan and plan.up else None)),
            asyncio.ensure_future(_pump(server_reader, writer, plan.after if plan and not plan.up else None)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if plan is not None and pumps[0 if plan.up else 1].done() and pumps[0 if plan.up else 1].result():
                self.breaks[plan.how] += 1
                if plan.how == "freeze":
                    await asyncio.sleep(FROZEN_S)
                if plan.how != "close":
                    for one in both:
                        _reset(one)
        finally:
            for pump in pumps:
                pump.cancel()
            for one in both:
                with contextlib.suppress(OSError):
                    one.close()

    def _draw(self) -> Break:
        up = self._rng.random() < 0.5
        after = self._rng.randrange(UP_BYTES if up else DOWN_BYTES)
        return Break(up, after, self._rng.choice(("reset", "close", "freeze")))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None) -> bool:
    """Pass bytes on until the end, or until so many have passed; whether it was the latter."""
    passed = 0
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            if at_most is not None and passed + len(chunk) > at_most:
                writer.write(chunk[: at_most - passed])
                await writer.drain()
                return True
            passed += len(chunk)
            writer.write(chunk)
            await writer.drain()
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    """End with RST, as a network that is gone, or a process that was killed with data unread."""
    with contextlib.suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

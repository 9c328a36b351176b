"""What a socket does while its client reads, reads slowly, or is gone. The send is in our hands here: it waits for
`writable`, as uvicorn's does.
"""

import asyncio
from dataclasses import replace

import pytest

from mobility.realtime.socket import Closed, Socket


class Wire:
    """What uvicorn gives a consumer to send with."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[str] = []
        self.cancelled = 0
        self.writable = asyncio.Event()
        self.gone = False
        if reads:
            self.writable.set()

    async def send(self, message) -> None:
        try:
            await self.writable.wait()
            await asyncio.sleep(0)  # a second wait: what waits once may wait again
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.gone:
            raise OSError("gone")
        self.sent.append(message.get("text") or message["type"])


class StraightWire(Wire):
    """The same, with one wait at most."""

    async def send(self, message) -> None:
        await self.writable.wait()
        if self.gone:
            raise OSError("gone")
        self.sent.append(message["text"])


def socket_on(wire: Wire) -> Socket:
    """A socket in the middle of its life."""
    socket = Socket()
    socket._raw_send = wire.send
    return socket


async def test_what_is_said_is_sent_at_once():
    wire = StraightWire()
    assert socket_on(wire).say("a")
    assert wire.sent == ["a"]


async def test_nothing_is_said_to_a_client_that_does_not_read_not_even_later():
    wire = StraightWire(reads=False)
    socket = socket_on(wire)
    assert not socket.say("a")
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert wire.sent == []
    assert socket.say("b")
    assert wire.sent == ["b"]


async def test_nothing_is_said_to_a_client_that_is_gone():
    wire = StraightWire()
    wire.gone = True
    assert not socket_on(wire).say("a")


async def test_a_frame_waits_for_a_client_that_reads_slowly_and_order_is_kept():
    wire = Wire(reads=False)
    socket = socket_on(wire)
    telling = asyncio.gather(*(socket.tell({"n": n}) for n in range(3)))
    await asyncio.sleep(0.01)
    assert wire.sent == []
    wire.writable.set()
    await telling
    assert wire.sent == ['{"n": 0}', '{"n": 1}', '{"n": 2}']


async def test_a_frame_waits_so_long_and_no_longer(settings):
    settings.MOBILITY = replace(settings.MOBILITY, socket_send_timeout_s=0.05)
    wire = Wire(reads=False)
    with pytest.raises(Closed):
        await asyncio.wait_for(socket_on(wire).tell({}), 5)
    assert wire.sent == []
    assert wire.cancelled == 2  # the frame, and the close that was tried for a second


async def test_a_client_that_goes_away_while_a_frame_waits_ends_the_socket():
    wire = Wire(reads=False)
    telling = asyncio.ensure_future(socket_on(wire).tell({}))
    await asyncio.sleep(0.01)
    wire.gone = True
    wire.writable.set()
    with pytest.raises(Closed):
        await telling


async def test_who_is_cancelled_while_a_frame_waits_does_not_send_it():
    wire = Wire(reads=False)
    telling = asyncio.ensure_future(socket_on(wire).tell({}))
    await asyncio.sleep(0.01)
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert (wire.sent, wire.cancelled) == ([], 1)

"""What a socket does while its client reads, reads slowly, or is gone. The send is in our hands here: it waits for
`writable`, as uvicorn's does.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from geo.coordinates import LatLon
from mobility.dispatch.tracking import DriverPosition
from mobility.realtime.passenger import PassengerSocket
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


def socket_on(wire: Wire, kind: type[Socket] = Socket) -> Socket:
    """A socket in the middle of its life."""
    socket = kind()
    socket._raw_send = wire.send
    socket._turn = asyncio.Lock()
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


AT = DriverPosition(7, 3, LatLon(-26.2, 28.0), None, None, datetime(2026, 1, 1, tzinfo=UTC), 60.0)


def passenger_on(wire: Wire) -> PassengerSocket:
    """The socket of a passenger who was told the third move of ride 7."""
    socket = socket_on(wire, PassengerSocket)
    socket._booking_id, socket._seq = 7, 3
    return socket


async def test_where_the_driver_is_waits_for_the_next_look_while_something_else_is_told():
    wire = StraightWire()
    socket = passenger_on(wire)
    async with socket._turn:
        socket.driver_moved(AT)
    assert (wire.sent, socket.driver_told(7)) == ([], None)
    socket.driver_moved(AT)
    socket.driver_moved(AT)
    assert len(wire.sent) == 1
    assert socket.driver_told(7) == AT.recorded_at


@pytest.mark.parametrize("known", [(7, 2), (7, 4), (8, 3), (None, 0)])
async def test_where_the_driver_is_is_not_told_of_another_moment_of_the_ride(known):
    wire = StraightWire()
    socket = passenger_on(wire)
    socket._booking_id, socket._seq = known
    socket.driver_moved(AT)
    assert (wire.sent, socket.driver_told(7)) == ([], None)


async def test_a_position_that_could_not_be_said_does_not_count_as_told():
    wire = StraightWire(reads=False)
    socket = passenger_on(wire)
    socket.driver_moved(AT)
    assert socket.driver_told(7) is None
    wire.writable.set()
    socket.driver_moved(AT)
    assert (len(wire.sent), socket.driver_told(7)) == (1, AT.recorded_at)

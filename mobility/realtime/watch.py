"""What a server process does beside answering: checking who may still be connected, and what hints did not tell."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from mobility.bookings.queries import newer_than_told, rides_of
from mobility.dispatch.duty import renew_presence
from mobility.dispatch.tracking import driver_positions, moved_drivers
from mobility.drivers.queries import told_more
from mobility.people.credentials import still_valid
from mobility.realtime.database import in_database
from mobility.realtime.driver import DriverSocket
from mobility.realtime.passenger import PassengerSocket
from mobility.realtime.socket import Closed, Socket

log = structlog.get_logger(__name__)
# Waits for the routing engine, so that no thread of the database does. One look is under way at a time.
_routing = ThreadPoolExecutor(1, thread_name_prefix="travel-times")


async def recheck_credentials() -> None:
    """Close every socket of this process whose credential does not hold any more; three queries for all of them.

    Logging out closes sockets at once through a hint. This finds what no hint told of: expiry, or a hint that was lost.
    """
    asked = {s for s in Socket.live if not s.principal.is_guest}
    if not asked:
        return
    holding = await in_database(still_valid, {s.principal for s in asked})
    for socket in asked:
        if socket.principal not in holding:
            try:
                await socket.recheck()
            except Closed:
                log.info("credential_ended")


def _drivers() -> list[DriverSocket]:
    return [s for s in Socket.live if isinstance(s, DriverSocket)]


async def keep_presence() -> None:
    """Extend the leases of the drivers connected here; close a socket that a newer one has taken the place of."""
    open_now = {socket.driver_id: socket for socket in _drivers() if socket.is_present}
    if not open_now:
        return
    replaced = await in_database(renew_presence, {driver: s.socket_id for driver, s in open_now.items()})
    for driver_id in replaced:
        open_now[driver_id].heard({"type": "driver.replaced", "by": ""})


async def catch_up() -> None:
    """Tell sockets of what their hints did not: lost ones, or changes by a process that cannot hint. Three queries."""
    await _catch_up_rides()
    heard = {socket.driver_id: socket.inbox_told for socket in _drivers()}
    behind = {row.driver_id: row.inbox_seq for row in await in_database(told_more, heard)} if heard else {}
    for socket in _drivers():
        if socket.driver_id in behind:
            socket.heard({"type": "driver.told", "inbox_seq": behind[socket.driver_id]})


async def tell_driver_positions() -> None:
    """Tell passengers whose ride is under way where their driver is. One query for all of this process.

    Looking once a second, instead of sending each position to whoever might want it, is what bounds this: by rides, not
    by positions, and what is told is always the newest. A routing engine that hangs delays what is told by
    `routing_timeout_s`, for all rides together.
    """
    following: dict[int, list[PassengerSocket]] = {}
    for socket in Socket.live:
        if isinstance(socket, PassengerSocket) and (told := socket.told()):
            following.setdefault(told[0], []).append(socket)
    if not following:
        return
    known = {booking_id: sockets[0].driver_told(booking_id) for booking_id, sockets in following.items()}
    for booking_id, sockets in following.items():
        if any(socket.driver_told(booking_id) != known[booking_id] for socket in sockets):
            known[booking_id] = None  # one of them has been told less
    moved = await in_database(moved_drivers, known)
    if not moved:
        return
    for position in await asyncio.get_running_loop().run_in_executor(_routing, driver_positions, moved):
        for socket in following[position.booking_id]:
            socket.driver_moved(position)


async def _find_first_rides() -> None:
    """Sockets that were opened before there was a ride, whose first hint was lost."""
    waiting = [s for s in Socket.live if isinstance(s, PassengerSocket) and s.told() is None]
    if not waiting:
        return
    for row in await in_database(rides_of, [(s.principal.user_id, s.ride_id) for s in waiting]):
        waiting[row.place - 1].heard(
            {"type": "ride.moved", "ride_id": row.ride_id, "booking_id": row.booking_id, "seq": row.seq}
        )


async def _catch_up_rides() -> None:
    told: dict[int, int] = {}
    for position in (s.told() for s in Socket.live):
        if position is not None:
            booking_id, seq = position
            told[booking_id] = min(seq, told.get(booking_id, seq))
    await _find_first_rides()
    if not told:
        return
    moved = {row.booking_id: row for row in await in_database(newer_than_told, told)}
    for socket in tuple(Socket.live):
        position = socket.told()
        row = moved.get(position[0]) if position else None
        if row is not None:
            socket.heard({"type": "ride.moved", "ride_id": row.ride_id, "booking_id": row.booking_id, "seq": row.seq})

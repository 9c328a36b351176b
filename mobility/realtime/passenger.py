"""The passenger's socket: /ws/ride/<ride_id>/. It authorises, parses, calls one service and replies."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from mobility.bookings import queries
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.delivery import groups
from mobility.dispatch.services import SearchOutcome, cancel_ride, find_driver
from mobility.dispatch.tracking import DriverPosition
from mobility.errors import Refusal
from mobility.people.throttle import refund_search, spend_search
from mobility.realtime import frames
from mobility.realtime.database import in_database
from mobility.realtime.once import Done, Reply, reply
from mobility.realtime.protocol import RIDE_ID, CancelRide, FindDriver, Ping, Resume, parse_passenger
from mobility.realtime.socket import Socket

log = structlog.get_logger(__name__)


# A client that missed more than this is told the whole ride instead.
RESUME_AT_MOST = 200


class Since(NamedTuple):
    """What a client lacks: moves of the ride, or the state of the whole ride instead."""

    booking_id: int
    moves: list[Any]
    state: Any | None = None


class PassengerSocket(Socket):
    """One passenger (or guest) and one of their rides.

    `_booking_id` and `_seq` say what this client was last told of: moves up to there are never sent twice.
    """

    _booking_id: int | None = None
    _seq = 0
    _driver_told: tuple[int, datetime] | None = None  # the ride and time of the position told last

    def check_path(self) -> str:
        """The ride id of the path."""
        self.ride_id: str = self.scope["url_route"]["kwargs"]["ride_id"].removesuffix("/")
        if not RIDE_ID.fullmatch(self.ride_id):
            raise Refusal("bad_ride_id")
        return self.ride_id

    async def opened(self) -> None:
        """Greet; on a reconnect tell where the ride stands. Joins first and reads after, so no move is missed."""
        await self.join(groups.audience(self.principal.user_id, self.ride_id))
        await self.tell(frames.connection_established(self.ride_id))
        async with self._turn:
            state = await in_database(self._state)
            known = None if state is None else state.booking_id
            log.info("connected", ride_id=self.ride_id, booking_id=known, guest=self.principal.is_guest)
            if state is not None:
                await self._tell_state(state)

    async def frame(self, text: str) -> None:
        """One command."""
        match parse_passenger(text):
            case Ping() as ping:
                await self.tell(frames.pong(self._seq or None))
                if ping.seq is not None:
                    async with self._turn:
                        await self._tell_since(ping.seq, await in_database(self._since, ping.seq))
            case Resume() as command:
                async with self._turn:
                    await self._resume(command.last_seq)
            case FindDriver() as command:
                async with self._turn:
                    await self._find_driver(command)
            case CancelRide() as command:
                async with self._turn:
                    await self._cancel(command)

    async def hinted(self, message: dict[str, Any]) -> None:
        """The log of one of the passenger's rides is longer: send what is not seen yet."""
        if message["ride_id"] != self.ride_id:
            return
        booking_id = message["booking_id"]
        told = self._booking_id or 0
        if booking_id < told or (booking_id == told and message["seq"] <= self._seq):
            return  # an older ride of a guest's ride id, or nothing new
        await self._catch_up(booking_id)

    def driver_told(self, booking_id: int) -> datetime | None:
        """When the position was recorded that this client was told last of the ride."""
        return self._driver_told[1] if self._driver_told and self._driver_told[0] == booking_id else None

    def driver_moved(self, position: DriverPosition) -> None:
        """Tell where the driver is, unless something else is being told or the client is not reading: then the next
        look, a second later, tells what is the newest by then."""
        if self._turn.locked() or self.driver_told(position.booking_id) == position.recorded_at:
            return
        # If the ride has moved since, who may see the driver now only the next look can say.
        if (position.booking_id, position.seq) != (self._booking_id, self._seq):
            return
        if self.say(json.dumps(frames.driver_location(position))):
            self._driver_told = position.booking_id, position.recorded_at

    def told(self) -> tuple[int, int] | None:
        """The booking shown and its seq, once there is one."""
        return None if self._booking_id is None else (self._booking_id, self._seq)

    def ended(self) -> None:
        """Note it; the ride goes on without the socket."""
        log.info("disconnected", ride_id=self.ride_id, booking_id=self._booking_id)

    # --- commands ------------------------------------------------------------------------------------------------

    async def _find_driver(self, command: FindDriver) -> None:
        log.info("finding_driver", ride_id=self.ride_id, booking_id=self._booking_id)
        began = time.perf_counter()
        await self._tell_reply(await in_database(self._find_driver_now, command))
        log.info(
            "answered", ride_id=self.ride_id, booking_id=self._booking_id, took_ms=_since_ms(began),
        )  # fmt: skip

    async def _tell_reply(self, reply: Reply) -> None:
        for frame in reply.told:
            await self.tell(frame)
        if reply.answer is not None:
            await self.tell(reply.answer)

    def _changed(self, work: Callable[[Any], Done], command: FindDriver | CancelRide) -> Reply:
        """Do a command. What was told is noted only when it is committed, which `reply` sees to."""
        self.require_still_allowed()
        before = self._booking_id, self._seq

        def attempt() -> Done:
            self._booking_id, self._seq = before  # a try that was taken back told nothing
            return work(command)

        try:
            return reply(self.principal, self.ride_id, command, attempt)
        except BaseException:
            self._booking_id, self._seq = before
            raise

    def _find_driver_now(self, command: FindDriver) -> Reply:
        passenger_id, address = self.principal.user_id, self._address()
        in_budget = spend_search(passenger_id, address)
        began = counts = False

        def find(command: Any) -> Done:
            nonlocal began
            began = False  # an earlier try was taken back
            outcome = find_driver(passenger_id, self.ride_id, command.request(), may_search=in_budget)
            began = outcome.new_search
            return Done(self._answer(outcome), self._about(outcome.booking_id, outcome.seq))

        try:
            done = self._changed(find, command)
            counts = began
        finally:
            if in_budget and not counts:
                refund_search(passenger_id, address)  # only searches that were begun, and committed, count
        return done

    def _about(self, booking_id: int, seq: int) -> frames.Frame:
        return {"ride_id": self.ride_id, "booking_id": booking_id, "seq": seq}

    def _answer(self, outcome: SearchOutcome) -> list[frames.Frame]:
        """What the client is told: moves it missed, then those of this search, or the present state."""
        if outcome.new_search:
            known = self._seq if outcome.booking_id == self._booking_id else outcome.first_seq - 1
            rows = queries.events_after(outcome.booking_id, known)
            self._booking_id, self._seq = outcome.booking_id, rows[-1].seq
            return [frame for row in rows for frame in frames.of_event(row)]
        missed = self._missed(outcome.booking_id, outcome.seq)
        self._booking_id, self._seq = outcome.booking_id, outcome.seq
        # The last missed move may be the very message of the present state: it is not told twice.
        state = frames.of_state(queries.ride_state(outcome.booking_id))
        said = {(frame["type"], frame["seq"]) for frame in state}
        return [*(frame for frame in missed if (frame["type"], frame["seq"]) not in said), *state]

    def _missed(self, booking_id: int, up_to: int) -> list[frames.Frame]:
        if booking_id != self._booking_id or self._seq >= up_to:
            return []
        rows = queries.events_after(booking_id, self._seq)
        return [frame for row in rows if row.seq <= up_to for frame in frames.of_event(row)]

    async def _cancel(self, command: CancelRide) -> None:
        await self._tell_reply(await in_database(self._changed, self._cancel_now, command))

    def _cancel_now(self, command: CancelRide) -> Done:
        booking_id = self._booking_id or queries.booking_id_of(self.principal.user_id, self.ride_id)
        if booking_id is None:
            raise Refusal("no_ride")
        seq = cancel_ride(booking_id, Actor(self.principal.user_id, ActorRole.PASSENGER), command.reason or "")
        # The same again is answered with the same row, even when this client has seen it.
        after = min(self._seq, seq - 1) if booking_id == self._booking_id else seq - 1
        self._booking_id, self._seq = booking_id, seq
        told = [frame for row in queries.events_after(booking_id, after) for frame in frames.of_event(row)]
        return Done(told, self._about(booking_id, seq))

    async def _resume(self, last_seq: int) -> None:
        since = await in_database(self.if_allowed, self._since, last_seq)
        if since is None:
            raise Refusal("no_ride")
        await self._tell_since(last_seq, since)

    # --- reading -------------------------------------------------------------------------------------------------

    async def _catch_up(self, booking_id: int) -> None:
        after = self._seq if booking_id == self._booking_id else 0
        for row in await in_database(queries.events_after, booking_id, after):
            self._booking_id, self._seq = booking_id, row.seq
            for frame in frames.of_event(row):
                await self.tell(frame)

    def _since(self, last_seq: int) -> Since | None:
        """What a client lacks that knows the moves up to `last_seq`; None without a ride."""
        booking_id = self._booking_id or queries.booking_id_of(self.principal.user_id, self.ride_id)
        if booking_id is None:
            return None
        if last_seq == self._seq and not queries.newer_than_told({booking_id: last_seq}):
            return Since(booking_id, [])
        rows = queries.events_after(booking_id, last_seq)
        if 0 < len(rows) <= RESUME_AT_MOST:
            return Since(booking_id, rows)
        state = queries.ride_state(booking_id)
        return Since(booking_id, [], None if state.seq == last_seq else state)

    async def _tell_since(self, last_seq: int, since: Since | None) -> None:
        if since is None:
            return
        if since.state is not None:  # too far behind, or ahead of the truth: the whole ride
            await self._tell_state(since.state)
            return
        self._booking_id = since.booking_id
        self._seq = last_seq
        for row in since.moves:
            self._seq = row.seq
            for frame in frames.of_event(row):
                await self.tell(frame)

    async def _tell_state(self, state: Any) -> None:
        self._booking_id, self._seq = state.booking_id, state.seq
        for frame in (frames.ride_state(state), *frames.of_state(state)):
            await self.tell(frame)

    def _state(self) -> Any:
        booking_id = queries.booking_id_of(self.principal.user_id, self.ride_id)
        return None if booking_id is None else queries.ride_state(booking_id)

    def _address(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""


def _since_ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)

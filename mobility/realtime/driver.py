"""The driver's socket: /ws/driver/<driver_id>/. It authorises, parses, calls one service and replies."""

import asyncio
import re
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import structlog

from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.conf import knobs
from mobility.delivery import groups
from mobility.dispatch import driving, duty, offers
from mobility.dispatch.inbox import AT_ONCE, DriverView, inbox_after, read_state, ride_of_offer
from mobility.dispatch.offers import RideRef
from mobility.drivers.queries import own_driver
from mobility.errors import Refusal
from mobility.locations import ingest
from mobility.locations.fixes import SENTENCES, Drop, Fix
from mobility.locations.stored import Stored
from mobility.realtime import auth, driver_frames
from mobility.realtime.database import in_database
from mobility.realtime.frames import Frame, command_done, pong
from mobility.realtime.limits import TakingTurns, TokenBucket
from mobility.realtime.once import Done, Reply, refused, reply, wanted_by
from mobility.realtime.protocol import (
    AcceptRide,
    CompleteRide,
    DeclineRide,
    DriverArrived,
    GiveBackRide,
    GoOffline,
    GoOnline,
    LocationUpdate,
    NoShow,
    Ping,
    ResumeInbox,
    RideRequestReceived,
    StartRide,
    parse_driver,
)
from mobility.realtime.socket import CLOSE_REPLACED, Socket

log = structlog.get_logger(__name__)
DRIVER_ID = re.compile(r"\+?[0-9]{1,19}\Z")
# A driver who missed more than this is told the present state instead.
RESUME_AT_MOST = 200
STORED_WITHIN_S = 3.0
_accepting = TakingTurns(patience_s=0.5)
_MOVES: dict[type, tuple[Any, str]] = {
    DriverArrived: (driving.arrive_at_pickup, "driver_arrived"),
    StartRide: (driving.start_ride, "ride_started"),
    CompleteRide: (driving.complete_ride, "ride_completed"),
    NoShow: (driving.report_no_show, "no_show"),
}


def _about(row: Any) -> Frame:
    return {"ride_id": row.ride_id, "booking_id": row.booking_id}


def _dropped(reason: Drop, count: int) -> Refusal:
    return Refusal("position_dropped", SENTENCES[reason], reason=reason, dropped=count)


class DriverSocket(Socket):
    """A driver's own and newest socket.

    `inbox_told` is the number in the driver's inbox this client was told last; `is_present`, that the driver's presence
    has this socket's name.
    """

    driver_id: int
    socket_id: UUID
    inbox_told = 0
    is_present = False

    def check_path(self) -> None:
        """The path names a driver, by number or phone; which one is looked up once we know who is speaking."""
        self._named: str = self.scope["url_route"]["kwargs"]["driver_id"].removesuffix("/")
        if not DRIVER_ID.fullmatch(self._named):
            raise Refusal("bad_driver_id")

    async def admit(self) -> None:
        """Only the driver themselves."""
        if self.principal.is_guest:
            raise Refusal("unauthenticated")
        mine = await in_database(own_driver, self.principal.user_id, self._named)
        if mine is None:
            raise Refusal("forbidden", "This is not your driver's account.")
        self.driver_id, self.socket_id = mine.id, uuid4()
        self._confirms = auth.subprotocol(self.scope) is not None
        self._storing: list[Stored | Future[Any]] = []  # done when positions are stored that were told
        self._positions = TokenBucket(knobs().positions_per_s, knobs().positions_burst)
        self._drops_told: set[Drop] = set()

    async def opened(self) -> None:
        """Take the place of an older socket, greet, and tell where the driver stands. Joins first and reads after."""
        await self.join(groups.driver(self.driver_id))
        async with self._turn:
            state = await in_database(self._arrive)
            self.is_present = True
            log.info("driver_connected", driver_id=self.driver_id)
            await self.tell(driver_frames.connection_established(self.driver_id))
            await self._tell_state(state)

    def budget_of(self, text: str | None) -> TokenBucket:
        """Positions have a budget of their own, so that a stream of them never costs a driver their answer."""
        return self._positions if text is not None and '"location_update"' in text else super().budget_of(text)

    async def frame(self, text: str) -> None:
        """One command."""
        command = parse_driver(text)
        if isinstance(command, Ping):
            await self._pong(command.seq)
            return
        if isinstance(command, LocationUpdate):
            await self._take_positions(command)
            return
        async with self._turn:
            await self._position_stored()
            if isinstance(command, ResumeInbox):
                await self._resume(command.last_inbox_seq)
                return
            done = await self._obeyed(command)
            for told in done.told:
                await self.tell(told)
            await self._tell_inbox()
            if done.answer is not None:
                await self.tell(done.answer)

    async def _pong(self, seq: int | None) -> None:
        """Answer at once; and bring a client that says what it knows up to the present."""
        await self.tell(pong(self.inbox_told))
        if seq is not None:
            async with self._turn:
                await (self._tell_inbox() if seq == self.inbox_told else self._resume(seq))

    async def _take_positions(self, command: LocationUpdate) -> None:
        """Put them into the buffer. A credential that ended is found by a hint or the recheck, not asked each time."""
        fixes = command.fixes(self.driver_id)
        if command.command_id is not None:
            await self._take_named(command, fixes)
            return
        taken = ingest.take(fixes) if ingest.is_buffered() else await in_database(ingest.take, fixes)
        self._being_stored(taken.stored)
        await self._tell_drops(taken.dropped)

    async def _take_named(self, command: LocationUpdate, fixes: list[Fix]) -> None:
        """Answered when they are stored. An answer that takes too long is `unavailable`; the repeat gets it."""
        wanted = wanted_by(self.principal, str(self.driver_id), command)

        def answer(dropped: "Counter[Drop]") -> Frame:
            if dropped.total() == len(fixes):
                return refused(command, _dropped(*dropped.most_common(1)[0]))
            return command_done(wanted.command_id, command.type, {"dropped": dict(dropped)} if dropped else {})

        named = wanted, fixes, answer
        told = ingest.take_named(*named) if ingest.is_buffered() else await in_database(ingest.take_named, *named)
        self._being_stored(told)
        (outcome,) = await self._soon(told)
        # Not raised: an exception that its own future holds would keep this socket in memory.
        await (self._tell_error(outcome) if isinstance(outcome, Refusal) else self.tell(outcome))

    async def _tell_drops(self, dropped: "Counter[Drop]") -> None:
        """Each reason once, until positions are good again: a phone in a tunnel need not hear it every second."""
        for reason, count in dropped.items():
            if reason not in self._drops_told:
                self._drops_told.add(reason)
                await self._tell_error(_dropped(reason, count))
        if not dropped:
            self._drops_told.clear()

    async def _position_stored(self) -> None:
        """What comes after positions sees them. What became of named ones is told by their own answers."""
        self._being_stored(None)
        for outcome in await self._soon(*self._storing) if self._storing else ():
            if isinstance(outcome, str):
                raise Refusal(outcome)

    def _being_stored(self, more: "Stored | Future[Any] | None") -> None:
        """Keep those that are not done: two threads write, so a later one may be done before an earlier one."""
        self._storing = [one for one in self._storing if one is not more and not one.done()]
        if more is not None and not more.done():
            self._storing.append(more)

    async def _soon(self, *stored: "Stored | Future[Any]") -> list[Any]:
        ingest.hurry()
        futures = [one.future() if isinstance(one, Stored) else one for one in stored]
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                return [await asyncio.shield(asyncio.wrap_future(one)) for one in futures]
        except TimeoutError:
            raise Refusal("unavailable") from None

    async def _obeyed(self, command: Any) -> Reply:
        if not isinstance(command, AcceptRide):
            return await in_database(self._obey, command)
        # Of a wave that accepts together one wins; the others need not hold a worker each until that is settled.
        async with _accepting.turn(command.ref):
            return await in_database(self._obey, command)

    async def hinted(self, message: dict[str, Any]) -> None:
        """There is something in the inbox, or another socket has taken this one's place."""
        if message["type"] == "driver.replaced":
            # The hint may be an old one: the row says whose turn it is.
            if message["by"] != str(self.socket_id) and await in_database(
                duty.renew_presence, {self.driver_id: self.socket_id}
            ):
                log.info("driver_replaced", driver_id=self.driver_id)
                await self.close(CLOSE_REPLACED)
        elif message["inbox_seq"] > self.inbox_told:
            await self._tell_inbox()

    def ended(self) -> None:
        """Note it. The driver's presence is a lease and ends by itself."""
        if hasattr(self, "driver_id"):
            log.info("driver_disconnected", driver_id=self.driver_id)

    # --- commands ------------------------------------------------------------------------------------------------

    def _obey(self, command: Any) -> Reply:
        """Do what a command says; what it is answered with beside the inbox."""
        self.require_still_allowed()
        done = reply(self.principal, str(self.driver_id), command, lambda: self._do(command))
        if isinstance(command, GoOnline | GoOffline) and (done.answer is None or done.answer["type"] != "error"):
            return Reply([self._duty_changed(command)], done.answer)
        return done

    def _do(self, command: Any) -> Done:
        match command:
            case GoOnline():
                duty.go_online(self.driver_id, command.auto_accept)
                return Done([])
            case GoOffline():
                duty.go_offline(self.driver_id)
                return Done([])
            case AcceptRide():
                return self._accept(command.ref)
            case RideRequestReceived():
                given = offers.acknowledge_offer(self.driver_id, command.ref)
                return Done([driver_frames.request_acknowledged(given)], _about(given))
            case DeclineRide():
                offer = offers.offer_of(self.driver_id, command.ref)
                offers.decline_offer(self.driver_id, RideRef(booking_id=offer.booking_id), command.reason or "")
                return Done([driver_frames.request_declined(offer)], _about(offer))
        return self._move(command)

    def _duty_changed(self, command: GoOnline | GoOffline) -> Frame:
        """The driver after it. What they are being asked is taken in a commit of its own: it locks the ride first."""
        if isinstance(command, GoOnline) and command.auto_accept:
            with suppress(Refusal):  # over in this moment
                duty.take_open_request(self.driver_id)
        state, ride, request = read_state(self.driver_id)
        # Numbered by what this socket was told: the inbox from there on follows this frame.
        return driver_frames.driver_state(state._replace(inbox_seq=self.inbox_told), ride, request)

    def _accept(self, ref: RideRef) -> Done:
        booking_id = offers.accept_offer(self.driver_id, ref)
        offer = offers.offer_of(self.driver_id, RideRef(booking_id=booking_id))
        news = inbox_after(self.driver_id, self.inbox_told)
        if any(row.kind == "ride_assigned" and row.about_booking_id == booking_id for row in news):
            return Done([], _about(offer))  # the inbox says it
        return Done([driver_frames.ride_assigned(ride_of_offer(offer.id), self.inbox_told)], _about(offer))

    def _move(self, command: Any) -> Done:
        offer = offers.offer_of(self.driver_id, command.ref)
        if isinstance(command, GiveBackRide):
            driving.give_back_ride(offer.booking_id, self._actor, self.driver_id, command.reason or "")
            return Done([], _about(offer))  # the inbox says it
        service, kind = _MOVES[type(command)]
        service(offer.booking_id, self._actor, self.driver_id)
        return Done([driver_frames.moved(kind, ride_of_offer(offer.id))], _about(offer))

    @property
    def _actor(self) -> Actor:
        return Actor(self.principal.user_id, ActorRole.DRIVER)

    # --- telling -------------------------------------------------------------------------------------------------

    def _arrive(self) -> DriverView:
        duty.connect_driver(self.driver_id, self.socket_id)
        return read_state(self.driver_id)

    async def _tell_state(self, snapshot: DriverView) -> None:
        """The snapshot, and the fixed messages of it for apps that don't know `driver_state`."""
        state, ride, request = snapshot
        self.inbox_told = state.inbox_seq
        await self.tell(driver_frames.driver_state(state, ride, request))
        if ride is not None:
            await self.tell(driver_frames.ride_assigned(ride, state.inbox_seq))
        if request is not None:
            await self._tell_request(driver_frames.ride_request(request, state.inbox_seq), request.offer_id)

    async def _tell_inbox(self) -> None:
        """Everything in the inbox that this client has not been told, in order."""
        await self._tell_news(await in_database(inbox_after, self.driver_id, self.inbox_told))

    async def _tell_news(self, news: list[Any]) -> None:
        """These rows of the inbox, which follow what was told last, and all that come after them."""
        while news:
            for row in news:
                for told in driver_frames.of_inbox(row):
                    if told["type"] == "ride_request":
                        await self._tell_request(told, row.offer_id)
                    else:
                        await self.tell(told)
                self.inbox_told = row.inbox_seq
            more = len(news) == AT_ONCE
            news = await in_database(inbox_after, self.driver_id, self.inbox_told) if more else []

    async def _tell_request(self, frame: Frame, offer_id: int) -> None:
        """Ask. An app that confirms what it receives starts the clock itself; for others it starts with the writing."""
        await self.tell(frame)
        if not self._confirms:
            await in_database(offers.mark_delivered, self.driver_id, offer_id)

    async def _resume(self, last_inbox_seq: int) -> None:
        if self.inbox_told - last_inbox_seq not in range(RESUME_AT_MOST + 1):
            await self._tell_state(await in_database(self.if_allowed, read_state, self.driver_id))
            return
        news = await in_database(self.if_allowed, inbox_after, self.driver_id, last_inbox_seq)
        self.inbox_told = last_inbox_seq
        await self._tell_news(news)

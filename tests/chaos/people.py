"""The people of a run: passengers who ask, wait and sometimes cancel; drivers who take rides, or not, and drive."""

import asyncio
import math
import random
from datetime import UTC, datetime
from typing import Any

from websockets import Subprotocol

from tests.chaos.app import App, World
from tests.chaos.history import Frame, View

_STATUS = {
    "searching": "pending", "driver_assigned": "confirmed", "driver_arrived": "confirmed",
    "ride_started": "in_progress", "ride_completed": "completed", "no_show": "no_show",
    "ride_cancelled": "cancelled", "no_drivers": "unfulfilled",
}  # fmt: skip
OVER = frozenset({"completed", "no_show", "cancelled"})
MIDDLE = (-26.2041, 28.0473)
WAITS_S = 40.0
BOOKS_WITHIN_S = 60.0
CONFIRMS = Subprotocol("careconnect.v1")


class Passenger(App):
    """A passenger's app on one ride. `status` is the ride's as far as it was told, "" before there is one."""

    def __init__(self, world: World, who: int, ride_id: str, rng: random.Random, *, server: int | None = None) -> None:
        super().__init__(
            world, "passenger", who, who, f"/ws/ride/{ride_id}/", rng, ride_id=ride_id, server=server
        )  # fmt: skip
        self.ride: str = ride_id
        self.status = ""
        self.booking_id: int | None = None

    def told(self, frame: Frame) -> None:
        """Follow the ride; what is told again changes nothing."""
        kind, seq = frame["type"], frame.get("seq")
        if kind == "pong" or not isinstance(seq, int) or seq < (self.known or 0):
            return
        self.booking_id = frame.get("booking_id", self.booking_id)
        if kind == "ride_state":
            self.status = frame["status"]
        elif kind == "driver_assigned" and seq == self.known and self.status == "in_progress":
            return  # the fixed message of a ride under way
        else:
            self.status = _STATUS.get(kind, self.status)

    async def find(self, **how: Any) -> Any:
        """Ask for a driver, from somewhere near the middle."""
        near = [round(place + self.rng.uniform(-0.02, 0.02), 6) for place in MIDDLE]
        op = await self.command(
            "find_driver", self.ride, mark="notes", pickup_latitude=near[0], pickup_longitude=near[1],
            dropoff_latitude=MIDDLE[0] + 0.1, dropoff_longitude=MIDDLE[1] + 0.1, **how,
        )  # fmt: skip
        if op.outcome == "ok":
            # A repeated command's answer can come before the events: what was believed until then is the search before.
            await self.until(lambda: (self.known or 0) >= op.answers[0]["seq"], WAITS_S)
        return op

    def wish(self) -> dict[str, str]:
        """Now and then a vehicle that nobody has, so that a search finds nobody and is begun again."""
        return {"vehicle_type": "ambulance"} if self.rng.random() < 0.15 else {}

    async def cancel(self) -> Any:
        """Call it off."""
        return await self.command("cancel_ride", self.ride, mark="reason")

    async def see_it_through(self) -> None:
        """Wait for the ride's end; call it off when it takes too long, sometimes after a moment already."""
        patience_s = self.rng.uniform(0, 3) if self.rng.random() < 0.2 else WAITS_S
        while not await self.until(lambda: self.status in OVER or self.status == "unfulfilled", patience_s):
            op = await self.cancel()
            if op.outcome == "fail" and op.code != "ride_in_progress":
                return
            patience_s = WAITS_S
        if self.status == "unfulfilled" and not self.world.closing and self.rng.random() < 0.6:
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))
            if (await self.find(**self.wish())).outcome == "ok":
                await self.see_it_through()

    def view(self) -> View:
        """What this passenger believes."""
        return View("passenger", self.who, self.booking_id, self.known or 0, self.status)


async def travel(world: World, who: int, rng: random.Random, apps: dict[int, Passenger]) -> None:
    """Ride after ride; the last one's app stays open, in `apps`."""
    number = 0
    while not world.closing:
        number += 1
        app = await _next_app(apps, Passenger(world, who, f"r{who}-{number}", rng))
        op = await app.find(**app.wish())
        if op.outcome == "ok":
            await app.see_it_through()
        elif op.outcome == "unknown":
            await app.cancel()  # in vain when it comes to life later: then the next ride finds it alive
        elif op.code == "live_ride_exists":
            other = await _next_app(apps, Passenger(world, who, op.answers[0]["ride_id"], rng))
            await other.see_it_through()
        await asyncio.sleep(rng.uniform(0.1, 0.8))


async def _next_app(apps: dict[int, Passenger], app: Passenger) -> Passenger:
    if app.who in apps:
        await apps.pop(app.who).close()
    apps[app.who] = await app.open()
    return app


class Driver(App):
    """A driver's app. `ride` is the frame of the ride held, `request` that of the one asked for, None without."""

    number, resume_by = "inbox_seq", "last_inbox_seq"

    def __init__(self, world: World, who: int, rng: random.Random, *, confirms: bool) -> None:
        super().__init__(
            world, "driver", who, who, f"/ws/driver/{who}/", rng, subprotocols=(CONFIRMS,) if confirms else ()
        )
        self.confirms, self.online = confirms, False
        self.ride: Frame | None = None
        self.request: Frame | None = None
        self._state_at = 0

    def told(self, frame: Frame) -> None:
        """Follow the inbox. The state says it all up to its number, whatever is told again after it."""
        kind, seq, about = frame["type"], frame.get("inbox_seq"), frame.get("booking_id")
        if kind == "driver_state":
            self._state_at, self.online = frame["inbox_seq"], frame["status"] != "offline"
            self.ride, self.request = frame["ride"] and dict(frame["ride"]), frame["request"]
        elif seq is not None and seq <= self._state_at:
            return
        elif kind == "ride_request":
            self.request = frame
        elif kind == "ride_assigned":
            self.ride, self.request = dict(frame), None
        elif kind == "went_offline":
            self.online = False
        elif kind == "ride_request_closed" and self.request and self.request["booking_id"] == about:
            self.request = None
        elif self.ride is None or self.ride["booking_id"] != about:
            return
        elif kind in {"ride_cancelled", "ride_released", "ride_completed"}:
            self.ride = None
        elif kind in {"driver_arrived", "ride_started"}:
            self.ride |= {name: frame[name] for name in ("status", "arrived_at") if name in frame}

    async def work(self) -> None:
        """Take rides and drive them until the run has ended."""
        auto_accept = self.rng.random() < 0.25
        await self.command("go_online", auto_accept=auto_accept)
        while not self.world.ended:
            if self.ride is not None:
                await self._drive(self.ride)
            elif self.request is not None:
                await self._answer(self.request)
            elif not self.online:
                await self.command("go_online")
            elif self.rng.random() < 0.03 and not self.world.closing:
                await self.command("go_offline")
                auto_accept = not auto_accept
                await self.command("go_online", auto_accept=auto_accept)
            await self.until(lambda: (self.ride or self.request) is not None or not self.online, 1)
        if auto_accept:
            await self.command("go_offline")  # else the service would go on taking rides for them

    async def _about(self, kind: str, frame: Frame, **more: Any) -> bool:
        """A command about a ride; whether it worked. If not, what this app believes is old: a new socket tells."""
        names = {name: frame[name] for name in ("ride_id", "booking_id")}
        op = await self.command(kind, frame["booking_id"], **names, **more)
        if op.outcome != "ok":
            self.leave()
            await asyncio.sleep(0.3)
            await self.until(lambda: self.is_open, 5)
        return bool(op.outcome == "ok")

    async def _answer(self, request: Frame) -> None:
        if self.confirms and not await self._about("ride_request_received", request):
            return
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        if self.request is None or self.request["booking_id"] != request["booking_id"]:
            return
        dice = self.rng.random()
        if dice < 0.05:  # looks away until the request is over
            await self.until(lambda: self.request is not request, 6)
        elif dice < 0.2:
            await self._about("decline_ride", request, mark="reason")
        else:
            await self._about("accept_ride", request)
        if self.request is request:
            self.request = None

    async def _drive(self, ride: Frame) -> None:
        """The next step of the ride that is held."""
        await asyncio.sleep(self.rng.uniform(0.05, 0.4))
        if self.ride is not ride:
            return  # called off meanwhile
        if ride["status"] == "in_progress":
            if await self._about("complete_ride", ride) and self.ride is ride:
                self.ride = None
        elif ride.get("arrived_at"):
            await self._about("start_ride", ride)
        elif self.rng.random() < 0.1:
            if await self._about("cancel_ride", ride, mark="reason") and self.ride is ride:
                self.ride = None
        else:
            await self._move(ride["pickup_latitude"], ride["pickup_longitude"])
            await self._about("driver_arrived", ride)

    async def _move(self, latitude: float, longitude: float) -> None:
        """Half the devices' positions say their time; the others are of when they arrive. No two are of one place."""
        place = {"latitude": latitude + self.rng.uniform(-1e-5, 1e-5), "longitude": longitude}
        if self.rng.random() < 0.5:
            place["recorded_at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        await self.command("location_update", **place)

    def view(self) -> View:
        """What this driver believes."""
        return View("driver", self.who, self.ride["booking_id"] if self.ride else None, self.known or 0, "")


class Probe:
    """A passenger who sits on one server and asks for a driver when told to: how long it is until one can book."""

    def __init__(self, world: World, who: int, server: int, rng: random.Random) -> None:
        self._world, self._who, self._server, self._rng = world, who, server, rng
        self._asked = 0
        self._apps: dict[int, Passenger] = {}

    async def sit(self) -> None:
        """Call off what was booked, and open a socket on the server for the next ride."""
        before = self._apps.get(self._who)
        if before is not None and before.status not in OVER:
            await before.cancel()
        self._asked += 1
        await self._open_app(f"p{self._who}-{self._asked}")

    async def book(self) -> float:
        """Ask now, and again if need be; the time when a booking was answered (never: infinity)."""
        op = await self._apps[self._who].find(patience_s=BOOKS_WITHIN_S)
        while op.outcome == "fail" and op.code == "live_ride_exists":
            other = await self._open_app(op.answers[0]["ride_id"])
            await other.see_it_through()
            await self.sit()
            op = await self._apps[self._who].find(patience_s=BOOKS_WITHIN_S)
        return op.ended if op.outcome == "ok" and op.ended is not None else math.inf

    async def close(self) -> None:
        """Go without a word; what was booked stays."""
        for app in self._apps.values():
            await app.close()

    async def _open_app(self, ride_id: str) -> Passenger:
        app = Passenger(self._world, self._who, ride_id, self._rng, server=self._server)
        await _next_app(self._apps, app)
        await app.until(lambda: app.is_open, 10)
        return app

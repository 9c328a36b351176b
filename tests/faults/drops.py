"""Whole rides between apps whose connections break at random bytes, again and again."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.phones import TERMINAL, DriverPhone, PassengerPhone
from tests.faults.proxy import FaultProxy
from tests.server import EXAMPLE

PLACES_APART_DEG = 0.5


@dataclass(frozen=True)
class Place:
    """People who live so far from all others that nobody else is asked: a passenger and two drivers."""

    number: int
    passenger: str  # tokens
    drivers: tuple[tuple[int, str], ...]

    @property
    def latitude(self) -> float:
        """Where they are; all at the example's longitude."""
        return EXAMPLE["pickup_latitude"] + self.number * PLACES_APART_DEG


@dataclass
class Outcome:
    """What a run came to: how often connections broke, the logs of the apps by ride id, and whatever was odd."""

    breaks: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    logs: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


@dataclass
class Story:
    """One ride's people, as the scripts below see them."""

    passenger: PassengerPhone
    drivers: list[DriverPhone]
    find: dict[str, Any]
    operator: Callable[[str], Awaitable[None]]

    async def asked(self, *, at_least: int = 1) -> list[DriverPhone]:
        """The drivers who are being asked for the ride, as soon as there are so many."""
        await self.passenger.do(self.find)
        return await self.being_asked(at_least)

    async def being_asked(self, at_least: int) -> list[DriverPhone]:
        """The drivers who have the request on their screens."""
        waits = {asyncio.ensure_future(d.until(lambda d=d: bool(d.requests))): d for d in self.drivers}
        done: set[asyncio.Future[None]] = set()
        while len(done) < at_least:
            now, _ = await asyncio.wait(waits.keys() - done, return_when=asyncio.FIRST_COMPLETED)
            done |= now
        for wait in waits.keys() - done:
            wait.cancel()
        for wait in done:
            wait.result()
        return [waits[wait] for wait in done]

    async def stands(self, *status: str) -> None:
        """Wait until the passenger knows it."""
        await self.passenger.until(lambda: self.passenger.ride["status"] in status)

    async def driven_by(self) -> DriverPhone:
        """A driver who has accepted."""
        driver = (await self.asked())[0]
        await self.tell(driver, "accept_ride")
        await self.stands("confirmed")
        return driver

    async def tell(self, driver: DriverPhone, kind: str) -> dict[str, Any]:
        """A driver's command about the ride."""
        ride_id = self.passenger.path.split("/")[3]
        answer = await driver.do({"type": kind, "ride_id": ride_id})
        if kind == "decline_ride":
            driver.requests.clear()  # the answer says so, and may have been lost
        return answer


async def completed(s: Story) -> None:
    driver = await s.driven_by()
    for kind in ("driver_arrived", "start_ride", "complete_ride"):
        await s.tell(driver, kind)


async def nobody_came(s: Story) -> None:
    driver = await s.driven_by()
    for kind in ("driver_arrived", "no_show"):
        await s.tell(driver, kind)


async def called_off(s: Story) -> None:
    await s.driven_by()
    await s.passenger.do({"type": "cancel_ride", "reason": "found a lift"})


async def called_off_while_searching(s: Story) -> None:
    await s.asked()
    await s.passenger.do({"type": "cancel_ride"})


async def given_back_until_nobody_is_left(s: Story) -> None:
    """The second time is one too many: released into unfulfilled. Then asked for again, in vain, and called off."""
    await s.tell(await s.driven_by(), "cancel_ride")
    await s.stands("pending")
    second = (await s.being_asked(1))[0]
    await s.tell(second, "accept_ride")
    await s.stands("confirmed")
    await s.tell(second, "cancel_ride")
    await s.stands("unfulfilled")
    await s.passenger.do(s.find)
    await s.passenger.do({"type": "cancel_ride"})


async def declined(s: Story) -> None:
    for driver in await s.asked(at_least=2):
        await s.tell(driver, "decline_ride")
    await s.stands("unfulfilled")
    await s.passenger.do({"type": "cancel_ride"})


async def ended_by_an_operator(s: Story) -> None:
    driver = await s.driven_by()
    for kind in ("driver_arrived", "start_ride"):
        await s.tell(driver, kind)
    await s.stands("in_progress")
    await s.operator("cancel")


STORIES = (
    completed, nobody_came, called_off, called_off_while_searching, given_back_until_nobody_is_left, declined,
    ended_by_an_operator,
)  # fmt: skip
# For these stories the server needs them so; a driver who is there accepts nothing by themselves, and a search ends
# when all have declined instead of at its limit.
SETTINGS = {
    "CARECONNECT_NO_SHOW_WAIT_S": "0", "CARECONNECT_MAX_RELEASES": "1", "CARECONNECT_OFFER_TTL_S": "600",
    "CARECONNECT_DELIVERY_TIMEOUT_S": "600", "CARECONNECT_SEARCHES_PER_HOUR": "1000000",
    "CARECONNECT_ADDRESS_SEARCHES_PER_HOUR": "1000000", "CARECONNECT_FRAMES_PER_S": "1000",
    "CARECONNECT_CATCH_UP_S": "3600", "CARECONNECT_REACH_CELL_M": "0",
}  # fmt: skip


async def run(
    server_port: int, places: list[Place], operator_token: str, breaks: int, seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:  # fmt: skip
    """Rides at all places until connections have broken so often; every story is told at least once at each place."""
    outcome = Outcome()
    async with FaultProxy(server_port, seed).listening() as proxy:
        await asyncio.gather(
            *(_live(proxy, place, operator_token, breaks, seed, outcome, progress) for place in places)
        )
        outcome.breaks = dict(proxy.breaks)
    return outcome


async def _live(
    proxy: FaultProxy, place: Place, operator_token: str, breaks: int, seed: int, outcome: Outcome,
    progress: Callable[[int], None],
) -> None:  # fmt: skip
    rng = random.Random(f"{seed}/{place.number}")
    async with _drivers(proxy, place, seed) as drivers, httpx.AsyncClient() as http:
        n = 0
        while n < len(STORIES) or sum(proxy.breaks.values()) < breaks:
            story = STORIES[n % len(STORIES)]
            ride_id = f"p{place.number}-{n}"
            passenger = PassengerPhone(proxy.port, place.passenger, ride_id, rng.randrange(2**32))
            find = EXAMPLE | {"pickup_latitude": place.latitude, "dropoff_latitude": place.latitude + 0.1}
            operator = _operator(http, proxy, operator_token, passenger)
            try:
                await story(Story(passenger, drivers, find, operator))
                await passenger.until(lambda: passenger.ride["status"] in TERMINAL)  # noqa: B023 (awaited at once)
            except TimeoutError:
                outcome.odd.append(f"{ride_id} hangs in {story.__name__}: {passenger.ride}, {passenger.log}")
            await passenger.stop()
            outcome.logs[place.number, ride_id] = passenger.log
            outcome.odd += [f"{ride_id}: {odd}" for odd in passenger.odd]
            outcome.connections += passenger.connections
            n += 1
            progress(sum(proxy.breaks.values()))
            if outcome.odd:
                break
        for driver in drivers:
            outcome.odd += [f"{driver.path}: {odd}" for odd in driver.odd]
            outcome.connections += driver.connections


@contextlib.asynccontextmanager
async def _drivers(proxy: FaultProxy, place: Place, seed: int) -> AsyncIterator[list[DriverPhone]]:
    drivers = [DriverPhone(proxy.port, token, driver_id, seed + driver_id) for driver_id, token in place.drivers]
    try:
        for driver in drivers:
            await driver.do({"type": "go_online", "auto_accept": False})
        yield drivers
    finally:
        for driver in drivers:
            await driver.stop()


def _operator(
    http: httpx.AsyncClient, proxy: FaultProxy, token: str, passenger: PassengerPhone
) -> Callable[[str], Awaitable[None]]:
    async def act(verb: str) -> None:
        answer = await http.post(
            f"http://127.0.0.1:{proxy.server_port}/api/v1/bookings/{passenger.booking_id}/{verb}/",
            headers={"Authorization": f"Token {token}"}, json={"reason": "roadblock"},
        )  # fmt: skip
        answer.raise_for_status()

    return act

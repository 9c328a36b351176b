"""A ride that is followed: its passenger sees where the driver is, from the assignment to the end, and nobody else."""

import asyncio
import itertools
import time
from datetime import datetime

import pytest

from tests.realtime.test_driver import Fleet, about, confirmed
from tests.server import EXAMPLE

pytestmark = pytest.mark.usefixtures("committed_db")
PICKUP, DROPOFF = (-26.2041, 28.0473), (-26.1041, 28.1473)


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


async def drive(app, north_m: float) -> None:
    """The driver's app says that it is so many metres north of the pickup; stored when this returns."""
    where = {"latitude": PICKUP[0] + north_m / 110_600, "longitude": PICKUP[1], "heading": 180.0, "speed": 9.5}
    told = await app.ask({"type": "location_update", "command_id": f"p{time.monotonic_ns()}"} | where)
    assert told["type"] == "command_done", told


async def test_a_passenger_follows_their_driver_from_the_assignment_to_the_end(server, fleet):
    driver = await fleet.driver(north_m=3_000)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        first = await passenger.position()
        assert first | {"recorded_at": None} == {
            "type": "driver_location", "booking_id": request["booking_id"], "longitude": PICKUP[1],
            "latitude": pytest.approx(PICKUP[0] + 3_000 / 110_600), "heading": None, "speed": None, "recorded_at": None,
            "eta_minutes": pytest.approx(3 * 1.3 / 30 * 60, abs=0.1),
        }  # fmt: skip
        told = [first]
        for north_m in (2_000, 1_000, 100):
            await drive(app, north_m)
            told.append(await passenger.position())
        assert [f["eta_minutes"] for f in told] == [7.8, 5.2, 2.6, 0.3]
        assert (told[-1]["heading"], told[-1]["speed"]) == (180, 9.5)
        assert sorted(told, key=lambda f: f["recorded_at"]) == told
        await app.ask(about(request, "driver_arrived"))
        assert (await passenger.receive())["type"] == "driver_arrived"
        await app.ask(about(request, "start_ride"))
        assert (await passenger.receive())["type"] == "ride_started"
        await drive(app, 50)
        on_board = await passenger.position()
        assert on_board["eta_minutes"] == pytest.approx(14.85 * 1.3 / 30 * 60, abs=0.6)  # to the dropoff now
        await app.ask(about(request, "complete_ride"))
        assert (await passenger.until("ride_completed"))["type"] == "ride_completed"
        passenger.positions.clear()
        await drive(app, 2_500)
        await asyncio.sleep(2.5)
        await passenger.quiet()
        assert passenger.positions == []


async def test_positions_come_at_most_once_a_second_and_the_newest_is_told(server, fleet):
    driver = await fleet.driver(north_m=3_000)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await confirmed(server, fleet, passenger, app)
        heard: list[tuple[float, str]] = []

        async def listen() -> None:
            while True:
                frame = await passenger.position()
                heard.append((time.monotonic(), frame["recorded_at"]))

        listening = asyncio.ensure_future(listen())
        for n in range(35):
            await drive(app, 2_900 - 10 * n)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        listening.cancel()
        assert 3 <= len(heard) <= 8
        assert min(b[0] - a[0] for a, b in itertools.pairwise(heard)) > 0.9
        stamps = [datetime.fromisoformat(at) for _, at in heard]
        assert stamps == sorted(set(stamps))


async def test_a_position_that_is_known_is_not_told_again(server, fleet):
    driver = await fleet.driver(north_m=500)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await confirmed(server, fleet, passenger, app)
        await passenger.position()
        await asyncio.sleep(2.5)
        await passenger.quiet()
        assert passenger.positions == []
        async with server.ride() as again:  # a new connection knows nothing yet
            await again.until("driver_assigned")
            assert (await again.position())["eta_minutes"] == pytest.approx(1.3, abs=0.1)


async def test_nobody_else_sees_where_a_driver_is(server, fleet):
    driver, other = await fleet.driver(), await fleet.driver(north_m=5_000)
    async with (
        fleet.socket(server, driver) as app, fleet.socket(server, other) as idle, server.ride("one") as passenger,
        server.ride("two") as stranger, server.ride("three") as silent,
    ):  # fmt: skip
        request, _ = await confirmed(server, fleet, passenger, app)
        await stranger.send(EXAMPLE | {"vehicle_type": "ambulance"})
        await stranger.until("no_drivers")
        await drive(app, 700)
        assert (await passenger.position())["booking_id"] == request["booking_id"]
        await asyncio.sleep(1.5)
        for client in (stranger, silent, idle, app):
            await client.send({"type": "ping"})
            await client.until("pong")
            assert client.positions == []


async def test_a_driver_who_gave_the_ride_back_is_seen_no_more(server, fleet):
    driver = await fleet.driver(north_m=500)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        await passenger.position()
        await app.send(about(request, "cancel_ride"))
        await app.until("ride_released")
        await passenger.until("driver_released")
        passenger.positions.clear()
        await drive(app, 300)
        await asyncio.sleep(2.5)
        await passenger.send({"type": "ping"})
        await passenger.until("pong")
        assert passenger.positions == []

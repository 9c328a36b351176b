"""A ride that is followed with a real OSRM beside the server: the minutes are those of the roads."""

import asyncio
import contextlib
import itertools
import json
import re
import time

import pytest

from geo.coordinates import LatLon
from geo.geodesy import distance_m
from tests.engines import STREETS, route
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about
from tests.server import EXAMPLE, serving

PATIENT = {"CARECONNECT_ROUTING_TIMEOUT_S": "20"}  # the machine may be busy
pytestmark = pytest.mark.usefixtures("committed_db")
# From the south-east of the map around the harbour to the north, then to the west.
START, PICKUP, DROPOFF = LatLon(60.165, 24.9513), LatLon(60.1731, 24.9461), LatLon(60.1677, 24.937)
RIDE = EXAMPLE | {
    "pickup_latitude": PICKUP.latitude, "pickup_longitude": PICKUP.longitude, "dropoff_latitude": DROPOFF.latitude,
    "dropoff_longitude": DROPOFF.longitude, "distance_km": 2.0,
}  # fmt: skip


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


async def drive(app, at: LatLon) -> None:
    """The driver's app says where it is; stored when this returns."""
    where = {"latitude": at.latitude, "longitude": at.longitude}
    told = await app.ask({"type": "location_update", "command_id": f"p{time.monotonic_ns()}"} | where)
    assert told["type"] == "command_done", told


@contextlib.asynccontextmanager
async def under_way(server, fleet, ride_id, start=START):
    """A ride that is confirmed: its request, the driver's app and the passenger."""
    driver = await in_thread(fleet.make_driver, *start, auto_accept=False, stationary=True)
    async with fleet.socket(server, driver) as app, server.ride(ride_id) as passenger:
        await passenger.send(RIDE)
        request = await app.until("ride_request")
        await app.send(about(request, "accept_ride"))
        await passenger.until("driver_assigned")
        await app.until("ride_assigned")
        yield request, app, passenger


def along(line: list[LatLon], parts: int) -> list[LatLon]:
    """Places that many equal parts of the way apart, from the first such part to the last."""
    lengths = [distance_m(a, b) for a, b in itertools.pairwise(line)]
    places = []
    for part in range(1, parts + 1):
        left = sum(lengths) * part / parts
        for (a, b), length in zip(itertools.pairwise(line), lengths, strict=True):
            if left <= length or (a, b) == (line[-2], line[-1]):
                share = min(1.0, left / length) if length else 0.0
                places.append(LatLon(*(x + share * (y - x) for x, y in zip(a, b, strict=True))))
                break
            left -= length
    return places


async def told_minutes(app, passenger, places) -> list[float]:
    """Drive there, one after the other; the minutes the passenger is told at each."""
    minutes = []
    for at in places:
        await drive(app, at)
        frame = await passenger.position()
        assert (frame["latitude"], frame["longitude"]) == pytest.approx(at, abs=1e-6)
        minutes.append(frame["eta_minutes"])
    return minutes


def log_of(server) -> list[dict]:
    return [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]


@pytest.mark.slow
async def test_a_passenger_follows_their_driver_along_the_roads_to_the_pickup_and_on_to_the_dropoff(
    tmp_path, fleet, osrm
):
    _, to_pickup_s, to_pickup = route(osrm, START, PICKUP)
    _, to_dropoff_s, to_dropoff = route(osrm, PICKUP, DROPOFF)
    with serving(tmp_path, OSRM_URL=osrm.url, **PATIENT) as server:
        async with under_way(server, fleet, "show") as (request, app, passenger):
            first = await passenger.position()
            assert first["eta_minutes"] == pytest.approx(to_pickup_s / 60, abs=0.15)
            assert first["eta_minutes"] > 1.5 * 1.3 * distance_m(START, PICKUP) / (30 / 3.6) / 60  # no great circle
            minutes = [first["eta_minutes"], *await told_minutes(app, passenger, along(to_pickup, 8))]
            assert all(later < sooner for sooner, later in itertools.pairwise(minutes)), minutes
            assert minutes[-1] <= 0.2
            await app.ask(about(request, "driver_arrived"))
            assert (await passenger.receive())["type"] == "driver_arrived"
            await app.ask(about(request, "start_ride"))
            assert (await passenger.receive())["type"] == "ride_started"
            minutes = await told_minutes(app, passenger, along(to_dropoff, 8))
            assert minutes[0] == pytest.approx(to_dropoff_s * 7 / 8 / 60, abs=1.0)
            assert all(later < sooner for sooner, later in itertools.pairwise(minutes)), minutes
            assert minutes[-1] <= 0.2
            await app.ask(about(request, "complete_ride"))
            assert (await passenger.receive())["type"] == "ride_completed"
        assert {line["event"] for line in log_of(server)} & {"routing_fell_back", "background_work_failed"} == set()
        said = re.sub(r'"timestamp": "[^"]*"', "", server.output)
        assert "60.1" not in said
        assert "24.9" not in said


async def test_valhalla_says_the_minutes_too(tmp_path, fleet, valhalla):
    with serving(tmp_path, VALHALLA_URL=valhalla.url, **PATIENT) as server:
        async with under_way(server, fleet, "valhalla") as (_, _, passenger):
            told = await passenger.position()
        asked = valhalla.post("/sources_to_targets", {
            "sources": [{"lat": START.latitude, "lon": START.longitude}],
            "targets": [{"lat": PICKUP.latitude, "lon": PICKUP.longitude}], "costing": "auto",
        })  # fmt: skip
        seconds = asked["sources_to_targets"][0][0]["time"]
        assert told["eta_minutes"] == pytest.approx(seconds / 60, abs=0.051)
        assert seconds > 1.2 * 1.3 * distance_m(START, PICKUP) / (30 / 3.6)


async def test_an_engine_that_dies_and_comes_back_in_the_middle_of_a_ride(tmp_path, fleet, mortal_osrm):
    great_circle = 1.3 * distance_m(STREETS[0], PICKUP) / (30 / 3.6) / 60
    with serving(tmp_path, OSRM_URL=mortal_osrm.url, **PATIENT) as server:
        async with under_way(server, fleet, "dies") as (_, app, passenger):
            by_road = (await passenger.position())["eta_minutes"]
            mortal_osrm.kill()
            await drive(app, STREETS[0])
            assert (await passenger.position())["eta_minutes"] == pytest.approx(great_circle, abs=0.051)
            mortal_osrm.start()
            await drive(app, LatLon(START.latitude + 0.0002, START.longitude))
            assert (await passenger.position())["eta_minutes"] == pytest.approx(by_road, abs=1.0)
        fell_back = [line for line in log_of(server) if line["event"] == "routing_fell_back"]
        assert [(line["engine"], line["reason"], line["legs"]) for line in fell_back] == [("osrm", "connect", 1)]


async def test_an_engine_that_hangs_delays_positions_by_its_bound_and_holds_up_nothing_else(
    tmp_path, fleet, mortal_osrm
):
    """With one thread for the database: it does not wait for the engine."""
    with serving(
        tmp_path, OSRM_URL=mortal_osrm.url, CARECONNECT_SOCKET_DB_WORKERS="1", CARECONNECT_ROUTING_TIMEOUT_S="2"
    ) as server:
        async with under_way(server, fleet, "one") as (_, app, passenger):
            await passenger.position()
            async with under_way(server, fleet, "two", STREETS[9]) as (_, other_app, other):
                await other.position()
                with mortal_osrm.hung():
                    began = time.monotonic()
                    await drive(app, STREETS[1])
                    await drive(other_app, STREETS[2])
                    watched = asyncio.ensure_future(asyncio.gather(passenger.position(), other.position()))
                    slowest = 0.0
                    async with server.ride("three") as third:
                        while not watched.done():
                            asked = time.monotonic()
                            await third.ask({"type": "cancel_ride"})
                            slowest = max(slowest, time.monotonic() - asked)
                            await asyncio.sleep(0.1)
                    told = await watched
                    assert 1.5 < time.monotonic() - began < 1.0 + 2.0 + 1.5  # a look, the bound, slack
                    assert slowest < 0.7
        for frame, at in zip(told, (STREETS[1], STREETS[2]), strict=True):
            great_circle = 1.3 * distance_m(at, PICKUP) / (30 / 3.6) / 60
            assert frame["eta_minutes"] == pytest.approx(great_circle, abs=0.051)
        assert {line["reason"] for line in log_of(server) if line["event"] == "routing_fell_back"} == {"timeout"}

"""A ride that is driven with positions over the sockets leaves its track, seen over REST."""

import asyncio
import itertools
import json
import urllib.error
import urllib.request

import pytest
from knox.models import AuthToken

from geo.coordinates import LatLon
from geo.geodesy import destination, distance_m
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about, confirmed

pytestmark = pytest.mark.usefixtures("committed_db")
PICKUP = LatLon(-26.2041, 28.0473)
STEP_M, STEP_S = 13.0, 0.25  # 187 km/h, so that it need not take long


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


def corner() -> list[LatLon]:
    """Ten steps north, ten steps east."""
    path = [PICKUP]
    for bearing in [0.0] * 10 + [90.0] * 10:
        path.append(destination(path[-1], bearing_deg=bearing, distance_m=STEP_M))
    return path


def fetch(server, path: str, token: str) -> tuple[int, dict]:
    request = urllib.request.Request(f"{server.http}{path}", headers={"Authorization": f"Token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


async def test_a_ride_driven_over_sockets_has_its_track(server, fleet):
    driver = await fleet.driver()
    token = (await in_thread(AuthToken.objects.create, driver.user))[1]
    path = corner()
    numbers = itertools.count()

    async def tell(app, at: LatLon) -> None:
        told = await app.ask(
            {
                "type": "location_update",
                "command_id": f"p{next(numbers)}",
                "latitude": at.latitude,
                "longitude": at.longitude,
            }
        )
        assert told["type"] == "command_done", told

    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        address = f"/api/v1/bookings/{request['booking_id']}/track/"
        await app.ask(about(request, "driver_arrived"))
        await app.ask(about(request, "start_ride"))
        status, body = await in_thread(fetch, server, address, token)
        assert (status, body["code"], body["ride_status"]) == (404, "no_trip", "in_progress")
        for n, at in enumerate(path):
            await tell(app, at)
            if n == 7:
                await tell(app, destination(at, bearing_deg=45.0, distance_m=9_000))  # a reflection
            await asyncio.sleep(STEP_S)
        await app.ask(about(request, "complete_ride"))
        for _ in range(50):
            status, body = await in_thread(fetch, server, address, token)
            if status == 200:
                break
            await asyncio.sleep(0.1)
    assert status == 200, body
    told = body["properties"]
    truth = sum(distance_m(a, b) for a, b in itertools.pairwise(path))
    assert told["length_m"] == pytest.approx(truth, rel=0.02)
    assert (told["fixes"], told["jumps"], told["leaps"]) == (len(path), 1, 0)
    line = [LatLon(latitude, longitude) for longitude, latitude in body["geometry"]["coordinates"]]
    assert len(line) == 3
    assert sum(distance_m(a, b) for a, b in itertools.pairwise(line)) == pytest.approx(truth, rel=0.02)

"""The driver socket over a real server: every message, and whole rides between two real clients."""

import contextlib
import re
from dataclasses import dataclass
from typing import Any

import pytest
import websockets
from knox.models import AuthToken

from mobility.models import Driver, RideEvent
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, Client

pytestmark = pytest.mark.usefixtures("committed_db")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass
class Fleet:
    """Makes drivers and opens their sockets."""

    make_driver: Any

    async def driver(self, north_m: float = 0, **fields: Any) -> Driver:
        """A driver so many metres north of the example's pickup, who wants to be asked."""
        fields = {"auto_accept": False, "stationary": True} | fields
        return await in_thread(self.make_driver, -26.2041 + north_m / 110_600, 28.0473, **fields)

    @contextlib.asynccontextmanager
    async def socket(self, server, driver, *, confirms=False, named=None, drained=True):
        """The driver's socket, greeted; with `confirms` it negotiates careconnect.v1."""
        token = (await in_thread(AuthToken.objects.create, driver.user))[1]
        options = {"subprotocols": ["careconnect.v1"]} if confirms else {}
        async with websockets.connect(
            f"{server.ws}/ws/driver/{named or driver.pk}/",
            additional_headers={"Authorization": f"Token {token}"}, **options,
        ) as connection:  # fmt: skip
            client = Client(connection)
            if drained:
                assert (await client.receive())["type"] == "connection_established"
                await client.until("driver_state")
            yield client


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


def about(client_frame: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "ride_id": client_frame["ride_id"]} | more


async def test_a_whole_ride_between_two_apps(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride("12345") as passenger:
        assert (await passenger.ask(EXAMPLE))["type"] == "searching"
        request = await app.receive()
        assert request["type"] == "ride_request"
        await app.send(about(request, "accept_ride"))
        assigned = await app.receive()
        assert (assigned["type"], assigned["ride_id"]) == ("ride_assigned", "12345")
        assert (await passenger.receive())["driver"]["id"] == driver.pk
        for command, told in (
            ("driver_arrived", "driver_arrived"), ("start_ride", "ride_started"), ("complete_ride", "ride_completed"),
        ):  # fmt: skip
            answer = await app.ask(about(request, command))
            heard = await passenger.receive()
            assert (answer["type"], heard["type"]) == (told, told)
            assert answer["seq"] == heard["seq"]
        await app.quiet()
        await passenger.quiet()
    log = await in_thread(lambda: list(RideEvent.objects.order_by("seq").values_list("event", "actor_role")))
    assert log == [
        ("ride_requested", "passenger"), ("driver_assigned", "driver"), ("driver_arrived", "driver"),
        ("ride_started", "driver"), ("ride_completed", "driver"),
    ]  # fmt: skip
    done = await in_thread(Driver.objects.get)
    assert (done.status, done.total_rides) == ("available", 1)

"""The passenger socket over a real server: every fixed frame, repeats, reconnects, conflicts."""

import re

import pytest

from mobility.bookings import queries
from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.models import Driver
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE

pytestmark = pytest.mark.usefixtures("committed_db")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def john(make_user, make_driver):
    """The driver of the protocol's example."""
    user = make_user(username="john", first_name="John", last_name="Doe", phone="+27123456789", roles=["driver"])
    return make_driver(-26.2041, 28.0473, user=user, vehicle_registration="CA 123 GP", rating="4.8", stationary=True)


async def test_the_fixed_frames_of_a_ride(server, john):
    async with server.ride("12345", greeted=False) as client:
        assert await client.receive() == {
            "type": "connection_established", "message": "Connected to ride matching service", "ride_id": "12345",
        }  # fmt: skip
        pong = await client.ask({"type": "ping"})
        assert set(pong) == {"type", "timestamp"}
        assert TIMESTAMP.fullmatch(pong["timestamp"])
        searching = await client.ask(EXAMPLE)
        assert searching == {
            "type": "searching", "message": "Searching for available drivers...", "ride_id": "12345",
            "booking_id": searching["booking_id"], "seq": 1, "at": searching["at"],
        }  # fmt: skip
        assigned = await client.receive()
        assert assigned == {
            "type": "driver_assigned", "message": "Driver found!", "booking_id": searching["booking_id"], "seq": 2,
            "at": assigned["at"],
            "driver": {"id": john.pk, "name": "John Doe", "phone": "+27123456789", "vehicle_type": "sedan",
                       "vehicle_registration": "CA 123 GP", "rating": 4.8, "latitude": -26.2041, "longitude": 28.0473},
        }  # fmt: skip
        for value, kind in ((assigned["booking_id"], int), (assigned["driver"]["id"], int)):
            assert type(value) is kind
        for name in ("rating", "latitude", "longitude"):
            assert type(assigned["driver"][name]) is float


async def test_no_drivers_in_its_fixed_form(server):
    async with server.ride() as client:
        assert (await client.ask(EXAMPLE))["type"] == "searching"
        told = await client.receive()
        assert (told["type"], told["message"]) == ("no_drivers", "No drivers available nearby")


async def test_an_error_keeps_its_fixed_form_and_the_socket_open(server):
    async with server.ride() as client:
        told = await client.ask({"type": "nonsense"})
        assert (told["type"], type(told["message"]), told["code"]) == ("error", str, "unknown_type")
        await client.quiet()


async def test_asking_again_while_bound_gives_the_driver_again(server, john):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        first = await client.until("driver_assigned")
        assert await client.ask(EXAMPLE) == first
        await client.quiet()
    assert await in_thread(Booking.objects.count) == 1


async def test_asking_again_when_nobody_came_searches_again(server, make_driver):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        first = await client.until("no_drivers")
        await in_thread(make_driver, -26.2041, 28.0473)
        again = await client.ask(EXAMPLE)
        assert (again["type"], again["booking_id"], again["seq"]) == ("searching", first["booking_id"], 3)
        assert (await client.receive())["seq"] == 4


async def test_other_content_under_a_live_ride_id_is_a_conflict(server, john):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        await client.until("driver_assigned")
        assert (await client.ask(EXAMPLE | {"notes": "other"}))["code"] == "ride_conflict"


async def test_a_reconnect_tells_where_the_ride_stands(server, john):
    async with server.ride("again") as client:
        await client.send(EXAMPLE)
        assigned = await client.until("driver_assigned")
    async with server.ride("again") as client:
        state = await client.receive()
        assert (state["type"], state["status"], state["seq"]) == ("ride_state", "confirmed", 2)
        assert state["driver"] == assigned["driver"]
        assert (state["distance_km"], state["estimated_duration_minutes"], state["fare_amount"]) == (12.5, 25, 150.0)
        assert TIMESTAMP.fullmatch(state["requested_at"])
        assert await client.receive() == assigned
        await client.quiet()


async def test_a_reconnect_after_nobody_came_says_so(server):
    async with server.ride("none") as client:
        await client.send(EXAMPLE)
        await client.until("no_drivers")
    async with server.ride("none") as client:
        assert (await client.receive())["status"] == "unfulfilled"
        assert (await client.receive())["type"] == "no_drivers"


async def test_the_ride_survives_its_socket(server, john):
    async with server.ride("lost") as client:
        await client.send(EXAMPLE)
        client.connection.transport.abort()
    async with server.ride("lost") as client:
        await client.send(EXAMPLE)
        await client.until("driver_assigned")
    assert await in_thread(Booking.objects.count) == 1


async def test_cancelling_a_confirmed_ride_frees_the_driver(server, john):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        assigned = await client.until("driver_assigned")
        told = await client.ask({"type": "cancel_ride", "reason": "feeling better"})
        assert (told["type"], told["booking_id"], told["cancelled_by"], told["reason"], told["seq"]) == (
            "ride_cancelled", assigned["booking_id"], "passenger", "feeling better", 3,
        )  # fmt: skip
        assert TIMESTAMP.fullmatch(told["cancelled_at"])
        assert await client.ask({"type": "cancel_ride"}) == told
    assert (await in_thread(Driver.objects.get)).status == "available"


async def test_cancelling_when_nobody_came(server):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        await client.until("no_drivers")
        assert (await client.ask({"type": "cancel_ride"}))["type"] == "ride_cancelled"


async def test_cancelling_nothing_is_refused(server):
    async with server.ride() as client:
        assert (await client.ask({"type": "cancel_ride"}))["code"] == "no_ride"


async def test_cancelling_a_ride_that_has_begun_is_refused_with_the_reason(server, john):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        booking_id = (await client.until("driver_assigned"))["booking_id"]
        await in_thread(start_ride, booking_id, SYSTEM)
        await client.send({"type": "cancel_ride"})
        told = await client.until("error")  # the server may have told of the start by then
        assert (told["code"], told["status"]) == ("ride_in_progress", "in_progress")
    assert (await in_thread(Booking.objects.get)).status == "in_progress"


async def test_cancelling_a_completed_ride_is_refused(server, john):
    async with server.ride() as client:
        await client.send(EXAMPLE)
        booking_id = (await client.until("driver_assigned"))["booking_id"]
        await in_thread(start_ride, booking_id, SYSTEM)
        await in_thread(complete_ride, booking_id, SYSTEM)
        await client.send({"type": "cancel_ride"})
        assert (await client.until("error"))["code"] == "ride_over"


async def test_every_socket_of_a_ride_hears_of_a_move(server, john):
    async with server.ride("shared") as one, server.ride("shared") as two:
        await one.send(EXAMPLE)
        mine = [await one.receive(), await one.receive()]
        assert [await two.receive(), await two.receive()] == mine
        await two.send({"type": "cancel_ride"})
        assert await one.receive() == await two.receive()
        await one.quiet()
        await two.quiet()


async def test_sockets_of_other_rides_hear_nothing(server, john):
    async with server.ride("mine") as one, server.ride("other") as two:
        await one.send(EXAMPLE)
        await one.until("driver_assigned")
        await two.quiet()


async def test_a_path_without_its_last_slash_works(server):
    import websockets

    async with websockets.connect(f"{server.ws}/ws/ride/12345") as connection:
        assert '"connection_established"' in await connection.recv()


async def test_a_former_passenger_learns_no_more_about_the_driver(server, john):
    async with server.ride("former") as client:
        await client.send(EXAMPLE)
        await client.until("driver_assigned")
        booking_id = (await client.ask({"type": "cancel_ride"}))["booking_id"]
    state = await in_thread(queries.ride_state, booking_id)
    assert (state.name, state.phone, state.latitude, state.longitude) == ("John Doe", None, None, None)
    assigned = (await in_thread(queries.events_after, booking_id, 1))[0]
    assert (assigned.event, assigned.phone, assigned.latitude) == ("driver_assigned", None, None)

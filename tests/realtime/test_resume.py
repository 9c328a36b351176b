"""Clients that come back, and clients whose hints were lost: all converge to the truth."""

import pytest
from knox.models import AuthToken

from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.driving import arrive_at_pickup, complete_ride, start_ride
from mobility.dispatch.services import cancel_ride, find_driver
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


@pytest.fixture(scope="module")
def deaf(tmp_path_factory):
    """A server that compares nothing by itself: what arrives was hinted at or asked for."""
    with serving(tmp_path_factory.mktemp("deaf"), CARECONNECT_CATCH_UP_S="3600") as running:
        yield running


async def moves(client, n):
    return [(frame["type"], frame["seq"]) for frame in [await client.receive() for _ in range(n)]]


RIDE = [("searching", 1), ("driver_assigned", 2), ("driver_arrived", 3)]


async def ride_to_the_pickup(client, driver):
    """Three moves, of which the last is made by another process."""
    await client.send(EXAMPLE)
    booking_id = (await client.until("driver_assigned"))["booking_id"]
    await in_thread(arrive_at_pickup, booking_id, SYSTEM)
    return booking_id


async def test_resume_tells_what_came_after_in_order(deaf, fleet):
    await fleet.driver(auto_accept=True)
    async with deaf.ride("r") as client:
        await ride_to_the_pickup(client, fleet)
    async with deaf.ride("r") as client:
        assert (await client.receive())["type"] == "ride_state"
        assert (await client.receive())["type"] == "driver_assigned"
        for known in range(4):
            await client.send({"type": "resume", "last_seq": known})
            assert await moves(client, 3 - known) == RIDE[known:]
            await client.quiet()


@pytest.mark.parametrize("known", [4, 99, 2**31 - 1])
async def test_who_knows_more_than_there_is_gets_the_whole_ride(deaf, fleet, known):
    await fleet.driver(auto_accept=True)
    async with deaf.ride("r") as client:
        await ride_to_the_pickup(client, fleet)
        for asked in ({"type": "resume", "last_seq": known}, {"type": "ping", "seq": known}):
            await client.send(asked)
            if asked["type"] == "ping":
                assert (await client.receive())["type"] == "pong"
            state = await client.receive()
            assert (state["type"], state["seq"], state["status"]) == ("ride_state", 3, "confirmed")
            assert (await client.receive())["type"] == "driver_assigned"
            await client.quiet()


async def test_who_is_too_far_behind_gets_the_whole_ride(server, make_user, ride_request):
    user = await in_thread(make_user)
    token = (await in_thread(AuthToken.objects.create, user))[1]
    # Each finds nobody: two moves.
    booking_id = await in_thread(lambda: [find_driver(user.pk, "r", ride_request()) for _ in range(101)][-1].booking_id)
    async with server.ride("r", additional_headers={"Authorization": f"Token {token}"}) as client:
        await client.until("no_drivers")
        await client.send({"type": "resume", "last_seq": 1})
        state = await client.receive()
        assert (state["type"], state["booking_id"], state["seq"]) == ("ride_state", booking_id, 202)
        await client.until("no_drivers")
        await client.send({"type": "resume", "last_seq": 2})
        assert [seq for _, seq in await moves(client, 200)] == list(range(3, 203))
        await client.quiet()


async def test_without_a_ride_there_is_nothing_to_resume(server):
    async with server.ride() as client:
        assert (await client.ask({"type": "resume", "last_seq": 0}))["code"] == "no_ride"
        assert "seq" not in await client.ask({"type": "ping", "seq": 0})
        await client.quiet()


@pytest.mark.parametrize("last", [-1, "1", 1.5, None, True, 2**31])
async def test_what_is_no_seq(server, last):
    async with server.ride() as client:
        assert (await client.ask({"type": "resume", "last_seq": last}))["field"] == "last_seq"
        if last is not None:
            assert (await client.ask({"type": "ping", "seq": last}))["field"] == "seq"


async def test_a_ping_finds_what_no_hint_told(deaf, fleet):
    await fleet.driver(auto_accept=True)
    async with deaf.ride("r") as client:
        await ride_to_the_pickup(client, fleet)
        assert (await client.ask({"type": "ping"}))["seq"] == 2
        await client.quiet()
        assert (await client.ask({"type": "ping", "seq": 2}))["seq"] == 2
        assert await moves(client, 1) == RIDE[2:]
        assert (await client.ask({"type": "ping", "seq": 3}))["seq"] == 3
        await client.quiet()


async def test_a_ping_of_who_lost_frames_brings_them_again(deaf, fleet):
    await fleet.driver(auto_accept=True)
    async with deaf.ride("r") as client:
        await ride_to_the_pickup(client, fleet)
        assert (await client.ask({"type": "ping", "seq": 1}))["seq"] == 2
        assert await moves(client, 2) == RIDE[1:]
        assert (await client.ask({"type": "ping", "seq": 3}))["seq"] == 3
        await client.quiet()


async def test_a_ping_finds_a_ride_that_began_elsewhere(deaf, ride_request):
    async with deaf.ride("r") as client:
        await in_thread(find_driver, None, "r", ride_request())
        await client.quiet()
        assert "seq" not in await client.ask({"type": "ping", "seq": 0})
        assert await moves(client, 2) == [("searching", 1), ("no_drivers", 2)]


async def test_a_repeat_tells_moves_that_were_missed_first(deaf, fleet):
    await fleet.driver(auto_accept=True)
    async with deaf.ride("missed") as client:
        await client.send(EXAMPLE)
        booking_id = (await client.until("driver_assigned"))["booking_id"]
        await in_thread(start_ride, booking_id, SYSTEM)
        first = await client.ask(EXAMPLE)
        again = await client.receive()
        assert (first["type"], first["seq"]) == ("ride_started", 3)
        assert (again["type"], again["seq"]) == ("driver_assigned", 3)
        await in_thread(complete_ride, booking_id, SYSTEM)
        # The guest's ride id is free again: a new ride, and nothing of the old one after it.
        assert (await client.ask(EXAMPLE))["booking_id"] > booking_id
        assert (await client.until("driver_assigned"))["booking_id"] > booking_id
        await client.quiet()


async def test_the_state_after_go_online_does_not_run_ahead_of_the_inbox_that_follows(deaf, fleet, ride_request):
    driver = await fleet.driver()
    async with fleet.socket(deaf, driver) as app:
        # By another process, so without a hint: this socket has not been told yet when it is answered.
        booking_id = (await in_thread(find_driver, None, "elsewhere", ride_request())).booking_id
        await in_thread(cancel_ride, booking_id, Actor(None, ActorRole.OPERATOR), "test")
        await app.send({"type": "go_online"})
        told = [await app.receive() for _ in range(3)]
        assert [frame["type"] for frame in told] == ["driver_state", "ride_request_over", "ride_request_closed"]
        assert [frame["inbox_seq"] for frame in told] == [0, 1, 2]
        assert told[0]["request"] is None  # the state itself is the present one


async def test_the_server_compares_for_apps_that_never_say_what_they_know(tmp_path, fleet, ride_request):
    """Also for a socket that was there before the ride."""
    await fleet.driver(auto_accept=True)
    with serving(tmp_path, CARECONNECT_CATCH_UP_S="0.3") as running:
        async with running.ride("r") as client:
            booking_id = (await in_thread(find_driver, None, "r", ride_request())).booking_id
            assert await moves(client, 2) == RIDE[:2]
            await in_thread(arrive_at_pickup, booking_id, SYSTEM)
            assert await moves(client, 1) == RIDE[2:]


async def test_a_driver_pings_with_the_number_of_the_inbox(deaf, fleet):
    driver = await fleet.driver()
    async with fleet.socket(deaf, driver) as app, deaf.ride("r") as passenger:
        assert (await app.ask({"type": "ping"}))["seq"] == 0
        await passenger.send(EXAMPLE)
        request = await app.receive()
        await app.send(about(request, "accept_ride"))
        assert (await app.receive())["inbox_seq"] == 2
        assert (await app.ask({"type": "ping", "seq": 1}))["seq"] == 2
        again = await app.receive()
        assert (again["type"], again["inbox_seq"]) == ("ride_assigned", 2)
        assert (await app.ask({"type": "ping", "seq": 2}))["seq"] == 2
        await app.quiet()
        assert (await app.ask({"type": "ping", "seq": 77}))["seq"] == 2
        assert (await app.receive())["type"] == "driver_state"

"""The driver socket over a real server: every message, and whole rides between two real clients."""

import asyncio
import contextlib
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import websockets
from django.db.models.functions import Now
from knox.models import AuthToken

from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.services import assign_driver
from mobility.models import Booking, Driver, DriverLocation, Offer, Position, Presence, RideEvent
from mobility.people.credentials import Principal, issue_ticket
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, Client, serving

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
    async def socket(self, server, driver, *, confirms=False, named=None, greeted=True):
        """The driver's socket, greeted and told its state; with `confirms` it negotiates careconnect.v1."""
        token = (await in_thread(AuthToken.objects.create, driver.user))[1]
        options = {"subprotocols": ["careconnect.v1"]} if confirms else {}
        async with websockets.connect(
            f"{server.ws}/ws/driver/{named or driver.pk}/",
            additional_headers={"Authorization": f"Token {token}"}, **options,
        ) as connection:  # fmt: skip
            client = Client(connection)
            if greeted:
                assert (await client.receive())["type"] == "connection_established"
                assert (await client.receive())["type"] == "driver_state"
            yield client


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


def about(frame: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    """A command about the ride that a frame named."""
    return {"type": kind, "ride_id": frame["ride_id"]} | more


def at(text: str) -> datetime:
    assert TIMESTAMP.fullmatch(text), text
    return datetime.fromisoformat(text)


async def status_of(driver) -> str:
    return (await in_thread(Driver.objects.get, pk=driver.pk)).status


async def offer_of(driver) -> Offer:
    return await in_thread(Offer.objects.filter(driver=driver).latest, "pk")


async def confirmed(server, fleet, passenger, app):
    """Ask, accept; the request and the assignment as the driver heard of them."""
    await passenger.send(EXAMPLE)
    request = await app.until("ride_request")
    await app.send(about(request, "accept_ride"))
    await passenger.until("driver_assigned")
    return request, await app.until("ride_assigned")


# --- the whole life ----------------------------------------------------------------------------------------------


async def test_a_whole_ride_between_two_apps(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride("12345") as passenger:
        assert (await passenger.ask(EXAMPLE))["type"] == "searching"
        request = await app.receive()
        assert request["type"] == "ride_request"
        assigned = await app.ask(about(request, "accept_ride"))
        assert (assigned["type"], assigned["ride_id"], assigned["status"]) == ("ride_assigned", "12345", "confirmed")
        assert (await passenger.receive())["driver"]["id"] == driver.pk
        for command, told in (
            ("driver_arrived", "driver_arrived"), ("start_ride", "ride_started"), ("complete_ride", "ride_completed"),
        ):  # fmt: skip
            answer = await app.ask(about(request, command))
            heard = await passenger.receive()
            assert (answer["type"], heard["type"]) == (told, told)
            assert answer["seq"] == heard["seq"]
            assert (await app.ask(about(request, command))) == answer  # the same again is the same answer
        await app.quiet()
        await passenger.quiet()
    log = await in_thread(lambda: list(RideEvent.objects.order_by("seq").values_list("event", "actor_role")))
    assert log == [
        ("ride_requested", "passenger"), ("driver_assigned", "driver"), ("driver_arrived", "driver"),
        ("ride_started", "driver"), ("ride_completed", "driver"),
    ]  # fmt: skip
    done = await in_thread(Driver.objects.get)
    assert (done.status, done.total_rides) == ("available", 1)


async def test_the_fixed_ride_request(server, fleet):
    driver = await fleet.driver(north_m=1_000)
    async with fleet.socket(server, driver) as app, server.ride("12345") as passenger:
        await passenger.send(EXAMPLE)
        request = await app.receive()
        fixed = {
            "type": "ride_request", "ride_id": "12345", "passenger_name": "Guest", "passenger_phone": "+27123456789",
            "pickup_address": "123 Main St, Johannesburg", "dropoff_address": "456 Oak St, Johannesburg",
            "pickup_latitude": -26.2041, "pickup_longitude": 28.0473, "dropoff_latitude": -26.1041,
            "dropoff_longitude": 28.1473, "distance": 12.5, "fare": 150.0, "estimated_duration": 25,
        }  # fmt: skip
        assert {name: request[name] for name in fixed} == fixed
        assert {name: type(request[name]) for name in fixed} == {name: type(value) for name, value in fixed.items()}
        assert request["pickup_distance_km"] == pytest.approx(1.0, abs=0.01)
        assert timedelta(seconds=10) < at(request["expires_at"]) - datetime.now(UTC) <= timedelta(seconds=15)


async def test_a_passenger_with_an_account_is_named_to_the_driver(server, fleet, make_user):
    driver = await fleet.driver()
    user = await in_thread(make_user, first_name="Sarah", last_name="Johnson", phone="+27821234567")
    token = (await in_thread(AuthToken.objects.create, user))[1]
    headers = {"Authorization": f"Token {token}"}
    async with fleet.socket(server, driver) as app, server.ride("r", additional_headers=headers) as passenger:
        await passenger.send(EXAMPLE | {"passenger_phone": ""})
        request = await app.receive()
        assert (request["passenger_name"], request["passenger_phone"]) == ("Sarah Johnson", "+27821234567")


async def test_a_ride_without_fare_and_duration_still_has_numbers(server, fleet):
    driver = await fleet.driver()
    plain = {k: v for k, v in EXAMPLE.items() if k not in {"fare_amount", "estimated_duration_minutes", "distance_km"}}
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(plain)
        request = await app.receive()
        assert (request["fare"], request["fare_origin"], request["estimated_duration"]) == (0.0, "none", 30)


# --- waves ---------------------------------------------------------------------------------------------------------


async def test_the_five_nearest_are_asked_and_the_first_to_accept_wins(server, fleet):
    drivers = [await fleet.driver(north_m=100 * n) for n in range(7)]
    async with contextlib.AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(fleet.socket(server, d)) for d in drivers]
        passenger = await stack.enter_async_context(server.ride())
        await passenger.send(EXAMPLE)
        requests = [await app.receive() for app in apps[:5]]
        assert {r["type"] for r in requests} == {"ride_request"}
        for app in apps[5:]:
            await app.quiet()
        assert (await apps[2].ask(about(requests[2], "accept_ride")))["type"] == "ride_assigned"
        assert (await passenger.until("driver_assigned"))["driver"]["id"] == drivers[2].pk
        for n in (0, 1, 3, 4):
            closed = await apps[n].receive()
            assert (closed["type"], closed["reason"], closed["ride_id"]) == ("ride_request_closed", "taken", "12345")
            late = await apps[n].ask(about(requests[n], "accept_ride"))
            assert (late["type"], late["code"]) == ("error", "ride_taken")
        assert (await apps[6].ask(about(requests[0], "accept_ride")))["code"] == "no_offer"
    assert Counter(await in_thread(lambda: list(Driver.objects.values_list("status", flat=True)))) == {
        "busy": 1, "available": 6,
    }  # fmt: skip


async def test_who_declines_is_not_asked_again_and_the_next_wave_is_asked(server, fleet):
    near, far = await fleet.driver(), await fleet.driver(north_m=500)
    with_one = {"CARECONNECT_CANDIDATE_COUNT": "1"}
    async with contextlib.AsyncExitStack() as stack:
        one = stack.enter_context(serving(server_folder(server), **with_one))
        near_app = await stack.enter_async_context(fleet.socket(one, near))
        far_app = await stack.enter_async_context(fleet.socket(one, far))
        passenger = await stack.enter_async_context(one.ride())
        await passenger.send(EXAMPLE)
        request = await near_app.receive()
        closed = await near_app.ask(about(request, "decline_ride", reason="too far"))
        assert (closed["type"], closed["reason"]) == ("ride_request_closed", "declined")
        again = await far_app.receive()
        assert again["type"] == "ride_request"
        await far_app.ask(about(again, "decline_ride"))
        # Both said no, which the passenger is not told: the search goes on for whoever comes.
        assert (await passenger.receive())["type"] == "searching"
        await passenger.quiet()
        assert (await near_app.ask(about(request, "decline_ride")))["reason"] == "declined"
        assert (await near_app.ask(about(request, "accept_ride")))["code"] == "offer_declined"
        await near_app.quiet()
    assert (await in_thread(Offer.objects.get, driver=near)).decline_reason == "too far"
    assert set(await in_thread(lambda: list(Offer.objects.values_list("status", flat=True)))) == {"declined"}


def server_folder(server):
    """Where the shared server writes; other servers of a test may write there too."""
    return server._output.parent


async def test_unanswered_requests_expire_and_three_in_a_row_send_a_driver_offline(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path, CARECONNECT_OFFER_TTL_S="0.3", CARECONNECT_SEARCH_TIMEOUT_S="1") as quick:
        async with fleet.socket(quick, driver) as app:
            for n in range(3):
                async with quick.ride(f"r{n}") as passenger:
                    await passenger.send(EXAMPLE)
                    assert (await app.until("ride_request"))["ride_id"] == f"r{n}"
                    closed = await app.receive()
                    assert (closed["type"], closed["reason"]) == ("ride_request_closed", "expired")
                    await passenger.until("no_drivers")
            gone = await app.receive()
            assert (gone["type"], gone["reason"]) == ("went_offline", "requests_missed")
            assert (await app.ask({"type": "go_online"}))["missed_requests"] == 0
    assert await status_of(driver) == "available"


async def test_an_answer_ends_the_count_of_misses(server, fleet):
    driver = await fleet.driver()
    await in_thread(Driver.objects.filter(pk=driver.pk).update, missed_offers=2)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        await app.ask(about(await app.until("ride_request"), "decline_ride"))
    assert (await in_thread(Driver.objects.get)).missed_offers == 0


async def test_an_accept_after_the_time_is_refused(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        request = await app.until("ride_request")
        # As delivered: else the service may note it only now, and the time would begin anew.
        await in_thread(Offer.objects.update, delivered_at=Now(), expires_at=Now() - timedelta(milliseconds=1))
        assert (await app.ask(about(request, "accept_ride")))["code"] == "offer_expired"
    assert await status_of(driver) == "available"


async def test_the_search_ends_at_its_limit(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path, CARECONNECT_SEARCH_TIMEOUT_S="1") as quick:
        async with fleet.socket(quick, driver) as app, quick.ride() as passenger:
            await passenger.send(EXAMPLE)
            request = await app.receive()
            assert at(request["expires_at"]) - datetime.now(UTC) <= timedelta(seconds=1)
            closed = await app.receive()
            assert (closed["type"], closed["reason"]) == ("ride_request_closed", "expired")
            await passenger.until("no_drivers")
    offer = await offer_of(driver)
    assert (offer.status, offer.reason) == ("withdrawn", "search_over")
    assert (await in_thread(Driver.objects.get)).missed_offers == 0


# --- delivery ------------------------------------------------------------------------------------------------------


async def test_an_app_that_confirms_starts_the_countdown_itself(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path, CARECONNECT_DELIVERY_TIMEOUT_S="10") as server:
        async with fleet.socket(server, driver, confirms=True) as app, server.ride() as passenger:
            await passenger.send(EXAMPLE)
            request = await app.receive()
            assert (await offer_of(driver)).delivered_at is None
            final = await app.ask(about(request, "ride_request_received"))
            assert final["type"] == "ride_request_acknowledged"
            assert at(final["expires_at"]) >= at(request["expires_at"])
            assert await app.ask(about(request, "ride_request_received")) == final
            offer = await offer_of(driver)
            assert abs(offer.expires_at - offer.delivered_at - timedelta(seconds=15)) < timedelta(milliseconds=1)
            assert (await app.ask(about(request, "accept_ride")))["type"] == "ride_assigned"


async def test_what_is_not_confirmed_is_withdrawn_costs_nothing_and_the_next_takes_the_place(tmp_path, fleet):
    near, far = await fleet.driver(), await fleet.driver(north_m=500)
    one = {"CARECONNECT_DELIVERY_TIMEOUT_S": "2", "CARECONNECT_CANDIDATE_COUNT": "1"}
    with serving(tmp_path, **one) as server:
        async with (
            fleet.socket(server, near, confirms=True) as deaf,
            fleet.socket(server, far, confirms=True) as app,
            server.ride() as passenger,
        ):
            await passenger.send(EXAMPLE)
            request = await deaf.receive()
            closed = await deaf.receive()
            assert (closed["type"], closed["reason"]) == ("ride_request_closed", "undelivered")
            taken = await app.receive()
            assert taken["type"] == "ride_request"
            await app.send(about(taken, "accept_ride"))
            await passenger.until("driver_assigned")
            assert (await deaf.ask(about(request, "ride_request_received")))["code"] == "offer_expired"
    offer = await in_thread(Offer.objects.get, driver=near)
    assert (offer.status, offer.reason, offer.delivered_at) == ("withdrawn", "undelivered", None)
    assert (await in_thread(Driver.objects.get, pk=near.pk)).missed_offers == 0


async def test_for_other_apps_the_countdown_starts_with_the_frame(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        await app.receive()
        offer = await in_thread(_delivered, driver)
        assert offer.due_at == offer.expires_at


def _delivered(driver) -> Offer:
    """The driver's offer, once its delivery is noted: after the frame was written."""
    for _ in range(1_000):
        if offer := Offer.objects.filter(driver=driver, delivered_at__isnull=False).first():
            return offer
        time.sleep(0.01)
    raise AssertionError("the request is not delivered")


async def test_a_driver_without_a_socket_is_asked_only_while_their_lease_lasts(tmp_path, fleet):
    driver = await fleet.driver()
    quick = {"CARECONNECT_DELIVERY_TIMEOUT_S": "0.3", "CARECONNECT_SEARCH_TIMEOUT_S": "1"}
    with serving(tmp_path, **quick, CARECONNECT_PRESENCE_LEASE_S="3") as server:
        async with fleet.socket(server, driver):
            pass
        async with server.ride("leased") as passenger:  # still present: asked, in vain
            assert (await passenger.ask(EXAMPLE))["type"] == "searching"
            await passenger.until("no_drivers")
        await in_thread(Presence.objects.update, lease_until=Now())
        async with server.ride("gone") as passenger:
            await passenger.send(EXAMPLE)
            assert (await passenger.until("no_drivers"))["seq"] == 2
    assert await in_thread(Offer.objects.count) == 1


# --- waiting rides -------------------------------------------------------------------------------------------------


async def test_a_driver_who_becomes_free_gets_the_waiting_ride(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride("one") as first, server.ride("two") as second:
        request, _ = await confirmed(server, fleet, first, app)
        assert (await second.ask(EXAMPLE))["type"] == "searching"
        await second.quiet()  # it keeps searching: the driver is busy, not away
        await app.ask(about(request, "start_ride"))
        await app.ask(about(request, "complete_ride"))
        assert (await app.until("ride_request"))["ride_id"] == "two"


async def test_a_driver_who_comes_online_gets_the_waiting_ride(server, fleet):
    busy, other = await fleet.driver(), await fleet.driver(north_m=300, status="offline")
    async with (
        fleet.socket(server, busy) as app, fleet.socket(server, other) as fresh,
        server.ride("one") as first, server.ride("two") as second,
    ):  # fmt: skip
        await confirmed(server, fleet, first, app)
        await second.ask(EXAMPLE)
        state = await fresh.ask({"type": "go_online"})
        assert (state["type"], state["status"]) == ("driver_state", "available")
        assert (await fresh.until("ride_request"))["ride_id"] == "two"


async def test_a_driver_who_moves_into_range_gets_the_waiting_ride(server, fleet):
    busy, other = await fleet.driver(), await fleet.driver(north_m=30_000, stationary=False)
    async with (
        fleet.socket(server, busy) as app, fleet.socket(server, other) as coming,
        server.ride("one") as first, server.ride("two") as second,
    ):  # fmt: skip
        await confirmed(server, fleet, first, app)
        await second.ask(EXAMPLE)
        await coming.quiet()
        await coming.send({"type": "location_update", "latitude": -26.21, "longitude": 28.05})
        assert (await coming.until("ride_request"))["ride_id"] == "two"


async def test_a_loser_gets_the_next_waiting_ride(server, fleet):
    drivers = [await fleet.driver(north_m=100 * n) for n in range(2)]
    async with (
        fleet.socket(server, drivers[0]) as near, fleet.socket(server, drivers[1]) as far,
        server.ride("one") as first, server.ride("two") as second,
    ):  # fmt: skip
        await first.send(EXAMPLE)
        request, _ = await near.receive(), await far.receive()
        await second.ask(EXAMPLE)  # both are being asked: it waits
        await second.quiet()
        await near.send(about(request, "accept_ride"))
        assert (await far.receive())["type"] == "ride_request_closed"
        assert (await far.receive())["ride_id"] == "two"


# --- on and off ----------------------------------------------------------------------------------------------------


async def test_going_offline_withdraws_what_one_is_asked(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        await app.receive()
        assert (await app.ask({"type": "go_offline"}))["status"] == "offline"
        closed = await app.receive()
        assert (closed["type"], closed["reason"]) == ("ride_request_closed", "offline")
        assert (await passenger.receive())["type"] == "searching"
        await passenger.quiet()
        assert (await app.ask({"type": "go_offline"}))["status"] == "offline"
    assert ((await offer_of(driver)).reason, await status_of(driver)) == ("driver_gone", "offline")


async def test_going_offline_with_a_ride_is_refused(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await confirmed(server, fleet, passenger, app)
        told = await app.ask({"type": "go_offline"})
        assert (told["type"], told["code"], told["ride_id"]) == ("error", "driver_has_ride", "12345")
    assert await status_of(driver) == "busy"


async def test_an_unverified_driver_does_not_come_online(server, fleet):
    driver = await fleet.driver(verified=False, status="offline")
    async with fleet.socket(server, driver) as app:
        assert (await app.ask({"type": "go_online"}))["code"] == "driver_not_verified"
    assert await status_of(driver) == "offline"


async def test_auto_accept_acts_on_the_server_and_is_switched_by_the_app(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        async with server.ride("asked") as passenger:
            await passenger.send(EXAMPLE)
            await app.receive()
            # Switched on while being asked: taken at once.
            await app.send({"type": "go_online", "auto_accept": True})
            await passenger.until("driver_assigned")
            assert (await app.until("ride_assigned"))["ride_id"] == "asked"
            await passenger.send({"type": "cancel_ride"})
            await app.until("ride_cancelled")
        async with server.ride("auto") as passenger:
            await passenger.send(EXAMPLE)
            assert (await passenger.until("driver_assigned"))["seq"] == 2
            assert (await app.receive())["type"] == "ride_assigned"
            await passenger.send({"type": "cancel_ride"})
            await app.until("ride_cancelled")
        state = await app.ask({"type": "go_online", "auto_accept": False})
        assert state["auto_accept"] is False
        async with server.ride("by-hand") as passenger:
            await passenger.send(EXAMPLE)
            assert (await app.receive())["type"] == "ride_request"


# --- refusals and guards -------------------------------------------------------------------------------------------


async def test_arriving_needs_to_be_there(server, fleet):
    driver = await fleet.driver(north_m=400)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        told = await app.ask(about(request, "driver_arrived"))
        assert (told["code"], told["allowed_m"]) == ("too_far_from_pickup", 200)
        assert told["distance_m"] == pytest.approx(400, abs=5)
        await app.send({"type": "location_update", "latitude": -26.2042, "longitude": 28.0473})
        arrived = await app.ask(about(request, "driver_arrived"))
        assert arrived["type"] == "driver_arrived"
        assert at(arrived["no_show_from"]) - at(arrived["arrived_at"]) == timedelta(seconds=300)


async def test_a_no_show_says_from_when_it_may_be_reported(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        early = await app.ask(about(request, "no_show"))
        assert (early["code"], "driver_arrived" in early["allowed"]) == ("not_allowed", True)
        arrived = await app.ask(about(request, "driver_arrived"))
        told = await app.ask(about(request, "no_show"))
        assert (told["code"], told["allowed_from"]) == ("too_early", arrived["no_show_from"])
    assert await status_of(driver) == "busy"


async def test_a_no_show_ends_the_ride_and_frees_the_driver(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path, CARECONNECT_NO_SHOW_WAIT_S="0") as server:
        async with fleet.socket(server, driver) as app, server.ride() as passenger:
            request, _ = await confirmed(server, fleet, passenger, app)
            await app.ask(about(request, "driver_arrived"))
            assert (await app.ask(about(request, "no_show")))["status"] == "no_show"
            assert (await passenger.until("no_show"))["seq"] == 4
    assert await status_of(driver) == "available"


async def test_completing_before_starting_is_refused_with_what_is_allowed(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        told = await app.ask(about(request, "complete_ride"))
        assert (told["code"], told["status"]) == ("not_allowed", "confirmed")
        assert told["allowed"] == ["driver_arrived", "start_ride", "no_show", "cancel_ride"]
    assert (await in_thread(Booking.objects.get)).status == "confirmed"


async def test_a_driver_gives_the_ride_back_and_the_search_goes_on_without_them(server, fleet):
    first, second = await fleet.driver(), await fleet.driver(north_m=300)
    async with fleet.socket(server, first) as app, fleet.socket(server, second) as other, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        await other.until("ride_request_closed")
        released = await app.ask(about(request, "cancel_ride", reason="flat tyre"))
        assert (released["type"], released["reason"]) == ("ride_released", "flat tyre")
        told = await passenger.receive()
        assert (told["type"], told["reason"], told["seq"]) == ("driver_released", "flat tyre", 3)
        assert await passenger.receive() == {
            "type": "searching", "message": "Searching for available drivers...", "ride_id": "12345",
            "booking_id": told["booking_id"], "seq": 3, "at": told["at"],
        }  # fmt: skip
        again = await other.until("ride_request")
        await other.send(about(again, "accept_ride"))
        assert (await passenger.until("driver_assigned"))["driver"]["id"] == second.pk
        assert (await app.ask(about(request, "accept_ride")))["code"] == "no_offer"
        await app.quiet()
    assert (await in_thread(Offer.objects.get, driver=first)).status == "released"


async def test_a_cancellation_reaches_the_driver(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        async with server.ride("asked") as passenger:
            await passenger.send(EXAMPLE)
            request = await app.receive()
            await passenger.send({"type": "cancel_ride"})
            closed = await app.receive()
            assert (closed["type"], closed["reason"]) == ("ride_request_closed", "cancelled")
            assert (await app.ask(about(request, "accept_ride")))["code"] == "ride_cancelled"
        async with server.ride("bound") as passenger:
            await confirmed(server, fleet, passenger, app)
            await passenger.send({"type": "cancel_ride", "reason": "feeling better"})
            told = await app.receive()
            assert (told["type"], told["cancelled_by"], told["reason"]) == (
                "ride_cancelled", "passenger", "feeling better",
            )  # fmt: skip
            assert (await app.ask(about({"ride_id": "bound"}, "start_ride")))["code"] == "ride_over"
    assert await status_of(driver) == "available"


async def test_an_operators_assignment_reaches_both_sides(server, fleet):
    asked, picked = await fleet.driver(), await fleet.driver(north_m=15_000)
    async with fleet.socket(server, asked) as app, fleet.socket(server, picked) as other, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        request = await app.receive()
        # Made in another process, so no hint comes: what sockets missed is found by comparing.
        operator = Actor(None, ActorRole.OPERATOR)
        await in_thread(assign_driver, request["booking_id"], picked.pk, operator)
        assert (await other.until("ride_assigned"))["ride_id"] == "12345"
        assert (await app.until("ride_request_closed"))["reason"] == "taken"
        assert (await passenger.until("driver_assigned"))["driver"]["id"] == picked.pk


async def test_commands_name_a_ride_by_booking_as_well(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await passenger.send(EXAMPLE)
        request = await app.receive()
        by_number = {"type": "accept_ride", "booking_id": request["booking_id"]}
        assigned = await app.ask(by_number)
        assert assigned["type"] == "ride_assigned"
        again = await app.ask(by_number)
        assert (again["type"], again["booking_id"]) == ("ride_assigned", request["booking_id"])
        told = await app.ask({"type": "accept_ride"})
        assert (told["code"], told["type"]) == ("missing_field", "error")
        assert (await app.ask({"type": "start_ride", "booking_id": 999_999}))["code"] == "no_offer"


async def test_another_drivers_ride_cannot_be_moved(server, fleet):
    mine, stranger = await fleet.driver(), await fleet.driver(north_m=300)
    async with fleet.socket(server, mine) as app, fleet.socket(server, stranger) as other, server.ride() as passenger:
        request, _ = await confirmed(server, fleet, passenger, app)
        await other.until("ride_request_closed")
        for command in ("driver_arrived", "start_ride", "complete_ride", "cancel_ride", "no_show"):
            assert (await other.ask(about(request, command)))["code"] == "no_offer"
    booking = await in_thread(Booking.objects.get)
    assert (booking.status, booking.seq) == ("confirmed", 2)


# --- positions -----------------------------------------------------------------------------------------------------


async def test_positions_are_kept_newest_wins_and_a_reporting_driver_moves(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        now = datetime.now(UTC)
        newer, older = (now + timedelta(seconds=20)).isoformat(), (now - timedelta(hours=1)).isoformat()
        await app.send(
            {"type": "location_update", "updates": [
                {"latitude": -26.3, "longitude": 28.1, "recorded_at": newer, "heading": 360, "speed": 12.5},
                {"latitude": -26.4, "longitude": 28.2, "recorded_at": older, "heading": -1, "speed": -1},
            ]}
        )  # fmt: skip
        await app.quiet()
        late = {"type": "location_update", "latitude": -26.5, "longitude": 28.3, "recorded_at": older}
        assert (await app.ask(late | {"command_id": "late"}))["type"] == "command_done"  # stored, and those before it
    place = await in_thread(DriverLocation.objects.get)
    assert (place.position.coords, place.heading, place.speed, place.stationary) == ((28.1, -26.3), 0, 12.5, False)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"recorded_at": "2026-01-01T00:00:00"}, "invalid_field", "recorded_at"),
        ({"recorded_at": "yesterday"}, "invalid_field", "recorded_at"),
        ({"latitude": 91}, "invalid_field", "latitude"),
        ({"latitude": None}, "missing_field", None),
        ({"latitude": 28.0473, "longitude": -26.2041}, "coordinates_swapped", "latitude"),
        ({"updates": []}, "invalid_field", "updates"),
        ({"updates": [{"latitude": 1, "longitude": 2}]}, "missing_field", None),
        ({"heading": 361}, "invalid_field", "heading"),
        ({"driver_id": 7}, "forbidden_field", "driver_id"),
    ],
)
async def test_a_position_that_cannot_be_is_refused(server, fleet, change, code, field):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        told = await app.ask({"type": "location_update", "latitude": -26.3, "longitude": 28.1} | change)
        assert (told["type"], told["code"], told.get("field")) == ("error", code, field)
    assert (await in_thread(DriverLocation.objects.get)).position.coords == (28.0473, -26.2041)


async def test_positions_that_are_dropped_are_told_once_a_reason(server, fleet):
    driver = await fleet.driver()
    here, cold = {"latitude": -26.3, "longitude": 28.1}, {"latitude": 0.0, "longitude": 0.0}
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    async with fleet.socket(server, driver) as app:

        async def tell(*updates: dict[str, Any], **more: Any) -> None:
            await app.send({"type": "location_update", "updates": [*updates]} | more)

        await tell(cold, cold, here | {"accuracy_m": 5_000.0})
        told = [await app.receive() for _ in range(2)]
        assert {(t["code"], t["reason"], t["dropped"]) for t in told} == {
            ("position_dropped", "null_island", 2), ("position_dropped", "inaccurate", 1),
        }  # fmt: skip
        await tell(cold)
        await app.quiet()  # known already
        await tell(cold, here | {"recorded_at": soon})
        assert (await app.receive())["reason"] == "from_the_future"
        await tell(here)
        await tell(cold)
        assert (await app.receive())["reason"] == "null_island"  # they were good again in between
        await tell(cold, command_id="all")
        answer = await app.receive()
        assert (answer["code"], answer["command_id"]) == ("position_dropped", "all")
        await tell(cold, here, command_id="some")
        answer = await app.receive()
        assert (answer["type"], answer["dropped"]) == ("command_done", {"null_island": 1})
    assert (await in_thread(DriverLocation.objects.get)).position.coords == (28.1, -26.3)
    assert await in_thread(Position.objects.count) == 2


async def test_positions_told_before_a_restart_are_stored(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path) as server:
        async with fleet.socket(server, driver) as app:
            await app.send({"type": "location_update", "latitude": -26.3, "longitude": 28.1})
            await app.quiet()
            server.process.send_signal(signal.SIGTERM)
            assert await app.close_code() == 1012
        server.process.wait(15)
    assert (await in_thread(DriverLocation.objects.get)).position.coords == (28.1, -26.3)


async def test_a_flood_of_positions_costs_no_answer(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        for _ in range(70):
            await app.send({"type": "location_update", "latitude": -26.2041, "longitude": 28.0473})
        assert (await app.receive())["code"] == "too_fast"
        assert (await app.ask({"type": "go_online"}))["type"] in {"error", "driver_state"}
        await app.until("driver_state")


# --- who may connect, and reconnecting -----------------------------------------------------------------------------


async def closed_with(server, path: str, **options: Any) -> tuple[str, int]:
    async with websockets.connect(f"{server.ws}{path}", **options) as connection:
        client = Client(connection)
        told = await client.receive()
        return told["code"], await client.close_code()


async def test_only_the_drivers_own_socket(server, fleet, make_user):
    mine, other = await fleet.driver(), await fleet.driver(north_m=100)
    token = (await in_thread(AuthToken.objects.create, mine.user))[1]
    nobody = (await in_thread(AuthToken.objects.create, await in_thread(make_user)))[1]
    headers = {"additional_headers": {"Authorization": f"Token {token}"}}
    assert await closed_with(server, f"/ws/driver/{other.pk}/", **headers) == ("forbidden", 4403)
    assert await closed_with(server, "/ws/driver/999999/", **headers) == ("forbidden", 4403)
    as_passenger = {"additional_headers": {"Authorization": f"Token {nobody}"}}
    assert await closed_with(server, f"/ws/driver/{mine.pk}/", **as_passenger) == ("forbidden", 4403)
    assert await closed_with(server, f"/ws/driver/{mine.pk}/") == ("unauthenticated", 4401)
    wrong = {"additional_headers": {"Authorization": "Token nonsense"}}
    assert await closed_with(server, f"/ws/driver/{mine.pk}/", **wrong) == ("unauthenticated", 4401)
    for path in ("x", "", "1/2", "+", "%00", "9" * 30):
        assert await closed_with(server, f"/ws/driver/{path}/", **headers) == ("bad_driver_id", 4400)
    assert await in_thread(Presence.objects.count) == 0


@pytest.mark.parametrize("form", ["+{}", "{}", "%2B{}"])
async def test_a_driver_is_named_by_phone_as_well(server, fleet, form):
    driver = await fleet.driver()
    async with fleet.socket(server, driver, named=form.format(driver.phone.removeprefix("+"))) as app:
        await app.quiet()


async def test_tickets_open_it_unless_they_are_for_a_ride(server, fleet):
    driver = await fleet.driver()
    row, token = await in_thread(AuthToken.objects.create, driver.user)
    assert token
    principal = Principal(driver.user_id, token_digest=row.digest)
    ticket, _ = await in_thread(issue_ticket, principal)
    async with websockets.connect(f"{server.ws}/ws/driver/{driver.pk}/?ticket={ticket}") as connection:
        assert (await Client(connection).receive())["type"] == "connection_established"
    ticket, _ = await in_thread(issue_ticket, principal, "12345")
    assert await closed_with(server, f"/ws/driver/{driver.pk}/?ticket={ticket}") == ("forbidden", 4403)


async def test_a_second_connection_replaces_the_first(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as old, fleet.socket(server, driver) as new:
        assert await old.close_code() == 4409
        async with server.ride() as passenger:
            await passenger.send(EXAMPLE)
            assert (await new.receive())["type"] == "ride_request"
        await new.quiet()


async def test_a_reconnect_tells_what_one_is_asked_and_what_one_drives(server, fleet):
    driver = await fleet.driver()
    async with server.ride() as passenger:
        async with fleet.socket(server, driver) as app:
            await passenger.send(EXAMPLE)
            first = await app.receive()
        async with fleet.socket(server, driver, greeted=False) as app:
            greeting = await app.receive()
            assert (greeting["type"], greeting["driver_id"]) == ("connection_established", driver.pk)
            state = await app.receive()
            assert (state["type"], state["status"], state["ride"]) == ("driver_state", "available", None)
            assert state["request"]["ride_id"] == "12345"
            # The fixed message as well, for apps that don't know driver_state. Its end is the true one by now.
            assert (await app.receive()) | {"expires_at": first["expires_at"]} == first
            await app.ask(about(first, "accept_ride"))
        async with fleet.socket(server, driver, greeted=False) as app:
            await app.receive()
            state = await app.receive()
            assert (state["status"], state["request"], state["ride"]["status"]) == ("busy", None, "confirmed")
            assert (await app.receive())["type"] == "ride_assigned"
            await app.quiet()


async def test_the_inbox_is_numbered_and_resumed(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        numbers = []
        for n in range(3):
            async with server.ride(f"r{n}") as passenger:
                await passenger.send(EXAMPLE)
                numbers.append((await app.receive())["inbox_seq"])
                await passenger.send({"type": "cancel_ride"})
                numbers.append((await app.receive())["inbox_seq"])
        assert numbers == [1, 2, 3, 4, 5, 6]
        await app.send({"type": "resume", "last_inbox_seq": 3})
        # A request that is over is not made again, but its number is not left out.
        again = [await app.receive() for _ in range(3)]
        assert [(told["inbox_seq"], told["type"]) for told in again] == [
            (4, "ride_request_closed"), (5, "ride_request_over"), (6, "ride_request_closed"),
        ]  # fmt: skip
        await app.quiet()
        assert (await app.ask({"type": "resume", "last_inbox_seq": 99}))["type"] == "driver_state"


async def test_a_former_driver_learns_no_more_about_the_passenger(server, fleet):
    driver = await fleet.driver()
    async with server.ride() as passenger, fleet.socket(server, driver) as app:
        await confirmed(server, fleet, passenger, app)
        await passenger.send({"type": "cancel_ride"})
        await app.until("ride_cancelled")
        await app.send({"type": "resume", "last_inbox_seq": 0})
        told = await app.until("ride_assigned")
        assert {told[name] for name in ("passenger_name", "passenger_phone", "pickup_address", "notes")} == {None}


async def test_a_suspended_driver_is_closed_and_not_asked(server, fleet):
    from mobility.people.services import suspend_user

    driver = await fleet.driver(auto_accept=True)
    async with fleet.socket(server, driver) as app, server.ride() as passenger:
        await in_thread(suspend_user, driver.user_id)
        told = await app.ask({"type": "go_online"})
        assert (told["type"], told["code"]) == ("error", "unauthenticated")
        await passenger.send(EXAMPLE)
        await passenger.until("no_drivers")


# --- contention ----------------------------------------------------------------------------------------------------


async def test_50_drivers_accept_one_ride(tmp_path, fleet):
    drivers = [await fleet.driver(north_m=10 * n) for n in range(50)]
    with serving(tmp_path, CARECONNECT_CANDIDATE_COUNT="50") as server:
        async with contextlib.AsyncExitStack() as stack:
            apps = [await stack.enter_async_context(fleet.socket(server, d)) for d in drivers]
            passenger = await stack.enter_async_context(server.ride())
            await passenger.send(EXAMPLE)
            requests = await asyncio.gather(*(app.until("ride_request") for app in apps))

            async def accept(app, request):
                await app.send(about(request, "accept_ride"))
                answers = []
                while not answers or answers[-1] not in {"ride_assigned", "error"}:
                    answers.append((await app.receive(20))["type"])
                return answers[-1]

            answers = Counter(await asyncio.gather(*(accept(a, r) for a, r in zip(apps, requests, strict=True))))
            assert answers == {"ride_assigned": 1, "error": 49}
            assigned = await passenger.until("driver_assigned")
            await passenger.quiet()
    statuses = await in_thread(lambda: Counter(Offer.objects.values_list("status", flat=True)))
    assert statuses == {"accepted": 1, "withdrawn": 49}
    booking = await in_thread(Booking.objects.get)
    assert (booking.status, booking.driver_id, booking.seq) == ("confirmed", assigned["driver"]["id"], 2)


async def test_one_driver_accepts_50_rides(tmp_path, fleet):
    driver = await fleet.driver()
    with serving(tmp_path) as server:
        async with contextlib.AsyncExitStack() as stack:
            app = await stack.enter_async_context(fleet.socket(server, driver))
            passengers = [await stack.enter_async_context(server.ride(f"r{n}")) for n in range(50)]
            for passenger in passengers:
                await passenger.send(EXAMPLE)
            for passenger in passengers:
                await passenger.until("searching")
            for n in range(50):
                await app.send({"type": "accept_ride", "ride_id": f"r{n}"})
            answers: Counter[str] = Counter()
            while sum(answers[kind] for kind in ("ride_assigned", "error")) < 50:
                answers[(await app.receive(20))["type"]] += 1
            # Asked for one ride at a time: that one is theirs, every other accept is told no.
            assert (answers["ride_assigned"], answers["error"]) == (1, 49)
    assert await in_thread(Booking.objects.filter(status="confirmed").count) == 1
    assert await in_thread(Booking.objects.filter(status="pending").count) == 49


# --- what cannot be understood -------------------------------------------------------------------------------------

BAD = [
    ("{", "invalid_json", None),
    ("[]", "not_an_object", None),
    (b'{"type": "ping"}', "binary_frame", None),
    ('{"type": "find_driver"}', "unknown_type", None),
    ('{"ride_id": "12345"}', "missing_field", "type"),
    ('{"type": "accept_ride"}', "missing_field", None),
    ('{"type": "accept_ride", "ride_id": 12345}', "invalid_field", "ride_id"),
    ('{"type": "accept_ride", "ride_id": "a b"}', "invalid_field", "ride_id"),
    ('{"type": "accept_ride", "ride_id": "a\\n"}', "invalid_field", "ride_id"),
    ('{"type": "accept_ride", "booking_id": 0}', "invalid_field", "booking_id"),
    ('{"type": "accept_ride", "booking_id": 1e30}', "invalid_field", "booking_id"),
    ('{"type": "accept_ride", "ride_id": "1", "status": "x"}', "forbidden_field", "status"),
    ('{"type": "decline_ride", "ride_id": "1", "reason": ' + '"' + "x" * 301 + '"}', "invalid_field", "reason"),
    ('{"type": "go_online", "auto_accept": "yes"}', "invalid_field", "auto_accept"),
    ('{"type": "go_online", "verified": true}', "forbidden_field", "verified"),
    ('{"type": "location_update", "latitude": NaN, "longitude": 28}', "invalid_json", None),
    ('{"type": "location_update", "latitude": 1e400, "longitude": 28}', "invalid_field", "latitude"),
    ('{"type": "resume", "last_inbox_seq": -1}', "invalid_field", "last_inbox_seq"),
    ('{"type": "resume"}', "missing_field", "last_inbox_seq"),
    ('{"type": "ping", "type": "go_offline"}', "duplicate_field", None),
]


async def test_what_cannot_be_understood_is_answered_and_changes_nothing(server, fleet):
    driver = await fleet.driver()
    async with fleet.socket(server, driver) as app:
        for frame, code, field in BAD:
            told = await app.ask(frame)
            assert (told["type"], told["code"], told.get("field")) == ("error", code, field), frame
        await app.quiet()
    after = await in_thread(Driver.objects.get)
    assert (after.status, after.auto_accept, after.inbox_seq) == ("available", False, 0)

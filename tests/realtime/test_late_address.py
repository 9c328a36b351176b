"""find_driver without addresses, over a real server: the answer does not wait, and the booking gets them later."""

import json
import time

import pytest

from mobility.bookings.models import Booking
from mobility.models import RideEvent
from tests.places.provider import MAIN_STREET_JOBURG, providing
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, serving

pytestmark = pytest.mark.usefixtures("committed_db")
ADDRESS = MAIN_STREET_JOBURG["display_name"]
WITHOUT = {name: value for name, value in EXAMPLE.items() if not name.endswith("_address")}


@pytest.fixture
def provider():
    with providing() as running:
        yield running


@pytest.fixture
def asking(tmp_path, provider):
    """A server whose geocoder is this provider."""
    environment = {
        "GEOCODER": "nominatim", "GEOCODER_OPTIONS": json.dumps(provider.options), "GEOCODER_RATE_PER_S": "50",
        "GEOCODER_TIMEOUT_S": "60",
        "GEOCODER_USER_AGENT": "careconnect-tests (ops@example.org)",
    }  # fmt: skip
    with serving(tmp_path, **environment) as server:
        yield server


async def told(booking_id: int, wanted) -> Booking:
    """The booking as soon as `wanted` holds of it."""

    def look() -> Booking:
        deadline = time.monotonic() + 10
        while not wanted(booking := Booking.objects.get(pk=booking_id)):
            assert time.monotonic() < deadline, booking
            time.sleep(0.02)  # it comes from another process, which tells nobody
        return booking

    return await in_thread(look)


async def test_the_answer_does_not_wait_and_the_booking_gets_its_addresses(asking, provider, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    provider.may_answer.clear()
    async with asking.ride() as client:
        searching = await client.ask(WITHOUT)
        assert searching["type"] == "searching"
        assigned = await client.receive()
        assert assigned["type"] == "driver_assigned"
        assert await in_thread(provider.was_asked.wait, 10)  # it is being asked, and says nothing yet
        booking = await in_thread(Booking.objects.get, pk=assigned["booking_id"])
        assert (booking.pickup_address, booking.dropoff_address) == ("", "")
        provider.may_answer.set()
        booking = await told(assigned["booking_id"], lambda b: b.pickup_address and b.dropoff_address)
        assert (booking.pickup_address, booking.dropoff_address) == (ADDRESS, ADDRESS)
        assert booking.seq == assigned["seq"] == await in_thread(RideEvent.objects.count)
        assert await client.ask(WITHOUT) == assigned  # the same request is still the same
        await client.quiet()
    async with asking.ride() as client:
        state = await client.receive()
        assert (state["type"], state["pickup_address"], state["dropoff_address"]) == ("ride_state", ADDRESS, ADDRESS)


async def test_a_provider_that_hangs_holds_up_no_other_ride(asking, provider):
    """More rides than there are workers, and each would hold one."""
    provider.may_answer.clear()
    for number in range(6):
        async with asking.ride(f"hang{number}") as client:
            assert (await client.ask(WITHOUT))["type"] == "searching"
            assert (await client.receive())["type"] == "no_drivers"
    assert await in_thread(provider.was_asked.wait, 10)
    assert len(provider.asked) == 1


async def test_what_the_app_sent_is_what_the_driver_gets(asking, provider, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    async with asking.ride() as client:
        await client.send(WITHOUT | {"pickup_address": "The blue gate"})
        assigned = await client.until("driver_assigned")
        booking = await told(assigned["booking_id"], lambda b: b.dropoff_address)
        assert (booking.pickup_address, booking.dropoff_address) == ("The blue gate", ADDRESS)
    assert len(provider.asked) == 1


async def test_a_ride_goes_on_with_a_provider_that_is_down(asking, provider, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    provider.says(500)
    async with asking.ride() as client:
        await client.send(WITHOUT)
        assigned = await client.until("driver_assigned")
        booking = await told(assigned["booking_id"], lambda b: b.address_tries)
        assert (booking.pickup_address, booking.status) == ("", "confirmed")
        await client.send({"type": "cancel_ride"})
        assert (await client.until("ride_cancelled"))["booking_id"] == booking.pk


async def test_no_position_and_no_address_reaches_the_log(asking, provider, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473)
    async with asking.ride() as client:
        await client.send(WITHOUT)
        assigned = await client.until("driver_assigned")
        await told(assigned["booking_id"], lambda b: b.dropoff_address)
    for canary in ("28.0473", "26.2041", "Marshalltown", provider.domain):
        assert canary not in asking.output

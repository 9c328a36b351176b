"""Whom a freed driver is given: the longest waiting ride, or the nearest while riders outnumber drivers."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from geo.coordinates import lat_lon
from mobility.conf import ConfigurationMistake, read_knobs
from mobility.dispatch.dispatcher import sweep
from mobility.dispatch.queries import idle_driver
from mobility.dispatch.services import find_driver, offer_waiting_ride
from mobility.dispatch.strategies import Balanced, Nearest
from mobility.models import Booking, Driver, Offer, Presence

pytestmark = pytest.mark.usefixtures("committed_db")
PICKUP = (-26.2041, 28.0473)


@pytest.fixture
def city(make_driver, make_user, ride_request):
    """city.driver(north_m) and city.waiting(north_m): drivers, and rides that wait because all are busy."""

    class City:
        def driver(self, north_m, **fields):
            fields = {"auto_accept": False, "stationary": True} | fields
            driver = make_driver(PICKUP[0] + north_m / 110_600, PICKUP[1], **fields)
            Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
            return driver

        def waiting(self, north_m, **fields):
            at = lat_lon(PICKUP[0] + north_m / 110_600, PICKUP[1])
            outcome = find_driver(make_user().pk, "r", ride_request(pickup=at, distance_km=None, **fields))
            assert outcome.status == "pending"
            return outcome.booking_id

        def busy(self):
            """Somebody with a ride in the middle of it all, so that searches wait."""
            driver = self.driver(0, auto_accept=True)
            find_driver(None, f"busy-{driver.pk}", ride_request())
            Driver.objects.filter(pk=driver.pk).update(auto_accept=False)

    return City()


def test_while_riders_outnumber_drivers_balanced_takes_the_nearest(city):
    city.busy()
    first, near = city.waiting(6_000), city.waiting(500)
    driver = idle_driver(city.driver(0).pk)
    assert Balanced().ride_for(driver).booking_id == near
    assert Nearest().ride_for(driver).booking_id == first


def test_with_drivers_enough_balanced_takes_whoever_waits_longest(city):
    city.busy()
    first, _ = city.waiting(6_000), city.waiting(500)
    driver = city.driver(0)
    for _ in range(2):
        city.driver(8_000)
    assert Balanced().ride_for(idle_driver(driver.pk)).booking_id == first


def test_of_the_nearest_those_nobody_is_asked_for_come_first(city):
    city.busy()
    near, far = city.waiting(100), city.waiting(900)
    city.waiting(2_000)
    asked, free = city.driver(0), city.driver(10)
    assert offer_waiting_ride(asked.pk)
    assert Offer.objects.get(driver=asked).booking_id == near
    assert offer_waiting_ride(free.pk)
    assert Offer.objects.get(driver=free).booking_id == far


def test_the_sweep_keeps_to_the_strategy(city):
    """A ride whose turn it is leaves a driver to the ride that is nearer to them, which is asked for at once."""
    city.busy()
    first, near = city.waiting(6_000), city.waiting(500)
    driver = city.driver(0)
    Booking.objects.filter(pk=first).update(due_at=Now())
    sweep()
    assert Offer.objects.get(driver=driver).booking_id == near


def test_nearest_serves_in_the_order_of_asking(city, settings):
    settings.MOBILITY = replace(settings.MOBILITY, strategy="nearest")
    city.busy()
    first, _ = city.waiting(6_000), city.waiting(500)
    driver = city.driver(0)
    assert offer_waiting_ride(driver.pk)
    assert Offer.objects.get(driver=driver).booking_id == first


@pytest.mark.parametrize(
    "change",
    [
        {"vehicle_type": "suv"}, {"verified": False}, {"status": "offline"}, {"stationary": False},
    ],
)  # fmt: skip
def test_a_driver_who_may_not_drive_it_gets_no_waiting_ride(city, change):
    city.busy()
    city.waiting(500, vehicle_type="sedan")
    driver = city.driver(0, **change)
    from mobility.models import DriverLocation

    if change == {"stationary": False}:
        DriverLocation.objects.filter(pk=driver.pk).update(received_at=Now() + timedelta(minutes=1))
        Presence.objects.filter(pk=driver.pk).update(lease_until=Now())
    assert not offer_waiting_ride(driver.pk)
    assert not Offer.objects.filter(driver=driver).exists()


def test_nobody_gets_their_own_waiting_ride(city, make_user, ride_request):
    city.busy()
    driver = city.driver(200)
    Driver.objects.filter(pk=driver.pk).update(status="offline")
    find_driver(driver.user_id, "own", ride_request())
    Driver.objects.filter(pk=driver.pk).update(status="available")
    assert not offer_waiting_ride(driver.pk)


def test_out_of_reach_is_out_of_reach(city):
    city.busy()
    city.waiting(500)
    assert not offer_waiting_ride(city.driver(11_000).pk)


def test_a_strategy_that_does_not_exist_does_not_start():
    with pytest.raises(ConfigurationMistake, match="CARECONNECT_STRATEGY"):
        read_knobs({"CARECONNECT_STRATEGY": "random"}, demo=False)

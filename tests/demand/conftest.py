"""Fixtures: rides and positions of past hours."""

from datetime import datetime, timedelta

import pytest

from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import find_driver
from mobility.models import Booking, Driver
from tests.demand.staging import PLACE
from tests.rest import set_knobs
from tests.trips.staging import Stage

__all__ = ["set_knobs"]


class DemandStage(Stage):
    """Rides asked for, with or without a driver, at any time."""

    def requested(self, at: datetime, place=PLACE, *, driver: Driver | None = None) -> Booking:
        """A ride that was asked for then: with this driver, who gets it, or nobody to be had."""
        Driver.objects.filter(status="available").update(status="offline")
        if driver is not None:
            Driver.objects.filter(pk=driver.pk).update(status="available")
        request = self.ride_request(pickup=place, distance_km=None)
        booking_id = find_driver(self.make_user().pk, "r1", request).booking_id
        self.run(
            "UPDATE mobility_booking SET requested_at = %s, search_started_at = %s WHERE id = %s", at, at, booking_id
        )
        return Booking.objects.get(pk=booking_id)

    def driven_by(self, driver: Driver, confirmed: datetime, ended: datetime, place=PLACE) -> Booking:
        """A completed ride of this driver, theirs from `confirmed` to `ended`; asked for when it was confirmed."""
        booking = self.requested(confirmed, place, driver=driver)
        assert booking.driver_id == driver.pk
        start_ride(booking.pk, SYSTEM)
        complete_ride(booking.pk, SYSTEM)
        self.run("DELETE FROM mobility_trip")
        self.run(
            "UPDATE mobility_booking SET confirmed_at = %s, started_at = %s, completed_at = %s WHERE id = %s",
            confirmed, confirmed + timedelta(seconds=1), ended, booking.pk,
        )  # fmt: skip
        return Booking.objects.get(pk=booking.pk)


@pytest.fixture
def stage(committed_db, admin_url, make_user, make_driver, ride_request):
    made = DemandStage(admin_url, make_user, make_driver, ride_request)
    yield made
    made.close()

"""Fixtures for layers: people who may look, and rides to look at."""

import pytest

from mobility.bookings.models import Booking
from mobility.dispatch.services import find_driver
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


@pytest.fixture
def operator(make_user):
    return make_user(roles=["operator"])


@pytest.fixture
def ride(make_user, ride_request):
    """ride(**fields): a ride of a new passenger; unfulfilled unless a driver is about."""

    def make(user=None, ride_id="r1", **fields):
        outcome = find_driver((user or make_user()).pk, ride_id, ride_request(**fields))
        return Booking.objects.get(pk=outcome.booking_id)

    return make

"""Transactions at once: who waits for whom, and who need not."""

import os
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db.models.functions import Now

from mobility.dispatch.offers import RideRef, accept_offer
from mobility.dispatch.services import find_driver
from mobility.errors import Refusal
from mobility.models import Presence
from tests.bookings.test_guards import offered
from tests.dispatch.test_offer_guards import cancelled, search
from tests.environment import libpq


@pytest.mark.parametrize("who", ["ride", "driver"])
def test_who_asks_and_who_ends_it_wait_for_each_other(committed_db, make_driver, who):
    """Else each would find, at its commit, that the other has done nothing yet."""
    booking_id, driver_id = search(), make_driver(0, 0).pk
    ended = {
        "ride": cancelled(booking_id),
        "driver": f"UPDATE mobility_driver SET status = 'offline' WHERE id = {driver_id}",
    }
    url = libpq(os.environ["DATABASE_URL"])
    with psycopg.connect(url) as asking, psycopg.connect(url) as ending:
        asking.execute(offered(booking_id, driver_id, "pending"))
        asking.execute("SET CONSTRAINTS ALL IMMEDIATE")
        ending.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ending.execute(ended[who])
        asking.rollback()
        ending.rollback()


@pytest.mark.parametrize("named", ["by ride id", "by booking"])
def test_who_accepts_too_late_is_told_without_waiting_for_the_ride(
    committed_db, make_driver, make_user, ride_request, admin_url, named
):
    """It is settled for good; with the ride's row locked by somebody, the answer would be a timeout."""
    drivers = [make_driver(-26.2041, 28.0473, auto_accept=False).pk for _ in range(2)]
    for driver_id in drivers:
        Presence.objects.create(driver_id=driver_id, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
    booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id
    ref = RideRef(ride_id="r") if named == "by ride id" else RideRef(booking_id=booking_id)
    assert accept_offer(drivers[0], ref) == booking_id
    with psycopg.connect(admin_url) as other:
        other.execute("SELECT FROM mobility_booking FOR UPDATE")
        with pytest.raises(Refusal) as refusal:
            accept_offer(drivers[1], ref)
        assert (refusal.value.code, refusal.value.details) == ("ride_taken", {"booking_id": booking_id, "ride_id": "r"})

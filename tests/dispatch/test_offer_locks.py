"""Two transactions at once: one asks a driver, the other ends what the asking rests on."""

import os

import psycopg
import pytest

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

"""A wave in the database: whoever is nearer has the lower number, is let go first, and is asked first for another ride,
whatever plans its statements were given.
"""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from mobility import events
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.dispatcher import sweep
from mobility.dispatch.offers import RideRef, accept_offer
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Driver, Offer, Presence
from tests.dispatch.clock import let_pass

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(params=["hashjoin", "nestloop", "mergejoin", "hashjoin nestloop"])
def wave(request, make_user, make_driver, ride_request):
    """The offers of a ride to five drivers, the nearest first, in a session without some kinds of joins."""
    for metres in (40, 10, 50, 20, 30):
        driver = make_driver(-26.2041 + metres / 110_600, 28.0473, auto_accept=False)
        Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
    Driver.objects.filter(pk__lt=driver.pk).update(missed_offers=1)  # their rows lie in another order than they came
    with connection.cursor() as cursor:
        for kind in request.param.split():
            cursor.execute(f"SET enable_{kind} = off")
    find_driver(make_user().pk, "r", ride_request())
    yield list(Offer.objects.order_by("id"))
    connection.close()


@pytest.fixture
def freed(monkeypatch):
    """Whoever could be asked for another ride, in order."""
    ids = []
    publish = events.publish

    def noted(fact):
        if isinstance(fact, events.DriverFreed):
            ids.append(fact.driver_id)
        publish(fact)

    monkeypatch.setattr(events, "publish", noted)
    return ids


def test_offers_are_numbered_by_nearness(wave):
    distances = [offer.pickup_distance_m for offer in wave]
    assert len(distances) == 5
    assert distances == sorted(distances)


def test_a_cancelled_ride_lets_them_go_in_that_order(wave, freed):
    cancel_ride(wave[0].booking_id, Actor(None, ActorRole.OPERATOR))
    assert freed == [offer.driver_id for offer in wave]


def test_a_taken_ride_lets_the_others_go_in_that_order(wave, freed):
    taker = wave.pop(2)
    accept_offer(taker.driver_id, RideRef(booking_id=taker.booking_id))
    assert freed == [offer.driver_id for offer in wave]


def test_requests_that_reached_nobody_let_them_go_in_that_order(wave, freed, admin_url):
    let_pass(5, admin_url)
    sweep()
    assert freed == [offer.driver_id for offer in wave]

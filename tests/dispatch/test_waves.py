"""A wave in the database: whoever is nearer has the lower number, whatever plan its statement was given."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from mobility.dispatch.services import find_driver
from mobility.models import Offer, Presence

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("without", ["enable_hashjoin", "enable_nestloop", "enable_mergejoin"])
def test_offers_are_numbered_by_nearness(without, make_user, make_driver, ride_request):
    for metres in (40, 10, 50, 20, 30):
        driver = make_driver(-26.2041 + metres / 110_600, 28.0473, auto_accept=False)
        Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL {without} = off")
    booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id
    distances = list(
        Offer.objects.filter(booking_id=booking_id).order_by("id").values_list("pickup_distance_m", flat=True)
    )
    assert len(distances) >= 3
    assert distances == sorted(distances)

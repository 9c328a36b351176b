"""The demonstration drives itself: without a driver app, a seed driver's ride arrives, starts and completes."""

from contextlib import suppress
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models.functions import Now

from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM, arrive_at_pickup, complete_ride, start_ride
from mobility.bookings.states import BOUND
from mobility.conf import knobs
from mobility.errors import Refusal

log = structlog.get_logger(__name__)


def complete_demo_rides() -> int:
    """Complete the rides of seed drivers that were confirmed long enough ago; how many. Nothing outside the demo.

    The times are rows and the clock is the database's, so a restart forgets nothing and several processes may do it.
    """
    if not settings.DEMO:
        return 0
    due = Booking.objects.filter(
        status__in=BOUND,
        driver__is_demo=True,
        confirmed_at__lte=Now() - timedelta(seconds=knobs().demo_complete_after_s),
    ).values_list("pk", flat=True)
    return sum(_complete(booking_id) for booking_id in due)


def _complete(booking_id: int) -> bool:
    try:
        with suppress(Refusal):  # further along already
            arrive_at_pickup(booking_id, SYSTEM)
            start_ride(booking_id, SYSTEM)
        complete_ride(booking_id, SYSTEM)
    except Refusal as refusal:
        log.info("demo_ride_not_completed", booking_id=booking_id, code=refusal.code)
        return False
    except DatabaseError as error:  # one ride that somebody holds must not stop the others
        log.warning("demo_ride_not_completed", booking_id=booking_id, error=type(error).__name__)
        return False
    return True

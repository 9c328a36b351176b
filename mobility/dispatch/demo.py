"""The demonstration drives itself: without a connected app, a seed driver's ride arrives, starts and completes."""

from contextlib import suppress

import structlog
from django.conf import settings
from django.db import DatabaseError

from mobility.bookings.services import SYSTEM
from mobility.conf import knobs
from mobility.dispatch.driving import arrive_at_pickup, complete_ride, start_ride
from mobility.errors import Refusal
from mobility.locations.seeds import DEMO_PASSWORD, SEEDS, seed_driver
from mobility.transactions import rows

log = structlog.get_logger(__name__)


def drive_demo() -> int:
    """Complete the rides of seed drivers who have no app connected and were confirmed long enough ago; how many.

    Nothing outside the demo. The times are rows and the clock is the database's, so a restart forgets nothing and
    several processes may do it.
    """
    if not settings.DEMO:
        return 0
    _bring_back()
    due = rows("dispatch/sql/demo_rides_due", {"after_s": knobs().demo_complete_after_s})
    return sum(_complete(row.id) for row in due)


def _bring_back() -> None:
    """Seed drivers whose app was tried and closed take rides by themselves again, from where they stood."""
    astray = {row.username for row in rows("dispatch/sql/demo_drivers_astray", {})}
    for seed in SEEDS:
        if seed.username in astray:
            log.info("demo_driver_restored", username=seed.username, done=seed_driver(seed, DEMO_PASSWORD))


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

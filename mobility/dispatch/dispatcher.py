"""The sweep over what is due: offers that ran out, searches at their limit, waiting rides, lost drivers.

Every deadline is a row and the clock is the database's, so a restart forgets nothing. Any number of processes may sweep
at once: a ride is claimed by its row lock, and one that is claimed is passed over.
"""

from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from mobility import events
from mobility.bookings import services as bookings
from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM
from mobility.bookings.states import Status
from mobility.conf import knobs
from mobility.dispatch.driving import release_driver
from mobility.dispatch.offers import settle_due
from mobility.dispatch.rounds import next_round, schedule, search_of, top_up, withdraw_offers
from mobility.dispatch.states import CloseReason
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
TICK_S = 0.2
AT_ONCE = 500  # rides of one sweep; what is left is due in the next one, a tick later
SET_ASIDE_S = 5.0
EXPLANATIONS_AT_ONCE = 1000


def sweep() -> int:
    """Deal with every ride that is due; how many. A ride that fails is set aside for a moment and stops no other."""
    for done in range(AT_ONCE):
        try:
            if not sweep_next():
                return done
        except DatabaseError as error:
            if not _set_aside(error):
                raise
    return AT_ONCE


class _Failed(DatabaseError):
    """A due ride whose turn failed; says which."""

    def __init__(self, booking_id: int) -> None:
        super().__init__(f"ride {booking_id}")
        self.booking_id = booking_id


def sweep_next() -> bool:
    """Deal with the ride that is due longest; False when none is."""
    claimed: list[int] = []
    try:
        return _sweep_next(claimed)
    except Exception as error:
        if not claimed:
            raise
        log.exception("sweep_failed", booking_id=claimed[-1], error=type(error).__name__)
        raise _Failed(claimed[-1]) from error


@state_change
def _sweep_next(claimed: list[int]) -> bool:
    due = rows("dispatch/sql/claim_due_ride", {})
    if not due:
        return False
    claimed.append(due[0].id)
    _deal_with(due[0])
    return True


def _set_aside(error: Exception) -> bool:
    if not isinstance(error, _Failed):
        return False
    with transaction.atomic():
        rows("dispatch/sql/set_aside", {"booking_id": error.booking_id, "for_s": SET_ASIDE_S})
    return True


def _deal_with(ride: Any) -> None:
    match ride.status:
        case Status.PENDING:
            _search_on(ride)
        case Status.CONFIRMED if ride.arrived_at is None:
            _look_for_lost_driver(ride)
        case _:
            _look_for_silent_trip(ride)


def _search_on(ride: Any) -> None:
    """A ride that is searched for: settle what ran out, then end the search, refill the wave, or ask the next one."""
    lost_places = settle_due(ride.id)
    if ride.search_is_over:
        withdraw_offers(ride.id, CloseReason.SEARCH_OVER)
        bookings.give_up_search(ride.id, ride.ride_id, ride.passenger_id, ride.rounds)
        return
    live = rows("dispatch/sql/live_offers", {"booking_id": ride.id})[0].live
    if live == 0:
        next_round(search_of(ride))
    elif lost_places:
        top_up(search_of(ride), min(lost_places, knobs().candidate_count - live))
    else:
        schedule(ride.id, ride.rounds)


def _look_for_lost_driver(ride: Any) -> None:
    """On the way to the pickup: a driver silent for too long loses the ride, and the search goes on."""
    if _next_sign_due(ride, knobs().lost_driver_s):
        release_driver(bookings.locked(ride.id), SYSTEM, "driver_lost")


def _look_for_silent_trip(ride: Any) -> None:
    """With the passenger, or waiting for them: nothing moves by itself, but an operator must know."""
    if _next_sign_due(ride, knobs().lost_trip_s):
        Booking.objects.filter(pk=ride.id, attention_since__isnull=True).update(attention_since=Now())
        events.publish(events.DriverSilent(ride.id, ride.ride_id, ride.driver_id))


def _next_sign_due(ride: Any, after_s: float) -> bool:
    """Whether the driver has been silent for `after_s`; in any case the ride is due again when that could be so."""
    return bool(rows("dispatch/sql/driver_silent", {"booking_id": ride.id, "after_s": after_s})[0].silent)


def forget_old_explanations() -> int:
    """Throw away explanations older than `explain_keep_days`, a bounded number at a time; how many rounds."""
    return len(
        rows(
            "dispatch/sql/forget_explanations",
            {"keep_days": knobs().explain_keep_days, "at_once": EXPLANATIONS_AT_ONCE},
        )
    )

"""Making the trip of a ride that is over: a moment after its end, and again while late positions may come."""

from typing import Any

import structlog
from django.db import DatabaseError, connection

from mobility.conf import knobs
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
TOLERANCE_M = 5.0
# A ride that was forgotten and ended days later has the track of its first day.
LONGEST_HOURS = 24
AGAIN_AFTER_S = 600.0
SET_ASIDE_S = 3600.0
AT_ONCE = 50
# A day of a position a second takes a good second; nobody waits for it.
WITHIN_MS = 20_000


@state_change
def make_trip(booking_id: int) -> bool:
    """Make or renew the trip of this ride out of its driver's positions; whether that was done.

    Nothing is done for a ride that was not driven or is not over, for one whose trip is not due or final, while another
    process does it, and when the positions may be gone. Again: the same trip.
    """
    if not rows("trips/sql/lock", {"booking_id": booking_id})[0].locked:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(WITHIN_MS)])
    # A statement of its own: it must see what whoever held the lock before has done.
    made = rows("trips/sql/make_trip", _limits() | {"booking_id": booking_id})
    if made:
        log.info("trip_made", **made[0]._asdict())
    return bool(made)


def make_due_trips() -> int:
    """Make up to 50 trips that are missing or due for renewal, longest due first; how many were. One that fails is set
    aside for an hour and stops no other. Raises what the database raises when it is away."""
    _close_old()
    due = rows("trips/sql/due", {"keep_days": knobs().position_keep_days, "at_once": AT_ONCE})
    for ride in due:
        try:
            make_trip(ride.booking_id)
        except DatabaseError as error:
            log.exception("trip_failed", booking_id=ride.booking_id, error=type(error).__name__)
            _set_aside(ride.booking_id)
    return len(due)


@state_change
def _close_old() -> None:
    rows("trips/sql/close", {"keep_days": knobs().position_keep_days})


@state_change
def _set_aside(booking_id: int) -> None:
    rows("trips/sql/set_aside", {"booking_id": booking_id, "for_s": SET_ASIDE_S})


def _limits() -> dict[str, Any]:
    return {
        "keep_days": knobs().position_keep_days, "late_hours": knobs().position_late_hours,
        "jump_km_h": knobs().jump_km_h, "longest_hours": LONGEST_HOURS, "tolerance_m": TOLERANCE_M,
        "again_after_s": AGAIN_AFTER_S,
    }  # fmt: skip

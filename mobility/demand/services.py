"""Counting demand by hexagon and hour: each hour when it is over, again while late news of it may come, and the present
hour every minute.

Any number of processes may do it: one counts at a time, the others pass it by.
"""

from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError, connection

from mobility.conf import knobs
from mobility.demand.models import SIZES_M
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
HOURS_AT_ONCE = 6
FORGOTTEN_AT_ONCE = 24
PRESENT_S = 60.0
AGAIN_AFTER_S = 600.0
# So long after an hour's end a ride of it may still be cancelled or found a driver, and change its counts.
CHANGES_HOURS = 48
SET_ASIDE_S = 3600.0
# An hour of ten million positions takes some thirty seconds; nobody waits for it.
WITHIN_MS = 120_000
WORK_MEMORY = "64MB"


def count_due_hours() -> int:
    """Count up to 6 hours that are missing or due again, newest first; how many were.

    One that fails is set aside for an hour and stops no other. None while another process counts. Raises what the
    database raises when it is away.
    """
    due = rows("demand/sql/due", {"keep_days": knobs().demand_keep_days, "at_once": HOURS_AT_ONCE})
    return sum(_counted(row.hour) for row in due)


def _counted(hour: datetime) -> bool:
    try:
        return count_hour(hour)
    except DatabaseError as error:
        log.exception("demand_failed", hour=hour.isoformat(), error=type(error).__name__)
        _set_aside(hour)
        return True


@state_change
def count_hour(hour: datetime) -> bool:
    """Count the hour that begins then, UTC, unless it is not due or another process counts; whether that was done.

    Again: the same counts. Only what has changed is written.
    """
    if not rows("demand/sql/lock", {})[0].locked:
        return False
    # A statement of its own: it must see what whoever held the lock before has done.
    if not rows("demand/sql/is_due", {"hour": hour})[0].due:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', %s, true)",
            [str(WITHIN_MS), WORK_MEMORY],
        )
    counted = rows("demand/sql/count_hour", _what(hour))[0]
    made = rows("demand/sql/made", _when(hour) | {"changed": counted.changed})[0]
    log.debug("demand_counted", hour=hour.isoformat(), final=made.final, **counted._asdict())
    return True


@state_change
def forget_old_hours() -> int:
    """Throw away the counts of hours older than `demand_keep_days`, a bounded number at a time; how many hours."""
    return len(
        rows(
            "demand/sql/forget",
            {"keep_days": knobs().demand_keep_days, "at_once": FORGOTTEN_AT_ONCE, "sizes_m": list(SIZES_M)},
        )
    )


@state_change
def _set_aside(hour: datetime) -> None:
    rows("demand/sql/set_aside", {"hour": hour, "for_s": SET_ASIDE_S})


def _what(hour: datetime) -> dict[str, Any]:
    return {
        "hour": hour, "sizes_m": list(SIZES_M), "position_keep_days": knobs().position_keep_days,
        "stale_after_s": knobs().stale_after_s,
    }  # fmt: skip


def _when(hour: datetime) -> dict[str, Any]:
    return {
        "hour": hour, "present_s": PRESENT_S, "again_after_s": AGAIN_AFTER_S,
        "late_hours": max(CHANGES_HOURS, knobs().position_late_hours),
    }  # fmt: skip

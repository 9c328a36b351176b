"""Publishing what analysts read: counts of a day, of its idle drivers, of a month, each once, two days after its end.

Any number of processes may do it: one publishes at a time, the others pass it by. What was published never changes
(docs/decisions/0024-published-counts.md).
"""

from datetime import date
from typing import Any

import structlog
from django.db import DatabaseError, connection

from mobility.conf import knobs
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
# Nothing is told of fewer people than MIN_PEOPLE; MIN_REST is what a total may be more than the sum of its parts by.
MIN_PEOPLE = MIN_REST = 10
# The edge of the hexagons: of one size alone, because those of another could be subtracted.
HEXAGON_M = 1_000
# So long after its end a day is final: rides are over or count as open, late positions have come, trips are made.
SETTLE_HOURS = 48
AT_ONCE = 31
# A day of 300,000 rides takes some ten seconds, a month of them some minutes; nobody waits for it.
WITHIN_MS = 1_800_000
WORK_MEMORY = "128MB"


def due_periods(*, since: date | None = None, at_once: int = AT_ONCE) -> list[Any]:
    """Up to so many days and months that can be published and are not, oldest first: rows with `kind` (day, supply or
    month), `begins`, the instants `at` and `until`, and the time `zone`. `since`: from the month of this day on."""
    return rows(
        "analytics/sql/published_due",
        {
            "time_zone": knobs().reporting_time_zone,
            "settle_hours": max(SETTLE_HOURS, knobs().position_late_hours + 1),
            "keep_days": knobs().publish_keep_days, "demand_keep_days": knobs().demand_keep_days, "since": since,
            "at_once": at_once,
        },
    )  # fmt: skip


def publish_due_periods(at_once: int = AT_ONCE) -> int:
    """Publish up to so many days and months; how many were. One that fails stops no other and is tried again the next
    time. None while another process publishes. Raises what the database raises when it is away."""
    return sum(_published(period) for period in due_periods(at_once=at_once))


def _published(period: Any) -> bool:
    try:
        return publish_period(period)
    except DatabaseError as error:
        log.exception(
            "publishing_failed", kind=period.kind, begins=period.begins.isoformat(), error=type(error).__name__
        )
        return False


@state_change
def publish_period(period: Any) -> bool:
    """Publish a row of `due_periods`, unless it is by now, its days are not, or another process publishes; whether that
    was done. All of it is there, or nothing."""
    if not rows("analytics/sql/published_lock", {})[0].locked:
        return False
    _take_time()
    when = {"kind": period.kind, "begins": period.begins, "zone": period.zone, "at": period.at, "until": period.until}
    if not rows("analytics/sql/published_begin", when):
        return False
    numbers = sum(rows(f"analytics/sql/{name}", when | _rules())[0].numbers for name in _STATEMENTS[period.kind])
    if period.kind == "month":
        rows("analytics/sql/published_done", when)
    log.debug("published", kind=period.kind, begins=period.begins.isoformat(), numbers=numbers)
    return True


@state_change
def forget_old_publications() -> int:
    """Throw away the numbers of months older than `publish_keep_days`; how many numbers."""
    forgotten: int = rows("analytics/sql/published_forget", {"keep_days": knobs().publish_keep_days})[0].numbers
    return forgotten


_STATEMENTS = {
    "day": ("published_day", "published_verdicts"),
    "supply": ("published_supply",),
    "month": ("published_month",),
}


def _rules() -> dict[str, Any]:
    return {
        "min_people": MIN_PEOPLE, "min_rest": MIN_REST, "hexagon_m": HEXAGON_M,
        "explain_keep_s": knobs().explain_keep_days * 86_400,
    }  # fmt: skip


def _take_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            # The planner cannot know how many rides a day has; row by row it would compare each with each. What is to
            # be looked up by an index says so itself (LATERAL, or a select in the list).
            "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', %s, true),"
            " set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_nestloop', 'off', true),"
            " set_config('jit', 'off', true)",
            [str(WITHIN_MS), WORK_MEMORY],
        )

"""Who has told no position for too long: out of matching's index by a sweep, in again with the next position.

The filter of matching never depends on it: a driver who is silent but not yet swept is not found either. The sweep
keeps such drivers from piling up in front of those who can be sent.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db.models import Q
from django.db.models.functions import Now

from mobility.conf import knobs
from mobility.drivers.models import DriverStatus
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
AT_ONCE = 5_000


def silent() -> Q:
    """Drivers on duty and not standing still who have told no position for `stale_after_s`, or never one."""
    since = Now() - timedelta(seconds=knobs().stale_after_s)
    old = Q(location__isnull=True) | Q(location__recorded_at__lte=since) | Q(location__received_at__lte=since)
    return ~Q(status=DriverStatus.OFFLINE) & Q(stationary=False) & old


def sweep_silent() -> int:
    """Take the silent out of the index, `AT_ONCE` in a transaction; how many."""
    total = 0
    while True:
        swept = _mark_silent()
        total += swept
        if swept < AT_ONCE:
            break
    if total:
        log.info("drivers_silent", drivers=total)
    return total


@state_change
def _mark_silent() -> int:
    return len(rows("locations/sql/mark_silent", {"stale_after_s": knobs().stale_after_s, "at_once": AT_ONCE}))


@state_change
def mark_returned(driver_ids: Sequence[int]) -> int:
    """Let those be matched again who were silent and are heard now; how many."""
    return len(
        rows(
            "locations/sql/mark_returned",
            {"driver_ids": list(driver_ids), "stale_after_s": knobs().stale_after_s},
        )
    )

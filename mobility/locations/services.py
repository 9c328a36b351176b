"""Where a driver is: put there by hand, or told by the driver's own device."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db.models.functions import Now

from geo.coordinates import LatLon, point
from mobility.errors import Refusal
from mobility.locations.models import DriverLocation
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


@state_change
def place_driver(driver_id: int, at: LatLon) -> None:
    """Put a driver somewhere, now: for one who stands still and reports no position."""
    DriverLocation.objects.update_or_create(
        driver_id=driver_id,
        defaults={
            "position": point(at), "heading": None, "speed": None, "recorded_at": Now(), "received_at": Now(),
        },
    )  # fmt: skip
    log.info("driver_placed", driver_id=driver_id)


class ReportedPosition(NamedTuple):
    """A position by a device: degrees, metres per second; `recorded_at` None means now."""

    at: LatLon
    heading: float | None = None
    speed: float | None = None
    recorded_at: datetime | None = None


@state_change
def report_positions(driver_id: int, reports: Sequence[ReportedPosition]) -> None:
    """The driver is where the newest of these says; an older one than is known changes nothing.

    From then on the driver moves: a stationary driver who reports is one no more. Refused: a position more than a
    minute from the future (`invalid_field`).
    """
    for number, report in enumerate(reports):
        told = rows(
            "locations/sql/report_position",
            {
                "driver_id": driver_id,
                "latitude": report.at.latitude,
                "longitude": report.at.longitude,
                "heading": report.heading,
                "speed": report.speed,
                "recorded_at": report.recorded_at,
            },
        )
        if told[0].too_early:
            field = "recorded_at" if len(reports) == 1 else f"updates.{number}.recorded_at"
            raise Refusal("invalid_field", "This position is from the future: set the device's clock.", field=field)

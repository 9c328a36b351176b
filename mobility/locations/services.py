"""Where a driver is, put there by hand. What devices tell comes in through ingest.py."""

import structlog
from django.db.models.functions import Now

from geo.coordinates import LatLon, point
from mobility.locations.models import DriverLocation
from mobility.transactions import state_change

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

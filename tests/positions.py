"""Positions as devices tell them."""

import time
from datetime import datetime
from typing import Any

from geo.coordinates import LatLon
from mobility.locations import ingest
from mobility.locations.fixes import Door, Fix


def fix(driver_id: int, at: LatLon, recorded_at: datetime | float | None = None, **fields: Any) -> Fix:
    """A position of the driver's device, of this moment unless it says otherwise."""
    told: dict[str, Any] = {"heading": None, "speed": None, "accuracy_m": None, "door": Door.SOCKET}
    return Fix(
        driver_id=driver_id,
        latitude=at.latitude,
        longitude=at.longitude,
        recorded_at=recorded_at.timestamp() if isinstance(recorded_at, datetime) else recorded_at,
        **{"arrived": time.monotonic()} | told | fields,
    )


def tell(driver_id: int, *places: LatLon, **fields: Any) -> None:
    """The driver's device tells these places, in this order, and they are stored."""
    for at in places:
        ingest.take([fix(driver_id, at, **fields)])

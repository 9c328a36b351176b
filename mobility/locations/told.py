"""A position as a client tells it, whatever door it comes to."""

import time
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mobility.locations.fixes import Door, Fix

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


def _instant(value: Any) -> Any:
    """An ISO 8601 text with its offset as a datetime; anything else as it is, to be refused."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _with_offset(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time needs its offset, for example Z")
    return at


Instant = Annotated[datetime, BeforeValidator(_instant), AfterValidator(_with_offset)]


class ToldPosition(BaseModel):
    """Where the driver is: degrees, heading clockwise from true north, metres per second, metres.

    Phones say -1 for a heading or speed they do not know. Members that are not known here are ignored.
    """

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)

    latitude: Latitude
    longitude: Longitude
    heading: Annotated[float, Field(ge=-1, le=360)] | None = None
    speed: Annotated[float, Field(ge=-1, lt=1000)] | None = None
    accuracy_m: Annotated[float, Field(ge=0, le=1e7)] | None = None
    recorded_at: Instant | None = None

    def fix(self, driver_id: int, door: Door) -> Fix:
        """As the ingest takes it."""
        return Fix(
            driver_id=driver_id,
            latitude=self.latitude,
            longitude=self.longitude,
            recorded_at=None if self.recorded_at is None else self.recorded_at.timestamp(),
            heading=None if self.heading is None or self.heading < 0 else self.heading % 360,
            speed=None if self.speed is None or self.speed < 0 else self.speed,
            accuracy_m=self.accuracy_m,
            door=door,
            arrived=time.monotonic(),
        )

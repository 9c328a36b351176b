"""Where drivers are: reads for maps."""

from datetime import datetime
from typing import NamedTuple

from django.db.models import BooleanField, ExpressionWrapper, QuerySet

from geo.coordinates import Bounds
from geo.params import Circle, Interval
from mobility.drivers.models import Driver
from mobility.locations.freshness import silent
from mobility.paging import bad_cursor, decoded


class DriverFilter(NamedTuple):
    """Which drivers a map asks for; a box, a circle or an interval leaves out drivers without a position."""

    box: Bounds | None = None
    circle: Circle | None = None
    statuses: list[str] = []
    between: Interval | None = None


def drivers_with_location() -> "QuerySet[Driver]":
    """Every driver with the user and the newest position, if any, and whether they are `silent`, in one query."""
    return Driver.objects.select_related("user", "location").annotate(
        silent=ExpressionWrapper(silent(), output_field=BooleanField())
    )


def instant_of(cursor: str) -> datetime:
    """The instant a cursor names."""
    try:
        at = datetime.fromisoformat(decoded(cursor))
    except ValueError:
        raise bad_cursor() from None
    if at.tzinfo is None:
        raise bad_cursor()
    return at

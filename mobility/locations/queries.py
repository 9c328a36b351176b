"""Where drivers are: reads for maps."""

from typing import NamedTuple

from django.db.models import QuerySet

from geo.coordinates import Bounds
from geo.expressions import in_bounds, within_metres
from geo.params import Circle
from mobility.drivers.models import Driver
from mobility.paging import Page, bad_cursor, decoded, page_of

MAX_DRIVER_ID = 2**63 - 1


class DriverFilter(NamedTuple):
    """Which drivers a map asks for; a box or a circle leaves out drivers without a position."""

    box: Bounds | None = None
    circle: Circle | None = None
    statuses: list[str] = []


def drivers_with_location() -> "QuerySet[Driver]":
    """Every driver with the user and the newest position, if any, in one query."""
    return Driver.objects.select_related("user", "location")


def matching_drivers(wanted: DriverFilter) -> "QuerySet[Driver]":
    """The drivers of a filter, by id."""
    drivers = drivers_with_location().order_by("pk")
    if wanted.box is not None:
        drivers = drivers.filter(in_bounds("location__position", wanted.box))
    if wanted.circle is not None:
        drivers = drivers.filter(within_metres("location__position", *wanted.circle))
    return drivers.filter(status__in=wanted.statuses) if wanted.statuses else drivers


def drivers_page(wanted: DriverFilter, limit: int, cursor: str | None) -> Page[Driver]:
    """One page of them."""
    drivers = matching_drivers(wanted)
    if cursor is not None:
        drivers = drivers.filter(pk__gt=_driver_id(cursor))
    return page_of(drivers, limit, lambda driver: str(driver.pk))


def _driver_id(cursor: str) -> int:
    text = decoded(cursor)
    if not text.isdecimal() or int(text) > MAX_DRIVER_ID:
        raise bad_cursor()
    return int(text)

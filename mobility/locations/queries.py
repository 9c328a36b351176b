"""Where drivers are: reads for maps."""

from typing import Any, NamedTuple

from django.db.models import BooleanField, ExpressionWrapper, QuerySet

from geo.coordinates import Bounds
from geo.expressions import in_bounds, within_metres
from geo.geodesy import grown_box
from geo.params import Circle
from mobility.drivers.models import Driver
from mobility.locations.freshness import silent
from mobility.locations.models import REACH_SLACK_M, DriverLocation
from mobility.paging import Page, bad_cursor, decoded, page_of

MAX_DRIVER_ID = 2**63 - 1


class DriverFilter(NamedTuple):
    """Which drivers a map asks for; a box or a circle leaves out drivers without a position."""

    box: Bounds | None = None
    circle: Circle | None = None
    statuses: list[str] = []


def drivers_with_location() -> "QuerySet[Driver]":
    """Every driver with the user and the newest position, if any, and whether they are `silent`, in one query."""
    return Driver.objects.select_related("user", "location").annotate(
        silent=ExpressionWrapper(silent(), output_field=BooleanField())
    )


def matching_ids(wanted: DriverFilter, after: int) -> "QuerySet[Any, Any]":
    """The ids of a filter's drivers, in order, beginning after an id.

    From the narrow table of positions where a place is asked for: it alone is searched, sorted and cut to a page before
    anything is joined to it.
    """
    if wanted.box is None and wanted.circle is None:
        drivers = Driver.objects.filter(pk__gt=after)
        drivers = drivers.filter(status__in=wanted.statuses) if wanted.statuses else drivers
        return drivers.order_by("pk").values("pk")
    places = DriverLocation.objects.filter(driver_id__gt=after)
    if wanted.box is not None:
        # The index has drivers somewhat beside their position.
        places = places.filter(in_bounds("indexed_position", grown_box(wanted.box, REACH_SLACK_M)))
        places = places.filter(in_bounds("position", wanted.box))
    if wanted.circle is not None:
        centre, radius_m = wanted.circle
        places = places.filter(within_metres("indexed_position", centre, radius_m + REACH_SLACK_M))
        places = places.filter(within_metres("position", centre, radius_m))
    places = places.filter(driver__status__in=wanted.statuses) if wanted.statuses else places
    return places.order_by("driver_id").values("driver_id")


def drivers_page(wanted: DriverFilter, limit: int, cursor: str | None) -> Page[Driver]:
    """One page of the drivers of a filter, by id."""
    after = 0 if cursor is None else _driver_id(cursor)
    found = drivers_with_location().filter(pk__in=matching_ids(wanted, after)[: limit + 1]).order_by("pk")
    return page_of(found, limit, lambda driver: str(driver.pk))


def _driver_id(cursor: str) -> int:
    text = decoded(cursor)
    if not text.isdecimal() or int(text) > MAX_DRIVER_ID:
        raise bad_cursor()
    return int(text)

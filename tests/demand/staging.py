"""Hours, cells and counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from geo.coordinates import LatLon, lat_lon
from mobility.models import DemandHour, DemandMade

PLACE = lat_lon(-26.2041, 28.0473)


def hour_ago(hours: int) -> datetime:
    """The beginning of the hour so many before the present one."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return now - timedelta(hours=hours)


def cell_of(at: LatLon, size_m: int) -> int:
    """By mobility_hex_of, which tests/demand/test_hexagons.py compares with PostGIS's own grid."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT mobility_hex_of(ST_SetSRID(ST_MakePoint(%s, %s), 4326), %s)", [at.longitude, at.latitude, size_m]
        )
        return int(cursor.fetchone()[0])


def counts(hour: datetime, **where: Any) -> dict[tuple[int, int], tuple[int, int, int | None]]:
    """(size, cell) -> requests, unfulfilled, idle drivers, as they are stored."""
    stored = DemandHour.objects.filter(hour=hour, **where)
    return {(row.size_m, row.cell): (row.requests, row.unfulfilled, row.idle_drivers) for row in stored}


def only(hour: datetime, size_m: int = 1_000) -> tuple[int, int, int | None]:
    """The counts of an hour in which something was in a single cell."""
    (found,) = counts(hour, size_m=size_m).values()
    return found


def due_now() -> None:
    """Every hour that is not final is due."""
    DemandMade.objects.filter(due_at__isnull=False).update(due_at=datetime.now(UTC) - timedelta(seconds=1))

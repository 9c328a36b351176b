"""Rides that were driven some time ago, and where their drivers were."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from geo.coordinates import LatLon
from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import find_driver
from mobility.models import Booking, Driver
from tests.positions import tell

TIMES = (
    "requested_at",
    "search_started_at",
    "search_until",
    "confirmed_at",
    "started_at",
    "completed_at",
    "cancelled_at",
)


class Stage:
    """Drives rides by the services and moves their times, which nobody else may do. `make_driver` and so on are the
    fixtures of that name."""

    def __init__(self, admin_url: str, make_user: Any, make_driver: Any, ride_request: Any) -> None:
        self._admin = psycopg.connect(admin_url, autocommit=True)
        self._admin.execute("SET session_replication_role = replica")
        self.make_user, self.make_driver, self.ride_request = make_user, make_driver, ride_request

    def close(self) -> None:
        """End the connection."""
        self._admin.close()

    def run(self, statement: str, *params: Any) -> None:
        """Something that no guard lets anybody do."""
        self._admin.execute(statement, params or None)

    def ride(self) -> Booking:
        """A confirmed ride, of a driver who has no other."""
        Driver.objects.update(status="offline")
        self.make_driver(-26.2041, 28.0473)
        booking_id = find_driver(self.make_user().pk, "r1", self.ride_request()).booking_id
        return Booking.objects.get(pk=booking_id)

    def driven(self, *, started: datetime, ended: datetime, approach_s: float = 300.0) -> Booking:
        """A completed ride of this time, without a trip yet."""
        booking = self.ride()
        start_ride(booking.pk, SYSTEM)
        complete_ride(booking.pk, SYSTEM)
        self.run("DELETE FROM mobility_trip WHERE booking_id = %s", booking.pk)
        confirmed = started - timedelta(seconds=approach_s)
        self.run(
            "UPDATE mobility_booking SET requested_at = %s, search_started_at = %s, confirmed_at = %s, started_at = %s,"
            " completed_at = %s WHERE id = %s",
            confirmed, confirmed, confirmed, started, ended, booking.pk,
        )  # fmt: skip
        booking.refresh_from_db()
        return booking

    def pass_hours(self, booking: Booking, hours: float) -> None:
        """The ride and its trip are so much longer ago; positions stay."""
        of_trip = ("started_at", "ended_at", "made_at", "due_at")
        for table, key, times in (("mobility_booking", "id", TIMES), ("mobility_trip", "booking_id", of_trip)):
            moved = ", ".join(f"{name} = {name} - make_interval(secs => {hours * 3600})" for name in times)
            self.run(f"UPDATE {table} SET {moved} WHERE {key} = %s", booking.pk)


def ago(**times: float) -> datetime:
    """So long ago, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**times)


def told(booking: Booking, places: Iterable[tuple[float, LatLon]]) -> None:
    """The driver's device tells where it was so many seconds after the ride's start."""
    for second, at in places:
        tell(booking.driver_id, at, recorded_at=booking.started_at + timedelta(seconds=second))

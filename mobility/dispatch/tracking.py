"""Rides that are followed: where the driver is, and how long it takes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from geo.coordinates import LatLon
from mobility.dispatch.travel import router
from mobility.transactions import rows


class DriverPosition(NamedTuple):
    """Where the driver of a ride under way is: degrees, heading clockwise from true north, metres per second, and the
    seconds to the pickup, or with the passenger on board to the dropoff. `seq` is the ride's at that moment."""

    booking_id: int
    seq: int
    at: LatLon
    heading: float | None
    speed: float | None
    recorded_at: datetime
    eta_s: float


def moved_drivers(known: Mapping[int, datetime | None]) -> list[Any]:
    """The rows of followed.sql of these rides, of those under way whose position is not the `known` one. Reads only."""
    return [
        row
        for row in rows("dispatch/sql/followed", {"booking_ids": list(known)})
        if row.recorded_at != known[row.booking_id]
    ]


def driver_positions(moved: Sequence[Any]) -> list[DriverPosition]:
    """The same with the time each drive takes. Asks the routing engine and not the database: not for its threads.

    Takes `routing_timeout_s` at most, for all of them together.
    """
    places = [LatLon(row.latitude, row.longitude) for row in moved]
    goals = [LatLon(row.goal_latitude, row.goal_longitude) for row in moved]
    legs = router().drives(list(zip(places, goals, strict=True)))
    return [
        DriverPosition(row.booking_id, row.seq, at, row.heading, row.speed, row.recorded_at, leg.duration_s)
        for row, at, leg in zip(moved, places, legs, strict=True)
    ]

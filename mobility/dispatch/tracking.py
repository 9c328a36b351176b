"""Rides that are followed: where the driver is, and how long it takes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from geo.coordinates import LatLon
from geo.routing.router import GreatCircle, Router
from mobility.conf import knobs
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


def router() -> Router:
    """The engine that is set."""
    return GreatCircle(detour=knobs().eta_detour, speed_km_h=knobs().eta_speed_km_h)


def driver_positions(known: Mapping[int, datetime | None]) -> list[DriverPosition]:
    """Where the drivers of these rides are, of those under way whose position is not the `known` one. Reads only."""
    engine = router()
    found = []
    for row in rows("dispatch/sql/followed", {"booking_ids": list(known)}):
        if row.recorded_at == known[row.booking_id]:
            continue
        at = LatLon(row.latitude, row.longitude)
        leg = engine.legs([at], LatLon(row.goal_latitude, row.goal_longitude))[0]
        found.append(
            DriverPosition(row.booking_id, row.seq, at, row.heading, row.speed, row.recorded_at, leg.duration_s)
        )
    return found

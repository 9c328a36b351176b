"""Whom could we send? Reads only."""

from typing import Any, NamedTuple

from geo.coordinates import LatLon
from mobility.conf import knobs
from mobility.transactions import rows

# How many drivers the index walk fetches before they are measured exactly: storage-wise free, and the answer is certain
# in nearly every case with the first try.
FIRST_FETCH = 16


class Candidate(NamedTuple):
    """A driver who could be sent, and how far away they are: metres on the spheroid."""

    driver_id: int
    distance_m: float
    position: LatLon


def search_params(
    pickup: LatLon, *, passenger_id: int | None = None, vehicle_type: str | None = None, radius_m: float | None = None
) -> dict[str, Any]:
    """The parameters of the candidates clause (mobility/dispatch/sql/candidates.sql)."""
    now = knobs()
    return {
        "latitude": pickup.latitude,
        "longitude": pickup.longitude,
        "radius_m": now.search_radius_m if radius_m is None else radius_m,
        "stale_after_s": now.stale_after_s,
        "vehicle_type": vehicle_type,
        "passenger_id": passenger_id,
        "fetch": FIRST_FETCH,
    }


def nearest_available(
    pickup: LatLon,
    *,
    count: int | None = None,
    passenger_id: int | None = None,
    vehicle_type: str | None = None,
    radius_m: float | None = None,
) -> list[Candidate]:
    """The nearest drivers who could be sent, nearest first: available, verified, fresh, within the radius.

    `count` and `radius_m` default to the settings. Never the passenger themselves. One statement in nearly every case:
    only when the drivers it fetched lie too close together to be sure of their order is it repeated with more.
    """
    wanted = knobs().candidate_count if count is None else count
    params = search_params(pickup, passenger_id=passenger_id, vehicle_type=vehicle_type, radius_m=radius_m)
    params |= {"count": wanted, "fetch": max(FIRST_FETCH, 3 * wanted)}
    while True:
        found = rows("dispatch/sql/nearest", params)
        if not found or found[0].fetched < params["fetch"] or found[-1].distance_m <= found[0].certain_m:
            return [Candidate(r.driver_id, r.distance_m, LatLon(r.latitude, r.longitude)) for r in found]
        params["fetch"] *= 4

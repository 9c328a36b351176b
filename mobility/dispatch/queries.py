"""Whom could we ask, and for whom could a driver be had? Reads only."""

from datetime import datetime
from typing import Any, NamedTuple

from geo.coordinates import LatLon
from mobility.conf import knobs
from mobility.locations.models import REACH_SLACK_M
from mobility.transactions import rows

# How many drivers the index walk fetches before they are measured exactly: storage-wise free, and the answer is certain
# in nearly every case with the first try.
FIRST_FETCH = 16
# How many waiting rides are looked at to tell whether riders outnumber drivers.
WAITING_FETCH = 100


def first_fetch(wanted: int) -> int:
    """How many to fetch at first for so many wanted."""
    return max(FIRST_FETCH, 3 * wanted)


class Candidate(NamedTuple):
    """A driver who could be asked, and how far away they are: metres on the spheroid."""

    driver_id: int
    distance_m: float
    position: LatLon


class Candidates(NamedTuple):
    """The nearest of them in an order that is certain; `more` when a larger fetch could find others.

    `for_others` are drivers in reach who should rather be asked for another waiting ride.
    """

    found: list[Candidate]
    more: bool
    for_others: tuple[int, ...] = ()


class Search(NamedTuple):
    """What a ride looks for; `rounds` have been made already. `radius_m` is its own, None for the knob's."""

    booking_id: int
    ride_id: str
    passenger_id: int | None
    pickup: LatLon
    vehicle_type: str | None
    rounds: int = 0
    radius_m: float | None = None


class IdleDriver(NamedTuple):
    """A driver who could be asked now, and where they stand."""

    driver_id: int
    user_id: int
    vehicle_type: str
    at: LatLon


class WaitingRide(NamedTuple):
    """A waiting ride near an idle driver: metres between them, and how many drivers are being asked for it."""

    booking_id: int
    distance_m: float
    search_started_at: datetime
    live_offers: int
    riders_outnumber: bool


def search_params(
    pickup: LatLon,
    *,
    booking_id: int | None = None,
    passenger_id: int | None = None,
    vehicle_type: str | None = None,
    radius_m: float | None = None,
    asking: bool | None = None,
) -> dict[str, Any]:
    """The parameters of the candidates clause (mobility/dispatch/sql/candidates.sql).

    `asking`: only drivers whom a request can reach or who accept by themselves; by default unless auto-assign is on.
    """
    now = knobs()
    return {
        "latitude": pickup.latitude,
        "longitude": pickup.longitude,
        "radius_m": now.search_radius_m if radius_m is None else radius_m,
        "slack_m": REACH_SLACK_M,
        "stale_after_s": now.stale_after_s,
        "vehicle_type": vehicle_type,
        "passenger_id": passenger_id,
        "booking_id": booking_id,
        "asking": not now.auto_assign if asking is None else asking,
        "fetch": FIRST_FETCH,
    }


def params_of(search: Search) -> dict[str, Any]:
    """The same, for a ride."""
    return search_params(
        search.pickup,
        booking_id=search.booking_id,
        passenger_id=search.passenger_id,
        vehicle_type=search.vehicle_type,
        radius_m=search.radius_m,
    )


def nearest_to(search: Search, fetch: int) -> Candidates:
    """The nearest drivers who could be asked for a ride, out of `fetch` or more: enough for a wave, if there are."""
    return _nearest(params_of(search), knobs().candidate_count, fetch)


def _nearest(params: dict[str, Any], wanted: int, fetch: int) -> Candidates:
    """One statement in nearly every case: only when the drivers it fetched lie too close together to be sure of the
    order of those wanted is it repeated with more."""
    while True:
        nearest = _fetched(params | {"fetch": fetch})
        if len(nearest.found) >= wanted or not nearest.more:
            return nearest
        fetch *= 2


def _fetched(params: dict[str, Any]) -> Candidates:
    found = rows("dispatch/sql/nearest", params)
    certain = [
        Candidate(r.driver_id, r.distance_m, LatLon(r.latitude, r.longitude)) for r in found if r.driver_id is not None
    ]
    return Candidates(certain, found[0].fetched >= params["fetch"])


def nearest_available(
    pickup: LatLon,
    *,
    count: int | None = None,
    passenger_id: int | None = None,
    vehicle_type: str | None = None,
    radius_m: float | None = None,
    asking: bool = False,
) -> list[Candidate]:
    """The nearest drivers who could be sent, nearest first: available, verified, fresh, within the radius, not asked.

    `count` and `radius_m` default to the settings. Never the passenger themselves.
    """
    wanted = knobs().candidate_count if count is None else count
    params = search_params(
        pickup, passenger_id=passenger_id, vehicle_type=vehicle_type, radius_m=radius_m, asking=asking
    )
    return _nearest(params, wanted, first_fetch(wanted)).found[:wanted]


def anybody_left(search: Search) -> bool:
    """Whether a driver on duty within the radius might still take this ride: busy, asked, or locked just now."""
    return bool(rows("dispatch/sql/anybody_left", params_of(search))[0].anybody)


def idle_driver(driver_id: int) -> IdleDriver | None:
    """The driver, if they could be asked for a ride right now."""
    now = knobs()
    found = rows(
        "dispatch/sql/idle_driver",
        {"driver_id": driver_id, "stale_after_s": now.stale_after_s, "asking": not now.auto_assign},
    )
    if not found:
        return None
    r = found[0]
    return IdleDriver(r.driver_id, r.user_id, r.vehicle_type, LatLon(r.latitude, r.longitude))


def waiting_near(driver: IdleDriver) -> list[WaitingRide]:
    """The waiting rides, each within its own radius, that this driver may be asked for, nearest first."""
    params = search_params(driver.at, vehicle_type=driver.vehicle_type) | {
        "driver_id": driver.driver_id,
        "user_id": driver.user_id,
        "places": knobs().candidate_count,
        "fetch": WAITING_FETCH,
    }
    return [WaitingRide(*r) for r in rows("dispatch/sql/waiting_near", params)]

"""Addresses of rides that were asked for without them: looked up after the commit, by whatever geocoder is set.

Nobody waits for them and no ride depends on them. They are no move of the ride and stand in no log: whoever reads the
ride later finds them. Only what is empty is filled, which the database sees to (sql/guards_v3.sql).
"""

from typing import Any

from geo.coordinates import LatLon, lat_lon
from geo.geocoding.geocoder import GeocodingError
from mobility.delivery import background
from mobility.places.backend import geocoder_is_set
from mobility.places.lookup import place_at
from mobility.transactions import rows

MOST_TRIES = 5
# A try that brought nothing is followed by another 30 s, 2, 8, 32 and 128 minutes after the request.
FIRST_AGAIN_S, TIMES = 30.0, 4.0
YOUNG_HOURS = 24
AT_ONCE = 50
# A person is not waiting: a turn may be farther away.
LONGEST_WAIT_S = 15.0


def look_up_addresses(booking_id: int) -> None:
    """Have the ride's missing addresses looked up soon; nothing where no geocoder is set."""
    if geocoder_is_set():
        background.outside(fill_addresses, booking_id)


def look_up_due_addresses() -> int:
    """The same for young rides whose addresses are still missing, because a try was lost or brought nothing; how many
    were found."""
    if not geocoder_is_set():
        return 0
    due = rows(
        "bookings/sql/lack_address",
        {"most": MOST_TRIES, "first_s": FIRST_AGAIN_S, "times": TIMES, "young_h": YOUNG_HOURS, "at_once": AT_ONCE},
    )
    for ride in due:
        background.outside(fill_addresses, ride.id, ride.address_tries)
    return len(due)


def fill_addresses(booking_id: int, tries: int | None = None) -> int:
    """Ask for the ride's missing addresses and write them down; how many were. Counts as one try, of five at most.

    With `tries` only if nobody has tried since. What the geocoder does not know, or does not say, stays missing.
    """
    ride = rows("bookings/sql/claim_address", {"booking_id": booking_id, "tries": tries, "most": MOST_TRIES})
    return sum(_fill(booking_id, end, at) for end, at in _missing(ride[0])) if ride else 0


def _missing(ride: Any) -> list[tuple[str, LatLon]]:
    ends = (
        ("pickup", ride.lacks_pickup, lat_lon(ride.pickup_latitude, ride.pickup_longitude)),
        ("dropoff", ride.lacks_dropoff, lat_lon(ride.dropoff_latitude, ride.dropoff_longitude)),
    )
    return [(end, at) for end, is_lacking, at in ends if is_lacking]


def _fill(booking_id: int, end: str, at: LatLon) -> int:
    try:
        place = place_at(at, longest_wait_s=LONGEST_WAIT_S)
    except GeocodingError:
        return 0  # the log has it, and the sweep comes back
    if place is None:
        return 0
    return len(
        rows(f"bookings/sql/fill_{end}_address", {"booking_id": booking_id, "address": place.label, **at._asdict()})
    )

"""Whose turn it is to ask a geocoder: one row each, so that the provider's rate is kept by all processes and hosts."""

from datetime import datetime
from typing import NamedTuple

from geo.geocoding.geocoder import Refused
from mobility.transactions import rows


class Turn(NamedTuple):
    """When one may ask, and how many seconds that is from now."""

    at: datetime
    wait_s: float


def book_turn(geocoder: str, *, rate_per_s: float, longest_wait_s: float) -> Turn:
    """The next turn, which is then the caller's: they wait until it comes. Refused, and nothing is booked, when that is
    longer than `longest_wait_s`; it says how long it would be."""
    booked = rows(
        "places/sql/book_turn", {"geocoder": geocoder, "every_s": 1 / rate_per_s, "longest_s": longest_wait_s}
    )
    if booked:
        return Turn(*booked[0])
    wait = rows("places/sql/next_turn", {"geocoder": geocoder})
    raise Refused("in_line", retry_after_s=wait[0].wait_s if wait else 1 / rate_per_s)


def put_off(geocoder: str, for_s: float) -> None:
    """Nobody asks for so long, as the provider wants it."""
    rows("places/sql/put_off", {"geocoder": geocoder, "for_s": for_s})

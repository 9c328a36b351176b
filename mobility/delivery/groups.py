"""The name of every channel-layer group. A client's text never becomes part of one, only a digest of it.

A ride's audience is named by who asked, not by the booking: a socket knows that before the booking exists, so it joins
first and reads afterwards, and no move can fall between the two (docs/decisions/0006).
"""

import hashlib


def audience(passenger_id: int | None, ride_id: str) -> str:
    """Sockets that show rides of this passenger; for guests, of this guest ride id."""
    if passenger_id is not None:
        return f"passenger.{passenger_id}"
    return f"guest.{hashlib.sha256(ride_id.encode()).hexdigest()[:40]}"


def user(user_id: int) -> str:
    """All sockets of one user, to close them."""
    return f"user.{user_id}"


def driver(driver_id: int) -> str:
    """The sockets of one driver."""
    return f"driver.{driver_id}"

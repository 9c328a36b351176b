"""Rides as their passengers see them. Reads only."""

from typing import Any

from mobility.transactions import rows


def booking_id_of(passenger_id: int | None, ride_id: str) -> int | None:
    """The booking this passenger's `ride_id` stands for; for a guest the one that isn't over."""
    found = rows("bookings/sql/booking_of", {"passenger_id": passenger_id, "ride_id": ride_id})
    return found[0].id if found else None


def ride_state(booking_id: int) -> Any:
    """The row of bookings/sql/ride_state.sql: the whole ride now."""
    return rows("bookings/sql/ride_state", {"booking_id": booking_id})[0]


def events_after(booking_id: int, seq: int) -> list[Any]:
    """The log rows after `seq`, in order: rows of bookings/sql/events_after.sql."""
    return rows("bookings/sql/events_after", {"booking_id": booking_id, "seq": seq})


def newer_than_told(told: dict[int, int]) -> list[Any]:
    """Of bookings and the seq a client was told of each, those that have moved on: booking_id, ride_id, seq."""
    return rows("bookings/sql/newer_than_told", {"booking_ids": list(told), "seqs": list(told.values())})


def rides_of(named: list[tuple[int | None, str]]) -> list[Any]:
    """The bookings behind these pairs of passenger (None: a guest) and ride id, where there is one: place (from 1) in
    the list, booking_id, ride_id, seq."""
    params = {"passenger_ids": [who for who, _ in named], "ride_ids": [ride_id for _, ride_id in named]}
    return rows("bookings/sql/rides_of", params)

"""Rides in a list, newest first: one's own, or all of them for operators. Reads only."""

from datetime import datetime

from django.db.models import Prefetch, Q, QuerySet

from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.states import BOUND
from mobility.paging import bad_cursor, decoded
from mobility.people.models import User
from mobility.people.permissions import is_operator

# Rides whose driver went silent. Only bound ones have a driver to call, and those the index `booking_bound` holds.
NEEDS_ATTENTION = Q(attention_since__isnull=False, status__in=sorted(BOUND))


def visible_bookings(user: User) -> "QuerySet[Booking]":
    """The rides this user may read: those they are the passenger of; every ride for an operator."""
    bookings = Booking.objects.select_related("driver__user")
    return bookings if is_operator(user) else bookings.filter(passenger=user)


def booking_with_log(user: User, booking_id: int) -> Booking | None:
    """One ride with its log; None when there is none or it is not the user's to read, which nothing tells apart."""
    log = Prefetch("events", RideEvent.objects.order_by("seq"))
    return visible_bookings(user).prefetch_related(log).filter(pk=booking_id).first()


def ride_of(cursor: str) -> tuple[datetime, int]:
    """The ride a cursor names: when it was asked for, and its id."""
    try:
        at_text, id_text = decoded(cursor).split(" ")
        at, booking_id = datetime.fromisoformat(at_text), int(id_text)
    except ValueError:
        raise bad_cursor() from None
    if at.tzinfo is None or not 0 <= booking_id < 2**63:
        raise bad_cursor()
    return at, booking_id

"""Rides in a list, newest first: one's own, or all of them for operators. Reads only."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Prefetch, Q, QuerySet

from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.states import BOUND
from mobility.paging import Page, bad_cursor, decoded, page_of
from mobility.people.models import User
from mobility.people.permissions import is_operator

# Rides whose driver went silent. Only bound ones have a driver to call, and those the index `booking_bound` holds.
NEEDS_ATTENTION = Q(attention_since__isnull=False, status__in=sorted(BOUND))


def visible_bookings(user: User) -> "QuerySet[Booking]":
    """The rides this user may read: those they are the passenger of; every ride for an operator."""
    bookings = Booking.objects.select_related("driver__user")
    return bookings if is_operator(user) else bookings.filter(passenger=user)


def bookings_page(
    user: User, statuses: Iterable[str], limit: int, cursor: str | None, *, attention: bool | None = None
) -> Page[Booking]:
    """One page of the rides the user may read, newest first; with `attention` given, only those that need an operator's
    eye, or only the others."""
    bookings = visible_bookings(user).order_by("-requested_at", "-id")
    if statuses:
        bookings = bookings.filter(status__in=statuses)
    if attention is not None:
        bookings = bookings.filter(NEEDS_ATTENTION if attention else ~NEEDS_ATTENTION)
    if cursor is not None:
        bookings = bookings.filter(_older_than(cursor))
    return page_of(bookings, limit, lambda booking: f"{booking.requested_at.isoformat()} {booking.pk}")


def booking_with_log(user: User, booking_id: int) -> Booking | None:
    """One ride with its log; None when there is none or it is not the user's to read, which nothing tells apart."""
    log = Prefetch("events", RideEvent.objects.order_by("seq"))
    return visible_bookings(user).prefetch_related(log).filter(pk=booking_id).first()


def _older_than(cursor: str) -> Q:
    try:
        at_text, id_text = decoded(cursor).split(" ")
        at, booking_id = datetime.fromisoformat(at_text), int(id_text)
    except ValueError:
        raise bad_cursor() from None
    if at.tzinfo is None or not 0 <= booking_id < 2**63:
        raise bad_cursor()
    return Q(requested_at__lt=at) | Q(requested_at=at, pk__lt=booking_id)

"""Trips as people may see them. Reads only."""

from django.db.models import Q

from mobility.bookings.models import Booking
from mobility.people.models import User
from mobility.people.permissions import is_operator


def ride_with_trip(user: User, booking_id: int) -> Booking | None:
    """A ride with its trip, if it has one (`hasattr(booking, "trip")`), for its passenger, its driver and operators.

    None when there is no such ride, or it is not theirs to see, which nothing tells apart. A driver who gave it back
    drove nothing of it, and is not its driver.
    """
    bookings = Booking.objects.select_related("trip")
    if not is_operator(user):
        bookings = bookings.filter(Q(passenger=user) | Q(driver__user=user))
    return bookings.filter(pk=booking_id).first()

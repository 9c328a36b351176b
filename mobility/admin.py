"""Index of the operators' pages."""

from mobility.bookings.admin import BookingAdmin
from mobility.locations.admin import DriverOnMapAdmin
from mobility.people.admin import PersonAdmin
from mobility.people.admin_site import site

__all__ = ["BookingAdmin", "DriverOnMapAdmin", "PersonAdmin", "site"]

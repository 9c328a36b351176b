"""Index of the operators' pages."""

from mobility.areas.admin import ServiceAreaAdmin
from mobility.dispatch.admin import BookingDeskAdmin
from mobility.locations.admin import DriverOnMapAdmin, LocationKeyAdmin
from mobility.people.admin import ApiKeyAdmin, PersonAdmin
from mobility.people.admin_site import site

__all__ = [
    "ApiKeyAdmin", "BookingDeskAdmin", "DriverOnMapAdmin", "LocationKeyAdmin", "PersonAdmin", "ServiceAreaAdmin",
    "site",
]  # fmt: skip

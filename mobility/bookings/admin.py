"""Rides with their log, for operators. What operators do with a ride stands in mobility/dispatch/admin.py, which
registers this."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from geo.coordinates import LatLon, from_point
from mobility.bookings.listing import NEEDS_ATTENTION
from mobility.bookings.models import Booking
from mobility.bookings.states import BOUND
from mobility.maps import MEDIA, Place, place_map
from mobility.people.admin import masked_name


class AttentionFilter(admin.SimpleListFilter):
    """Lists the rides an operator should look at."""

    title = "attention"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:  # noqa: ARG002
        """Only those."""
        return [("yes", "Needed: the driver is silent")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Booking]") -> "QuerySet[Booking]":  # noqa: ARG002
        """Those whose driver went silent."""
        return queryset.filter(NEEDS_ATTENTION) if self.value() == "yes" else queryset


class BookingAdmin(admin.ModelAdmin):
    """No field of a ride can be changed: rides move through their services only."""

    list_display = ("id", "ride_id", "status", "attention", "who", "driven_by", "requested_at")
    list_display_links = ("id", "ride_id")
    list_filter = (AttentionFilter, "status", "requested_at", "vehicle_type")
    search_fields = ("=id", "=ride_id", "=driver__vehicle_registration", "=passenger__username")
    search_help_text = "Booking number, ride id, vehicle registration or username, each in full."
    list_select_related = ("passenger", "driver__user")
    ordering = ("-requested_at", "-id")
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("ride_id", "status", "seq", "passenger", "passenger_phone", "driver", "vehicle_type")}),
        ("Places", {"fields": ("on_map", "pickup_address", "pickup_at", "dropoff_address", "dropoff_at", "notes")}),
        ("Log", {"fields": ("log",)}),
        ("Measures", {"fields": ("distance_m", "distance_origin", "duration_s", "fare", "fare_origin")}),
        (
            "Times",
            {
                "fields": (
                    "requested_at", "search_started_at", "search_until", "confirmed_at", "arrived_at", "no_show_from",
                    "started_at", "attention_since", "completed_at", "unfulfilled_at", "no_show_at", "cancelled_at",
                    "cancelled_by", "cancellation_reason",
                )
            },
        ),
    )  # fmt: skip
    readonly_fields = ("on_map", "pickup_at", "dropoff_at", "log", "fare")

    @property
    def media(self) -> forms.Media:
        """The map's scripts."""
        return super().media + MEDIA

    @admin.display(description="passenger")
    def who(self, booking: Booking) -> str:
        """The passenger's name, with a phone in its place masked."""
        return "guest" if booking.passenger is None else masked_name(booking.passenger)

    @admin.display(description="driver")
    def driven_by(self, booking: Booking) -> str:
        """The driver's name and vehicle."""
        driver = booking.driver
        return "" if driver is None else f"{masked_name(driver.user)} ({driver.vehicle_registration})"

    @admin.display(description="attention")
    def attention(self, booking: Booking) -> str:
        """Since when the ride needs an operator's eye."""
        since = attention_since(booking)
        return "" if since is None else f"since {date_format(localtime(since), 'j M, H:i')}"

    @admin.display(description="pickup at")
    def pickup_at(self, booking: Booking) -> str:
        """Latitude, longitude."""
        return _told(from_point(booking.pickup))

    @admin.display(description="dropoff at")
    def dropoff_at(self, booking: Booking) -> str:
        """Latitude, longitude."""
        return _told(from_point(booking.dropoff))

    @admin.display(description="map")
    def on_map(self, booking: Booking) -> SafeString:
        """Pickup, dropoff, and the driver while bound to this ride."""
        places = [
            Place(from_point(booking.pickup), "pickup", "pickup"),
            Place(from_point(booking.dropoff), "dropoff", "dropoff"),
        ]
        driver = booking.driver
        if driver is not None and booking.status in BOUND and hasattr(driver, "location"):
            places.append(Place(from_point(driver.location.position), str(driver), "driver"))
        return place_map(places, line=True)

    @admin.display(description="log")
    def log(self, booking: Booking) -> SafeString:
        """Every move of the ride, in order."""
        return render_to_string("mobility/admin/ride_log.html", {"events": booking.events.order_by("seq")})

    @admin.display(description="fare")
    def fare(self, booking: Booking) -> str:
        """The fare in whole currency."""
        return "" if booking.fare_minor is None else f"{booking.fare_minor / 100:.2f} {booking.fare_currency}"

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Rides are asked for over their socket."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Booking | None = None) -> bool:  # noqa: ARG002
        """Rides move through their services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Booking | None = None) -> bool:  # noqa: ARG002
        """Never; the database refuses it too."""
        return False


def attention_since(booking: Booking) -> datetime | None:
    """Since when a ride needs an operator's eye, or None: NEEDS_ATTENTION for one booking."""
    return booking.attention_since if booking.status in BOUND else None


def _told(at: LatLon) -> str:
    return f"{at.latitude:.6f}, {at.longitude:.6f}"

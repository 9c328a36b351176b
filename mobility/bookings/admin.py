"""Rides with their log, for operators: to look at. Rides move through their services only."""

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from geo.coordinates import LatLon, from_point
from mobility.bookings.models import Booking
from mobility.bookings.states import BOUND
from mobility.maps import MEDIA, Place, place_map
from mobility.people.admin import masked_name
from mobility.people.admin_site import site


@admin.register(Booking, site=site)
class BookingAdmin(admin.ModelAdmin):
    """Nothing here can be changed."""

    list_display = ("id", "ride_id", "status", "who", "driven_by", "requested_at")
    list_display_links = ("id", "ride_id")
    list_filter = ("status", "requested_at", "vehicle_type")
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
                    "requested_at", "search_started_at", "confirmed_at", "arrived_at", "started_at", "completed_at",
                    "unfulfilled_at", "no_show_at", "cancelled_at", "cancelled_by", "cancellation_reason",
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


def _told(at: LatLon) -> str:
    return f"{at.latitude:.6f}, {at.longitude:.6f}"

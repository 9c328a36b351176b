"""Drivers and where they are, for operators."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.gis.forms import PointField
from django.http import HttpRequest
from django.utils.safestring import SafeString

from geo.coordinates import WGS84, from_point
from mobility.drivers.admin import DriverAdmin
from mobility.drivers.models import Driver
from mobility.locations.models import DriverLocation
from mobility.locations.services import place_driver
from mobility.maps import MEDIA, Place, PlaceWidget, place_map
from mobility.people.admin_site import site


class LocationForm(forms.ModelForm):
    """A position on the map."""

    position = PointField(
        widget=PlaceWidget,
        srid=WGS84,
        help_text="Click on the map, or type the coordinates.",
        error_messages={"invalid_geom": "A place on Earth: latitude -90 to 90, longitude -180 to 180."},
    )

    class Meta:
        model = DriverLocation
        fields = ["position"]


class LocationInline(admin.StackedInline):
    """The newest position: editable for a driver who stands still, to look at for all others."""

    model = DriverLocation
    form = LocationForm
    can_delete = False
    verbose_name_plural = "position"

    def get_fields(self, request: HttpRequest, obj: Driver | None = None) -> Any:  # noqa: ARG002
        """The map to click on, or the map to look at."""
        shown = ["on_map"] if obj is not None and not obj.stationary else ["position"]
        return [*shown, "heading", "speed", "recorded_at", "received_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Driver | None = None) -> Any:  # noqa: ARG002
        """Everything but the position."""
        return ["on_map", "heading", "speed", "recorded_at", "received_at"]

    def has_add_permission(self, request: HttpRequest, obj: Driver | None = None) -> bool:
        """Only for a driver who stands still: others tell where they are themselves."""
        return obj is not None and obj.stationary and super().has_add_permission(request, obj)

    @admin.display(description="map")
    def on_map(self, location: DriverLocation) -> SafeString | str:
        """The position on a map."""
        if location.pk is None:
            return "No position yet."
        at = from_point(location.position)
        return place_map([Place(at, f"{at.latitude:.5f}, {at.longitude:.5f}", "driver")])


@admin.register(Driver, site=site)
class DriverOnMapAdmin(DriverAdmin):
    """A driver with the newest position on a map."""

    inlines = (LocationInline,)

    @property
    def media(self) -> forms.Media:
        """The map needs its scripts also where it is only looked at."""
        return super().media + MEDIA

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Store a moved position through the service, which dates it."""
        if formset.model is not DriverLocation:
            super().save_formset(request, form, formset, change)
            return
        for location in formset.save(commit=False):
            place_driver(form.instance.pk, from_point(location.position))

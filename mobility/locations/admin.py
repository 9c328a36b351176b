"""Drivers and where they are, for operators."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.gis.forms import PointField
from django.db.models import BooleanField, ExpressionWrapper, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from geo.coordinates import WGS84, from_point
from mobility.drivers.admin import DriverAdmin
from mobility.drivers.models import Driver
from mobility.locations.freshness import silent
from mobility.locations.keys import issue_key, revoke_key
from mobility.locations.models import DriverLocation, LocationKey
from mobility.locations.services import place_driver
from mobility.maps import MEDIA, Place, PlaceWidget, place_map
from mobility.people.admin import NamelessCheckbox
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


class SilentFilter(admin.SimpleListFilter):
    """Lists the drivers on duty who tell no position any more."""

    title = "position"
    parameter_name = "silent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:  # noqa: ARG002
        """Only those."""
        return [("yes", "Silent: on duty, no position for too long")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Driver]") -> "QuerySet[Driver]":  # noqa: ARG002
        """Those who went silent."""
        return queryset.filter(silent()) if self.value() == "yes" else queryset


@admin.register(Driver, site=site)
class DriverOnMapAdmin(DriverAdmin):
    """A driver with the newest position on a map."""

    inlines = (LocationInline,)
    list_display = (*DriverAdmin.list_display[:2], "heard", *DriverAdmin.list_display[2:])
    list_filter = (SilentFilter, *DriverAdmin.list_filter)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Driver]":
        """With whether the driver is silent."""
        return super().get_queryset(request).annotate(is_silent=ExpressionWrapper(silent(), BooleanField()))

    @admin.display(description="position")
    def heard(self, driver: Any) -> str:
        """Whether positions come; those who stand still are not asked for any."""
        if driver.is_silent:
            return "silent"
        return "stands still" if driver.stationary else ""

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


class LocationKeyForm(forms.ModelForm):
    """What a key is for, and whose phone it is."""

    class Meta:
        model = LocationKey
        fields = ["name", "driver"]
        help_texts = {
            "name": "What the key is for: the gateway, or the phone.",
            "driver": "The driver whose phone it is. Empty: a fleet gateway's key, for the positions of all drivers.",
        }


@admin.register(LocationKey, site=site)
class LocationKeyAdmin(NamelessCheckbox):
    """Keys are made and ended, never changed. A key's text is told once, when it is made."""

    form = LocationKeyForm
    list_display = ("id", "name", "whose", "created_at", "revoked_at")
    list_display_links = ("id", "name")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("driver__user",)
    search_fields = ("name",)
    ordering = ("-id",)
    raw_id_fields = ("driver",)
    fields = ("name", "driver", "created_at", "revoked_at")
    readonly_fields = ("created_at", "revoked_at")
    actions = ("end_keys",)
    show_full_result_count = False

    @admin.display(description="whose")
    def whose(self, key: LocationKey) -> str:
        """A driver, or a fleet."""
        return "a fleet" if key.driver is None else str(key.driver)

    @admin.action(description="End: positions with these keys are refused", permissions=["add"])
    def end_keys(self, request: HttpRequest, queryset: "QuerySet[LocationKey]") -> None:
        """End the chosen keys."""
        ended = sum(revoke_key(key_id) for key_id in queryset.values_list("pk", flat=True))
        self.message_user(
            request, f"{ended} ended. A phone's key that was used a moment ago works for 10 s more.", messages.SUCCESS
        )

    def save_model(self, request: HttpRequest, obj: LocationKey, form: Any, change: bool) -> None:  # noqa: ARG002
        """Make the key and tell its text."""
        made, text = issue_key(obj.name, obj.driver)
        obj.pk = made.pk
        obj._state.adding = False
        self.message_user(request, f"The key of {obj.name}, told this once: {text}", messages.WARNING)

    def has_change_permission(self, request: HttpRequest, obj: LocationKey | None = None) -> bool:  # noqa: ARG002
        """Never; a new key is made instead."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LocationKey | None = None) -> bool:  # noqa: ARG002
        """Never; a key is ended."""
        return False

"""Service areas for operators: listed, drawn and changed on a map."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.gis.geos import GEOSGeometry
from django.core.exceptions import ValidationError
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.safestring import SafeString

from geo.params import MAX_RADIUS_M
from mobility.areas.geojson import BadShape, parsed, polygons_of
from mobility.areas.models import ServiceArea
from mobility.areas.services import checked_shape
from mobility.maps import AREA_MEDIA, AreaWidget, area_map
from mobility.people.admin import NamelessCheckbox
from mobility.people.admin_site import site

LONGEST_TEXT = 5_000_000


def _as_text(area: Any) -> str:
    return json.dumps({"type": "MultiPolygon", "coordinates": area.coords})


class AreaField(forms.Field):
    """A MultiPolygon out of GeoJSON text that a person drew or pasted; refused with the place of its fault."""

    widget = AreaWidget

    def to_python(self, value: Any) -> GEOSGeometry | None:
        """The checked shape."""
        if value in self.empty_values:
            return None
        if len(value) > LONGEST_TEXT:
            raise ValidationError("This text is too long.")
        try:
            # Written by PostGIS: GEOS only carries it on.
            return GEOSGeometry(checked_shape(polygons_of(parsed(value)), repair=False).hex)
        except BadShape as wrong:
            raise ValidationError(f"This cannot be stored: {wrong}. What was drawn is still on the map.") from None

    def prepare_value(self, value: Any) -> Any:
        """What is stored as text, and text as it was sent."""
        return _as_text(value) if isinstance(value, GEOSGeometry) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether another text came than was sent."""
        return (self.prepare_value(initial) or "") != (data or "")


class ServiceAreaForm(forms.ModelForm):
    """An area on the map."""

    area = AreaField(help_text="Draw one or several polygons; together they are the area.")
    matching_radius_m = forms.FloatField(
        label="Matching radius", required=False, min_value=1, max_value=MAX_RADIUS_M,
        help_text=ServiceArea._meta.get_field("matching_radius_m").help_text,
    )  # fmt: skip

    class Meta:
        model = ServiceArea
        fields = ["name", "active", "matching_radius_m", "area"]


@admin.register(ServiceArea, site=site)
class ServiceAreaAdmin(NamelessCheckbox):
    """Where passengers are picked up."""

    form = ServiceAreaForm
    list_display = ("name", "active", "matching_radius_m", "updated_at")
    list_filter = ("active",)
    search_fields = ("name",)
    ordering = ("name",)
    readonly_fields = ("on_map", "created_at", "updated_at")

    def get_fields(self, request: HttpRequest, obj: ServiceArea | None = None) -> Any:
        """The map to draw on, or the map to look at; times once there are any."""
        may_draw = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        shown = ("name", "active", "matching_radius_m", "area" if may_draw else "on_map")
        return shown if obj is None else (*shown, "created_at", "updated_at")

    @admin.display(description="area")
    def on_map(self, area: ServiceArea) -> SafeString:
        """The area on a map."""
        return area_map(_as_text(area.area))

    def get_queryset(self, request: HttpRequest) -> Any:
        """Lists do not need the shapes."""
        found = super().get_queryset(request)
        return found.defer("area")

    def save_model(self, request: HttpRequest, obj: ServiceArea, form: Any, change: bool) -> None:
        """Store it, with the time of the change."""
        if change:
            obj.updated_at = Now()
        super().save_model(request, obj, form, change)

    @property
    def media(self) -> forms.Media:
        """The map needs its scripts also where it is only looked at."""
        return super().media + AREA_MEDIA

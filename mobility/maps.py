"""Places on a map in the operators' pages: Leaflet from django-leaflet, no tiles and no CDN needed.

The page holds what to draw as data; mobility/static/mobility/place_map.js draws it. There is no script in the page.
"""

import json
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.contrib.gis.geos import Point
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from leaflet.forms.widgets import LeafletWidget

from geo.coordinates import LatLon, from_point, lat_lon, point

MEDIA = forms.Media(
    js=["leaflet/leaflet.js", "mobility/place_map.js"],
    css={"screen": ["leaflet/leaflet.css", "mobility/place_map.css"]},
)


AREA_MEDIA = forms.Media(
    js=["leaflet/leaflet.js", "leaflet/draw/leaflet.draw.js", "mobility/area_map.js", "mobility/place_map.js"],
    css={"screen": ["leaflet/leaflet.css", "leaflet/draw/leaflet.draw.css", "mobility/place_map.css"]},
)


class Place(NamedTuple):
    """A point on the map; `kind` is pickup, dropoff or driver and decides its colour."""

    at: LatLon
    label: str
    kind: str


def place_map(places: list[Place], *, line: bool = False) -> SafeString:
    """A map of the places; with `line`, the first two are joined by one."""
    return render_to_string("mobility/admin/place_map.html", {"drawing": json.dumps(_drawing(places, line=line))})


def _drawing(places: list[Place], *, line: bool, editable: bool = False) -> dict[str, Any]:
    return {
        "places": [
            {"latitude": p.at.latitude, "longitude": p.at.longitude, "label": p.label, "kind": p.kind} for p in places
        ],
        "line": line,
        "editable": editable,
        "center": settings.LEAFLET_CONFIG["DEFAULT_CENTER"],
        "zoom": settings.LEAFLET_CONFIG["DEFAULT_ZOOM"],
        "tiles": settings.MAP_TILES_URL,
    }


class PlaceWidget(LeafletWidget):
    """A point that is put on the map with a click, or typed as latitude and longitude."""

    template_name = "mobility/admin/place_widget.html"
    geom_type = "POINT"

    @property
    def media(self) -> forms.Media:
        """Leaflet and the drawing script."""
        return MEDIA

    def deserialize(self, value: str) -> Point | None:
        """The point in a GeoJSON text, or None. No WKT and no GDAL: neither is for what strangers write."""
        try:
            geometry = json.loads(value)
            longitude, latitude = geometry["coordinates"]
            return point(lat_lon(latitude, longitude)) if geometry["type"] == "Point" else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """The stored or the refused value, with the place it stands for."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        at = self.deserialize(value) if isinstance(value, str) else value
        places = [Place(from_point(at), "position", "driver")] if at else []
        return context | {"drawing": json.dumps(_drawing(places, line=False, editable=True))}


def area_map(geojson: str, *, name: str = "", html_id: str = "", readonly: bool = True) -> SafeString:
    """A map of the polygons in a GeoJSON text, to draw on or only to look at."""
    shown = {"name": name, "id": html_id, "value": geojson, "readonly": readonly}
    return render_to_string(
        "mobility/admin/area_widget.html", shown | {"drawing": json.dumps(_drawing([], line=False))}
    )


class AreaWidget(forms.Widget):
    """Polygons drawn on the map, or pasted as GeoJSON text; what was refused stays as it was drawn.

    The value is that text: who reads it (a form field) checks it, and gives the stored shape as text again.
    """

    @property
    def media(self) -> forms.Media:
        """Leaflet, its drawing tools and our script."""
        return AREA_MEDIA

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:  # noqa: ARG002
        """The map and the text beneath it."""
        return area_map(value or "", name=name, html_id=(attrs or {}).get("id", f"id_{name}"), readonly=False)

"""Service areas on a map, for everybody who has logged in."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_field
from rest_framework.request import Request
from rest_framework_gis.fields import GeometryField

from mobility.areas.layers import AREAS, AREAS_QUERY, AREAS_QUERY_OF_OPERATORS, areas_found
from mobility.areas.models import ServiceArea
from mobility.geojson_api import (
    BOX_PARAMETERS,
    CIRCLE_PARAMETERS,
    EXPORT_PARAMETER,
    GEO_JSON,
    NOT_MODIFIED,
    PAGE_PARAMETERS,
    FeatureSerializer,
    collection_body,
    fields_parameter,
)
from mobility.layers.answers import collection_answer, wanted_page
from mobility.people.authentication import user_of
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import HasScope, is_key, is_operator
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

_RINGS: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "description": "Longitude, latitude."}
for _of in ("A ring, closed.", "A polygon: its outer ring, then its holes.", "Polygons."):
    _RINGS = {"type": "array", "items": _RINGS, "description": _of}


@extend_schema_field(
    {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {"type": {"type": "string", "enum": ["MultiPolygon"]}, "coordinates": _RINGS},
    }
)
class AreaField(GeometryField):
    """Polygons; written by PostGIS."""


class ServiceAreaFeature(FeatureSerializer):
    """A service area as a GeoJSON Feature."""

    geometry = AreaField(source="area", read_only=True)

    class Meta:
        model = ServiceArea
        geo_field = "geometry"
        id_field = "id"
        fields = ["id", *(f.name for f in AREAS.fields)]


_EXAMPLE = {
    "type": "FeatureCollection",
    "features": [
        {
            "id": 1,
            "type": "Feature",
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [[[[28.0, -26.3], [28.1, -26.3], [28.1, -26.1], [28.0, -26.1], [28.0, -26.3]]]],
            },
            "properties": {
                "name": "Johannesburg", "active": True, "matching_radius_m": 5000.0,
                "created_at": "2026-01-01T08:00:00Z", "updated_at": "2026-01-01T08:00:00Z",
            },
        }
    ],
    "numberReturned": 1,
    "next": None,
}  # fmt: skip


class ServiceAreasView(PersonalView):
    """Where passengers are picked up."""

    authentication_classes = WITH_KEYS
    permission_classes = (HasScope(Scope.AREAS),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "too_many_requests", "server_full",
        operation_id="service_areas", tags=["areas"], summary="Where passengers are picked up, as GeoJSON",
        parameters=[
            OpenApiParameter("active", bool, description="Operators only. true: active areas; false: all others."),
            *BOX_PARAMETERS,
            *CIRCLE_PARAMETERS,
            fields_parameter(f.name for f in AREAS.fields),
            OpenApiParameter("limit", int, description=f"Areas a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."),
            *PAGE_PARAMETERS,
            EXPORT_PARAMETER,
        ],
        responses={(200, GEO_JSON): collection_body(ServiceAreaFeature, "ServiceAreaCollection"), 304: NOT_MODIFIED},
        examples=[OpenApiExample("One area", _EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """The active areas; operators see all of them. Without any active area, passengers are picked up everywhere.
        `next` is the address of the following page, null on the last one."""
        operator = not is_key(request) and is_operator(user_of(request))
        query = query_of(
            request, *AREAS_QUERY, "fields", "limit",
            # An export takes one of few places for as long as its reader wants: not for everybody who can register.
            *([*AREAS_QUERY_OF_OPERATORS, "export"] if operator else ["export"] if is_key(request) else []),
        )  # fmt: skip
        page = wanted_page(query, AREAS, default=DEFAULT_LIMIT, highest=MAX_LIMIT)
        found = areas_found(query, operator=operator)
        return collection_answer(request, AREAS, found, page, reader="operator" if operator else "")

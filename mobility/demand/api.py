"""Demand on a map."""

from datetime import timedelta

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework_gis.fields import GeometryField

from geo import params
from mobility.demand.layers import COARSE_SIZE_M, DEMAND, DEMAND_QUERY, demand_found
from mobility.demand.models import SIZES_M, DemandHour
from mobility.geojson_api import (
    BOX_PARAMETERS,
    EXPORT_PARAMETER,
    GEO_JSON,
    NOT_MODIFIED,
    PAGE_PARAMETERS,
    FeatureSerializer,
    collection_body,
    datetime_parameter,
    fields_parameter,
)
from mobility.layers.answers import collection_answer, wanted_page
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import IsOperatorOrScope, is_key
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
DEFAULT_SIZE_M = COARSE_SIZE_M
LONGEST = timedelta(days=31)


@extend_schema_field(
    {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"type": "string", "enum": ["Polygon"]},
            "coordinates": {"type": "array", "items": {}, "description": "Rings of positions, longitude first."},
        },
    }
)
class HexagonField(GeometryField):
    """A hexagon; cut where it would cross the antimeridian or a pole."""


class DemandFeature(FeatureSerializer):
    """A hexagon in an hour, as a GeoJSON Feature."""

    id = serializers.IntegerField(read_only=True, help_text="Of one hexagon and hour among those of its size.")
    geometry = HexagonField(read_only=True)
    requests = serializers.IntegerField(read_only=True, allow_null=True)
    unfulfilled = serializers.IntegerField(read_only=True, allow_null=True)
    idle_drivers = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = DemandHour
        geo_field = "geometry"
        id_field = "id"
        fields = ["id", "cell", "hour", "requests", "unfulfilled", "idle_drivers"]


_EXAMPLE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": 1962354819039230,
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [
                        [28.0317, -26.2003], [28.0369, -26.2036], [28.0472, -26.2036], [28.0524, -26.2003],
                        [28.0472, -26.197], [28.0369, -26.197], [28.0317, -26.2003],
                    ]
                ],
            },
            "properties": {
                "cell": 4294967296, "hour": "2026-01-01T08:00:00Z", "requests": 25, "unfulfilled": 3,
                "idle_drivers": 12,
            },
        }
    ],
    "numberReturned": 1,
    "next": None,
}  # fmt: skip


class DemandView(PersonalView):
    """Demand by hexagon and hour."""

    authentication_classes = WITH_KEYS
    permission_classes = (IsOperatorOrScope(Scope.DEMAND),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "too_many_requests", "server_full",
        operation_id="demand", tags=["demand"],
        summary="Demand by hexagon and hour, as GeoJSON (operators, or a key with `demand:read`)",
        parameters=[
            OpenApiParameter(
                "size_m", int, enum=SIZES_M,
                description=f"The edge of the hexagons in metres; default {DEFAULT_SIZE_M}.",
            ),
            datetime_parameter(
                f"Hours (UTC) that a time is in or an interval touches; at most {LONGEST.days} days, the last day by"
                " default"
            ),
            *BOX_PARAMETERS,
            fields_parameter(f.name for f in DEMAND.fields),
            OpenApiParameter(
                "limit", int, description=f"Hexagons a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."
            ),
            *PAGE_PARAMETERS,
            EXPORT_PARAMETER,
        ],
        responses={(200, GEO_JSON): collection_body(DemandFeature, "DemandCollection"), 304: NOT_MODIFIED},
        examples=[OpenApiExample("One hexagon", _EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """Rides asked for, rides nobody took, and idle drivers, by the hour and the place of the pickup. Counted by
        the dispatcher, the present hour every minute; a hexagon without any is left out.

        A key sees what tells nothing of single persons: hours that are over, hexagons of one size, counts below 10 as
        null and others to the nearest 5."""
        query = query_of(request, *DEMAND_QUERY, "fields", "limit", "export")
        asked = params.interval(query)
        between = params.bounded(asked, timedelta(days=1) if asked is None else LONGEST, timezone.now())
        key = is_key(request)
        found = demand_found(query, between, suppress=key)
        page = wanted_page(query, DEMAND, default=DEFAULT_LIMIT, highest=MAX_LIMIT)
        return collection_answer(request, DEMAND, found, page, reader="key" if key else "operator")

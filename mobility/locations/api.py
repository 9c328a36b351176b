"""Drivers on a map, for operators and for keys of dashboards, which see no person."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from geo import params
from mobility.drivers.models import Driver, DriverStatus
from mobility.errors import Refusal
from mobility.geojson_api import (
    GEO_JSON,
    PAGE_PARAMETERS,
    FeatureSerializer,
    PositionField,
    collection_body,
    feature_collection,
)
from mobility.locations.queries import DriverFilter, drivers_page, drivers_with_location
from mobility.people.api import MaskedPhoneField
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import IsOperatorOrScope, is_key
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000


# Who somebody is. A key does not get these members, not even as null.
PERSONAL = ["name", "phone", "vehicle_registration"]


class DriverFeature(FeatureSerializer):
    """A driver as a GeoJSON Feature: a Point, or null for a driver who never told a position."""

    geometry = PositionField(source="location.position", allow_null=True, read_only=True)
    name = serializers.CharField(source="user.display_name", read_only=True)
    phone = MaskedPhoneField(read_only=True, help_text="Masked.")
    rating = serializers.FloatField(read_only=True)
    heading = serializers.FloatField(
        source="location.heading", allow_null=True, read_only=True, help_text="Degrees clockwise from true north."
    )
    speed = serializers.FloatField(
        source="location.speed", allow_null=True, read_only=True, help_text="Metres per second."
    )
    recorded_at = serializers.DateTimeField(
        source="location.recorded_at", allow_null=True, read_only=True, help_text="By the driver's device."
    )
    received_at = serializers.DateTimeField(
        source="location.received_at", allow_null=True, read_only=True, help_text="By the server."
    )

    silent = serializers.BooleanField(
        read_only=True, help_text="On duty and not stationary, but no position for the time that makes one too old."
    )

    class Meta:
        model = Driver
        geo_field = "geometry"
        id_field = "id"
        fields = [
            "id", "name", "phone", "vehicle_type", "vehicle_registration", "status", "rating", "total_rides",
            "verified", "stationary", "silent", "heading", "speed", "recorded_at", "received_at",
        ]  # fmt: skip
        optional_fields = PERSONAL

    def get_fields(self) -> dict[str, Any]:
        """For a key without the members that say who somebody is."""
        fields = super().get_fields()
        request = self.context.get("request")
        if request is not None and is_key(request):
            fields = {name: field for name, field in fields.items() if name not in PERSONAL}
        return fields


_FEATURE = {
    "id": 1,
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [28.0473, -26.2041]},
    "properties": {
        "name": "John Doe", "phone": "+27*******89", "vehicle_type": "sedan", "vehicle_registration": "CA 123 GP",
        "status": "available", "rating": 4.8, "total_rides": 12, "verified": True, "stationary": True,
        "silent": False,
        "heading": None, "speed": None, "recorded_at": "2026-01-01T08:00:00Z", "received_at": "2026-01-01T08:00:00Z",
    },
}  # fmt: skip
_PARAMETERS = [
    OpenApiParameter(
        "bbox", str, description="west,south,east,north in degrees; west > east crosses the antimeridian."
    ),
    OpenApiParameter("near", str, description="latitude,longitude in degrees; together with radius_m."),
    OpenApiParameter("radius_m", float, description=f"Metres, at most {params.MAX_RADIUS_M:.0f}."),
    OpenApiParameter("status", str, description="One or several of available, busy, offline, with commas between."),
    OpenApiParameter("limit", int, description=f"Drivers a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."),
    *PAGE_PARAMETERS,
]


class DriversView(PersonalView):
    """Drivers on a map."""

    authentication_classes = WITH_KEYS
    permission_classes = (IsOperatorOrScope(Scope.DRIVERS),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "too_many_requests",
        operation_id="drivers", tags=["drivers"],
        summary="Drivers and where they are, as GeoJSON (operators, or a key with `drivers:read`)",
        parameters=_PARAMETERS,
        responses={(200, GEO_JSON): collection_body(DriverFeature, "DriverCollection")},
        examples=[
            OpenApiExample(
                "One driver",
                {"type": "FeatureCollection", "features": [_FEATURE], "numberReturned": 1, "next": None},
                media_type=GEO_JSON,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """By id, a page at a time: `next` is the address of the following page, null on the last one. With `bbox` or
        `near`, drivers without a position are left out. A key gets no `name`, `phone` and `vehicle_registration`."""
        query = query_of(request, "bbox", "near", "radius_m", "status", "limit", "cursor")
        wanted = DriverFilter(
            params.bbox(query), params.circle(query), params.choices(query, "status", DriverStatus.values)
        )
        limit = params.limit(query, default=DEFAULT_LIMIT, highest=MAX_LIMIT)
        page = drivers_page(wanted, limit, query.get("cursor"))
        return Response(feature_collection(request, query, page, DriverFeature))


class DriverView(PersonalView):
    """One driver."""

    authentication_classes = WITH_KEYS
    permission_classes = (IsOperatorOrScope(Scope.DRIVERS),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "not_found", "too_many_requests",
        operation_id="driver", tags=["drivers"],
        summary="One driver, as a GeoJSON Feature (operators, or a key with `drivers:read`)",
        responses={(200, GEO_JSON): DriverFeature},
        examples=[OpenApiExample("A driver", _FEATURE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        """The driver with this id. A key gets no `name`, `phone` and `vehicle_registration`."""
        query_of(request)
        driver = drivers_with_location().filter(pk=pk).first()
        if driver is None:
            raise Refusal("not_found")
        return Response(DriverFeature(driver, context={"request": request}).data)

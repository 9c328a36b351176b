"""Drivers on a map, now and in the past, for operators and for keys of dashboards, which see no person."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from geo import params
from mobility.drivers.models import Driver
from mobility.errors import Refusal
from mobility.geojson_api import (
    BOX_PARAMETERS,
    CIRCLE_PARAMETERS,
    EXPORT_PARAMETER,
    GEO_JSON,
    NOT_MODIFIED,
    PAGE_PARAMETERS,
    FeatureSerializer,
    PositionField,
    collection_body,
    datetime_parameter,
    fields_parameter,
)
from mobility.layers.answers import collection_answer, wanted_page
from mobility.locations.layers import DRIVERS, DRIVERS_QUERY, HISTORY, drivers_found, history_params
from mobility.locations.models import Position
from mobility.locations.queries import drivers_with_location, instant_of
from mobility.people.api import MaskedPhoneField
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import IsOperatorOrScope, is_key
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
LONGEST_HISTORY_H = 24


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
            "id", "name", "phone", "vehicle_registration", "vehicle_type", "rating", "total_rides", "verified",
            "stationary", "status", "silent", "heading", "speed", "recorded_at", "received_at",
        ]  # fmt: skip
        # Who somebody is: a key does not get these members, not even as null.
        optional_fields = sorted(DRIVERS.personal)

    def get_fields(self) -> dict[str, Any]:
        """For a key without the members that say who somebody is."""
        fields = super().get_fields()
        request = self.context.get("request")
        if request is not None and is_key(request):
            fields = {name: field for name, field in fields.items() if name not in DRIVERS.personal}
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
    *BOX_PARAMETERS,
    *CIRCLE_PARAMETERS,
    OpenApiParameter("status", str, description="One or several of available, busy, offline, with commas between."),
    datetime_parameter("When the newest position was taken"),
    fields_parameter(f.name for f in DRIVERS.fields),
    OpenApiParameter("limit", int, description=f"Drivers a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."),
    *PAGE_PARAMETERS,
    EXPORT_PARAMETER,
]


class DriversView(PersonalView):
    """Drivers on a map."""

    authentication_classes = WITH_KEYS
    permission_classes = (IsOperatorOrScope(Scope.DRIVERS),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "too_many_requests", "server_full",
        operation_id="drivers", tags=["drivers"],
        summary="Drivers and where they are, as GeoJSON (operators, or a key with `drivers:read`)",
        parameters=_PARAMETERS,
        responses={(200, GEO_JSON): collection_body(DriverFeature, "DriverCollection"), 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "One driver",
                {"type": "FeatureCollection", "features": [_FEATURE], "numberReturned": 1, "next": None},
                media_type=GEO_JSON,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """By id, a page at a time: `next` is the address of the following page, null on the last one. With `bbox`,
        `near` or `datetime`, drivers without a position are left out. Send the `ETag` of an answer as `If-None-Match`
        to hear whether it is still the newest. A key gets no `name`, `phone` and `vehicle_registration`."""
        query = query_of(request, *DRIVERS_QUERY, "fields", "limit", "export")
        shown = DRIVERS.shown(personal=not is_key(request))
        page = wanted_page(query, DRIVERS, default=DEFAULT_LIMIT, highest=MAX_LIMIT, shown=shown)
        return collection_answer(request, DRIVERS, drivers_found(query), page)


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


class HistoryFeature(FeatureSerializer):
    """A position a driver told, as a GeoJSON Feature; `id` is when, in microseconds of the Unix clock."""

    id = serializers.IntegerField(read_only=True)
    geometry = PositionField(source="position", read_only=True)
    jump = serializers.BooleanField(read_only=True, help_text="Nobody drives that fast: tracks leave it out.")

    class Meta:
        model = Position
        geo_field = "geometry"
        id_field = "id"
        fields = ["id", "recorded_at", "received_at", "heading", "speed", "accuracy_m", "door", "jump"]


_HISTORY_EXAMPLE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": 1767254400000000,
            "geometry": {"type": "Point", "coordinates": [28.0473, -26.2041]},
            "properties": {
                "recorded_at": "2026-01-01T08:00:00Z", "received_at": "2026-01-01T08:00:01Z", "heading": 90.0,
                "speed": 13.4, "accuracy_m": 5.0, "door": "socket", "jump": False,
            },
        }
    ],
    "numberReturned": 1,
    "next": None,
}  # fmt: skip


class DriverHistoryView(PersonalView):
    """Where a driver was."""

    authentication_classes = WITH_KEYS
    permission_classes = (IsOperatorOrScope(Scope.HISTORY),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "not_found", "too_many_requests", "server_full",
        operation_id="driver_history", tags=["drivers"],
        summary="Where a driver was, as GeoJSON (operators, or a key with `history:read`)",
        parameters=[
            datetime_parameter(f"When; at most {LONGEST_HISTORY_H} hours, and the last of them by default"),
            *BOX_PARAMETERS,
            fields_parameter(f.name for f in HISTORY.fields),
            OpenApiParameter(
                "limit", int, description=f"Positions a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."
            ),
            *PAGE_PARAMETERS,
            EXPORT_PARAMETER,
        ],
        responses={(200, GEO_JSON): collection_body(HistoryFeature, "HistoryCollection"), 304: NOT_MODIFIED},
        examples=[OpenApiExample("One position", _HISTORY_EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """The positions the driver told, by the clock of their device, oldest first. Kept for as many days as the
        service is set to."""
        query = query_of(request, "bbox", "datetime", "fields", "limit", "cursor", "export")
        between = params.bounded(params.interval(query), timedelta(hours=LONGEST_HISTORY_H), timezone.now())
        if not Driver.objects.filter(pk=pk).exists():
            raise Refusal("not_found")
        page = wanted_page(query, HISTORY, default=DEFAULT_LIMIT, highest=MAX_LIMIT)
        after = instant_of(query["cursor"]) if "cursor" in query else None
        found = history_params(pk, between, after, box=params.bbox(query))
        return collection_answer(request, HISTORY, found, page)

"""Rides in a list over REST, and what a ride looks like there. One ride, and what operators do with it, stand in
mobility/dispatch/api.py."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework_gis.fields import GeometryField

from geo.coordinates import from_point
from geo.geojson import line_geometry
from mobility.bookings.layers import (
    BOOKINGS,
    BOOKINGS_QUERY,
    BOOKINGS_QUERY_OF_OPERATORS,
    OPERATORS_ONLY,
    Reader,
    bookings_found,
    shown_to,
)
from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.states import Status
from mobility.drivers.models import Driver
from mobility.geojson_api import (
    BOX_PARAMETERS,
    CIRCLE_PARAMETERS,
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
from mobility.people.api import MaskedPhoneField
from mobility.people.authentication import user_of
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import HasScope, is_key, is_operator
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
ATTENTION_HELP = "Operators only: since when the ride needs their eye, because its driver went silent on the way."


@extend_schema_field(
    {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"type": "string", "enum": ["LineString", "MultiLineString"]},
            "coordinates": {"type": "array", "items": {}, "description": "Pickup to dropoff, longitude first."},
        },
    }
)
class RideLineField(GeometryField):
    """Pickup to dropoff, as the crow flies."""

    def to_representation(self, value: Booking) -> Any:
        """A LineString; two of them where it crosses the antimeridian."""
        return line_geometry(from_point(value.pickup), from_point(value.dropoff))


class RideDriverBody(serializers.ModelSerializer[Driver]):
    """The driver of a ride as its passenger sees them."""

    name = serializers.CharField(source="user.display_name", read_only=True)
    phone = MaskedPhoneField(read_only=True, help_text="Masked.")
    rating = serializers.FloatField(read_only=True)

    class Meta:
        model = Driver
        fields = ["id", "name", "phone", "vehicle_type", "vehicle_registration", "rating"]


class RideEventBody(serializers.ModelSerializer[RideEvent]):
    """A row of the ride's log."""

    class Meta:
        model = RideEvent
        fields = ["seq", "event", "from_status", "to_status", "actor_role", "occurred_at", "payload"]


class BookingFeature(FeatureSerializer):
    """A ride as a GeoJSON Feature."""

    geometry = RideLineField(source="*", read_only=True)
    passenger_phone = MaskedPhoneField(read_only=True, help_text="Masked.")
    driver = RideDriverBody(read_only=True, allow_null=True)
    fare_amount = serializers.SerializerMethodField(help_text="In whole currency; null when none was agreed.")

    class Meta:
        model = Booking
        geo_field = "geometry"
        id_field = "id"
        fields = [
            "id", "ride_id", "status", "seq", "passenger_phone", "driver", "pickup_address", "dropoff_address",
            "vehicle_type", "notes", "distance_m", "distance_origin", "duration_s", "fare_amount", "fare_currency",
            "fare_origin", "requested_at", "search_until", "confirmed_at", "arrived_at", "no_show_from", "started_at",
            "completed_at", "unfulfilled_at", "no_show_at", "cancelled_at", "cancelled_by", "cancellation_reason",
        ]  # fmt: skip
        extra_kwargs = {
            "search_until": {"help_text": "When the search ends unless a driver accepts before."},
            "no_show_from": {"help_text": "From when the driver may report that nobody came to the pickup."},
        }

    def get_fare_amount(self, booking: Booking) -> float | None:
        """The minor units of the booking as whole currency."""
        return None if booking.fare_minor is None else booking.fare_minor / 100


@extend_schema_serializer(component_name="BookingFeature")
class OperatorBookingFeature(BookingFeature):
    """A ride as a GeoJSON Feature."""

    attention_since = serializers.DateTimeField(read_only=True, allow_null=True, help_text=ATTENTION_HELP)

    class Meta(BookingFeature.Meta):
        fields = [*BookingFeature.Meta.fields, "attention_since"]
        optional_fields = sorted(OPERATORS_ONLY | BOOKINGS.personal)


class BookingDetailFeature(BookingFeature):
    """A ride with its log."""

    events = RideEventBody(many=True, read_only=True, help_text="What happened, in order.")

    class Meta(BookingFeature.Meta):
        fields = [*BookingFeature.Meta.fields, "events"]


FEATURE_EXAMPLE: dict[str, Any] = {
    "id": 1,
    "type": "Feature",
    "geometry": {"type": "LineString", "coordinates": [[28.0473, -26.2041], [28.1473, -26.1041]]},
    "properties": {
        "ride_id": "12345", "status": "confirmed", "seq": 2, "passenger_phone": "+27*******89",
        "driver": {
            "id": 1, "name": "John Doe", "phone": "+27*******89", "vehicle_type": "sedan",
            "vehicle_registration": "CA 123 GP", "rating": 4.8,
        },
        "pickup_address": "123 Main St, Johannesburg", "dropoff_address": "456 Oak St, Johannesburg",
        "vehicle_type": None, "notes": "", "distance_m": 12500.0, "distance_origin": "client", "duration_s": 1500.0,
        "fare_amount": 150.0, "fare_currency": "ZAR", "fare_origin": "client",
        "requested_at": "2026-01-01T08:00:00Z", "search_until": "2026-01-01T08:01:30Z",
        "confirmed_at": "2026-01-01T08:00:00Z", "arrived_at": None, "no_show_from": None,
        "started_at": None, "completed_at": None, "unfulfilled_at": None, "no_show_at": None, "cancelled_at": None,
        "cancelled_by": None, "cancellation_reason": "", "attention_since": None,
    },
}  # fmt: skip


# An export takes one of few places for as long as its reader wants: not for everybody who can register.
_MORE = {Reader.PASSENGER: (), Reader.KEY: ("export",), Reader.OPERATOR: ("export", *BOOKINGS_QUERY_OF_OPERATORS)}


class BookingsView(PersonalView):
    """One's own rides."""

    authentication_classes = WITH_KEYS
    permission_classes = (HasScope(Scope.BOOKINGS),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "too_many_requests", "server_full",
        operation_id="bookings", tags=["rides"], summary="One's own rides, newest first, as GeoJSON",
        parameters=[
            OpenApiParameter("status", str, description=f"One or several, with commas: {', '.join(Status.values)}."),
            OpenApiParameter(
                "attention", bool,
                description="Operators only. true: rides that need an operator's eye, because the driver went silent on"
                " the way; false: all others.",
            ),
            *BOX_PARAMETERS,
            *CIRCLE_PARAMETERS,
            datetime_parameter("When the ride was asked for"),
            fields_parameter(f.name for f in BOOKINGS.fields),
            OpenApiParameter("limit", int, description=f"Rides a page; default {DEFAULT_LIMIT}, at most {MAX_LIMIT}."),
            *PAGE_PARAMETERS,
            EXPORT_PARAMETER,
        ],
        responses={
            (200, GEO_JSON): collection_body(OperatorBookingFeature, "BookingCollection"), 304: NOT_MODIFIED,
        },
        examples=[
            OpenApiExample(
                "One ride",
                {"type": "FeatureCollection", "features": [FEATURE_EXAMPLE], "numberReturned": 1, "next": None},
                media_type=GEO_JSON,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponseBase:
        """The rides whose passenger one is; operators see all rides, and so does a key with `bookings:read`, without
        the people and what they wrote. `next` is the address of the following page. A
        ride's place is the line from its pickup to its dropoff."""
        reader = _reader(request)
        query = query_of(request, *BOOKINGS_QUERY, "fields", "limit", *_MORE[reader])
        found = bookings_found(query, user_of(request).pk if reader == Reader.PASSENGER else None)
        page = wanted_page(query, BOOKINGS, default=DEFAULT_LIMIT, highest=MAX_LIMIT, shown=shown_to(reader))
        return collection_answer(
            request, BOOKINGS, found, page, reader=f"{reader} {found['user_id']}", own=reader == Reader.PASSENGER
        )


def _reader(request: Request) -> Reader:
    if is_key(request):
        return Reader.KEY
    return Reader.OPERATOR if is_operator(user_of(request)) else Reader.PASSENGER

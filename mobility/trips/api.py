"""The track of a ride over REST."""

from datetime import timedelta
from typing import Any

from django.contrib.gis.geos import LineString
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_gis.fields import GeometryField

from geo.coordinates import LatLon
from geo.geojson import path_geometry, path_times
from mobility.bookings.models import Booking
from mobility.bookings.states import TERMINAL
from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.geojson_api import GEO_JSON, FeatureSerializer
from mobility.people.authentication import user_of
from mobility.people.permissions import is_operator
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of
from mobility.trips.models import Trip
from mobility.trips.queries import ride_with_trip


@extend_schema_field(
    {
        "type": "object",
        "nullable": True,
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"type": "string", "enum": ["LineString", "MultiLineString"]},
            "coordinates": {
                "type": "array",
                "items": {},
                "description": "From start to end, longitude first; several lines where it crosses the antimeridian.",
            },
        },
    }
)
class TrackField(GeometryField):
    """A way on Earth."""

    def to_representation(self, value: LineString | None) -> Any:
        """A LineString, cut where it crosses the antimeridian; None where nothing is known."""
        return None if value is None else path_geometry([LatLon(y, x) for x, y in value.coords])


class TripFeature(FeatureSerializer):
    """What was driven on a ride, as a GeoJSON Feature; its geometry is null when fewer than two positions are known."""

    id = serializers.IntegerField(source="booking_id", read_only=True, help_text="The booking's.")
    geometry = TrackField(source="track", read_only=True, allow_null=True)
    ride_id = serializers.CharField(source="booking.ride_id", read_only=True)
    times = serializers.SerializerMethodField(
        allow_null=True,
        help_text="When each position of the line was; for several lines a list each. Null where nobody knows.",
    )
    final = serializers.SerializerMethodField(help_text="Whether it stays as it is; until then late positions count.")

    class Meta:
        model = Trip
        geo_field = "geometry"
        id_field = "id"
        fields = [
            "id", "ride_id", "times", "length_m", "fixes", "jumps", "leaps", "started_at", "ended_at", "made_at",
            "final",
        ]  # fmt: skip
        extra_kwargs = {
            "length_m": {"help_text": "Along every position of the track; the line itself is simplified to 5 m."},
        }

    @extend_schema_field({"type": "array", "nullable": True, "items": {}})
    def get_times(self, trip: Trip) -> list[Any] | None:
        """ISO 8601 in UTC, in the shape of the coordinates."""
        if trip.times is None or trip.track is None:
            return None
        return path_times([LatLon(y, x) for x, y in trip.track.coords], trip.times)

    def get_final(self, trip: Trip) -> bool:
        """Whether it is never made anew."""
        return trip.due_at is None


@extend_schema_serializer(component_name="TripFeature")
class OperatorTripFeature(TripFeature):
    """What was driven on a ride, as a GeoJSON Feature; its geometry is null when fewer than two positions are known."""

    approach_m = serializers.FloatField(
        read_only=True, allow_null=True, help_text="Operators only: the driver's way to the pickup, in metres."
    )

    class Meta(TripFeature.Meta):
        fields = [*TripFeature.Meta.fields, "approach_m"]
        optional_fields = ["approach_m"]


_EXAMPLE: dict[str, Any] = {
    "id": 1,
    "type": "Feature",
    "geometry": {
        "type": "LineString", "coordinates": [[28.0473, -26.2041], [28.0651, -26.1702], [28.1473, -26.1041]],
    },
    "properties": {
        "ride_id": "12345",
        "times": ["2026-01-01T08:10:00Z", "2026-01-01T08:19:12Z", "2026-01-01T08:35:00Z"],
        "length_m": 15012.4, "fixes": 1480, "jumps": 1, "leaps": 0,
        "started_at": "2026-01-01T08:10:00Z", "ended_at": "2026-01-01T08:35:00Z", "made_at": "2026-01-01T08:35:00Z",
        "final": False, "approach_m": 1210.0,
    },
}  # fmt: skip


class TrackView(PersonalView):
    """The track of a ride."""

    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "not_found", "no_trip",
        operation_id="booking_track", tags=["rides"], summary="What was driven on a ride, as a GeoJSON Feature",
        responses={(200, GEO_JSON): OperatorTripFeature},
        examples=[OpenApiExample("A track, as an operator sees it", _EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        """From the start to the end of a ride, for its passenger, its driver and operators; another's ride answers like
        one that does not exist. Made a moment after the end (`no_trip` until then, with the ride's status), and anew
        while late positions may come (`final`)."""
        query_of(request)
        user = user_of(request)
        booking = ride_with_trip(user, pk)
        if booking is None:
            raise Refusal("not_found")
        if not hasattr(booking, "trip"):
            raise Refusal("no_trip", _why(booking), status=booking.status)
        return Response((OperatorTripFeature if is_operator(user) else TripFeature)(booking.trip).data)


def _why(booking: Booking) -> str:
    if booking.started_at is None or booking.status not in TERMINAL:
        return f"A ride that is {booking.status} has no track: it is made when a ride that was driven has ended."
    if booking.started_at < timezone.now() - timedelta(days=knobs().position_keep_days):
        return "The positions of this ride were dropped before a track was made of them."
    return "The track is made a moment after the ride's end: ask again."

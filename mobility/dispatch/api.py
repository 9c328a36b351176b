"""One ride over REST, and what operators do with it: cancel, assign, complete, see why drivers were asked or not."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mobility.bookings.api import ATTENTION_HELP, FEATURE_EXAMPLE, BookingDetailFeature
from mobility.bookings.listing import booking_with_log
from mobility.bookings.models import Booking
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch.desk import explanation_of, offers_of
from mobility.dispatch.driving import complete_ride
from mobility.dispatch.models import Offer
from mobility.dispatch.services import assign_driver, cancel_ride
from mobility.dispatch.states import Outcome, Verdict
from mobility.errors import Refusal
from mobility.geojson_api import GEO_JSON
from mobility.people.authentication import user_of
from mobility.people.models import User
from mobility.people.permissions import IsOperator, is_operator
from mobility.rest import (
    GeoJSONRenderer,
    PersonalView,
    StrictSerializer,
    WholeNumberField,
    checked,
    documented,
    query_of,
)


class OfferBody(serializers.ModelSerializer[Offer]):
    """The ride offered to one driver, and how that ended."""

    driver_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Offer
        fields = [
            "driver_id", "round", "status", "reason", "origin", "pickup_distance_m", "offered_at", "delivered_at",
            "expires_at", "settled_at", "decline_reason",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(component_name="BookingDetailFeature")
class OperatorBookingDetailFeature(BookingDetailFeature):
    """A ride with its log."""

    attention_since = serializers.DateTimeField(read_only=True, allow_null=True, help_text=ATTENTION_HELP)
    offers = serializers.SerializerMethodField(help_text="Operators only: whom the ride was offered to, in order.")

    class Meta(BookingDetailFeature.Meta):
        fields = [*BookingDetailFeature.Meta.fields, "attention_since", "offers"]
        optional_fields = ["attention_since", "offers"]

    @extend_schema_field(OfferBody(many=True))
    def get_offers(self, booking: Booking) -> Any:
        """Every offer of the ride."""
        return OfferBody(offers_of(booking.pk), many=True).data


class CancelForm(StrictSerializer):
    """Why a ride is cancelled."""

    reason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="The passenger and the driver may read it."
    )


class AssignForm(StrictSerializer):
    """Who shall drive."""

    driver_id = WholeNumberField(help_text="The driver's number.")


class CompleteForm(StrictSerializer):
    """Nothing."""


class ConsideredBody(serializers.Serializer[Any]):
    """A driver near the pickup, and what a search round made of them."""

    driver_id = serializers.IntegerField()
    name = serializers.CharField()
    vehicle_registration = serializers.CharField()
    distance_m = serializers.FloatField(help_text="To the pickup, to 0.1 m.")
    verdict = serializers.ChoiceField(choices=Verdict.values)
    verdict_text = serializers.CharField(help_text="The verdict in words.")


class RoundBody(serializers.Serializer[Any]):
    """One look for drivers."""

    round = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    strategy = serializers.CharField(help_text='With " by eta" where travel times had a say in the order of asking.')
    radius_m = serializers.FloatField()
    outcome = serializers.ChoiceField(choices=Outcome.values)
    drivers = ConsideredBody(many=True, help_text="Nearest first.")


class ExplanationBody(serializers.Serializer[Any]):
    """Why each driver was asked for a ride or not."""

    booking_id = serializers.IntegerField()
    ride_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.values)
    rounds = RoundBody(many=True, help_text="In order; none are left once they are older than is kept.")


_EVENTS = [
    {"seq": 1, "event": "ride_requested", "from_status": "", "to_status": "pending", "actor_role": "passenger",
     "occurred_at": "2026-01-01T08:00:00Z", "payload": {}},
    {"seq": 2, "event": "driver_assigned", "from_status": "pending", "to_status": "confirmed", "actor_role": "driver",
     "occurred_at": "2026-01-01T08:00:05Z", "payload": {"driver_id": 1, "pickup_distance_m": 350.2}},
]  # fmt: skip
_OFFERS = [
    {"driver_id": 1, "round": 1, "status": "accepted", "reason": None, "origin": "asked", "pickup_distance_m": 350.2,
     "offered_at": "2026-01-01T08:00:00Z", "delivered_at": "2026-01-01T08:00:01Z",
     "expires_at": "2026-01-01T08:00:16Z", "settled_at": "2026-01-01T08:00:05Z", "decline_reason": ""},
]  # fmt: skip
_DETAIL = FEATURE_EXAMPLE | {"properties": FEATURE_EXAMPLE["properties"] | {"events": _EVENTS, "offers": _OFFERS}}
_EXPLANATION = {
    "booking_id": 1, "ride_id": "12345", "status": "confirmed",
    "rounds": [
        {"round": 1, "made_at": "2026-01-01T08:00:00Z", "strategy": "balanced", "radius_m": 10000.0,
         "outcome": "asked", "drivers": [
            {"driver_id": 4, "name": "Jane Smith", "vehicle_registration": "CA 456 GP", "distance_m": 120.4,
             "verdict": "busy", "verdict_text": "has a ride"},
            {"driver_id": 1, "name": "John Doe", "vehicle_registration": "CA 123 GP", "distance_m": 350.2,
             "verdict": "asked", "verdict_text": "asked"},
         ]},
    ],
}  # fmt: skip


def ride_feature(user: User, booking_id: int) -> Response:
    """A ride as this user may see it, or `not_found`: another passenger's ride is like one that does not exist."""
    booking = booking_with_log(user, booking_id)
    if booking is None:
        raise Refusal("not_found")
    kind = OperatorBookingDetailFeature if is_operator(user) else BookingDetailFeature
    return Response(kind(booking).data)


class BookingView(PersonalView):
    """One ride."""

    renderer_classes = (GeoJSONRenderer,)

    @documented(
        "invalid_parameter", "unauthenticated", "not_found",
        operation_id="booking", tags=["rides"], summary="One of one's own rides with its log",
        responses={(200, GEO_JSON): OperatorBookingDetailFeature},
        examples=[OpenApiExample("A ride, as an operator sees it", _DETAIL, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        """The ride with this id. Another passenger's ride answers like one that does not exist. Operators see every
        ride, with the offers made to drivers."""
        query_of(request)
        return ride_feature(user_of(request), pk)


def _command(*codes: str, **schema: Any) -> Any:
    """How every operator's command on a ride is documented."""
    examples = [
        *schema.pop("examples"), OpenApiExample("The ride now", _DETAIL, media_type=GEO_JSON, response_only=True),
    ]  # fmt: skip
    return documented(
        "invalid_json", "forbidden_field", "unauthenticated", "forbidden", "not_found", "ride_over", "try_again",
        *codes, tags=["operators"], responses={(200, GEO_JSON): OperatorBookingDetailFeature}, examples=examples,
        **schema,
    )  # fmt: skip


class CommandView(PersonalView):
    """Something operators do with a ride; the answer is the ride as it then is."""

    permission_classes = (IsOperator,)
    renderer_classes = (GeoJSONRenderer,)


class CancelView(CommandView):
    """Cancel a ride."""

    @_command(
        "invalid_field",
        operation_id="cancel_booking", summary="Cancel a ride (operators only)", request=CancelForm,
        examples=[OpenApiExample("With a reason", {"reason": "The clinic called it off."}, request_only=True)],
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Cancels a ride that is not over, also one under way; its driver is free again and open offers are withdrawn
        in the same moment. Cancelled already: the ride as it is."""
        cancel_ride(pk, _actor(request), **checked(CancelForm, request))
        return ride_feature(user_of(request), pk)


class AssignView(CommandView):
    """Choose the driver."""

    @_command(
        "missing_field", "invalid_field", "not_allowed", "live_ride_exists", "own_ride", "driver_not_verified",
        "driver_has_ride", "driver_being_asked", "driver_not_available",
        operation_id="assign_booking", summary="Give a ride to a certain driver (operators only)", request=AssignForm,
        examples=[OpenApiExample("To driver 1", {"driver_id": 1}, request_only=True)],
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Binds this driver to a ride that is searched for, found nobody, or has a driver who has not started: that one
        is released. Open offers are withdrawn in the same moment. Assigned to this driver already: the ride as it
        is."""
        assign_driver(pk, checked(AssignForm, request)["driver_id"], _actor(request))
        return ride_feature(user_of(request), pk)


class CompleteView(CommandView):
    """End a ride."""

    @_command(
        "not_allowed",
        operation_id="complete_booking", summary="Complete a ride that is under way (operators only)",
        request=CompleteForm, examples=[OpenApiExample("Done", {}, request_only=True)],
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """For a driver who cannot say it themselves. Completed already: the ride as it is."""
        checked(CompleteForm, request)
        complete_ride(pk, _actor(request))
        return ride_feature(user_of(request), pk)


class ExplainView(PersonalView):
    """Why drivers were asked or not."""

    permission_classes = (IsOperator,)

    @documented(
        "invalid_parameter", "unauthenticated", "forbidden", "not_found",
        operation_id="explain_booking", tags=["operators"], responses={200: ExplanationBody},
        summary="Why each driver was asked for a ride or not (operators only)",
        examples=[OpenApiExample("One round", _EXPLANATION)],
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        """The rounds of the search, each with the drivers near the pickup and the first rule that ruled them out."""
        query_of(request)
        booking = Booking.objects.filter(pk=pk).values("ride_id", "status").first()
        if booking is None:
            raise Refusal("not_found")
        return Response(ExplanationBody({"booking_id": pk, **booking, "rounds": explanation_of(pk)}).data)


def _actor(request: Request) -> Actor:
    return Actor(user_of(request).pk, ActorRole.OPERATOR)

"""Who am I: the person, and the driver they are."""

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mobility.drivers.models import Driver
from mobility.people.api import UserBody
from mobility.people.authentication import user_of
from mobility.rest import PersonalView, documented


class OwnDriverBody(serializers.ModelSerializer[Driver]):
    """A driver as they see themselves; `id` opens `/ws/driver/<id>/`."""

    class Meta:
        model = Driver
        fields = [
            "id", "status", "vehicle_type", "vehicle_registration", "phone", "rating", "total_rides", "verified",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {"rating": {"coerce_to_string": False}}


class MeBody(UserBody):
    """A person as they see themselves, with the driver they are."""

    driver = OwnDriverBody(allow_null=True, default=None, read_only=True)

    class Meta(UserBody.Meta):
        fields = [*UserBody.Meta.fields, "driver"]
        read_only_fields = fields


class MeView(PersonalView):
    """The account of whoever asks."""

    @documented(
        "unauthenticated",
        operation_id="me", tags=["accounts"], responses={200: MeBody}, summary="One's own account",
        examples=[
            OpenApiExample(
                "A driver",
                {
                    "id": 3, "username": "driver1", "phone": "+27123456789", "first_name": "John", "last_name": "Doe",
                    "roles": ["driver"],
                    "driver": {
                        "id": 1, "status": "available", "vehicle_type": "sedan", "vehicle_registration": "CA 123 GP",
                        "phone": "+27123456789", "rating": 4.8, "total_rides": 12, "verified": True,
                    },
                },
            )
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """The user; `driver` is null for everyone who does not drive."""
        return Response(MeBody(user_of(request)).data)

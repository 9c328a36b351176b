"""What one writes with djangorestframework-gis and its documentation, as the peer of our drivers collection: the same
properties, the same database, the same server. `uvicorn tests.bench.maps_peer:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
from django.conf import settings

settings.ROOT_URLCONF = "tests.bench.maps_peer"
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, serializers  # noqa: E402
from rest_framework.permissions import AllowAny  # noqa: E402
from rest_framework_gis.serializers import GeoFeatureModelSerializer  # noqa: E402

from mobility.models import DriverLocation  # noqa: E402
from mobility.people.api import MaskedPhoneField  # noqa: E402


class PlainDriver(GeoFeatureModelSerializer):
    """A position with its driver, by the serializer's own geometry field."""

    id = serializers.IntegerField(source="driver_id")
    name = serializers.CharField(source="driver.user.display_name")
    phone = MaskedPhoneField(source="driver.phone")
    vehicle_registration = serializers.CharField(source="driver.vehicle_registration")
    status = serializers.CharField(source="driver.status")
    rating = serializers.FloatField(source="driver.rating")
    total_rides = serializers.IntegerField(source="driver.total_rides")
    verified = serializers.BooleanField(source="driver.verified")
    silent = serializers.BooleanField(source="stale")

    class Meta:
        model = DriverLocation
        geo_field = "position"
        id_field = "id"
        fields = [
            "id", "name", "phone", "vehicle_type", "vehicle_registration", "status", "rating", "total_rides",
            "verified", "stationary", "silent", "heading", "speed", "recorded_at", "received_at",
        ]  # fmt: skip


class PlainDrivers(generics.ListAPIView):
    """The first so many."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    serializer_class = PlainDriver

    def get_queryset(self):
        """In one query."""
        limit = int(self.request.query_params["limit"])
        return DriverLocation.objects.select_related("driver__user").order_by("driver_id")[:limit]


urlpatterns = [path("drivers/", PlainDrivers.as_view()), path("healthz", lambda _request: HttpResponse("ok"))]
application = get_asgi_application()

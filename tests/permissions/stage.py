"""The world in which the table is tried: one set of people, rides and keys, committed once for a module.

Everybody who may have something of their own has a ride, and there are rides of others. `own` and `others` give what
goes into a path of the URLconf; `BODIES` and `QUERIES` what an endpoint wants to be sent.
"""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.db.models.functions import Now
from django.test import Client
from knox.models import AuthToken

from geo.coordinates import lat_lon, point
from mobility.bookings.services import SYSTEM, RideRequest
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import find_driver
from mobility.locations.keys import issue_key
from mobility.models import Booking, DemandHour, DemandMade, Driver, DriverLocation, Place, ServiceArea, User
from mobility.people.keys import issue_api_key
from mobility.people.models import Scope
from mobility.places.folding import folded
from mobility.trips.services import make_trip
from tests.demand.staging import cell_of
from tests.permissions.table import OPERATORS, OTHER_KEY, allowed
from tests.positions import tell

PASSWORD = "a long enough pass"
HERE = lat_lon(-26.2041, 28.0473)
_numbers = itertools.count(1)

# What goes into a path, by the name it has there, unless `own` and `others` of the stage say so.
ARGUMENTS: dict[str, Any] = {
    "z": 0, "x": 0, "y": 0, "layer": "drivers", "content_type_id": 1, "object_id": 1, "app_label": "mobility",
    "url": "nowhere",
}  # fmt: skip
# What an endpoint is sent so that it does what it is for. An endpoint that needs nothing needs no line.
QUERIES: dict[str, str] = {
    "GET /admin/autocomplete/": "app_label=mobility&model_name=driver&field_name=user",
    "GET /api/v1/schema/": "format=json",
    "GET /api/v1/geocode/": "q=Johannesburg",
    "GET /api/v1/geocode/reverse/": "lat=-26.2041&lon=28.0473",
}
_POSITION = {"latitude": -26.2041, "longitude": 28.0473}


class Stage:
    """People by their role, and what they have."""

    def __init__(self) -> None:
        Group.objects.create(name="Desk")
        self.people = {role: self._person(role) for role in ("passenger", "driver", *OPERATORS)}
        self.stranger = self._person("passenger")
        self.stranger.set_password(PASSWORD)
        self.stranger.save()
        self.driver = self._driver(self.people["driver"])
        self.other = self._driver(self._person("driver"))
        self.idle = self._driver(self._person("driver"))
        self.idle_id = self.idle.pk
        self._places()
        ridden = [(self.people["passenger"], self.driver), (self.people["driver"], self.other)]
        self.rides = {user.pk: self._driven(user, driver) for user, driver in [*ridden, (self.stranger, self.other)]}
        self.live = self._confirmed(self._person("passenger"), self.other)
        start_ride(self.live, SYSTEM)
        self.waiting = self._asked(self._person("passenger")).booking_id
        Driver.objects.filter(pk=self.idle.pk).update(status="available")
        self._demand()
        self.keys = {f"key:{s}": issue_api_key(f"reads {s}", [s])[1] for s in Scope.values}
        self.keys["fleet-key"] = issue_key("gateway")[1]
        self.device_key = issue_key("phone", self.driver)[1]

    # --- who asks, and for what ----------------------------------------------------------------------------------

    def browser(self, role: str) -> Client:
        """A browser in which this role has logged in, where it is a person."""
        client = Client(raise_request_exception=False)
        if role in self.people:
            client.force_login(self.people[role])
        return client

    def headers(self, role: str, cell: str = "") -> dict[str, str]:
        """The credential with which this role asks over HTTP; OTHER_KEY: a key with no scope that the cell names."""
        if role == OTHER_KEY:
            scopes = {s for s in Scope.values if f"key:{s}" not in allowed(cell)}
            return {"Authorization": f"Key {issue_api_key('reads all else', scopes)[1]}"}
        if role in self.people:
            return {"Authorization": f"Token {AuthToken.objects.create(user=self.people[role])[1]}"}
        return {"Authorization": f"Key {self.keys[role]}"} if role in self.keys else {}

    def own(self, role: str, path: str) -> dict[str, Any]:
        """What goes into a path so that it names something of this role's own; else any that there is."""
        if path.startswith("/api/v1/drivers/"):
            return ARGUMENTS | {"pk": self.driver.pk}
        if path.startswith("/ogc/"):
            return ARGUMENTS | {"collection": "drivers", "feature_id": self.driver.pk}
        if path.endswith(("/cancel/", "/complete/")):
            return ARGUMENTS | {"pk": self.live}
        if path.endswith("/assign/"):
            return ARGUMENTS | {"pk": self.waiting}
        mine = self.people["passenger"] if role == "driver" and path.endswith("/track/") else self.people.get(role)
        return ARGUMENTS | {"pk": self.rides.get(mine.pk if mine else 0, self.rides[self.stranger.pk])}

    def others(self, path: str) -> dict[str, Any]:
        """The same of somebody else's."""
        return ARGUMENTS | {"pk": self.rides[self.stranger.pk]}

    def query(self, role: str, endpoint: str) -> str:
        """The query an endpoint needs."""
        if endpoint.endswith("/api/v1/track/"):
            key = self.device_key if role == "device-key" else self.keys.get(role, "nobodys")
            return f"id={key}&lat=-26.2041&lon=28.0473"
        return QUERIES.get(endpoint, "")

    def body(self, endpoint: str) -> Any:
        """The JSON that an endpoint wants."""
        return {
            "POST /api/v1/auth/register/": {"phone": "+27829999999", "password": PASSWORD},
            "POST /api/v1/auth/login/": {"username": self.stranger.username, "password": PASSWORD},
            "POST /api/v1/bookings/<int:pk>/assign/": {"driver_id": self.idle_id},
            "POST /api/v1/drivers/me/locations/": {"locations": [_POSITION]},
            "POST /api/v1/locations/": {"locations": [_POSITION | {"driver_id": self.driver.pk}]},
        }.get(endpoint, {})  # fmt: skip

    # --- how it is made ------------------------------------------------------------------------------------------

    def _person(self, role: str) -> User:
        n = next(_numbers)
        roles = [role] if role in {"passenger", "driver", "operator"} else ["passenger"]
        user = User(
            username=f"{role}{n}", phone=f"+2783{n:07d}", first_name=f"First{n}", last_name=f"Last{n}", roles=roles,
            is_staff=role in {"staff", "superuser"}, is_superuser=role == "superuser",
        )  # fmt: skip
        user.set_unusable_password()
        user.save()
        return user

    def _driver(self, user: User) -> Driver:
        driver = Driver.objects.create(
            user=user, phone=user.phone, license_number=f"L{user.pk}", vehicle_registration=f"CA {user.pk} GP",
            vehicle_type="sedan", status="offline", verified=True, auto_accept=True,
        )  # fmt: skip
        DriverLocation.objects.create(driver=driver, position=point(HERE), recorded_at=Now(), received_at=Now())
        return driver

    def _places(self) -> None:
        box = Polygon.from_bbox((28, -27, 29, -26))
        ServiceArea.objects.create(name="Jozi", area=MultiPolygon(box, srid=4326))
        label = "Johannesburg, Gauteng"
        Place.objects.create(
            name="Johannesburg", label=label, kind="city", position=point(HERE), importance=0.8, folded=folded(label),
            source="test", source_id="1",
        )  # fmt: skip

    def _demand(self) -> None:
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        DemandMade.objects.create(hour=hour, made_at=Now(), changed_at=Now())
        DemandHour.objects.create(
            size_m=1_000, hour=hour, cell=cell_of(HERE, 1_000), requests=20, unfulfilled=10, idle_drivers=15
        )

    def _asked(self, passenger: User) -> Any:
        request = RideRequest(
            pickup=HERE, dropoff=lat_lon(-26.1041, 28.1473), pickup_address="123 Main St",
            dropoff_address="456 Oak St", distance_km=15.0, duration_minutes=25.0, fare_amount=Decimal("150.00"),
            passenger_phone=passenger.phone, notes="Ring twice",
        )  # fmt: skip
        return find_driver(passenger.pk, f"ride{passenger.pk}", request)

    def _confirmed(self, passenger: User, driver: Driver) -> int:
        Driver.objects.filter(status="available").update(status="offline")
        Driver.objects.filter(pk=driver.pk).update(status="available")
        booking_id = self._asked(passenger).booking_id
        assert Booking.objects.get(pk=booking_id).driver_id == driver.pk
        return int(booking_id)

    def _driven(self, passenger: User, driver: Driver) -> int:
        booking_id = self._confirmed(passenger, driver)
        start_ride(booking_id, SYSTEM)
        for north in (0.0, 0.00001):
            tell(driver.pk, lat_lon(HERE.latitude + north, HERE.longitude), recorded_at=datetime.now(UTC))
        complete_ride(booking_id, SYSTEM)
        make_trip(booking_id)
        return booking_id

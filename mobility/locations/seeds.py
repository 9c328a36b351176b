"""The three drivers of the demonstration, and how they get into the database."""

from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from geo.coordinates import lat_lon, point
from mobility.drivers.models import Driver, DriverStatus
from mobility.locations.models import DriverLocation
from mobility.people.models import Role, User

DEMO_PASSWORD = "password123"  # noqa: S105 (printed by `make run`; exists in the demo only)


class Seed(NamedTuple):
    """One demo driver and the place where they stand."""

    username: str
    first_name: str
    last_name: str
    phone: str
    vehicle_type: str
    vehicle_registration: str
    license_number: str
    rating: str
    latitude: float
    longitude: float


SEEDS = (
    Seed("driver1", "John", "Doe", "+27123456789", "sedan", "CA 123 GP", "DEMO-0001", "4.8", -26.2041, 28.0473),
    Seed("driver2", "Jane", "Smith", "+27123456790", "suv", "CA 456 GP", "DEMO-0002", "4.9", -26.1041, 28.1473),
    Seed(
        "driver3", "Mike", "Johnson", "+27123456791", "wheelchair_accessible", "CA 789 GP", "DEMO-0003", "4.7",
        -25.7479, 28.2293,
    ),
)  # fmt: skip


@transaction.atomic
def seed_driver(seed: Seed, password: str) -> str:
    """Create or restore one demo driver; what was done: `created`, `restored` or `busy` (left as they are)."""
    driver = Driver.objects.select_for_update(of=("self",), no_key=True).filter(user__username=seed.username).first()
    if driver is not None and driver.status == DriverStatus.BUSY:
        return "busy"
    user = _user(seed, password)
    Driver.objects.update_or_create(
        user=user,
        defaults={
            "phone": seed.phone,
            "license_number": seed.license_number,
            "vehicle_registration": seed.vehicle_registration,
            "vehicle_type": seed.vehicle_type,
            "rating": seed.rating,
            "status": DriverStatus.AVAILABLE,
            "verified": True,
            "stationary": True,
            "auto_accept": True,
            "missed_offers": 0,
            "is_demo": True,
        },
    )
    position = point(lat_lon(seed.latitude, seed.longitude))
    DriverLocation.objects.update_or_create(
        driver=user.driver, defaults={"position": position, "recorded_at": Now(), "received_at": Now()}
    )
    return "created" if driver is None else "restored"


def _user(seed: Seed, password: str) -> User:
    user, created = User.objects.get_or_create(
        username=seed.username,
        defaults={
            "phone": seed.phone,
            "first_name": seed.first_name,
            "last_name": seed.last_name,
            "roles": [Role.DRIVER.value],
        },
    )
    if created or not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    return user

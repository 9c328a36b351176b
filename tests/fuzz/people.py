"""Who is in the database before a run: drivers for the hostile sockets, and the neighbour's own driver.

Needs Django set up. Run it where the ORM may be used.
"""

from django.db.models.functions import Now
from knox.models import AuthToken

from geo.coordinates import lat_lon, point
from mobility.models import Driver, DriverLocation, User
from tests.fuzz.messages import DRIVING
from tests.fuzz.neighbour import PLACE


def people(drivers: int) -> dict[int, str]:
    """Make them; the hostile drivers' ids with a login token each."""
    _driver(0, PLACE, auto_accept=True, status="available", stationary=True)
    tokens = {}
    for n in range(1, drivers + 1):
        driver = _driver(n, DRIVING, auto_accept=False, status="offline")
        tokens[driver.pk] = AuthToken.objects.create(driver.user)[1]
    return tokens


def _driver(n: int, place: tuple[float, float], **fields: object) -> Driver:
    user = User(username=f"fuzz{n}", phone=f"+2783{n:07d}", first_name=f"Driver {n}", roles=["driver"])
    user.set_unusable_password()
    user.save()
    driver = Driver.objects.create(
        user=user, phone=user.phone, license_number=f"F{n}", vehicle_registration=f"FZ {n}", vehicle_type="sedan",
        verified=True, **fields,
    )  # fmt: skip
    DriverLocation.objects.create(driver=driver, position=point(lat_lon(*place)), recorded_at=Now(), received_at=Now())
    return driver

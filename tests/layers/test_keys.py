"""What a key of a dashboard sees of each collection and tile: with its scope alone, and never a person."""

import json

import mapbox_vector_tile
import pytest

from mobility.bookings.layers import BOOKINGS
from mobility.locations.layers import DRIVERS
from mobility.models import DemandHour, DemandMade
from mobility.people.keys import issue_api_key
from mobility.people.models import Scope
from tests.demand.staging import PLACE, cell_of, hour_ago
from tests.layers.test_tiles import tile_at
from tests.rest import problem

pytestmark = pytest.mark.django_db
CANARY = "canary"
# What needs which scope; {driver} is a driver's number.
PATHS = {
    "drivers/": Scope.DRIVERS,
    "drivers/?export=1": Scope.DRIVERS,
    "drivers/{driver}/": Scope.DRIVERS,
    "drivers/{driver}/history/": Scope.HISTORY,
    "bookings/": Scope.BOOKINGS,
    "demand/": Scope.DEMAND,
    "service-areas/": Scope.AREAS,
    "/tiles/drivers.json": Scope.DRIVERS,
    "/tiles/drivers/0/0/0.mvt": Scope.DRIVERS,
    "/tiles/bookings/4/9/9.mvt": Scope.BOOKINGS,
    "/tiles/demand/6/36/36.mvt": Scope.DEMAND,
    "/tiles/areas/6/36/36.mvt": Scope.AREAS,
}


@pytest.fixture
def ask(api, make_driver, make_user, ride):
    """ask(path, *scopes): the answer to a new key with these scopes, where everybody's texts are canaries."""
    user = make_user(username=f"{CANARY}1", first_name=CANARY, roles=["driver"], phone="+27829876543")
    driver = make_driver(PLACE.latitude, PLACE.longitude, user=user, vehicle_registration=f"{CANARY} GP")
    passenger = make_user(username=f"{CANARY}2", last_name=CANARY)
    ride(
        passenger, f"{CANARY}-ride", pickup_address=CANARY, dropoff_address=CANARY, notes=CANARY,
        passenger_phone="+27829876543",
    )  # fmt: skip

    def get(path, *scopes):
        headers = {"Authorization": f"Key {issue_api_key('k', scopes)[1]}"}
        path = path.format(driver=driver.pk)
        return api.client.get(path if path.startswith("/") else f"/api/v1/{path}", headers=headers)

    return get


# A stream reads what is committed; it has the same fields.
@pytest.mark.parametrize("path", [path for path in PATHS if "export" not in path])
def test_its_scope_opens_it_and_nobody_is_in_it(ask, path):
    answer = ask(path, PATHS[path])
    assert answer.status_code in {200, 204}, answer.content
    for telling in (CANARY.encode(), b"9876543", b"***"):
        assert telling not in answer.content


@pytest.mark.parametrize("path", PATHS)
def test_every_other_scope_does_not(ask, path):
    answer = ask(path, *(scope for scope in Scope if scope != PATHS[path]))
    assert problem(answer) == (403, "forbidden", None)
    assert PATHS[path].value in answer.json()["detail"]


def test_fields_that_say_who_somebody_is_cannot_be_asked_for(ask):
    for path, scope, layer in (("drivers/", Scope.DRIVERS, DRIVERS), ("bookings/", Scope.BOOKINGS, BOOKINGS)):
        for field in layer.personal:
            assert problem(ask(f"{path}?fields={field}", scope)) == (400, "invalid_parameter", "fields")
        shown = json.loads(ask(path, scope).content)["features"][0]["properties"]
        assert not set(shown) & layer.personal
    assert "attention_since" not in shown
    assert problem(ask("bookings/?attention=true", Scope.BOOKINGS)) == (400, "invalid_parameter", "attention")


class TestDemand:
    @pytest.fixture
    def counted(self):
        for hours, requests in ((0, 50), (1, 9), (2, 13), (3, 12)):
            hour = hour_ago(hours)
            # The present hour was counted before its end, as the dispatcher does it.
            DemandMade.objects.create(hour=hour, made_at=hour, changed_at=hour, due_at=None if hours else hour)
            DemandHour.objects.create(
                size_m=1000, hour=hour, cell=cell_of(PLACE, 1000), requests=requests, unfulfilled=2, idle_drivers=None
            )

    def test_small_counts_and_the_present_hour_are_not_told(self, ask, counted):
        answer = ask("demand/", Scope.DEMAND)
        told = [f["properties"] for f in json.loads(answer.content)["features"]]
        assert [(t["requests"], t["unfulfilled"], t["idle_drivers"]) for t in told] == [
            (10, None, None), (15, None, None),
        ]  # fmt: skip

    def test_one_size_alone(self, ask, counted):
        assert ask("demand/?size_m=1000", Scope.DEMAND).status_code == 200
        for size in (250, 500, 2000, 5000):
            assert problem(ask(f"demand/?size_m={size}", Scope.DEMAND)) == (400, "invalid_parameter", "size_m")

    def test_nor_in_a_tile(self, ask, counted):
        DemandHour.objects.filter(hour=hour_ago(1)).update(requests=13)
        answer = ask(f"/tiles/demand/{tile_at(PLACE.latitude, PLACE.longitude, 12)}.mvt", Scope.DEMAND)
        (feature,) = mapbox_vector_tile.decode(answer.content)["demand"]["features"]
        assert feature["properties"]["requests"] == 15
        assert "unfulfilled" not in feature["properties"]


def test_an_unknown_layer_is_told_to_nobody_with_a_key(ask):
    assert ask("/tiles/secret.json", *Scope).status_code == 403


def test_a_key_asks_the_geocoder(ask):
    assert problem(ask("geocode/?q=Park", Scope.GEOCODE)) == (503, "geocoder_not_configured", None)
    assert problem(ask("geocode/?q=Park", Scope.DRIVERS)) == (403, "forbidden", None)

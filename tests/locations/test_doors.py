"""The doors for positions over HTTP."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from geo.coordinates import from_point, lat_lon
from mobility.locations import keys
from mobility.locations.keys import issue_key, revoke_key
from mobility.models import DriverLocation, LocationKey, Position
from tests.bookings.test_guards import refused
from tests.rest import problem

pytestmark = pytest.mark.django_db
HERE = {"latitude": -26.2, "longitude": 28.05}


@pytest.fixture(autouse=True)
def no_remembered_keys():
    keys._remembered.clear()


@pytest.fixture
def driver(make_driver):
    """A driver who told where they are an hour ago."""
    before = datetime.now(UTC) - timedelta(hours=1)
    return make_driver(-26.0, 28.0, recorded_at=before, received_at=before)


@pytest.fixture
def fleet():
    """Headers with a fleet's key."""
    return {"Authorization": f"Key {issue_key('gateway')[1]}"}


def stamp(seconds_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()


def where(driver) -> tuple[float, float]:
    at = from_point(DriverLocation.objects.get(pk=driver.pk).position)
    return at.latitude, at.longitude


def feature(longitude, latitude, **properties):
    geometry = {"type": "Point", "coordinates": [longitude, latitude]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


# --- a driver's own ----------------------------------------------------------------------------------------------


def test_a_driver_tells_many_positions_in_any_order(api, driver):
    told = [HERE | {"latitude": -26 - n / 100, "recorded_at": stamp(100 - n)} for n in (3, 1, 2)]
    answer = api.post("drivers/me/locations/", {"locations": [*told, told[0]]}, user=driver.user)
    assert (answer.status_code, answer.json()) == (200, {"taken": 4, "dropped": {}})
    assert where(driver) == (-26.03, 28.05)
    assert [p.door for p in Position.objects.order_by("recorded_at")] == ["driver"] * 3


def test_geojson_says_the_same(api, driver):
    body = {
        "type": "FeatureCollection",
        "features": [feature(28.05, -26.2, heading=10.0, speed=3.5, accuracy_m=4, name="ignored")],
    }
    answer = api.post("drivers/me/locations/", body, user=driver.user)
    assert answer.json() == {"taken": 1, "dropped": {}}
    kept = Position.objects.get()
    assert (kept.position.coords, kept.heading, kept.speed, kept.accuracy_m) == ((28.05, -26.2), 10, 3.5, 4)


def test_what_is_dropped_is_told_and_the_rest_is_stored(api, driver):
    told = [
        HERE, HERE | {"accuracy_m": 900}, {"latitude": 0, "longitude": 0}, HERE | {"recorded_at": stamp(-90)},
        HERE | {"recorded_at": stamp(90_000)},
    ]  # fmt: skip
    answer = api.post("drivers/me/locations/", {"locations": told}, user=driver.user).json()
    assert answer == {
        "taken": 1, "dropped": {"inaccurate": 1, "null_island": 1, "from_the_future": 1, "too_old": 1},
    }  # fmt: skip
    assert where(driver) == (-26.2, 28.05)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ([HERE], "not_an_object", None),
        ({}, "missing_field", "locations"),
        ({"locations": []}, "invalid_field", "locations"),
        ({"locations": [HERE] * 1001}, "invalid_field", "locations"),
        ({"locations": [HERE, {"latitude": 1}]}, "missing_field", "locations.1.longitude"),
        ({"locations": [HERE, 7]}, "invalid_field", "locations.1"),
        ({"locations": [HERE | {"latitude": 91}]}, "invalid_field", "locations.0.latitude"),
        ({"locations": [HERE | {"latitude": "-26"}]}, "invalid_field", "locations.0.latitude"),
        ({"locations": [HERE | {"recorded_at": "2026-01-01T00:00:00"}]}, "invalid_field", "locations.0.recorded_at"),
        ({"type": "FeatureCollection"}, "missing_field", "features"),
        ({"type": "FeatureCollection", "features": [HERE]}, "invalid_field", "features.0"),
        ({"type": "FeatureCollection", "features": [feature(28, "x")]}, "invalid_field", "features.0.latitude"),
        ('{"locations": [{"latitude": NaN, "longitude": 1}]}', "invalid_json", None),
        ('{"locations": [{"latitude": 1e999, "longitude": 1}]}', "invalid_json", None),
    ],
)
def test_a_body_that_is_wrong_anywhere_changes_nothing(api, driver, body, code, field):
    answer = api.post("drivers/me/locations/", body, user=driver.user)
    assert problem(answer) == (400, code, field)
    assert not Position.objects.exists()
    assert where(driver) == (-26.0, 28.0)


def test_a_body_without_end_is_refused(api, driver):
    body = json.dumps({"locations": [HERE | {"note": "x" * 3_000_000}]})
    assert api.post("drivers/me/locations/", body, user=driver.user).status_code == 413


def test_only_a_driver_tells_their_own_position(api, make_user, driver, fleet):
    body = {"locations": [HERE]}
    assert problem(api.post("drivers/me/locations/", body))[:2] == (401, "unauthenticated")
    assert problem(api.post("drivers/me/locations/", body, user=make_user()))[:2] == (403, "forbidden")
    assert problem(api.post("drivers/me/locations/", body, headers=fleet))[:2] == (401, "unauthenticated")
    assert not Position.objects.exists()


# --- a fleet's ---------------------------------------------------------------------------------------------------


def test_a_gateway_tells_the_positions_of_many(api, make_driver, fleet):
    drivers = [make_driver(None, None) for _ in range(3)]
    told = [HERE | {"driver_id": d.pk, "longitude": 28 + n / 10} for n, d in enumerate(drivers)]
    answer = api.post("locations/", {"locations": told}, headers=fleet)
    assert answer.json() == {"taken": 3, "dropped": {}}
    assert [where(d)[1] for d in drivers] == [28.0, 28.1, 28.2]
    assert {p.door for p in Position.objects.all()} == {"fleet"}


def test_drivers_who_do_not_exist_are_named(api, driver, fleet):
    told = [HERE | {"driver_id": n} for n in (driver.pk, 10**15, 10**15, 10**15 + 1)]
    answer = api.post("locations/", {"locations": told}, headers=fleet).json()
    assert answer == {"taken": 1, "dropped": {"unknown_driver": 3}, "unknown_drivers": [10**15, 10**15 + 1]}
    assert Position.objects.get().driver_id == driver.pk


def test_a_gateway_needs_a_fleets_key_in_force(api, driver):
    body = {"locations": [HERE | {"driver_id": driver.pk}]}
    key, text = issue_key("gateway")
    device = issue_key("phone", driver)[1]
    for wrong in ("", "Key", "Key x", f"Key {device}", f"Token {text}", f"Key {text} {text}", "Key " + "x" * 5_000):
        assert problem(api.post("locations/", body, headers={"Authorization": wrong}))[:2] == (401, "unauthenticated")
    assert problem(api.post("locations/", body, user=driver.user))[:2] == (401, "unauthenticated")
    revoke_key(key.pk)
    assert problem(api.post("locations/", body, headers={"Authorization": f"Key {text}"}))[:2] == (
        401,
        "unauthenticated",
    )
    assert not Position.objects.exists()


def test_a_fleets_key_opens_nothing_else(api, fleet):
    for path in ("me/", "drivers/", "bookings/"):
        assert api.get(path, headers=fleet).status_code == 401


def test_a_driver_is_named_in_each_position(api, fleet):
    answer = api.post("locations/", {"locations": [HERE]}, headers=fleet)
    assert problem(answer) == (400, "missing_field", "locations.0.driver_id")


# --- a phone's ---------------------------------------------------------------------------------------------------


@pytest.fixture
def device(driver):
    """The key of the driver's phone."""
    return issue_key("phone", driver)[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_tracker_app_tells_a_position(api, set_knobs, driver, device, method):
    set_knobs(trackers=True)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
    query = f"id={device}&lat=-26.2&lon=28.05&timestamp={at.timestamp():.0f}&speed=10&bearing=370&accuracy=12&batt=80"
    answer = api(method, f"track/?{query}")
    assert (answer.status_code, answer.json()) == (200, {"taken": 1, "dropped": {}})
    kept = Position.objects.get()
    assert (kept.driver_id, kept.recorded_at, kept.heading, kept.accuracy_m) == (driver.pk, at, 10, 12)
    assert kept.speed == pytest.approx(5.1444, abs=1e-3)  # knots
    assert kept.door == "tracker"
    assert from_point(DriverLocation.objects.get().position) == lat_lon(-26.2, 28.05)


@pytest.mark.parametrize("form", ["{:.0f}", "{:.3f}", "{0:%Y-%m-%dT%H:%M:%SZ}", "{0:%Y-%m-%d %H:%M:%S}", "ms"])
def test_a_tracker_tells_its_time_in_several_ways(api, set_knobs, device, form):
    set_knobs(trackers=True)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
    text = f"{at.timestamp() * 1000:.0f}" if form == "ms" else form.format(at if "%" in form else at.timestamp())
    assert api.get(f"track/?id={device}&lat=-26.2&lon=28.05&timestamp={text}").status_code == 200
    assert Position.objects.get().recorded_at == at


def test_a_dropped_position_is_not_sent_again(api, set_knobs, device):
    set_knobs(trackers=True)
    answer = api.get(f"track/?id={device}&lat=0&lon=0")
    assert (answer.status_code, answer.json()) == (200, {"taken": 0, "dropped": {"null_island": 1}})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("lat=-26.2", "lon"), ("lat=x&lon=1", "lat"), ("lat=nan&lon=1", "lat"), ("lat=91&lon=1", "lat"),
        ("lat=1&lon=1&timestamp=soon", "timestamp"), ("lat=1&lon=1&timestamp=9999999999999999", "timestamp"),
        ("lat=1&lon=1&accuracy=inf", "accuracy"), ("lat=1&lon=1&speed=1e9", "speed"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_read_is_told(api, set_knobs, device, query, field):
    set_knobs(trackers=True)
    assert problem(api.get(f"track/?id={device}&{query}")) == (400, "invalid_parameter", field)
    assert not Position.objects.exists()


def test_a_tracker_needs_a_devices_key_in_force(api, set_knobs, driver):
    set_knobs(trackers=True)
    key, text = issue_key("phone", driver)
    gateway = issue_key("gateway")[1]
    for wrong in ("", "x", gateway, "x" * 5_000):
        assert problem(api.get(f"track/?id={wrong}&lat=-26.2&lon=28.05"))[:2] == (401, "unauthenticated")
    assert api.get(f"track/?id={text}&lat=-26.2&lon=28.05").status_code == 200
    revoke_key(key.pk)
    keys._remembered.clear()  # as after 10 s
    assert problem(api.get(f"track/?id={text}&lat=-26.2&lon=28.05"))[:2] == (401, "unauthenticated")


def test_the_trackers_door_is_shut_unless_it_is_set(api, set_knobs, device):
    set_knobs(trackers=False)
    assert problem(api.get(f"track/?id={device}&lat=-26.2&lon=28.05"))[:2] == (404, "not_found")


def test_a_devices_key_is_looked_up_once_in_a_while(api, set_knobs, device):
    set_knobs(trackers=True)
    api.get(f"track/?id={device}&lat=-26.2&lon=28.05")
    LocationKey.objects.all().delete()
    assert keys.driver_of_device(device) is not None


# --- keys --------------------------------------------------------------------------------------------------------


def told(*args: str) -> str:
    out = StringIO()
    call_command("location_key", *args, stdout=out)
    return out.getvalue()


def test_a_key_is_made_listed_and_revoked(driver):
    text = told("--driver", str(driver.pk), "--name", "spare phone").splitlines()[0].rsplit(" ", 1)[1]
    assert keys.driver_of_device(text) == driver.pk
    told("--fleet", "--name", "gateway")
    key = LocationKey.objects.get(driver=driver)
    assert text not in json.dumps(list(LocationKey.objects.values()), default=str)
    assert "spare phone" in told("--list")
    told("--revoke", str(key.pk))
    assert "revoked" in told("--list")
    with pytest.raises(CommandError, match="no key"):
        told("--revoke", str(key.pk))


def test_two_keys_are_never_the_same():
    key = issue_key("one")[0]
    attack = f"INSERT INTO mobility_location_key (name, digest) VALUES ('two', '{key.digest}')"
    assert refused(attack) == "mobility_location_key_digest_key"


def test_a_key_needs_a_purpose_and_a_driver():
    with pytest.raises(CommandError, match="--name"):
        told("--fleet")
    with pytest.raises(CommandError, match="no driver"):
        told("--driver", "999999999", "--name", "x")

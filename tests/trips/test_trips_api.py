"""The track of a ride over REST: for its passenger, its driver and operators, and nobody else."""

import pytest

from mobility.bookings.services import SYSTEM
from mobility.dispatch.driving import start_ride
from mobility.dispatch.services import find_driver
from mobility.models import Booking, Driver, Trip
from mobility.trips.services import make_trip
from tests.rest import problem
from tests.trips.staging import ago, told
from tests.trips.test_trips import corner, each


@pytest.fixture
def trip(stage):
    """A ride with a track; its booking."""
    booking = stage.driven(started=ago(minutes=25), ended=ago(minutes=15))
    told(booking, each(corner()))
    make_trip(booking.pk)
    return booking


def people(booking, make_user):
    driver = Driver.objects.select_related("user").get(pk=booking.driver_id)
    return {"passenger": booking.passenger, "driver": driver.user, "operator": make_user(roles=["operator"])}


FIELDS = {"ride_id", "times", "length_m", "fixes", "jumps", "leaps", "started_at", "ended_at", "made_at", "final"}


def test_a_track_is_a_feature_for_those_who_were_there_and_for_operators(api, make_user, trip):
    for role, user in people(trip, make_user).items():
        response = api.get(f"bookings/{trip.pk}/track/", user=user)
        assert response.status_code == 200, role
        assert response["Content-Type"].startswith("application/geo+json")
        assert response["Cache-Control"] == "no-store"
        feature = response.json()
        assert (feature["id"], feature["type"], feature["geometry"]["type"]) == (trip.pk, "Feature", "LineString")
        begin, end = feature["geometry"]["coordinates"][0], feature["geometry"]["coordinates"][-1]
        for told_at, true in ((begin, corner()[0]), (end, corner()[-1])):
            assert told_at == [pytest.approx(true.longitude, abs=1e-6), pytest.approx(true.latitude, abs=1e-6)]
        assert set(feature["properties"]) == FIELDS | ({"approach_m"} if role == "operator" else set())
        assert feature["properties"]["length_m"] == pytest.approx(4_000, rel=1e-6)
        assert feature["properties"]["final"] is False


def test_to_anybody_else_there_is_no_such_ride(api, make_user, make_driver, trip):
    stranger, other_driver = make_user(), make_driver(-26.2, 28.0).user
    absent = api.get("bookings/999999999/track/", user=stranger)
    assert problem(absent) == (404, "not_found", None)
    for user in (stranger, other_driver):
        answer = api.get(f"bookings/{trip.pk}/track/", user=user)
        assert problem(answer) == (404, "not_found", None)
        assert answer.json() == absent.json()
    assert problem(api.get(f"bookings/{trip.pk}/track/")) == (401, "unauthenticated", None)


def test_a_ride_that_goes_on_has_no_track(api, stage):
    booking = stage.ride()
    answer = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger)
    assert problem(answer) == (404, "no_trip", None)
    assert answer.json()["ride_status"] == "confirmed"
    start_ride(booking.pk, SYSTEM)
    answer = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger)
    assert answer.json()["ride_status"] == "in_progress"


def test_one_that_has_just_ended_says_ask_again(api, stage):
    booking = stage.driven(started=ago(minutes=25), ended=ago(minutes=15))
    answer = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger)
    assert problem(answer) == (404, "no_trip", None)
    assert "ask again" in answer.json()["detail"]
    make_trip(booking.pk)
    assert api.get(f"bookings/{booking.pk}/track/", user=booking.passenger).status_code == 200


def test_an_old_ride_without_a_track_never_gets_one(api, stage):
    booking = stage.driven(started=ago(minutes=25), ended=ago(minutes=15))
    stage.pass_hours(booking, 31 * 24)
    answer = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger)
    assert problem(answer) == (404, "no_trip", None)
    assert "dropped" in answer.json()["detail"]


def test_where_nothing_is_known_the_geometry_is_null(api, stage):
    booking = stage.driven(started=ago(minutes=25), ended=ago(minutes=15))
    make_trip(booking.pk)
    Trip.objects.update(due_at=None)
    feature = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger).json()
    assert (feature["geometry"], feature["properties"]["length_m"]) == (None, None)
    assert feature["properties"]["final"] is True


def test_a_track_over_the_antimeridian_is_cut_there(api, stage):
    from geo.coordinates import LatLon

    booking = stage.driven(started=ago(minutes=25), ended=ago(minutes=15))
    told(booking, [(0, LatLon(-17.0, 179.999)), (10, LatLon(-17.0, -179.999)), (20, LatLon(-17.001, -179.997))])
    make_trip(booking.pk)
    geometry = api.get(f"bookings/{booking.pk}/track/", user=booking.passenger).json()["geometry"]
    assert geometry["type"] == "MultiLineString"
    assert [line[0][0] for line in geometry["coordinates"]] == [179.999, -180.0]


def test_parameters_are_refused(api, trip):
    answer = api.get(f"bookings/{trip.pk}/track/?limit=1", user=trip.passenger)
    assert problem(answer) == (400, "invalid_parameter", "limit")


def test_a_guests_ride_is_its_drivers_and_the_operators(api, stage, make_user, ride_request):
    driver = stage.make_driver(-26.2041, 28.0473)
    booking_id = find_driver(None, "guest-1", ride_request()).booking_id
    start_ride(booking_id, SYSTEM)
    assert Booking.objects.get(pk=booking_id).driver_id == driver.pk
    assert problem(api.get(f"bookings/{booking_id}/track/", user=make_user())) == (404, "not_found", None)
    assert problem(api.get(f"bookings/{booking_id}/track/", user=driver.user)) == (404, "no_trip", None)

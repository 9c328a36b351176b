"""Rides over REST: one's own, and nobody else's; and what operators see of them."""

from urllib.parse import urlsplit

import pytest
from django.db.models.functions import Now

from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.driving import arrive_at_pickup, start_ride
from mobility.dispatch.services import cancel_ride, find_driver
from tests.rest import problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def ride(make_driver, ride_request):
    """ride(user, ride_id): a ride of this user; unfulfilled unless a driver is about."""

    def make(user, ride_id="r1", **fields):
        outcome = find_driver(None if user is None else user.pk, ride_id, ride_request(**fields))
        return Booking.objects.get(pk=outcome.booking_id)

    return make


def cancelled(booking):
    cancel_ride(booking.pk, Actor(booking.passenger_id, ActorRole.PASSENGER), "changed my mind")
    return booking


def ids(response):
    assert response.status_code == 200, response.content
    return [feature["id"] for feature in response.json()["features"]]


def test_a_ride_is_a_line_from_pickup_to_dropoff(api, make_user, make_driver, ride):
    driver = make_driver(-26.2041, 28.0473, phone="+27829876543")
    user = make_user()
    booking = ride(user)
    response = api.get("bookings/", user=user)
    assert response["Content-Type"] == "application/geo+json"
    assert response["Cache-Control"] == "no-store"
    (feature,) = response.json()["features"]
    assert feature["id"] == booking.pk
    assert feature["geometry"] == {"type": "LineString", "coordinates": [[28.0473, -26.2041], [28.1473, -26.1041]]}
    shown = feature["properties"]
    assert (shown["ride_id"], shown["status"], shown["seq"]) == ("r1", "confirmed", 2)
    assert (shown["fare_amount"], shown["fare_currency"], shown["fare_origin"]) == (150.0, "ZAR", "client")
    assert (shown["distance_m"], shown["duration_s"]) == (12500.0, 1500.0)
    assert shown["passenger_phone"] == "+27*******89"
    assert shown["driver"] == {
        "id": driver.pk, "name": driver.user.display_name, "phone": "+27*******43", "vehicle_type": "sedan",
        "vehicle_registration": driver.vehicle_registration, "rating": 5.0,
    }  # fmt: skip
    for canary in ("9876543", "123456789", "request_digest"):
        assert canary not in response.content.decode()


def test_a_field_is_shown_only_when_it_is_listed_here(api, make_user, ride):
    user = make_user()
    booking = ride(user)
    fields = {
        "ride_id", "status", "seq", "passenger_phone", "driver", "pickup_address", "dropoff_address", "vehicle_type",
        "notes", "distance_m", "distance_origin", "duration_s", "fare_amount", "fare_currency", "fare_origin",
        "requested_at", "confirmed_at", "arrived_at", "started_at", "completed_at", "unfulfilled_at", "no_show_at",
        "cancelled_at", "cancelled_by", "cancellation_reason", "search_until", "no_show_from",
    }  # fmt: skip
    for asker, theirs in ((user, set()), (make_user(roles=["operator"]), {"attention_since"})):
        (listed,) = api.get("bookings/", user=asker).json()["features"]
        assert set(listed["properties"]) == fields | theirs
        detail = api.get(f"bookings/{booking.pk}/", user=asker).json()["properties"]
        assert set(detail) == fields | theirs | {"events"} | ({"offers"} if theirs else set())


def test_times_of_the_search_and_the_no_show_are_told(api, make_user, make_driver, ride):
    make_driver(-26.2041, 28.0473)
    user = make_user()
    booking = ride(user)
    arrive_at_pickup(booking.pk, SYSTEM)
    shown = api.get(f"bookings/{booking.pk}/", user=user).json()["properties"]
    assert shown["requested_at"] < shown["search_until"]
    assert shown["arrived_at"] < shown["no_show_from"]


def test_the_detail_tells_the_log_in_order(api, make_user, make_driver, ride):
    driver = make_driver(-26.2041, 28.0473)
    user = make_user()
    booking = cancelled(ride(user))
    events = api.get(f"bookings/{booking.pk}/", user=user).json()["properties"]["events"]
    assert [e["seq"] for e in events] == [1, 2, 3]
    assert [e["event"] for e in events] == ["ride_requested", "driver_assigned", "ride_cancelled"]
    assert events[1]["payload"]["driver_id"] == driver.pk
    assert set(events[0]) == {"seq", "event", "from_status", "to_status", "actor_role", "occurred_at", "payload"}


def test_one_sees_ones_own_rides_newest_first(api, make_user, ride):
    user, other = make_user(), make_user()
    mine = [cancelled(ride(user, f"r{n}")).pk for n in range(3)]
    ride(other)
    ride(None, "guest")
    assert ids(api.get("bookings/", user=user)) == mine[::-1]


def test_anothers_ride_answers_exactly_like_one_that_does_not_exist(api, make_user, make_driver, ride):
    driver = make_driver(-26.2041, 28.0473)
    booking, guest = ride(make_user()), None
    user = make_user()
    guest = ride(None, "guest")
    absent = api.get("bookings/999999/", user=user)
    assert problem(absent) == (404, "not_found", None)
    for asker in (user, driver.user):
        for pk in (booking.pk, guest.pk):
            theirs = api.get(f"bookings/{pk}/", user=asker)
            assert theirs.content == absent.content
            assert dict(theirs.headers) == dict(absent.headers)
    assert ids(api.get("bookings/", user=driver.user)) == []


def test_operators_see_every_ride(api, make_user, ride):
    booking, guest = ride(make_user()), ride(None, "guest")
    operator = make_user(roles=["operator"])
    assert set(ids(api.get("bookings/", user=operator))) == {booking.pk, guest.pk}
    assert api.get(f"bookings/{guest.pk}/", user=operator).status_code == 200


def test_strangers_see_none(api, make_user, ride):
    booking = ride(make_user())
    assert problem(api.get("bookings/")) == (401, "unauthenticated", None)
    assert problem(api.get(f"bookings/{booking.pk}/")) == (401, "unauthenticated", None)


def test_rides_are_filtered_by_status(api, make_user, ride):
    user = make_user()
    gone, waiting = cancelled(ride(user, "a")), ride(user, "b")
    assert ids(api.get("bookings/?status=cancelled", user=user)) == [gone.pk]
    assert ids(api.get("bookings/?status=cancelled,unfulfilled", user=user)) == [waiting.pk, gone.pk]
    assert ids(api.get("bookings/?status=completed", user=user)) == []


class TestAttention:
    @pytest.fixture
    def silent(self, make_user, make_driver, ride):
        """A ride under way whose driver went silent."""
        make_driver(-26.2041, 28.0473)
        booking = ride(make_user())
        start_ride(booking.pk, SYSTEM)
        Booking.objects.filter(pk=booking.pk).update(attention_since=Now())
        return booking

    def test_operators_list_the_rides_that_need_them(self, api, make_user, ride, silent):
        other, operator = ride(make_user()), make_user(roles=["operator"])
        assert ids(api.get("bookings/?attention=true", user=operator)) == [silent.pk]
        assert ids(api.get("bookings/?attention=false", user=operator)) == [other.pk]
        assert ids(api.get("bookings/", user=operator)) == [other.pk, silent.pk]
        (feature,) = api.get("bookings/?attention=true", user=operator).json()["features"]
        assert feature["properties"]["attention_since"] is not None

    def test_a_ride_without_a_driver_to_call_is_not_among_them(self, api, make_user, silent):
        cancel_ride(silent.pk, Actor(None, ActorRole.OPERATOR))
        Booking.objects.filter(pk=silent.pk).update(attention_since=Now())
        assert ids(api.get("bookings/?attention=true", user=make_user(roles=["operator"]))) == []

    def test_a_page_of_them_leads_to_the_next(self, api, make_user, silent):
        operator = make_user(roles=["operator"])
        following = api.get("bookings/?attention=true&limit=1", user=operator).json()
        assert (following["numberReturned"], following["next"]) == (1, None)

    def test_its_passenger_learns_nothing_of_it(self, api, silent):
        user = silent.passenger
        for path in ("bookings/", f"bookings/{silent.pk}/"):
            assert "attention" not in api.get(path, user=user).content.decode()
        for value in ("true", "false"):
            refused = problem(api.get(f"bookings/?attention={value}", user=user))
            assert refused == (400, "invalid_parameter", "attention")

    @pytest.mark.parametrize("value", ["", "1", "True", "yes", "true,false", "true&attention=true"])
    def test_another_word_is_refused_by_name(self, api, make_user, value):
        refused = problem(api.get(f"bookings/?attention={value}", user=make_user(roles=["operator"])))
        assert refused == (400, "invalid_parameter", "attention")


def test_following_next_shows_each_ride_once_even_of_one_moment(api, make_user, ride):
    # In one transaction, and so in this test, every ride has the same requested_at: the id decides.
    user = make_user()
    made = [cancelled(ride(user, f"r{n}")).pk for n in range(5)]
    seen, path = [], "bookings/?limit=2"
    while path:
        response = api.get(path, user=user)
        seen += ids(response)
        following = response.json()["next"]
        path = f"bookings/?{urlsplit(following).query}" if following else None
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "named"),
    [("status=gone", "status"), ("limit=0", "limit"), ("cursor=MQ", "cursor"), ("cursor=eA", "cursor"),
     ("passenger=1", "passenger"), ("limit=1&limit=2", "limit"),
     ("cursor=MjAyNi0wMS0wMSAx", "cursor"), ("cursor=MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCAtMQ", "cursor")],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(api, make_user, query, named):
    assert problem(api.get(f"bookings/?{query}", user=make_user())) == (400, "invalid_parameter", named)


def test_a_ride_is_not_changed_over_rest(api, make_user, ride):
    user = make_user()
    booking = ride(user)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("bookings/", f"bookings/{booking.pk}/"):
            answer = api(method, path, {"status": "completed"}, user=user)
            assert problem(answer) == (405, "method_not_allowed", None)
    booking.refresh_from_db()
    assert booking.status == "unfulfilled"


def test_text_of_people_comes_back_as_text(api, make_user, ride):
    user = make_user()
    corpus = "<script>alert(1)</script>\u2028'\"&"
    booking = ride(user, pickup_address=corpus, notes=corpus)
    shown = api.get(f"bookings/{booking.pk}/", user=user).json()["properties"]
    assert shown["pickup_address"] == shown["notes"] == corpus

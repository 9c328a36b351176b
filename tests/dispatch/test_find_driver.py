"""find_driver: one booking, one driver, one answer."""

from dataclasses import replace
from decimal import Decimal

import pytest
from django.conf import settings

from geo.coordinates import lat_lon
from mobility.bookings.models import Booking, RideEvent
from mobility.bookings.queries import ride_state
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch.driving import complete_ride, start_ride
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.errors import Refusal
from mobility.models import Driver

pytestmark = pytest.mark.django_db


def counts() -> tuple[int, int, int]:
    return Booking.objects.count(), RideEvent.objects.count(), Driver.objects.filter(status="busy").count()


def refused(code: str, *args) -> Refusal:
    before = counts()
    with pytest.raises(Refusal) as stopped:
        find_driver(*args)
    assert stopped.value.code == code
    assert counts() == before
    return stopped.value


def test_the_nearest_driver_is_bound(make_user, make_driver, ride_request):
    make_driver(-26.2141, 28.0473)
    near = make_driver(-26.2042, 28.0473)
    passenger = make_user()
    outcome = find_driver(passenger.pk, "r", ride_request())
    booking = Booking.objects.get(pk=outcome.booking_id)
    assert (booking.status, booking.driver_id, booking.seq) == (Status.CONFIRMED, near.pk, 2)
    assert outcome.driver_id == near.pk
    assert Driver.objects.get(pk=near.pk).status == "busy"
    log = list(RideEvent.objects.filter(booking=booking).values_list("seq", "event", "actor_id", "actor_role"))
    assert log == [(1, "ride_requested", passenger.pk, "passenger"), (2, "driver_assigned", near.user_id, "driver")]


def test_what_the_client_said_is_stored_with_its_origin(make_user, ride_request):
    booking = Booking.objects.get(pk=find_driver(make_user().pk, "r", ride_request()).booking_id)
    assert (booking.distance_m, booking.distance_origin) == (12_500, "client")
    assert (booking.fare_minor, booking.fare_currency, booking.fare_origin) == (15_000, "ZAR", "client")
    assert booking.duration_s == 25 * 60


def test_without_a_distance_the_geodesic_is_stored(make_user, ride_request):
    plain = ride_request(distance_km=None, fare_amount=None, duration_minutes=None)
    booking = Booking.objects.get(pk=find_driver(make_user().pk, "r", plain).booking_id)
    assert (booking.distance_m, booking.distance_origin) == (pytest.approx(14_923.8, abs=0.1), "geodesic")
    assert (booking.fare_minor, booking.fare_origin, booking.duration_s) == (None, "none", None)


def test_nobody_in_reach_is_unfulfilled_at_once(make_user, make_driver, ride_request):
    make_driver(-27.2041, 28.0473)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert (outcome.status, outcome.seq, outcome.driver_id) == (Status.UNFULFILLED, 2, None)


def test_the_same_request_again_is_the_same_booking(make_user, make_driver, ride_request):
    make_driver(-26.2041, 28.0473)
    passenger = make_user()
    first = find_driver(passenger.pk, "r", ride_request())
    again = find_driver(passenger.pk, "r", ride_request())
    assert (again.booking_id, again.seq, again.new_search) == (first.booking_id, first.seq, False)
    assert counts() == (1, 2, 1)


def test_other_content_under_a_live_ride_id_is_refused(make_user, make_driver, ride_request):
    make_driver(-26.2041, 28.0473)
    passenger = make_user()
    find_driver(passenger.pk, "r", ride_request())
    refused("ride_conflict", passenger.pk, "r", ride_request(notes="with a dog"))


def test_another_live_ride_is_refused_and_named(make_user, make_driver, ride_request):
    make_driver(-26.2041, 28.0473)
    passenger = make_user()
    find_driver(passenger.pk, "first", ride_request())
    assert refused("live_ride_exists", passenger.pk, "second", ride_request()).details == {"ride_id": "first"}


def test_an_unfulfilled_ride_searches_again_with_what_is_asked_now(make_user, make_driver, ride_request):
    passenger = make_user()
    first = find_driver(passenger.pk, "r", ride_request())
    make_driver(-26.2041, 28.0473)
    again = find_driver(passenger.pk, "r", ride_request(notes="new note", fare_amount=Decimal("99.90")))
    booking = Booking.objects.get(pk=first.booking_id)
    assert (again.booking_id, again.status, again.new_search) == (first.booking_id, Status.CONFIRMED, True)
    assert (booking.notes, booking.fare_minor, booking.seq) == ("new note", 9_990, 4)


def test_an_unfulfilled_ride_cannot_search_beside_another_live_one(make_user, make_driver, ride_request):
    passenger = make_user()
    find_driver(passenger.pk, "old", ride_request())
    make_driver(-26.2041, 28.0473)
    find_driver(passenger.pk, "new", ride_request())
    refused("live_ride_exists", passenger.pk, "old", ride_request())


@pytest.mark.parametrize("ending", ["cancelled", "completed"])
def test_a_ride_that_is_over_stays_over(make_user, make_driver, ride_request, ending):
    make_driver(-26.2041, 28.0473)
    passenger = make_user()
    booking_id = find_driver(passenger.pk, "r", ride_request()).booking_id
    if ending == "cancelled":
        cancel_ride(booking_id, Actor(passenger.pk, ActorRole.PASSENGER))
    else:
        start_ride(booking_id, SYSTEM)
        complete_ride(booking_id, SYSTEM)
    refused("ride_over", passenger.pk, "r", ride_request())


def test_another_passengers_ride_id_is_another_ride(make_user, ride_request):
    one, two = make_user(), make_user()
    assert find_driver(one.pk, "12345", ride_request()).booking_id != (
        find_driver(two.pk, "12345", ride_request()).booking_id
    )


def test_a_guest_ride_id_is_free_again_once_it_is_over(make_driver, ride_request):
    make_driver(-26.2041, 28.0473)
    first = find_driver(None, "12345", ride_request())
    assert find_driver(None, "12345", ride_request()).booking_id == first.booking_id
    cancel_ride(first.booking_id, Actor(None, ActorRole.PASSENGER))
    second = find_driver(None, "12345", ride_request())
    assert (second.status, second.booking_id != first.booking_id) == (Status.CONFIRMED, True)


def test_a_guests_phone_is_never_looked_up(make_user, make_driver, ride_request):
    driver = make_driver(-26.2041, 28.0473)
    outcome = find_driver(None, "g", ride_request(passenger_phone=driver.phone))
    assert outcome.driver_id == driver.pk
    assert Booking.objects.get(pk=outcome.booking_id).passenger_id is None


def test_a_closed_account_is_refused(make_user, ride_request):
    refused("account_inactive", make_user(is_active=False).pk, "r", ride_request())


def test_the_protocols_own_example_is_plausible(make_user, ride_request):
    """12.5 km stated for 14.9 km as the crow flies."""
    assert find_driver(make_user().pk, "r", ride_request(distance_km=12.5)).new_search


@pytest.mark.parametrize(("km", "ok"), [(7.46, False), (7.47, True), (150.2, True), (150.3, False), (0.0, False)])
def test_a_distance_is_refused_only_when_it_cannot_be_meant(make_user, ride_request, km, ok):
    request = ride_request(distance_km=km)
    if ok:
        assert find_driver(make_user().pk, "r", request).new_search
    else:
        assert refused("implausible_distance", make_user().pk, "r", request).field == "distance_km"


def test_nothing_above_a_thousand_kilometres(make_user, ride_request):
    far = ride_request(dropoff=lat_lon(-33.92, 18.42), distance_km=1_001.0)
    refused("implausible_distance", make_user().pk, "r", far)


@pytest.mark.parametrize("fare", ["-0.01", "1000000.01"])
def test_an_impossible_fare_is_refused(make_user, ride_request, fare):
    assert refused("invalid_field", make_user().pk, "r", ride_request(fare_amount=Decimal(fare))).field == "fare_amount"


def test_auto_assign_binds_a_driver_who_is_not_asked(make_user, make_driver, ride_request, settings):
    settings.MOBILITY = replace(settings.MOBILITY, auto_assign=True)
    driver = make_driver(-26.2041, 28.0473, auto_accept=False)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert (outcome.status, outcome.driver_id) == (Status.CONFIRMED, driver.pk)
    last = RideEvent.objects.filter(booking_id=outcome.booking_id).latest("seq")
    assert (last.actor_id, last.actor_role) == (None, "system")


def test_a_driver_without_an_app_who_does_not_accept_by_themselves_is_not_there(make_user, make_driver, ride_request):
    make_driver(-26.2041, 28.0473, auto_accept=False)
    assert find_driver(make_user().pk, "r", ride_request()).status == Status.UNFULFILLED
    assert Driver.objects.get().status == "available"


def test_cancelling_frees_the_driver(make_user, make_driver, ride_request):
    driver = make_driver(-26.2041, 28.0473)
    passenger = make_user()
    booking_id = find_driver(passenger.pk, "r", ride_request()).booking_id
    cancel_ride(booking_id, Actor(passenger.pk, ActorRole.PASSENGER), "changed my mind")
    driver.refresh_from_db()
    booking = Booking.objects.get(pk=booking_id)
    assert (driver.status, driver.total_rides) == ("available", 0)
    assert (booking.status, booking.cancelled_by, booking.cancellation_reason) == (
        "cancelled", "passenger", "changed my mind",
    )  # fmt: skip


def test_completing_counts_the_ride_and_frees_the_driver(make_user, make_driver, ride_request):
    driver = make_driver(-26.2041, 28.0473)
    booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id
    start_ride(booking_id, SYSTEM)
    assert complete_ride(booking_id, SYSTEM) == complete_ride(booking_id, SYSTEM) == 4
    driver.refresh_from_db()
    assert (driver.status, driver.total_rides) == ("available", 1)


def test_a_passenger_cannot_cancel_a_ride_that_has_begun_but_an_operator_can(make_user, make_driver, ride_request):
    make_driver(-26.2041, 28.0473)
    passenger = make_user()
    booking_id = find_driver(passenger.pk, "r", ride_request()).booking_id
    start_ride(booking_id, SYSTEM)
    before = counts()
    with pytest.raises(Refusal) as stopped:
        cancel_ride(booking_id, Actor(passenger.pk, ActorRole.PASSENGER))
    assert (stopped.value.code, counts()) == ("ride_in_progress", before)
    cancel_ride(booking_id, Actor(make_user().pk, ActorRole.OPERATOR), "breakdown")
    assert Booking.objects.get(pk=booking_id).status == Status.CANCELLED


def test_search_radius_is_a_setting(make_user, make_driver, ride_request, settings):
    make_driver(-26.4041, 28.0473)
    settings.MOBILITY = replace(settings.MOBILITY, search_radius_m=30_000.0)
    assert find_driver(make_user().pk, "r", ride_request()).status == Status.CONFIRMED


def test_the_demo_asks_its_drivers():
    assert settings.DEMO
    assert not settings.MOBILITY.auto_assign


def test_a_driver_without_a_name_is_not_shown_by_their_phone(make_user, make_driver, ride_request):
    nameless = make_user(username="+27821230000", phone="+27821230000", first_name="")
    make_driver(-26.2041, 28.0473, user=nameless)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert ride_state(outcome.booking_id).name == nameless.display_name == f"user {nameless.pk}"

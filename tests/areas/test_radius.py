"""Each ride is searched for within its own radius, from the ride's side and from the driver's."""

import random
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from geopy.distance import geodesic

from geo.coordinates import lat_lon
from geo.geodesy import destination
from mobility.bookings.services import Reach, insert_booking
from mobility.dispatch.dispatcher import sweep
from mobility.dispatch.queries import Search, anybody_left, idle_driver, nearest_to, waiting_near
from mobility.dispatch.services import find_driver, offer_waiting_ride
from mobility.models import Booking, ConsideredDriver, Driver, Offer, Presence, SearchRound, ServiceArea

pytestmark = pytest.mark.django_db
HERE = lat_lon(-26.2041, 28.0473)
STRATEGIES = ["nearest", "balanced"]


def away(distance_m, bearing_deg=0.0):
    return destination(HERE, bearing_deg=bearing_deg, distance_m=distance_m)


@pytest.fixture
def driver(make_driver):
    """driver(metres north): one who can be asked."""

    def make(metres, **fields):
        found = make_driver(*away(metres), **{"auto_accept": False, "stationary": True} | fields)
        Presence.objects.create(driver=found, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        return found

    return make


@pytest.fixture
def area(make_area):
    """area(radius): all of the city, with this radius of matching."""
    return lambda radius_m: make_area("City", (27, -27, 29, -25), matching_radius_m=radius_m)


@pytest.fixture
def waiting(make_user, ride_request):
    """waiting(place, radius): a ride that waits there with this radius; nobody has been asked yet."""
    return lambda at, radius_m: (
        insert_booking(make_user().pk, "r", ride_request(pickup=at, distance_km=None), Reach(None, radius_m)).id
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("radius_m", "status"), [(2_000, "unfulfilled"), (9_500, "pending"), (None, "pending")])
def test_a_small_radius_does_not_reach_a_driver_9_km_away(
    area, driver, make_user, ride_request, set_knobs, strategy, radius_m, status
):
    set_knobs(strategy=strategy)
    area(radius_m)
    far = driver(9_000)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert outcome.status == status
    assert Offer.objects.filter(driver=far).exists() is (status == "pending")
    made = SearchRound.objects.get(booking_id=outcome.booking_id)
    assert made.radius_m == (radius_m or 10_000)
    verdict = ConsideredDriver.objects.get(booking_id=outcome.booking_id, driver_id=far.pk).verdict
    assert verdict == ("too_far" if status == "unfulfilled" else "asked")


def test_an_area_may_reach_farther_than_everywhere(area, driver, make_user, ride_request):
    area(30_000)
    far = driver(25_000)
    find_driver(make_user().pk, "r", ride_request())
    assert Offer.objects.get().driver == far


def test_whom_a_ride_waits_for_is_within_its_radius(make_driver):
    make_driver(*away(3_000), status="offline")
    busy = make_driver(*away(3_000))
    find_driver_of = Search(0, "r", None, HERE, None)
    Driver.objects.filter(pk=busy.pk).update(verified=True)
    assert anybody_left(find_driver_of._replace(radius_m=4_000))
    assert not anybody_left(find_driver_of._replace(radius_m=2_000))


def test_a_search_asked_for_again_has_the_radius_of_now(area, driver, make_user, ride_request):
    area(2_000)
    far, user = driver(9_000), make_user()
    assert find_driver(user.pk, "r", ride_request()).status == "unfulfilled"
    ServiceArea.objects.update(matching_radius_m=9_500)
    assert find_driver(user.pk, "r", ride_request()).status == "pending"
    assert Offer.objects.get().driver == far
    assert list(SearchRound.objects.order_by("round").values_list("radius_m", flat=True)) == [2_000, 9_500]


def test_a_search_under_way_keeps_the_radius_it_began_with(area, driver, make_user, ride_request):
    area(2_000)
    driver(1_000, auto_accept=True)
    find_driver(make_user().pk, "other", ride_request())
    booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id  # waits for the busy driver
    ServiceArea.objects.update(matching_radius_m=4_000)
    for metres, asked in ((3_000, False), (1_500, True)):
        free = driver(metres)
        Booking.objects.filter(pk=booking_id).update(due_at=Now())
        assert sweep() == 1
        assert Offer.objects.filter(driver=free).exists() is asked


class TestFromTheDriversSide:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_a_ride_is_offered_to_whom_it_reaches_only(self, driver, waiting, set_knobs, strategy):
        set_knobs(strategy=strategy)
        small, large = waiting(HERE, 2_000), waiting(away(3_500), 40_000)
        near_both, near_none = driver(30_000), driver(60_000)
        assert [r.booking_id for r in waiting_near(idle_driver(near_both.pk))] == [large]
        assert offer_waiting_ride(near_both.pk)
        assert Offer.objects.get(driver=near_both).booking_id == large
        assert not offer_waiting_ride(near_none.pk)
        close = driver(1_900)
        assert {r.booking_id for r in waiting_near(idle_driver(close.pk))} == {small, large}

    def test_equals_brute_force(self, driver, waiting, set_knobs):
        set_knobs(search_radius_m=6_000.0)
        dice = random.Random(20_260_731)
        rides = {}
        for _ in range(40):
            at = away(dice.uniform(0, 25_000), dice.uniform(0, 360))
            radius_m = dice.choice([None, 500.0, 3_000.0, 12_000.0, 30_000.0])
            rides[waiting(at, radius_m)] = at, radius_m or 6_000.0
        several = 0
        for _ in range(40):
            found = driver(0)
            at = away(dice.uniform(0, 30_000), dice.uniform(0, 360))
            looking = idle_driver(found.pk)._replace(at=at)
            exact = {pk: geodesic(at, where).meters for pk, (where, _) in rides.items()}
            expected = sorted((m, pk) for pk, m in exact.items() if m <= rides[pk][1])
            near = waiting_near(looking)
            assert [r.booking_id for r in near] == [pk for _, pk in expected]
            assert [r.distance_m for r in near] == pytest.approx([m for m, _ in expected], abs=0.001)
            several += len(expected) > 1
        assert several > 10


def test_the_drivers_of_a_ride_equal_brute_force(make_driver):
    dice = random.Random(20_260_731)
    fleet = {}
    for _ in range(60):
        at = away(dice.uniform(0, 20_000), dice.uniform(0, 360))
        fleet[make_driver(*at).pk] = at
    for radius_m in [None, 300.0, 2_000.0, 5_000.0, 15_000.0, 20_000.0] * 5:
        pickup = away(dice.uniform(0, 5_000), dice.uniform(0, 360))
        exact = sorted((geodesic(pickup, at).meters, pk) for pk, at in fleet.items())
        expected = [pk for m, pk in exact if m <= (radius_m or 10_000.0)]
        found = nearest_to(Search(0, "r", None, pickup, None, radius_m=radius_m), 100)
        assert [c.driver_id for c in found.found] == expected

"""find_driver inside and outside of service areas."""

import random

import pytest
from django.contrib.gis.geos import Polygon
from geopy.distance import geodesic, great_circle

from geo.coordinates import lat_lon
from mobility.areas.queries import Area, area_of
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch.services import assign_driver, cancel_ride, find_driver
from mobility.errors import Refusal
from mobility.models import Booking, Driver, Offer, RideEvent, ServiceArea

pytestmark = pytest.mark.django_db
JOZI = (28.0, -26.3, 28.2, -26.1)  # holds the example's pickup, -26.2041, 28.0473


def stored():
    return (
        list(Booking.objects.order_by("pk").values()), RideEvent.objects.count(), Offer.objects.count(),
        list(Driver.objects.order_by("pk").values("status", "inbox_seq")),
    )  # fmt: skip


def refused(*args, **more):
    before = stored()
    with pytest.raises(Refusal) as stopped:
        find_driver(*args, **more)
    assert stored() == before, "a refusal changes nothing"
    return stopped.value


@pytest.fixture
def ask(make_user, ride_request):
    """ask(latitude, longitude): find_driver of a new passenger from there."""

    def find(latitude, longitude, user=None, ride_id="r"):
        pickup = lat_lon(latitude, longitude)
        request = ride_request(pickup=pickup, dropoff=pickup, distance_km=None)
        return find_driver((user or make_user()).pk, ride_id, request)

    return find


def test_without_an_active_area_everywhere_is_served(make_area, ask):
    make_area("Closed", (0, 0, 1, 1), active=False)
    booking = Booking.objects.get(pk=ask(-26.2041, 28.0473).booking_id)
    assert (booking.service_area_id, booking.search_radius_m) == (None, None)


def test_a_ride_keeps_the_area_it_was_asked_for_in(make_area, ask):
    area = make_area("Jozi", JOZI, matching_radius_m=4_500)
    booking = Booking.objects.get(pk=ask(-26.2041, 28.0473).booking_id)
    assert (booking.service_area_id, booking.search_radius_m) == (area.pk, 4_500)


def test_outside_is_refused_with_the_nearest_area_and_how_far_it_is(make_area, make_user, make_driver, ride_request):
    make_driver(-26.0, 28.1)
    make_area("Jozi", JOZI)
    make_area("Cape", (18.3, -34.2, 18.7, -33.8))
    make_area("Nearer, but closed", (28.0, -26.05, 28.2, -26.0), active=False)
    pickup = lat_lon(-26.0, 28.1)
    told = refused(make_user().pk, "r", ride_request(pickup=pickup))
    away_m = geodesic(pickup, (-26.1, 28.1)).meters
    assert (told.code, told.http_status) == ("outside_service_area", 409)
    assert told.details == {"area": "Jozi", "distance_m": pytest.approx(away_m, abs=30)}
    assert told.message == f"Nobody is picked up there. The nearest area is Jozi, {away_m / 1000:.1f} km away."


def test_guests_are_refused_as_well(make_area, ride_request):
    make_area("Cape", (18.3, -34.2, 18.7, -33.8))
    assert refused(None, "r", ride_request()).code == "outside_service_area"


def test_a_closed_account_hears_so_first(make_area, make_user, ride_request):
    make_area("Cape", (18.3, -34.2, 18.7, -33.8))
    assert refused(make_user(is_active=False).pk, "r", ride_request()).code == "account_inactive"


def test_the_nearest_is_so_on_earth_and_not_in_degrees(make_area):
    make_area("East", (12.0, 69.0, 13.0, 71.0))  # two degrees, some 76 km
    make_area("North", (9.0, 71.5, 11.0, 72.0))  # one and a half, some 167 km
    assert area_of(lat_lon(70.0, 10.0)).nearest == "East"


def test_the_nearest_may_be_beyond_the_antimeridian(make_area):
    make_area("Fiji", (-179.9, -17.5, -179.0, -16.5))
    make_area("Vanuatu", (166.0, -20.0, 170.0, -13.0))
    found = area_of(lat_lon(-17.0, 179.9))
    assert found.nearest == "Fiji"
    assert found.distance_m == pytest.approx(geodesic((-17.0, 179.9), (-17.0, -179.9)).meters, rel=1e-3)


def test_the_nearest_of_many_that_are_far_away(make_area):
    """More than are measured exactly, on the other side of the Earth and at all latitudes."""
    dice, boxes = random.Random(20_260_731), {}
    for n in range(30):
        west, south = dice.uniform(-179, 178), dice.uniform(-65, 64)
        boxes[f"box {n}"] = (west, south, west + 1, south + 1)
        make_area(f"box {n}", boxes[f"box {n}"])
    for _ in range(20):
        at = lat_lon(dice.uniform(-60, 60), dice.uniform(-180, 180))
        found = area_of(at)
        if not found.served:
            nearest_m = min(_away_m(at, box) for box in boxes.values())
            assert found.distance_m == pytest.approx(_away_m(at, boxes[found.nearest]), rel=0.02)
            assert found.distance_m <= 1.05 * nearest_m


@pytest.mark.parametrize(
    ("at", "served"),
    [
        ((-26.2, 28.1), True),
        ((-26.1, 28.1), True),  # the northern edge
        ((-26.1, 28.2), True),  # a corner
        ((-26.0999999, 28.1), False),
        ((-26.2, 28.2000001), False),
    ],
)
def test_the_edge_belongs_to_it(make_area, at, served):
    make_area("Jozi", JOZI)
    assert area_of(lat_lon(*at)).served is served


def test_a_hole_does_not_but_its_edge_does(make_area):
    shell, hole = Polygon.from_bbox(JOZI), Polygon.from_bbox((28.05, -26.25, 28.15, -26.15))
    make_area("Ring", Polygon(shell.shell, hole.shell))
    assert not area_of(lat_lon(-26.2, 28.1)).served
    assert area_of(lat_lon(-26.25, 28.1)).served
    assert area_of(lat_lon(-26.27, 28.1)).served


@pytest.mark.parametrize("longitude", [179.5, 180.0, -180.0, -179.5])
def test_over_the_antimeridian(make_area, longitude):
    make_area("Fiji", (179.0, -18.0, 180.0, -16.0), (-180.0, -18.0, -179.0, -16.0))
    assert area_of(lat_lon(-17.0, longitude)).served
    assert not area_of(lat_lon(-15.9, longitude)).served


def test_an_area_that_ends_at_the_antimeridian_holds_it_however_it_is_written(make_area):
    make_area("West of it", (179.0, -18.0, 180.0, -16.0))
    assert area_of(lat_lon(-17.0, 180.0)).served
    assert area_of(lat_lon(-17.0, -180.0)).served


def test_of_several_the_smallest_counts(make_area):
    make_area("Gauteng", (27.0, -27.0, 29.0, -25.0), matching_radius_m=20_000)
    airport = make_area("Airport", (28.2, -26.2, 28.3, -26.1), matching_radius_m=2_000)
    make_area("Closed terminal", (28.24, -26.16, 28.26, -26.14), matching_radius_m=500, active=False)
    assert area_of(lat_lon(-26.15, 28.25)) == Area(True, airport.pk, 2_000)
    assert area_of(lat_lon(-26.15, 28.15)).radius_m == 20_000
    city = make_area("City, as everywhere", (28.0, -26.3, 28.19, -26.1))
    assert area_of(lat_lon(-26.15, 28.15)) == Area(True, city.pk, None)


def test_equals_what_is_measured_one_by_one(make_area):
    """Every answer, by the geometries themselves and geodesics to dense points on their edges."""
    dice = random.Random(20_260_731)
    boxes = {}
    for n in range(12):
        west, south = dice.uniform(27, 29), dice.uniform(-27, -25)
        boxes[f"box {n}"] = (west, south, west + dice.uniform(0.05, 0.4), south + dice.uniform(0.05, 0.4))
        make_area(f"box {n}", boxes[f"box {n}"], matching_radius_m=1_000 + n)
    served = 0
    for _ in range(90):
        at = lat_lon(dice.uniform(-27.3, -24.7), dice.uniform(26.7, 29.3))
        over = [name for name, (w, s, e, n) in boxes.items() if w <= at.longitude <= e and s <= at.latitude <= n]
        found = area_of(at)
        assert found.served is bool(over)
        if over:
            smallest = min(over, key=lambda name: _surface(boxes[name]))
            assert found.radius_m == 1_000 + int(smallest.split()[1])
            served += 1
        else:
            assert found.distance_m == pytest.approx(min(_away_m(at, box) for box in boxes.values()), rel=0.003, abs=60)
    assert 9 < served < 81


def _surface(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def _away_m(at, box):
    """To the nearest of many places along the edges, and of the one that is nearest on a plane."""
    west, south, east, north = box
    shares = [n / 6 for n in range(7)]
    edges = [(min(max(at.latitude, south), north), min(max(at.longitude, west), east))]
    edges += [(y, west + s * (east - west)) for s in shares for y in (south, north)]
    edges += [(south + s * (north - south), x) for s in shares for x in (west, east)]
    on_a_sphere = {edge: great_circle(at, edge).meters for edge in edges}  # a tenth of the work, wrong by 0.6 % at most
    limit = 1.013 * min(on_a_sphere.values())
    return min(geodesic(at, edge).meters for edge, away_m in on_a_sphere.items() if away_m <= limit)


class TestAreasThatCloseMeanwhile:
    @pytest.fixture
    def area(self, make_area):
        return make_area("Jozi", JOZI, matching_radius_m=5_000)

    @pytest.fixture
    def elsewhere(self, make_area):
        return make_area("Cape", (18.3, -34.2, 18.7, -33.8))

    def close(self, area):
        ServiceArea.objects.filter(pk=area.pk).update(active=False)

    def test_a_repeat_is_answered_as_before(self, area, elsewhere, make_user, make_driver, ride_request):
        make_driver(-26.2041, 28.0473)
        user = make_user()
        first = find_driver(user.pk, "r", ride_request())
        self.close(area)
        again = find_driver(user.pk, "r", ride_request())
        assert (again.booking_id, again.status, again.new_search) == (first.booking_id, "confirmed", False)
        assert refused(user.pk, "r2", ride_request()).code == "live_ride_exists"
        cancel_ride(first.booking_id, SYSTEM)
        assert refused(user.pk, "r", ride_request()).code == "ride_over"
        assert refused(user.pk, "r2", ride_request()).code == "outside_service_area"

    def test_a_renewed_search_is_checked_again(self, area, elsewhere, make_user, ride_request):
        user = make_user()
        first = find_driver(user.pk, "r", ride_request())
        assert first.status == "unfulfilled"
        self.close(area)
        assert refused(user.pk, "r", ride_request()).code == "outside_service_area"
        there = find_driver(user.pk, "r", ride_request(pickup=lat_lon(-34.0, 18.5), distance_km=None))
        booking = Booking.objects.get(pk=first.booking_id)
        assert there.new_search
        assert (booking.service_area_id, booking.search_radius_m) == (elsewhere.pk, None)

    def test_a_ride_under_way_goes_on(self, area, elsewhere, make_user, make_driver, ride_request):
        booking_id = find_driver(make_user().pk, "r", ride_request()).booking_id
        self.close(area)
        driver = make_driver(-26.2041, 28.0473)
        assign_driver(booking_id, driver.pk, Actor(None, ActorRole.OPERATOR))
        assert Booking.objects.get(pk=booking_id).search_radius_m == 5_000

    def test_who_has_no_searches_left_is_told_of_the_place_first(self, elsewhere, make_user, ride_request):
        assert refused(make_user().pk, "r", ride_request(), may_search=False).code == "outside_service_area"

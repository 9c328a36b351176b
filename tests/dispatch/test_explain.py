"""Why a driver was asked and another was not: every rule, first things first, in bounded rows."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from geo.coordinates import lat_lon
from mobility.dispatch.offers import RideRef, decline_offer
from mobility.dispatch.services import find_driver
from mobility.dispatch.states import Verdict
from mobility.models import ConsideredDriver, Driver, Offer, Presence, SearchRound

pytestmark = pytest.mark.django_db


@pytest.fixture
def placed(make_driver):
    """placed(north_m): a connected driver who wants to be asked."""

    def make(north_m=0.0, *, connected=True, **fields):
        fields = {"auto_accept": False, "stationary": True} | fields
        driver = make_driver(-26.2041 + north_m / 110_600, 28.0473, **fields)
        if connected:
            Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(hours=1))
        return driver

    return make


def north(metres: float):
    return lat_lon(-26.2041 + metres / 110_600, 28.0473)


def verdicts(booking_id, number=1) -> dict[int, str]:
    found = ConsideredDriver.objects.filter(booking_id=booking_id, round=number)
    return dict(found.values_list("driver_id", "verdict"))


def test_each_rule_has_its_verdict(placed, make_user, ride_request, settings):
    settings.MOBILITY = replace(settings.MOBILITY, candidate_count=1)
    passenger = make_user()
    asked = placed(10)
    expected = {
        asked.pk: "asked",
        placed(20, user=passenger).pk: "own_ride",
        placed(30, verified=False).pk: "unverified",
        placed(40, status="offline").pk: "offline",
        placed(50, vehicle_type="suv").pk: "vehicle_type",
        placed(10_500).pk: "too_far",
        placed(60, stationary=False, recorded_at=Now() - timedelta(hours=1), received_at=Now()).pk: "stale",
        placed(70, connected=False).pk: "unreachable",
    }
    busy = placed(80, auto_accept=True)
    find_driver(None, "other", ride_request(pickup=north(80)))
    assert Driver.objects.get(pk=busy.pk).status == "busy"
    expected[busy.pk] = "busy"
    elsewhere = placed(9_000)
    find_driver(None, "asking", ride_request(pickup=north(9_000)))
    assert Offer.objects.get(status="pending").driver_id == elsewhere.pk
    expected[elsewhere.pk] = "asked_elsewhere"
    outcome = find_driver(passenger.pk, "r", ride_request(vehicle_type="sedan"))
    assert verdicts(outcome.booking_id) == expected


def test_who_said_no_is_told_apart_in_the_next_round(placed, make_user, ride_request, settings):
    settings.MOBILITY = replace(settings.MOBILITY, candidate_count=1)
    first, second, third = placed(10), placed(20), placed(30)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert verdicts(outcome.booking_id) == {first.pk: "asked", second.pk: "not_needed", third.pk: "not_needed"}
    decline_offer(first.pk, RideRef(ride_id="r"))
    assert verdicts(outcome.booking_id, 2) == {first.pk: "declined", second.pk: "asked", third.pk: "not_needed"}


def test_who_takes_rides_by_themselves_is_the_one_assigned(placed, make_user, ride_request):
    near, auto = placed(10), placed(20, auto_accept=True)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert verdicts(outcome.booking_id) == {near.pk: "not_needed", auto.pk: "assigned"}
    assert SearchRound.objects.get().outcome == "assigned"


def test_a_search_that_finds_nobody_is_explained_as_well(placed, make_user, ride_request):
    far = placed(30_000)
    outcome = find_driver(make_user().pk, "r", ride_request())
    assert verdicts(outcome.booking_id) == {far.pk: "too_far"}
    made = SearchRound.objects.get()
    assert (made.outcome, made.strategy, made.radius_m) == ("nobody", "balanced", 10_000)


def test_distances_are_true_metres(placed, make_user, ride_request):
    placed(1_000)
    find_driver(make_user().pk, "r", ride_request())
    assert ConsideredDriver.objects.get().distance_m == pytest.approx(1_000, rel=0.01)


def test_rows_are_bounded_and_it_is_one_statement(placed, make_user, ride_request):
    for n in range(30):
        placed(10 * n + 10)
        placed(10 * n + 15, status="offline")
    with CaptureQueriesContext(connection) as asked:
        outcome = find_driver(make_user().pk, "r", ride_request())
    assert len(verdicts(outcome.booking_id)) == 20
    assert sum("mobility_search_considered" in q["sql"] for q in asked.captured_queries) <= 1


def test_every_verdict_is_known_to_the_database():
    assert len(Verdict.values) == len(set(Verdict.values)) == 16

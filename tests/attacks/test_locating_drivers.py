"""A passenger who asks for rides here and there and cancels them at once cannot tell where an idle driver stands."""

from dataclasses import replace
from datetime import timedelta
from statistics import median
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.db.models.functions import Now

from geo.coordinates import point
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import DriverLocation, Presence
from mobility.people import throttle
from tests.attacks.locating import (
    CENTRE,
    RADIUS_M,
    TOWN_M,
    BudgetSpent,
    by_elimination,
    by_rays,
    far_from_cells,
    place,
    plane,
)

pytestmark = pytest.mark.django_db
DAY_S = 86_400.0
SEED = 20261125
AT_LEAST_M = 500  # what the decision promises: docs/decisions/0025
EXACT, CELLS_M = 0, 2_000


@pytest.fixture
def hidden(make_driver):
    """hidden(at): the one idle driver stands there, takes requests, answers none, and is never away."""
    driver = make_driver(*CENTRE, auto_accept=False, stationary=True)
    Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(days=2))

    def stands(at):
        DriverLocation.objects.filter(driver=driver).update(position=point(place(at)), indexed_position=point(place(at)))

    return stands


@pytest.fixture
def clock(monkeypatch):
    """A clock for the limits, which the attacker waits by."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(throttle, "_now", lambda: now[0])
    return now


class Attacker:
    """Accounts at one address, each with the budget that the service gives it, for a day."""

    def __init__(self, passengers, address, clock, ride_request):
        self.passengers, self.address, self.clock, self.request = passengers, address, clock, ride_request
        self.until, self.asked, self.turn = clock[0] + DAY_S, 0, 0

    def ask(self, pickup):
        """Whether a search begins there; then it is cancelled. Waits when the budget is spent, for a day in all."""
        while (passenger := self._who_may()) is None:
            self.clock[0] += 60
            if self.clock[0] >= self.until:
                raise BudgetSpent
        self.asked += 1
        outcome = find_driver(passenger, f"a{self.asked}", self.request(pickup=pickup, distance_km=None))
        assert outcome.driver_id is None
        cancel_ride(outcome.booking_id, Actor(passenger, ActorRole.PASSENGER))
        return outcome.status == Status.PENDING

    def _who_may(self):
        for _ in self.passengers:
            self.turn += 1
            passenger = self.passengers[self.turn % len(self.passengers)]
            if throttle.spend_search(passenger, self.address):
                return passenger
        return None


@pytest.fixture
def attacker(make_user, clock, ride_request):
    """attacker(accounts=1): a new one, from an address nobody used."""
    numbers = iter(range(1, 250))

    def make(accounts=1):
        return Attacker([make_user().pk for _ in range(accounts)], f"192.0.2.{next(numbers)}", clock, ride_request)

    return make


@pytest.fixture
def told_by(settings):
    """told_by(cell_m): how the service tells from now on."""

    def choose(cell_m):
        limits = {"searches_per_hour": 10, "address_searches_per_hour": 200}  # as everywhere but in the demo
        settings.MOBILITY = replace(settings.MOBILITY, reach_cell_m=cell_m, **limits)

    return choose


def places_to_hide(how_many):
    return np.random.default_rng(SEED).uniform(-TOWN_M, TOWN_M, (how_many, 2))


def town(every_m):
    """All places where the driver could be, and how far they are from a pickup."""
    line = np.arange(-TOWN_M, TOWN_M + 1, every_m, dtype=float)
    all_of_them = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return all_of_them, lambda which, pickup: np.linalg.norm(all_of_them[which] - pickup, axis=1)


def cells():
    """The cells over the town: their middles, and how far they are from a pickup. Anybody can draw this grid at home."""
    spots = [place(at) for at in town(400)[0]]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ST_AsGeoJSON(mobility_hex_cell(cell, %(size)s), 12)::json FROM ("
            " SELECT DISTINCT mobility_hex_of(ST_SetSRID(ST_MakePoint(lon, lat), 4326), %(size)s) AS cell"
            " FROM unnest(%(lons)s::float8[], %(lats)s::float8[]) spot (lon, lat)) c",
            {"size": CELLS_M, "lons": [s.longitude for s in spots], "lats": [s.latitude for s in spots]},
        )
        rings = [row[0]["coordinates"][0][:6] for row in cursor.fetchall()]
    corners = np.array([[plane(lat, lon) for lon, lat in ring] for ring in rings])
    return corners.mean(axis=1), far_from_cells(corners)


def errors_m(hidden, spots, attack):
    errors = []
    for spot in spots:
        hidden(spot)
        errors.append(float(np.linalg.norm(attack().at - spot)))
    return errors


def test_told_by_exact_distances_a_day_is_plenty(hidden, attacker, told_by):
    """The control: without cells the same attackers find the driver to a few dozen metres, in a third of a day."""
    told_by(EXACT)
    assert max(errors_m(hidden, places_to_hide(2), lambda: by_rays(attacker().ask, rays=4))) < 50
    could_be, far_m = town(50)
    rng = np.random.default_rng(SEED)
    eliminated = errors_m(hidden, places_to_hide(3), lambda: by_elimination(attacker().ask, could_be, far_m, rng))
    assert median(eliminated) < 50


def test_told_by_cells_whoever_knows_nothing_of_them_stays_in_the_dark(hidden, attacker, told_by):
    told_by(CELLS_M)
    errors = errors_m(hidden, places_to_hide(5), lambda: by_rays(attacker().ask, rays=4))
    assert median(errors) >= AT_LEAST_M, sorted(errors)


def test_told_by_cells_whoever_knows_all_about_them_stays_in_the_dark(hidden, attacker, told_by):
    told_by(CELLS_M)
    could_be, far_m = cells()
    rng = np.random.default_rng(SEED)
    asked = []

    def attack():
        found = by_elimination(attacker().ask, could_be, far_m, rng, reach_m=RADIUS_M + 76)
        asked.append(found.asked)
        return found

    errors = errors_m(hidden, places_to_hide(15), attack)
    assert median(errors) >= AT_LEAST_M, sorted(errors)
    assert max(asked) < 20  # not for want of questions: the cell is known, and nothing below it is told


@pytest.mark.slow
def test_the_whole_budget_of_a_day_finds_nobody(hidden, attacker, told_by):
    """One account has 240 searches a day, and a little more at its edges: with twenty rays all are used."""
    told_by(CELLS_M)
    used = []

    def attack():
        one = attacker()
        found = by_rays(one.ask, rays=20)
        used.append(one.asked)
        return found

    errors = errors_m(hidden, places_to_hide(6), attack)
    assert median(errors) >= AT_LEAST_M, sorted(errors)
    assert 200 < max(used) <= 250


@pytest.mark.slow
def test_neither_do_several_accounts_at_one_address(hidden, attacker, told_by):
    told_by(CELLS_M)
    errors = errors_m(hidden, places_to_hide(4), lambda: by_rays(attacker(accounts=20).ask, rays=30, to_m=5))
    assert median(errors) >= AT_LEAST_M, sorted(errors)

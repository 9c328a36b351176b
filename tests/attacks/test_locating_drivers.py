"""A passenger who asks for rides here and there and cancels them at once cannot tell where an idle driver stands."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from statistics import median
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.db.models.functions import Now

from geo.coordinates import point
from mobility.bookings.queries import events_after
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole, Status
from mobility.dispatch.offers import RideRef, decline_offer
from mobility.dispatch.services import cancel_ride, find_driver
from mobility.models import Booking, Driver, DriverLocation, Presence
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
from tests.rest import token_of
from tests.server import EXAMPLE, serving

DAY_S = 86_400.0
SEED = 20261125
AT_LEAST_M = 500  # what the decision promises: docs/decisions/0025
EXACT, CELLS_M = 0, 2_000


@pytest.fixture
def hidden(db, make_driver):
    """hidden(at): the one idle driver stands there, takes requests, answers none, and is never away."""
    driver = make_driver(*CENTRE, auto_accept=False, stationary=True)
    Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(days=2))

    def stands(at):
        DriverLocation.objects.filter(driver=driver).update(
            position=point(place(at)), indexed_position=point(place(at))
        )

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
    """The cells over the town: their middles, and how far they are from a pickup. Anybody can draw them at home."""
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


class TestWithinACell:
    """Two worlds with the driver in different places of one cell cannot be told apart by what a passenger is told."""

    def answers(self, hidden, attacker, spot, pickups, driver):
        """All a passenger is told of these searches and when each would end; for which of them the driver was asked,
        who declines every other one."""
        hidden(spot)
        one, told, asked_for = attacker(), [], []
        for n, pickup in enumerate(pickups):
            passenger = one.passengers[0]
            outcome = find_driver(passenger, f"w{n}", one.request(pickup=pickup, distance_km=None))
            if driver.offers.filter(booking_id=outcome.booking_id).exists():
                asked_for.append(n)
            if n % 2 and n in asked_for:
                decline_offer(driver.pk, RideRef(booking_id=outcome.booking_id))
            again = find_driver(passenger, f"w{n}", one.request(pickup=pickup, distance_km=None))
            told.append(
                (outcome.status, outcome.new_search, again.status, again.new_search, self.moves(again.booking_id))
            )
            cancel_ride(outcome.booking_id, Actor(passenger, ActorRole.PASSENGER))
        return told, asked_for

    @staticmethod
    def moves(booking_id):
        booking = Booking.objects.get(pk=booking_id)
        ends_after = booking.search_until - booking.search_started_at
        return [(row.event, row.seq) for row in events_after(booking_id, 0)], ends_after

    def test_every_answer_is_the_same(self, hidden, attacker, told_by):
        told_by(CELLS_M)
        driver = Driver.objects.get()
        rng = np.random.default_rng(SEED)
        middle = cells()[0][0]
        spots = [middle + rng.uniform(-800, 800, 2) for _ in range(2)]
        towards = (spots[1] - spots[0]) / np.linalg.norm(spots[1] - spots[0])
        bearings = rng.uniform(0, 2 * np.pi, 12)
        rings = [middle + (RADIUS_M + rng.uniform(-2_000, 4_000)) * np.array([np.sin(b), np.cos(b)]) for b in bearings]
        # Between the two distances there are pickups that reach the driver at one spot and not at the other.
        rings += [spots[n] + side * RADIUS_M * towards for n in (0, 1) for side in (1, -1)]
        pickups = [place(at) for at in rings]
        first, second = (self.answers(hidden, attacker, spot, pickups, driver) for spot in spots)
        assert first[0] == second[0]
        assert first[1] != second[1], "the driver was asked for the same rides: the worlds do not differ"

    def test_by_exact_distances_they_are_not(self, hidden, attacker, told_by):
        told_by(EXACT)
        driver = Driver.objects.get()
        middle = cells()[0][0]
        east = np.array([700.0, 0.0])
        pickups = [place(middle + np.array([RADIUS_M, 0.0])), place(middle - np.array([RADIUS_M, 0.0]))]
        first, second = (self.answers(hidden, attacker, middle + side * east, pickups, driver) for side in (1, -1))
        assert first[0] != second[0]


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A server with the searches of a day to be spent at once, and nobody let in without an account."""
    with serving(tmp_path_factory.mktemp("limited"), **LIMITED) as running:
        yield running


LIMITED = {"CARECONNECT_GUEST_RIDES": "no", "CARECONNECT_SEARCHES_PER_HOUR": "240"}


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """The same without cells."""
    with serving(tmp_path_factory.mktemp("exact"), **LIMITED, CARECONNECT_REACH_CELL_M="0") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(("which", "found"), [("exact", True), ("limited", False)])
@pytest.mark.usefixtures("committed_db")
def test_over_the_wire(request, make_user, make_driver, which, found):
    """The whole way a client has: a token, a socket a ride, frames. One spot the cells hide, and the control."""
    running = request.getfixturevalue(which)
    spot = cells()[0][0] + np.array([700.0, 900.0])
    driver = make_driver(*place(spot), auto_accept=False, stationary=True)
    Presence.objects.create(driver=driver, socket_id=uuid4(), lease_until=Now() + timedelta(days=2))
    headers = {"Authorization": f"Token {token_of(make_user())}"}

    async def ask(pickup, name):
        async with running.ride(name, additional_headers=headers) as client:
            wanted = EXAMPLE | {"pickup_latitude": pickup.latitude, "pickup_longitude": pickup.longitude}
            assert (await client.ask(wanted | {"distance_km": None}))["type"] == "searching"
            await client.send({"type": "ping"})
            second = (await client.receive())["type"]
            await client.send({"type": "cancel_ride"})
            await client.until("ride_cancelled")
            return second == "pong"

    names = iter(range(240))
    where = by_rays(lambda pickup: asyncio.run(ask(pickup, f"w{next(names)}")), rays=6)
    away_m = float(np.linalg.norm(where.at - spot))
    assert away_m < 50 if found else away_m > AT_LEAST_M

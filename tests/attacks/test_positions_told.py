"""What assignments tell is counted: whoever asks, cancels, comes back and repeats is told one driver for one search."""

import random
from contextlib import suppress
from dataclasses import replace

import pytest
from django.core.cache import cache
from django.db.models.functions import Now

from geo.coordinates import lat_lon, point
from mobility.bookings.services import Actor
from mobility.bookings.states import ActorRole
from mobility.dispatch import driving
from mobility.errors import Refusal
from mobility.models import Booking, Driver, DriverLocation, RideEvent
from mobility.people.credentials import principal_for_token
from mobility.realtime import frames
from mobility.realtime.passenger import PassengerSocket
from mobility.realtime.protocol import CancelRide, FindDriver
from tests.rest import token_of
from tests.server import EXAMPLE

pytestmark = pytest.mark.django_db
BUDGET = 6
RIDES = ("r1", "r2", "r3", "r4")


class Abuser:
    """A passenger's sockets without the network: what comes in are commands, what goes out are frames."""

    def __init__(self, user, drivers, rng):
        self.principal, self.user = principal_for_token(token_of(user)), user
        self.drivers, self.rng = drivers, rng
        self.sockets: dict[str, PassengerSocket] = {}
        self.told: set[tuple[int, int]] = set()  # (driver, seq of the assignment) with a position
        self.given_back = 0

    def socket(self, ride_id):
        if ride_id not in self.sockets:
            socket = PassengerSocket()
            socket.scope = {"client": ("192.0.2.7", 1)}
            socket.principal, socket.ride_id = self.principal, ride_id
            self.sockets[ride_id] = socket
        return self.sockets[ride_id]

    def step(self):
        """One random thing; every frame that comes of it is held against the database at this moment."""
        self._drivers_move()
        ride_id = self.rng.choice(RIDES)
        name = self.rng.choice([None, None, "c1", "c2"])
        with suppress(Refusal):
            self._see(getattr(self, f"_{self.rng.choice(ACTIONS)}")(ride_id, self.socket(ride_id), name))

    def _drivers_move(self):
        for driver in self.drivers:
            at = point(lat_lon(-26.2 + self.rng.uniform(-0.04, 0.04), 28.05 + self.rng.uniform(-0.04, 0.04)))
            DriverLocation.objects.filter(driver=driver).update(position=at, indexed_position=at)

    def _find(self, _ride_id, socket, name):
        notes = self.rng.choice(["", "", "other"])
        command = FindDriver(**EXAMPLE | {"distance_km": None, "command_id": name, "notes": notes})
        done = socket._find_driver_now(command)
        return [*done.told, *([done.answer] if done.answer else [])]

    def _cancel(self, _ride_id, socket, name):
        done = socket._changed(socket._cancel_now, CancelRide(type="cancel_ride", command_id=name))
        return [*done.told, *([done.answer] if done.answer else [])]

    def _come_back(self, ride_id, _socket, _name):
        del self.sockets[ride_id]
        state = self.socket(ride_id)._state()
        return [] if state is None else [frames.ride_state(state), *frames.of_state(state)]

    def _resume(self, _ride_id, socket, _name):
        since = socket._since(self.rng.randrange(6))
        if since is None:
            return []
        if since.state is not None:
            return [frames.ride_state(since.state), *frames.of_state(since.state)]
        return [frame for row in since.moves for frame in frames.of_event(row)]

    def _drive(self, ride_id, _socket, _name):
        """What the driver does with the ride: gives it back, or drives it to its end."""
        booking = Booking.objects.filter(passenger=self.user, ride_id=ride_id, driver__isnull=False).first()
        if booking is None:
            return []
        actor = Actor(booking.driver.user_id, ActorRole.DRIVER)
        if self.rng.random() < 0.5:
            driving.give_back_ride(booking.pk, actor, booking.driver_id)
            self.given_back += 1
        else:
            driving.start_ride(booking.pk, actor, booking.driver_id)
            driving.complete_ride(booking.pk, actor)
        return []

    def _see(self, told):
        for frame in told:
            driver = frame.get("driver")
            if driver is None or driver["latitude"] is None:
                continue
            booking = Booking.objects.get(pk=frame["booking_id"])
            assert booking.driver_id == driver["id"], "a position of somebody else's driver"
            assert booking.status in {"confirmed", "in_progress"}, f"a position after the ride: {booking.status}"
            at = DriverLocation.objects.get(driver_id=driver["id"]).position
            assert (driver["longitude"], driver["latitude"]) == at.coords
            assigned = RideEvent.objects.filter(booking=booking, event="driver_assigned").latest("seq")
            self.told.add((booking.pk, assigned.seq))


ACTIONS = ["find"] * 4 + ["cancel"] * 3 + ["come_back", "resume", "resume", "drive"]


def walks(how_many, steps, make_user, make_driver, settings, seed):
    """So many abusers with a few drivers who take whatever comes; how many positions were told in all."""
    settings.MOBILITY = replace(settings.MOBILITY, searches_per_hour=BUDGET, address_searches_per_hour=100_000)
    rng = random.Random(seed)
    drivers = [make_driver(-26.2, 28.05, stationary=True) for _ in range(3)]
    counted = 0
    for _ in range(how_many):
        cache.clear()
        abuser = Abuser(make_user(), drivers, rng)
        for _ in range(steps):
            abuser.step()
        searches = RideEvent.objects.filter(
            booking__passenger=abuser.user, event__in=["ride_requested", "search_started"]
        ).count()
        assert searches <= BUDGET, seed
        assert len(abuser.told) <= searches + abuser.given_back, seed
        counted += len(abuser.told)
        live = Booking.objects.filter(passenger=abuser.user, status__in=["confirmed", "in_progress"])
        for booking in live:
            driving.start_ride(booking.pk, Actor(booking.driver.user_id, ActorRole.DRIVER), booking.driver_id)
            driving.complete_ride(booking.pk, Actor(None, ActorRole.OPERATOR))
        Driver.objects.filter(status="offline").update(status="available")
        DriverLocation.objects.update(recorded_at=Now(), received_at=Now())
    return counted


def test_no_more_drivers_are_told_than_searches_were_spent(make_user, make_driver, settings):
    assert walks(6, 40, make_user, make_driver, settings, seed=20261125) > 6


@pytest.mark.slow
def test_no_more_drivers_are_told_than_searches_were_spent_in_thousands_of_commands(make_user, make_driver, settings):
    assert walks(70, 40, make_user, make_driver, settings, seed=7) > 70


def test_a_cancelled_search_costs_as_much_as_any(make_user, make_driver, settings):
    settings.MOBILITY = replace(settings.MOBILITY, searches_per_hour=3)
    cache.clear()
    make_driver(-26.2041, 28.0473, stationary=True)
    user = make_user()
    abuser = Abuser(user, [], random.Random(1))
    for n in range(3):
        socket = abuser.socket(f"x{n}")
        told = abuser._find("", socket, None)
        assert told[-1]["type"] == "driver_assigned"
        abuser._cancel("", socket, None)
    with pytest.raises(Refusal, match="many"):
        abuser._find("", abuser.socket("x3"), None)

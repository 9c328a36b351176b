"""What operators see of a ride's dispatching: who was asked, why others were not, who could be sent now. Reads only."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from geo.coordinates import from_point
from mobility.bookings.models import Booking
from mobility.dispatch.models import ConsideredDriver, Offer, SearchRound
from mobility.dispatch.queries import nearest_available
from mobility.dispatch.states import NOT_AGAIN, Verdict
from mobility.drivers.models import Driver
from mobility.people.phones import without_phone

FREE_DRIVERS = 10


class Considered(NamedTuple):
    """A driver near the pickup in one round, how far away, and what the round made of them: as code and in words."""

    driver_id: int
    name: str
    vehicle_registration: str
    distance_m: float
    verdict: str
    verdict_text: str


class ExplainedRound(NamedTuple):
    """One look for drivers and everybody it considered, nearest first."""

    round: int
    made_at: datetime
    strategy: str
    radius_m: float
    outcome: str
    drivers: list[Considered]


class FreeDriver(NamedTuple):
    """A driver who could be sent, how far they are from the pickup (metres on the spheroid), and in words how they
    parted from this ride before, if they were asked for it.
    """

    driver_id: int
    name: str
    vehicle_registration: str
    vehicle_type: str
    distance_m: float
    before: str


def offers_of(booking_id: int) -> "QuerySet[Offer]":
    """The offers of a ride in the order they were made, with their drivers."""
    return Offer.objects.filter(booking_id=booking_id).select_related("driver__user").order_by("id")


def explanation_of(booking_id: int) -> list[ExplainedRound]:
    """Why each driver was asked for a ride or not, round by round, in two queries; empty once it was thrown away."""
    drivers: defaultdict[int, list[Considered]] = defaultdict(list)
    seen = ConsideredDriver.objects.filter(booking_id=booking_id).select_related("driver__user")
    for row in seen.order_by("round", "distance_m", "driver_id"):
        drivers[row.round].append(_considered(row))
    return [
        ExplainedRound(made.round, made.made_at, made.strategy, made.radius_m, made.outcome, drivers[made.round])
        for made in SearchRound.objects.filter(booking_id=booking_id).order_by("round")
    ]


def _considered(row: ConsideredDriver) -> Considered:
    return Considered(
        row.driver_id,
        driver_name(row.driver),
        row.driver.vehicle_registration,
        round(row.distance_m, 1),
        row.verdict,
        _in_words(row.verdict),
    )


def free_drivers_for(booking: Booking) -> list[FreeDriver]:
    """The nearest drivers who could be sent to a ride's pickup, of the vehicle type it asks for; whether a request
    would reach them does not matter, because an operator can."""
    near = nearest_available(
        from_point(booking.pickup),
        count=FREE_DRIVERS,
        passenger_id=booking.passenger_id,
        vehicle_type=booking.vehicle_type,
    )
    drivers = Driver.objects.select_related("user").in_bulk([candidate.driver_id for candidate in near])
    parted = Offer.objects.filter(booking=booking, driver__in=drivers, status__in=NOT_AGAIN).order_by("id")
    before = {driver_id: _in_words(status) for driver_id, status in parted.values_list("driver_id", "status")}
    return [
        FreeDriver(
            driver_id, driver_name(driver), driver.vehicle_registration, driver.vehicle_type, distance_m,
            before.get(driver_id, ""),
        )
        for driver_id, distance_m, _ in near
        if (driver := drivers.get(driver_id)) is not None
    ]  # fmt: skip


def _in_words(verdict: str) -> str:
    return str(Verdict(verdict).label).lower()


def driver_name(driver: Driver) -> str:
    """What operators call a driver; never a phone number."""
    return without_phone(driver.user.display_name)

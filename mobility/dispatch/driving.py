"""The life of a ride that has a driver: arrived, started, completed, nobody came, given back, lost. A function a move.

Lock order: the ride, then its driver. Each repeats as the same answer, and refuses anything else with what is allowed.
"""

from typing import Any

import structlog
from django.db.models.functions import Now

from mobility import events
from mobility.bookings.services import Actor, locked, move, require
from mobility.bookings.states import BOUND, ActorRole, EventName, Status
from mobility.conf import knobs
from mobility.dispatch.models import Offer
from mobility.dispatch.rounds import next_round, search_of
from mobility.dispatch.states import OfferStatus
from mobility.drivers.models import Driver, DriverStatus, InboxKind
from mobility.drivers.services import tell_driver
from mobility.errors import Refusal
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


def driven_ride(booking_id: int, actor: Actor, driver_id: int | None) -> Any:
    """The ride, locked. A driver may touch only a ride that is or was theirs; any other is `no_offer` to them."""
    booking = locked(booking_id)
    if actor.role == ActorRole.DRIVER and (driver_id is None or booking.driver_id != driver_id):
        raise Refusal("no_offer", "This ride is not yours.", booking_id=booking_id, ride_id=booking.ride_id)
    return booking


@state_change
def arrive_at_pickup(booking_id: int, actor: Actor, driver_id: int | None = None) -> int:
    """The driver is at the pickup; the seq of it. Arriving twice changes nothing.

    A driver must be within `arrival_radius_m` of it by their newest position; operators and the system need not.
    """
    booking = driven_ride(booking_id, actor, driver_id)
    if booking.status in BOUND and booking.arrived_at is not None:
        return booking.seq
    require(booking, {Status.CONFIRMED}, actor, "arrive")
    if actor.role == ActorRole.DRIVER:
        _require_near(booking)
    return move(
        booking, EventName.DRIVER_ARRIVED, actor, no_show_wait_s=knobs().no_show_wait_s,
        lost_trip_s=knobs().lost_trip_s,
    )  # fmt: skip


def _require_near(booking: Any) -> None:
    found = rows("dispatch/sql/distance_to_pickup", {"booking_id": booking.id})
    radius_m = knobs().arrival_radius_m
    distance_m = found[0].distance_m if found else None
    if distance_m is None or distance_m > radius_m:
        where = "Your position is not known" if distance_m is None else f"You are {distance_m:.0f} m from the pickup"
        raise Refusal(
            "too_far_from_pickup", f"{where}; {radius_m:.0f} m are allowed.", status=booking.status,
            distance_m=None if distance_m is None else round(distance_m), allowed_m=round(radius_m),
        )  # fmt: skip


@state_change
def start_ride(booking_id: int, actor: Actor, driver_id: int | None = None) -> int:
    """The passenger is on board; the seq of it. Starting twice changes nothing."""
    booking = driven_ride(booking_id, actor, driver_id)
    if booking.status == Status.IN_PROGRESS:
        return booking.seq
    require(booking, {Status.CONFIRMED}, actor, "start")
    return move(booking, EventName.RIDE_STARTED, actor, lost_trip_s=knobs().lost_trip_s)


@state_change
def complete_ride(booking_id: int, actor: Actor, driver_id: int | None = None) -> int:
    """The passenger is there; the driver is free again and has one ride more. Completing twice changes nothing."""
    booking = driven_ride(booking_id, actor, driver_id)
    if booking.status == Status.COMPLETED:
        return booking.seq
    require(booking, {Status.IN_PROGRESS}, actor, "complete")
    seq = move(booking, EventName.RIDE_COMPLETED, actor)
    free_driver(booking, rides=1)
    if actor.role != ActorRole.DRIVER:
        tell_its_driver(booking, InboxKind.RIDE_COMPLETED, actor.role.value)
    return seq


@state_change
def report_no_show(booking_id: int, actor: Actor, driver_id: int | None = None) -> int:
    """Nobody came to the pickup; the seq of it. Only `no_show_wait_s` after arriving: before, `too_early` says when."""
    booking = driven_ride(booking_id, actor, driver_id)
    if booking.status == Status.NO_SHOW:
        return booking.seq
    require(booking, {Status.CONFIRMED}, actor, "be reported as a no-show")
    if booking.no_show_from is None:
        raise Refusal(
            "not_allowed", "Report your arrival first: driver_arrived.", status=booking.status,
            allowed=["driver_arrived", "start_ride", "cancel_ride"],
        )  # fmt: skip
    if not booking.no_show_counts:
        raise Refusal(
            "too_early", "The passenger may still come.", status=booking.status, allowed_from=booking.no_show_from
        )
    seq = move(booking, EventName.NO_SHOW, actor)
    free_driver(booking)
    return seq


@state_change
def give_back_ride(booking_id: int, actor: Actor, driver_id: int | None = None, reason: str = "") -> int:
    """The driver cannot drive this ride after all; the seq of it. The search goes on without them, at most
    `max_releases` times. Given back already: the present seq again.
    """
    booking = locked(booking_id)
    if actor.role == ActorRole.DRIVER and driver_id is not None and booking.driver_id != driver_id:
        if Offer.objects.filter(booking_id=booking_id, driver_id=driver_id, status=OfferStatus.RELEASED).exists():
            return booking.seq
        raise Refusal("no_offer", "This ride is not yours.", booking_id=booking_id, ride_id=booking.ride_id)
    require(booking, {Status.CONFIRMED}, actor, "be given back")
    return release_driver(booking, actor, reason or "driver_cancelled")


def release_driver(booking: Any, actor: Actor, reason: str, *, search_on: bool = True) -> int:
    """Take a locked, confirmed ride from its driver and search on; part of a caller's transaction; the new seq.

    With `search_on` false the caller binds somebody else at once.
    """
    driver_id, offer_id = booking.driver_id, booking.offer_id
    given_up = search_on and booking.releases >= knobs().max_releases
    Driver.objects.select_for_update(no_key=True).get(pk=driver_id)
    Offer.objects.filter(pk=offer_id).update(status=OfferStatus.RELEASED, settled_at=Now())
    seq = move(
        booking, EventName.DRIVER_RELEASED, actor, {"driver_id": driver_id, "reason": reason}, given_up=given_up,
        releases=booking.releases + (1 if search_on else 0), search_timeout_s=knobs().search_timeout_s,
    )  # fmt: skip
    Driver.objects.filter(pk=driver_id, status=DriverStatus.BUSY).update(status=DriverStatus.AVAILABLE)
    tell_driver(driver_id, InboxKind.RIDE_RELEASED, booking_id=booking.id, offer_id=offer_id, reason=reason)
    events.publish(events.DriverFreed(driver_id))
    if not given_up and search_on:
        result = next_round(search_of(locked(booking.id)), begins=True)
        return seq if result.seq is None else result.seq
    return seq


def free_driver(booking: Any, rides: int = 0) -> None:
    """The driver of a ride that has ended may take another one, and has so many more behind them; part of the move's
    transaction.
    """
    if booking.driver_id is not None:
        rows("dispatch/sql/free_driver", {"driver_id": booking.driver_id, "rides": rides})
        events.publish(events.DriverFreed(booking.driver_id))


def tell_its_driver(booking: Any, kind: InboxKind, reason: str) -> None:
    """Put what others did to a ride into its driver's inbox."""
    if booking.driver_id is not None:
        tell_driver(booking.driver_id, kind, booking_id=booking.id, offer_id=booking.offer_id, reason=reason)

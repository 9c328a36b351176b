"""What passengers and operators ask for: a driver, the end of a ride, a certain driver. One function a use case."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from django.db import connection, transaction

from geo.coordinates import lat_lon
from mobility import events
from mobility.areas.queries import Area, area_of
from mobility.bookings import services as bookings
from mobility.bookings.models import Booking
from mobility.bookings.queries import booking_id_of
from mobility.bookings.services import Actor, Reach, RideRequest
from mobility.bookings.states import LIVE, TERMINAL, ActorRole, EventName, Status, allowed_commands
from mobility.conf import knobs
from mobility.dispatch.driving import free_driver, release_driver, tell_its_driver
from mobility.dispatch.queries import Search, idle_driver, nearest_available
from mobility.dispatch.rounds import WARM_UP, ask_driver, next_round, search_of, withdraw_offers
from mobility.dispatch.states import CloseReason
from mobility.dispatch.strategies import strategy
from mobility.drivers.models import Driver, DriverStatus, InboxKind
from mobility.errors import Refusal
from mobility.people.models import User
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How a find_driver ended: the booking, its newest seq and status, whether this call began a search (and then the
    seq it began with), and the driver where one was bound in it."""

    booking_id: int
    seq: int
    status: str
    new_search: bool
    first_seq: int = 0
    driver_id: int | None = None


@state_change
def find_driver(
    passenger_id: int | None, ride_id: str, request: RideRequest, *, may_search: bool = True
) -> SearchOutcome:
    """Make the booking (once) and ask the nearest drivers, bind one who takes rides by themselves, or find that nobody
    is to be had; all in one commit.

    A pickup outside every active service area is refused before anything is written; the area it lies in says how far
    away drivers are asked. Repeating it gives the present state and never a second booking. With `may_search` false
    (the caller's budget is spent) only such a repeat is answered. Refusals: `ride_over`, `ride_conflict`,
    `live_ride_exists` (naming the other ride), `account_inactive`, `implausible_distance`, `outside_service_area`,
    `too_many_searches`.
    """
    bookings.check_plausible(request)
    area = area_of(request.pickup)
    reach = Reach(area.area_id, area.radius_m)
    new = bookings.insert_booking(passenger_id, ride_id, request, reach) if area.served else None
    if new is not None:
        _require_budget(may_search)
        search = Search(new.id, ride_id, passenger_id, request.pickup, request.vehicle_type, radius_m=area.radius_m)
        return _search(search, seq=1)
    booking = _existing(passenger_id, ride_id, area)
    if booking.status in TERMINAL:
        raise Refusal("ride_over", status=booking.status)
    if booking.status != Status.UNFULFILLED:
        if booking.request_digest != request.digest():
            raise Refusal("ride_conflict", status=booking.status)
        return SearchOutcome(booking.id, booking.seq, booking.status, new_search=False)
    _require_budget(may_search)
    _require_served(area)
    seq = bookings.restart_search(booking, Actor(passenger_id, ActorRole.PASSENGER), request, reach)
    search = Search(
        booking.id, ride_id, passenger_id, request.pickup, request.vehicle_type, booking.rounds, area.radius_m
    )
    return _search(search, seq=seq)


def _require_budget(may_search: bool) -> None:
    if not may_search:
        raise Refusal("too_many_searches")


def _require_served(area: Area) -> None:
    if area.served:
        return
    away_km = max(0.1, (area.distance_m or 0.0) / 1000)
    raise Refusal(
        "outside_service_area",
        f"Nobody is picked up there. The nearest area is {area.nearest}, {away_km:.1f} km away.",
        area=area.nearest, distance_m=round(area.distance_m or 0.0),
    )  # fmt: skip


def _existing(passenger_id: int | None, ride_id: str, area: Area) -> Any:
    """The booking that stands in the way of a new one, locked, or the refusal that says why there is none."""
    booking_id = booking_id_of(passenger_id, ride_id)
    booking = None if booking_id is None else bookings.locked(booking_id)
    if passenger_id is None and booking is not None and booking.status in TERMINAL:
        booking = None  # it ended before we held it, and a guest's ride id is free again
    if passenger_id is not None and (booking is None or booking.status == Status.UNFULFILLED):
        _refuse_second_live_ride(passenger_id)
    if booking is None:
        # What stood in the way ended this very moment, or the account is closed, or there was nothing but the place.
        active = passenger_id is None or User.objects.filter(pk=passenger_id, is_active=True).exists()
        if active:
            _require_served(area)
        raise Refusal("try_again" if active else "account_inactive")
    return booking


def _refuse_second_live_ride(passenger_id: int, whose: str = "You already have") -> None:
    live = Booking.objects.filter(passenger_id=passenger_id, status__in=LIVE).first()
    if live is not None:
        raise Refusal("live_ride_exists", f"{whose} a live ride: {live.ride_id}.", ride_id=live.ride_id)


def _search(search: Search, *, seq: int) -> SearchOutcome:
    result = next_round(search, begins=True)
    status = Status.PENDING
    if result.driver_id is not None:
        status = Status.CONFIRMED
    elif result.seq is not None:
        status = Status.UNFULFILLED
    return SearchOutcome(
        search.booking_id, result.seq or seq, status, new_search=True, first_seq=seq, driver_id=result.driver_id
    )


@state_change
def cancel_ride(booking_id: int, actor: Actor, reason: str = "") -> int:
    """Cancel; withdraw every open offer and free the driver in the same commit; the seq of the cancellation.

    The same again is the same answer. Refused once the ride has begun (unless an operator does it) and once it is over.
    """
    booking = bookings.locked(booking_id)
    if booking.status == Status.CANCELLED:
        return booking.seq
    if booking.status in TERMINAL:
        raise Refusal("ride_over", status=booking.status, allowed=[])
    if booking.status == Status.IN_PROGRESS and actor.role != ActorRole.OPERATOR:
        raise Refusal("ride_in_progress", status=booking.status, allowed=allowed_commands(booking.status, actor.role))
    withdraw_offers(booking_id, CloseReason.RIDE_CANCELLED)
    seq = bookings.move(
        booking, EventName.RIDE_CANCELLED, actor, {"cancelled_by": actor.role.value, "reason": reason}, reason=reason
    )
    free_driver(booking)
    tell_its_driver(booking, InboxKind.RIDE_CANCELLED, actor.role.value)
    return seq


@state_change
def assign_driver(booking_id: int, driver_id: int, actor: Actor) -> int:
    """An operator picks the driver: the seq of the assignment. Open offers are withdrawn, a present driver is released;
    all in one commit. Assigning the driver who has the ride already changes nothing.

    Refusals: `not_found` (the ride), `invalid_field` (no such driver), `ride_over`, `not_allowed` (the ride has begun),
    `own_ride`, `driver_not_verified`, `driver_has_ride`, `driver_being_asked` (for another ride),
    `driver_not_available`.
    """
    booking = bookings.locked(booking_id)
    if booking.driver_id == driver_id and booking.status == Status.CONFIRMED:
        return booking.seq
    bookings.require(booking, {Status.PENDING, Status.UNFULFILLED, Status.CONFIRMED}, actor, "be assigned")
    if booking.status == Status.UNFULFILLED and booking.passenger_id is not None:
        _refuse_second_live_ride(booking.passenger_id, "The passenger has")
    withdraw_offers(booking_id, CloseReason.TAKEN)
    _require_assignable(driver_id, booking)
    if booking.status == Status.CONFIRMED:
        release_driver(booking, actor, "operator", search_on=False)
    elif booking.status == Status.UNFULFILLED:
        bookings.move(booking, EventName.SEARCH_STARTED, actor, search_timeout_s=knobs().search_timeout_s)
    bound = rows(
        "dispatch/sql/assign",
        {
            "booking_id": booking_id,
            "driver_id": driver_id,
            "user_id": actor.user_id,
            "lost_driver_s": knobs().lost_driver_s,
        },
    )[0]
    events.publish(events.DriverTold(driver_id, bound.inbox_seq))
    bookings.publish_assignment(booking_id, booking.ride_id, booking.passenger_id, bound)
    return int(bound.seq)


def _require_assignable(driver_id: int, booking: Any) -> None:
    """Lock the driver's row and refuse, with the reason, one who cannot take this ride."""
    driver = Driver.objects.select_for_update(of=("self",), no_key=True).filter(pk=driver_id).first()
    if driver is None:
        raise Refusal("invalid_field", "There is no such driver.", field="driver_id")
    if driver.user_id == booking.passenger_id:
        raise Refusal("own_ride", field="driver_id")
    if driver.status == DriverStatus.BUSY:
        raise Refusal("driver_has_ride", field="driver_id")
    if not driver.verified or not User.objects.filter(pk=driver.user_id, is_active=True).exists():
        raise Refusal("driver_not_verified", "This driver is not verified or suspended.", field="driver_id")
    if driver.offers.filter(status="pending").exists():
        raise Refusal("driver_being_asked", field="driver_id")
    if driver.status != DriverStatus.AVAILABLE:
        raise Refusal("driver_not_available", f"This driver is {driver.status}.", field="driver_id")


@state_change
def offer_waiting_ride(driver_id: int) -> bool:
    """A driver came online, became free or moved: ask them for the waiting ride the strategy picks. Whether one was.

    Only makes things fast: the dispatcher looks at every waiting ride again by itself.
    """
    driver = idle_driver(driver_id)
    chosen = None if driver is None else strategy().ride_for(driver)
    if chosen is None:
        return False
    ride = bookings.locked(chosen.booking_id)
    live = rows("dispatch/sql/live_offers", {"booking_id": ride.id})[0].live
    if ride.status != Status.PENDING or ride.search_is_over or live >= knobs().candidate_count:
        return False
    return ask_driver(search_of(ride), driver_id, chosen.distance_m)


def warm_up() -> None:
    """Run a whole search on this connection and take it back: plans the statements and triggers, loads PostGIS.

    A new PostGIS backend spends tens of milliseconds on its first search; better at the start than in a passenger's.
    """
    nowhere = lat_lon(0, 0)
    with transaction.atomic():
        new = bookings.insert_booking(None, f"warm-up-{uuid4().hex}", RideRequest(nowhere, nowhere))
        if new is not None:
            next_round(Search(new.id, WARM_UP, None, nowhere, None), begins=True)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)
    area_of(nowhere)
    nearest_available(nowhere)

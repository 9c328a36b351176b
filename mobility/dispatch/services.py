"""A passenger asks for a driver: one transaction from the request to the assignment."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from django.db import OperationalError, connection, transaction

from geo.coordinates import LatLon, lat_lon
from mobility.bookings import services as bookings
from mobility.bookings.models import Booking
from mobility.bookings.services import Actor, RideRequest
from mobility.bookings.states import LIVE, TERMINAL, ActorRole, Status
from mobility.conf import knobs
from mobility.dispatch.queries import nearest_available, search_params
from mobility.errors import Refusal
from mobility.people.models import User
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
_LOCK_TIMEOUT = "55P03"


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How a find_driver ended: the booking's id and newest seq, and whether this call began a search."""

    booking_id: int
    seq: int
    status: str
    new_search: bool
    driver: Any = None  # the row of assign_nearest.sql, where this very call bound a driver


@state_change
def find_driver(
    passenger_id: int | None, ride_id: str, request: RideRequest, *, may_search: bool = True
) -> SearchOutcome:
    """Make the booking (once) and bind the nearest driver, or find that nobody is to be had; all in one commit.

    Repeating it gives the present state and never a second booking. With `may_search` false (the caller's budget is
    spent) only such a repeat is answered. Refusals: `ride_over`, `ride_conflict`, `live_ride_exists` (naming the other
    ride), `account_inactive`, `implausible_distance`, `too_many_searches`.
    """
    bookings.check_plausible(request)
    new = bookings.insert_booking(passenger_id, ride_id, request)
    if new is not None:
        _require_budget(may_search)
        return _search(new.id, passenger_id, ride_id, request)
    booking = _existing(passenger_id, ride_id)
    if booking.status in TERMINAL:
        raise Refusal("ride_over", status=booking.status)
    if booking.status != Status.UNFULFILLED:
        if booking.request_digest != request.digest():
            raise Refusal("ride_conflict", status=booking.status)
        return SearchOutcome(booking.pk, booking.seq, booking.status, new_search=False)
    _require_budget(may_search)
    bookings.restart_search(booking, Actor(passenger_id, ActorRole.PASSENGER), request)
    return _search(booking.pk, passenger_id, ride_id, request)


def _require_budget(may_search: bool) -> None:
    if not may_search:
        raise Refusal("too_many_searches")


def _existing(passenger_id: int | None, ride_id: str) -> Booking:
    """The booking that stands in the way of a new one, locked, or the refusal that says why there is none."""
    mine = _open_guest_rides() if passenger_id is None else Booking.objects.filter(passenger_id=passenger_id)
    booking = mine.filter(ride_id=ride_id).select_for_update(of=("self",), no_key=True).first()
    if passenger_id is not None and (booking is None or booking.status == Status.UNFULFILLED):
        _refuse_second_live_ride(passenger_id)
    if booking is None:
        # What stood in the way ended this very moment, or the account is closed.
        active = passenger_id is None or User.objects.filter(pk=passenger_id, is_active=True).exists()
        raise Refusal("try_again" if active else "account_inactive")
    return booking


def _open_guest_rides() -> Any:
    return Booking.objects.filter(passenger_id__isnull=True).exclude(status__in=TERMINAL)


def _refuse_second_live_ride(passenger_id: int) -> None:
    live = Booking.objects.filter(passenger_id=passenger_id, status__in=LIVE).first()
    if live is not None:
        raise Refusal("live_ride_exists", f"You already have a live ride: {live.ride_id}.", ride_id=live.ride_id)


def _search(booking_id: int, passenger_id: int | None, ride_id: str, request: RideRequest) -> SearchOutcome:
    if not knobs().auto_assign:
        # Nobody can be asked yet: offers come with the driver socket. The ride is honestly unfulfilled.
        return SearchOutcome(booking_id, bookings.give_up_search(booking_id), Status.UNFULFILLED, new_search=True)
    found = bind_nearest(
        booking_id, ride_id, request.pickup, passenger_id=passenger_id, vehicle_type=request.vehicle_type
    )
    if found is None:
        return SearchOutcome(booking_id, bookings.give_up_search(booking_id), Status.UNFULFILLED, new_search=True)
    bookings.publish_assignment(booking_id, ride_id, passenger_id, found)
    return SearchOutcome(booking_id, found.seq, Status.CONFIRMED, new_search=True, driver=found)


def bind_nearest(
    booking_id: int, ride_id: str, pickup: LatLon, *, passenger_id: int | None, vehicle_type: str | None
) -> Any | None:
    """Bind the nearest free driver to a pending booking whose row this transaction holds; None when nobody is free.

    First passes over drivers whom other transactions are binding. Only when all in reach were passed over does it wait
    for those, so that a driver locked for another reason, or given back by a rollback, is not overlooked.
    """
    params = search_params(pickup, passenger_id=passenger_id, vehicle_type=vehicle_type) | {"booking_id": booking_id}
    while True:
        row = rows("dispatch/sql/assign_nearest", params)[0]
        if row.driver_id is not None or row.fetched < params["fetch"]:
            break
        params["fetch"] *= 4
    if row.driver_id is None and row.fetched:
        row = _bind_waiting(params) or row
    _log_candidates(booking_id, ride_id, row)
    return row if row.driver_id is not None else None


def _bind_waiting(params: dict[str, Any]) -> Any | None:
    try:
        with transaction.atomic():
            return rows("dispatch/sql/assign_nearest_waiting", params)[0]
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _LOCK_TIMEOUT:
            raise
        return None


def _log_candidates(booking_id: int, ride_id: str, row: Any) -> None:
    log.info(
        "candidates",
        ride_id=ride_id,
        booking_id=booking_id,
        in_reach=row.fetched,
        nearest_m=None if row.distance_m is None else round(row.distance_m),
    )


def warm_up() -> None:
    """Run a whole search on this connection and take it back: plans the statements and triggers, loads PostGIS.

    A new PostGIS backend spends tens of milliseconds on its first search; better at the start than in a passenger's.
    """
    nowhere = lat_lon(0, 0)
    with transaction.atomic():
        new = bookings.insert_booking(None, f"warm-up-{uuid4().hex}", RideRequest(nowhere, nowhere))
        if new is not None:
            rows("dispatch/sql/assign_nearest", search_params(nowhere) | {"booking_id": new.id})
            bookings.give_up_search(new.id)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)
    nearest_available(nowhere)

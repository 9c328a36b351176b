"""A ride's row and its log: how a booking begins, and how it is moved. Always part of a caller's transaction.

Who may move a ride, and what becomes of its driver and offers, stands in mobility/dispatch, above. Lock order
everywhere: the ride, then drivers, then offers. Whether a move is allowed is decided under the ride's row lock.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import structlog
from django.db.models.functions import Now

from geo.coordinates import LatLon, lat_lon, point
from geo.geodesy import distance_m
from mobility import events
from mobility.bookings.models import Booking, DistanceOrigin, FareOrigin, RideEvent
from mobility.bookings.states import LIVE, TERMINAL, ActorRole, EventName, Status, allowed_commands
from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.transactions import rows

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RideRequest:
    """What a passenger asks for, already checked: positions in degrees, distance in km and fare in whole currency."""

    pickup: LatLon
    dropoff: LatLon
    pickup_address: str = ""
    dropoff_address: str = ""
    distance_km: float | None = None
    duration_minutes: float | None = None
    fare_amount: Decimal | None = None
    passenger_phone: str = ""
    vehicle_type: str | None = None
    notes: str = ""

    def digest(self) -> str:
        """Fingerprint of the content: equal for a repeated request, different for another one."""
        content = [
            *self.pickup, *self.dropoff, self.pickup_address, self.dropoff_address, self.distance_km,
            self.duration_minutes, None if self.fare_amount is None else f"{self.fare_amount:.2f}",
            self.passenger_phone, self.vehicle_type, self.notes,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Reach(NamedTuple):
    """What the place of a pickup says about its search: the service area it lies in, and how many metres away drivers
    are asked; None where nothing is said."""

    service_area_id: int | None = None
    search_radius_m: float | None = None


EVERYWHERE = Reach()


class Actor(NamedTuple):
    """Who makes a move: a user's id (None for guests and the system) and the role they act in."""

    user_id: int | None
    role: ActorRole


SYSTEM = Actor(None, ActorRole.SYSTEM)


class NewRide(NamedTuple):
    """A booking just made."""

    id: int
    requested_at: datetime


def check_plausible(request: RideRequest) -> None:
    """Refuse a client's distance or fare only when it cannot be meant: see CARECONNECT_MAX_TRIP_KM and _MAX_FARE.

    The lower bound is half the geodesic, because phones and people round; the upper is ten times the geodesic plus
    1 km, because detours around water and mountains are real.
    """
    if request.distance_km is not None:
        geodesic_km = distance_m(request.pickup, request.dropoff) / 1000
        low, high = geodesic_km / 2, min(10 * geodesic_km + 1, knobs().max_trip_km)
        if not low <= request.distance_km <= high:
            raise Refusal(
                "implausible_distance",
                f"distance_km must be between {low:.2f} and {high:.2f} for these two places.",
                field="distance_km",
            )
    if request.fare_amount is not None and not 0 <= request.fare_amount <= Decimal(knobs().max_fare):
        raise Refusal("invalid_field", f"fare_amount must be from 0 to {knobs().max_fare:.0f}.", field="fare_amount")


def insert_booking(
    passenger_id: int | None, ride_id: str, request: RideRequest, reach: Reach = EVERYWHERE
) -> NewRide | None:
    """A new pending booking with its first log row; None when it would be a second one (or the user is inactive).

    Part of a caller's transaction: dispatch decides in the same one who drives.
    """
    made = rows(
        "bookings/sql/request_ride",
        {
            "ride_id": ride_id,
            "passenger_id": passenger_id,
            "search_timeout_s": knobs().search_timeout_s,
            **_columns(request),
            **reach._asdict(),
        },
    )
    if not made:
        return None
    new = NewRide(*made[0])
    _publish(new.id, ride_id, 1, EventName.RIDE_REQUESTED, "", Status.PENDING, new.requested_at, passenger_id, None)
    return new


def _columns(request: RideRequest) -> dict[str, Any]:
    stated_m = None if request.distance_km is None else request.distance_km * 1000
    fare = request.fare_amount
    return {
        "passenger_phone": request.passenger_phone,
        "pickup_latitude": request.pickup.latitude,
        "pickup_longitude": request.pickup.longitude,
        "pickup_address": request.pickup_address,
        "dropoff_latitude": request.dropoff.latitude,
        "dropoff_longitude": request.dropoff.longitude,
        "dropoff_address": request.dropoff_address,
        "vehicle_type": request.vehicle_type,
        "notes": request.notes,
        "distance_m": distance_m(request.pickup, request.dropoff) if stated_m is None else stated_m,
        "distance_origin": DistanceOrigin.GEODESIC.value if stated_m is None else DistanceOrigin.CLIENT.value,
        "duration_s": None if request.duration_minutes is None else request.duration_minutes * 60,
        "fare_minor": None if fare is None else int((fare * 100).to_integral_value()),
        "fare_currency": knobs().currency,
        "fare_origin": FareOrigin.NONE.value if fare is None else FareOrigin.CLIENT.value,
        "request_digest": request.digest(),
    }


def restart_search(booking: Booking, actor: Actor, request: RideRequest, reach: Reach = EVERYWHERE) -> int:
    """An unfulfilled ride is searched for again, with what the passenger asks for now; returns the new seq.

    The caller holds the booking's row lock.
    """
    columns = _columns(request)
    place = {
        name: _point(columns.pop(f"{name}_longitude"), columns.pop(f"{name}_latitude"))
        for name in ("pickup", "dropoff")
    }
    return move(
        booking, EventName.SEARCH_STARTED, Status.PENDING, actor,
        unfulfilled_at=None, **search_times(), **columns, **place, **reach._asdict(),
    )  # fmt: skip


def search_times() -> dict[str, Any]:
    """What a search that begins now sets on the booking; it is due at once."""
    limit = timedelta(seconds=knobs().search_timeout_s)
    return {"search_started_at": Now(), "search_until": Now() + limit, "due_at": Now()}


def _point(longitude: float, latitude: float) -> Any:
    return point(lat_lon(latitude, longitude))


def give_up_search(booking_id: int) -> int:
    """Nobody is to be had: pending -> unfulfilled. Part of the search's transaction; returns the new seq."""
    booking = locked(booking_id)
    return move(booking, EventName.NO_DRIVERS, Status.UNFULFILLED, SYSTEM, unfulfilled_at=Now())


def locked(booking_id: int) -> Booking:
    """The booking under its row lock, the first lock of every move."""
    try:
        return Booking.objects.select_for_update(of=("self",), no_key=True).get(pk=booking_id)
    except Booking.DoesNotExist:
        raise Refusal("not_found") from None


def require(booking: Booking, allowed: set[Status], actor: Actor, verb: str) -> None:
    """Refuse what the ride's state does not allow, saying what it does allow this actor."""
    if booking.status in allowed:
        return
    code = "ride_over" if booking.status in TERMINAL else "not_allowed"
    raise Refusal(
        code, f"A ride that is {booking.status} cannot {verb}.", status=booking.status,
        allowed=allowed_commands(booking.status, actor.role),
    )  # fmt: skip


def move(
    booking: Booking, event: EventName, target: Status, actor: Actor, payload: dict[str, Any] | None = None,
    **changes: Any,
) -> int:  # fmt: skip
    """Write the move of a locked booking and its log row; the new seq.

    `changes` are further columns; the move's own log row says who made it and `payload` what the passenger may know.
    """
    source, driver_id, seq = booking.status, booking.driver_id, booking.seq + 1
    if target not in LIVE:
        changes["due_at"] = None  # nothing is due for it any more
    Booking.objects.filter(pk=booking.pk).update(status=target, seq=seq, **changes)
    row = RideEvent.objects.create(
        booking_id=booking.pk, seq=seq, event=event, from_status=source, to_status=target,
        actor_id=actor.user_id, actor_role=actor.role, payload=payload or {},
    )  # fmt: skip
    booking.status, booking.seq = target, seq
    _publish(booking.pk, booking.ride_id, seq, event, source, target, row.occurred_at, booking.passenger_id, driver_id)
    return seq


def publish_assignment(booking_id: int, ride_id: str, passenger_id: int | None, assigned: Any) -> None:
    """Tell of the log row that an assigning statement wrote by itself: its seq, occurred_at and driver_id."""
    _publish(
        booking_id, ride_id, assigned.seq, EventName.DRIVER_ASSIGNED, Status.PENDING, Status.CONFIRMED,
        assigned.occurred_at, passenger_id, assigned.driver_id,
    )  # fmt: skip


def _publish(
    booking_id: int, ride_id: str, seq: int, event: str, source: str, target: str, at: datetime,
    passenger_id: int | None, driver_id: int | None,
) -> None:  # fmt: skip
    events.publish(
        events.RideMoved(booking_id, ride_id, seq, str(event), str(source), str(target), at, passenger_id, driver_id)
    )

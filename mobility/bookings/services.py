"""A ride's row and its log: how a booking begins, and how it is moved. Always part of a caller's transaction.

Who may move a ride, and what becomes of its driver and offers, stands in mobility/dispatch, above. Lock order
everywhere: the ride, then drivers, then offers. Whether a move is allowed is decided under the ride's row lock.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import structlog

from geo.coordinates import LatLon
from geo.geodesy import distance_m
from mobility import events
from mobility.bookings.models import DistanceOrigin, FareOrigin
from mobility.bookings.states import TERMINAL, ActorRole, EventName, Status, allowed_commands
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


def restart_search(ride: Any, actor: Actor, request: RideRequest, reach: Reach = EVERYWHERE) -> int:
    """A locked, unfulfilled ride is searched for again, with what the passenger asks for now; the new seq."""
    return move(
        ride, EventName.SEARCH_STARTED, actor, statement="asked_again", search_timeout_s=knobs().search_timeout_s,
        **_columns(request), **reach._asdict(),
    )  # fmt: skip


class _Searching(NamedTuple):
    """What a move has to know of a ride that is searched for."""

    id: int
    ride_id: str
    passenger_id: int | None
    status: str = Status.PENDING.value
    driver_id: None = None


def give_up_search(booking_id: int, ride_id: str, passenger_id: int | None, rounds: int) -> int:
    """Nobody is to be had after so many rounds: pending -> unfulfilled. The caller holds the row; the new seq."""
    return move(_Searching(booking_id, ride_id, passenger_id), EventName.NO_DRIVERS, SYSTEM, rounds=rounds)


def locked(booking_id: int) -> Any:
    """The ride under its row lock, the first lock of every move: a row of bookings/sql/lock_ride.sql."""
    found = rows("bookings/sql/lock_ride", {"booking_id": booking_id})
    if not found:
        raise Refusal("not_found")
    return found[0]


def require(ride: Any, allowed: set[Status], actor: Actor, verb: str) -> None:
    """Refuse what the ride's state does not allow, saying what it does allow this actor."""
    if ride.status in allowed:
        return
    code = "ride_over" if ride.status in TERMINAL else "not_allowed"
    raise Refusal(
        code, f"A ride that is {ride.status} cannot {verb}.", status=ride.status,
        allowed=allowed_commands(ride.status, actor.role),
    )  # fmt: skip


def move(
    ride: Any, event: EventName, actor: Actor, payload: dict[str, Any] | None = None, *, statement: str = "",
    **params: Any,
) -> int:  # fmt: skip
    """Make a move of a ride whose row the caller holds, and its log row, in one statement; the new seq.

    The statement is bookings/sql/moves/<event>.sql, where that event has no other; `params` are what it needs beside
    the ride and who moves it. `payload` is what the passenger may know.
    """
    made = rows(
        f"bookings/sql/moves/{statement or event.value}",
        {
            "booking_id": ride.id,
            "event": event.value,
            "from_status": ride.status,
            "actor_id": actor.user_id,
            "actor_role": actor.role.value,
            "payload": json.dumps(payload or {}),
            **params,
        },
    )[0]
    _publish(
        ride.id, ride.ride_id, made.seq, event, ride.status, made.to_status, made.occurred_at, ride.passenger_id,
        ride.driver_id,
    )  # fmt: skip
    return int(made.seq)


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

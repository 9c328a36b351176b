"""What clients are told: rows of the database in, frames out. The fixed ones keep their names, units and types."""

from datetime import UTC, datetime
from typing import Any

from mobility.dispatch.tracking import DriverPosition
from mobility.errors import Refusal

Frame = dict[str, Any]


def iso(at: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and a Z."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connection_established(ride_id: str) -> Frame:
    """The first frame of a passenger socket."""
    return {"type": "connection_established", "message": "Connected to ride matching service", "ride_id": ride_id}


def pong(seq: int | None = None) -> Frame:
    """The answer to a ping; `seq` is what this socket was told last, where there is anything to be told."""
    frame: Frame = {"type": "pong", "timestamp": iso(datetime.now(UTC))}
    return frame if seq is None else frame | {"seq": seq}


def command_done(command_id: str, command: str, about: Frame) -> Frame:
    """The answer to a command that carried an id: done, now or when it was sent first."""
    return {"type": "command_done", "command_id": command_id, "command": command} | about


def error(refusal: Refusal) -> Frame:
    """A refusal: sentence, stable code, the field to blame where there is one, and what helps."""
    frame: Frame = {"type": "error", "message": refusal.message, "code": refusal.code}
    if refusal.field is not None:
        frame["field"] = refusal.field
    return frame | {k: iso(v) if isinstance(v, datetime) else v for k, v in refusal.details.items()}


def driver_location(position: DriverPosition) -> Frame:
    """Where the driver of the ride is. Not numbered: a newer one says it all."""
    return {
        "type": "driver_location", "booking_id": position.booking_id, "latitude": position.at.latitude,
        "longitude": position.at.longitude, "heading": position.heading, "speed": position.speed,
        "recorded_at": iso(position.recorded_at), "eta_minutes": round(position.eta_s / 60, 1),
    }  # fmt: skip


def searching(row: Any) -> Frame:
    """A search is under way; `row` is the log row that says so, or the ride's state."""
    return {
        "type": "searching", "message": "Searching for available drivers...", "ride_id": row.ride_id,
        "booking_id": row.booking_id, "seq": row.seq, "at": iso(row.occurred_at),
    }  # fmt: skip


def driver_assigned(row: Any) -> Frame:
    """A driver is bound; `row` carries the driver's card."""
    return {
        "type": "driver_assigned", "message": "Driver found!", "booking_id": row.booking_id, "driver": driver_card(row),
        "seq": row.seq, "at": iso(row.occurred_at),
    }  # fmt: skip


def no_drivers(row: Any) -> Frame:
    """Nobody is to be had; the passenger may ask again."""
    return {
        "type": "no_drivers", "message": "No drivers available nearby", "booking_id": row.booking_id, "seq": row.seq,
        "at": iso(row.occurred_at),
    }  # fmt: skip


def driver_card(row: Any) -> Frame:
    """The driver as the passenger sees them: degrees, rating 1 to 5."""
    return {
        "id": row.driver_id,
        "name": row.name,
        "phone": row.phone,
        "vehicle_type": row.vehicle_type,
        "vehicle_registration": row.vehicle_registration,
        "rating": float(row.rating),
        "latitude": row.latitude,
        "longitude": row.longitude,
    }


def ride_state(row: Any) -> Frame:
    """The whole ride now (bookings.queries.ride_state): kilometres, minutes, whole currency."""
    return {
        "type": "ride_state",
        "ride_id": row.ride_id,
        "booking_id": row.booking_id,
        "status": row.status,
        "seq": row.seq,
        "pickup_latitude": row.pickup_latitude,
        "pickup_longitude": row.pickup_longitude,
        "pickup_address": row.pickup_address,
        "dropoff_latitude": row.dropoff_latitude,
        "dropoff_longitude": row.dropoff_longitude,
        "dropoff_address": row.dropoff_address,
        "distance_km": round(row.distance_m / 1000, 3),
        "estimated_duration_minutes": None if row.duration_s is None else row.duration_s / 60,
        "fare_amount": None if row.fare_minor is None else row.fare_minor / 100,
        "fare_currency": row.fare_currency,
        "fare_origin": row.fare_origin,
        "vehicle_type": row.wanted_vehicle_type,
        "driver": None if row.driver_id is None else driver_card(row),
        "cancelled_by": row.cancelled_by,
        "cancellation_reason": row.cancellation_reason,
    } | {f"{name}_at": iso(getattr(row, f"{name}_at")) for name in _TIMES}


_TIMES = ("requested", "confirmed", "arrived", "started", "completed", "unfulfilled", "no_show", "cancelled")


def of_state(row: Any) -> list[Frame]:
    """The fixed message of the ride's present state, for apps that don't know `ride_state`; none once it is over."""
    match row.status:
        case "pending" | "scheduled":
            return [searching(row)]
        case "confirmed" | "in_progress":
            return [driver_assigned(row)]
        case "unfulfilled":
            return [no_drivers(row)]
    return []


def of_event(row: Any) -> list[Frame]:
    """The frame of one log row (bookings.queries.events_after)."""
    match row.event:
        case "ride_requested" | "search_started":
            return [searching(row)]
        case "driver_assigned":
            return [driver_assigned(row)]
        case "no_drivers":
            return [no_drivers(row)]
        case "ride_cancelled":
            return [ride_cancelled(row)]
        case "driver_released":
            return [driver_released(row), searching(row) if row.to_status == "pending" else no_drivers(row)]
    # driver_arrived, ride_started, ride_completed, no_show ...: the log's name is the frame's type
    return [
        {"type": row.event, "booking_id": row.booking_id, "status": row.to_status, "seq": row.seq,
         "at": iso(row.occurred_at)}
    ]  # fmt: skip


def driver_released(row: Any) -> Frame:
    """The driver gave the ride back or was lost; what follows says whether the search goes on."""
    return {
        "type": "driver_released", "booking_id": row.booking_id, "ride_id": row.ride_id, "reason": row.reason or "",
        "status": row.to_status, "seq": row.seq, "at": iso(row.occurred_at),
    }  # fmt: skip


def ride_cancelled(row: Any) -> Frame:
    """The ride was called off; by whom and why."""
    return {
        "type": "ride_cancelled", "booking_id": row.booking_id, "ride_id": row.ride_id,
        "cancelled_by": row.cancelled_by, "reason": row.reason or "",
        "cancelled_at": iso(row.occurred_at), "seq": row.seq,
    }  # fmt: skip

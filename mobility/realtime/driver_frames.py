"""What drivers are told: rows of the database in, frames out. Kilometres, minutes, whole currency, as in the apps."""

from typing import Any

from mobility.realtime.frames import Frame, iso

# How fast a ride is guessed to be where the passenger stated no duration: the fixed message always carries a number.
GUESSED_KM_PER_MINUTE = 0.5
# Why an offer ended -> `reason` of ride_request_closed.
_CLOSED = {"ride_cancelled": "cancelled", "search_over": "expired", "driver_gone": "offline"}


def connection_established(driver_id: int) -> Frame:
    """The first frame of a driver socket."""
    return {
        "type": "connection_established", "message": "Connected to ride matching service", "driver_id": driver_id,
    }  # fmt: skip


def driver_state(state: Any, ride: Any | None, request: Any | None) -> Frame:
    """The driver as the service sees them now (dispatch/sql/driver_state.sql), with the ride they hold or are asked."""
    return {
        "type": "driver_state",
        "driver_id": state.driver_id,
        "status": state.status,
        "auto_accept": state.auto_accept,
        "verified": state.verified,
        "stationary": state.stationary,
        "missed_requests": state.missed_offers,
        "total_rides": state.total_rides,
        "latitude": state.latitude,
        "longitude": state.longitude,
        "position_recorded_at": iso(state.recorded_at),
        "inbox_seq": state.inbox_seq,
        "ride": None if ride is None else _ride(ride) | _times(ride),
        "request": None if request is None else _ride(request) | _deadline(request),
    }


def ride_request(row: Any, inbox_seq: int) -> Frame:
    """The driver is asked for a ride (dispatch/sql/ride_of_offer.sql)."""
    return {"type": "ride_request"} | _ride(row) | _deadline(row) | {"inbox_seq": inbox_seq}


def ride_assigned(row: Any, inbox_seq: int) -> Frame:
    """The ride is the driver's."""
    return {"type": "ride_assigned"} | _ride(row) | _times(row) | {"inbox_seq": inbox_seq}


def request_acknowledged(given: Any) -> Frame:
    """The answer to ride_request_received: when the time to answer really ends."""
    return {
        "type": "ride_request_acknowledged", "ride_id": given.ride_id, "booking_id": given.booking_id,
        "expires_at": iso(given.expires_at),
    }  # fmt: skip


def request_declined(row: Any) -> Frame:
    """The answer to decline_ride."""
    return {
        "type": "ride_request_closed", "ride_id": row.ride_id, "booking_id": row.booking_id, "reason": "declined",
    }  # fmt: skip


def moved(kind: str, row: Any) -> Frame:
    """The answer to a move the driver made: the ride as it stands after it."""
    return {
        "type": kind, "ride_id": row.ride_id, "booking_id": row.booking_id, "status": row.status, "seq": row.seq,
    } | _times(row)  # fmt: skip


def of_inbox(row: Any) -> list[Frame]:
    """The frames of one inbox row (dispatch/sql/inbox_after.sql), one at least: whoever counts them finds no hole."""
    numbered = {"inbox_seq": row.inbox_seq}
    named = {"ride_id": row.ride_id, "booking_id": row.about_booking_id}
    match row.kind:
        case "ride_request":
            over = {"type": "ride_request_over"} | named | numbered  # before it was told
            return [ride_request(row, row.inbox_seq) if row.offer_status == "pending" else over]
        case "ride_assigned":
            return [ride_assigned(row, row.inbox_seq)]
        case "ride_request_closed":
            reason = _CLOSED.get(row.told_reason, row.told_reason)
            return [{"type": "ride_request_closed"} | named | {"reason": reason} | numbered]
        case "ride_cancelled":
            told = {
                "cancelled_by": row.told_reason, "reason": row.cancellation_reason or "",
                "cancelled_at": iso(row.occurred_at),
            }  # fmt: skip
            return [{"type": "ride_cancelled"} | named | told | numbered]
        case "went_offline":
            return [{"type": "went_offline", "reason": row.told_reason} | numbered]
    # ride_released, ride_completed: the inbox's name is the frame's type
    return [{"type": row.kind} | named | {"reason": row.told_reason, "at": iso(row.occurred_at)} | numbered]


def _ride(row: Any) -> Frame:
    km = row.distance_m / 1000
    minutes = km / GUESSED_KM_PER_MINUTE if row.duration_s is None else row.duration_s / 60
    return {
        "ride_id": row.ride_id,
        "booking_id": row.booking_id,
        "passenger_name": row.passenger_name,
        "passenger_phone": row.passenger_phone,
        "pickup_address": row.pickup_address,
        "dropoff_address": row.dropoff_address,
        "pickup_latitude": row.pickup_latitude,
        "pickup_longitude": row.pickup_longitude,
        "dropoff_latitude": row.dropoff_latitude,
        "dropoff_longitude": row.dropoff_longitude,
        "distance": round(km, 3),
        # The fixed message has a number here; fare_origin says when none was agreed.
        "fare": 0.0 if row.fare_minor is None else row.fare_minor / 100,
        "fare_currency": row.fare_currency,
        "fare_origin": row.fare_origin,
        "estimated_duration": round(minutes),
        "vehicle_type": row.vehicle_type,
        "notes": row.notes,
        "pickup_distance_km": None if row.pickup_distance_m is None else round(row.pickup_distance_m / 1000, 3),
        "status": row.status,
    }


def _deadline(row: Any) -> Frame:
    return {"expires_at": iso(row.expires_at)}


def _times(row: Any) -> Frame:
    return {f"{name}_at": iso(getattr(row, f"{name}_at")) for name in ("confirmed", "arrived", "started")} | {
        "no_show_from": iso(row.no_show_from)
    }

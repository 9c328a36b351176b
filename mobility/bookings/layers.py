"""Rides as a layer."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from geo import params
from geo.features import Field
from mobility.bookings.listing import ride_of
from mobility.bookings.states import Status
from mobility.layers.layer import Layer, place_params, time_params

BOOKINGS = Layer(
    name="bookings",
    title="Rides",
    about="Every ride, as a line from pickup to dropoff.",
    geometry="line",
    source="bookings/sql/bookings_layer",
    fields=(
        Field("ride_id", "word", "The passenger's own name for the ride.", null=False),
        Field("status", "word", "Where the ride stands.", null=False),
        Field("seq", "integer", "The number of the newest row in its log."),
        Field("passenger_phone", "text", "Masked."),
        Field("driver", "json", "Who drives, or null."),
        Field("pickup_address", "text", "As the passenger wrote it."),
        Field("dropoff_address", "text", "As the passenger wrote it."),
        Field("vehicle_type", "text", "What was asked for; null is anything."),
        Field("notes", "text", "For the driver."),
        Field("distance_m", "number", "Metres from pickup to dropoff."),
        Field("distance_origin", "text", "Who says so: client or geodesic."),
        Field("duration_s", "number", "Seconds, as the client estimated."),
        Field("fare_amount", "number", "In whole currency; null when none was agreed."),
        Field("fare_currency", "text", "ISO 4217."),
        Field("fare_origin", "text", "Where the fare comes from."),
        Field("requested_at", "time", "When it was asked for."),
        Field("search_until", "time", "When the search ends unless a driver accepts before."),
        Field("confirmed_at", "time", "When a driver was found."),
        Field("arrived_at", "time", "When the driver was at the pickup."),
        Field("no_show_from", "time", "From when the driver may report that nobody came to the pickup."),
        Field("started_at", "time", "When the ride began."),
        Field("completed_at", "time", "When it ended at the dropoff."),
        Field("unfulfilled_at", "time", "When the search ended without a driver."),
        Field("no_show_at", "time", "When the driver reported that nobody came."),
        Field("cancelled_at", "time", "When it was cancelled."),
        Field("cancelled_by", "text", "By whom."),
        Field("cancellation_reason", "text", "In their words."),
        Field("attention_since", "time", "Since when the ride needs an operator's eye."),
    ),
    reads=("user", "driver", "booking"),
    key="trim(BOTH '\"' FROM to_json(s.requested_at)::text) || ' ' || s.id",
    personal=frozenset(
        {"ride_id", "passenger_phone", "driver", "pickup_address", "dropoff_address", "notes", "cancellation_reason"}
    ),
)
OPERATORS_ONLY = frozenset({"attention_since"})


class Reader(StrEnum):
    """Who looks at rides: a passenger at their own, an operator at all, a key at all but not at the people."""

    PASSENGER = "passenger"
    OPERATOR = "operator"
    KEY = "key"


def shown_to(reader: Reader) -> list[str]:
    """The names of the fields that a reader may see."""
    shown = BOOKINGS.shown(personal=reader != Reader.KEY)
    return [name for name in shown if reader == Reader.OPERATOR or name not in OPERATORS_ONLY]


def bookings_params(
    user_id: int | None, statuses: list[str], attention: bool | None, before: tuple[datetime, int] | None
) -> dict[str, Any]:
    """The parameters of the source that say whose rides and which, beginning before a ride; not where and when."""
    at, booking_id = before or (None, None)
    return {
        "user_id": user_id, "statuses": statuses or None, "attention": attention,
        "before_at": at, "before_id": booking_id, "only": None,
    }  # fmt: skip


# What may be asked for of rides in a query, and what by operators alone.
BOOKINGS_QUERY = ("status", "bbox", "near", "radius_m", "datetime", "cursor")
BOOKINGS_QUERY_OF_OPERATORS = ("attention",)


def bookings_found(query: dict[str, str], user_id: int | None) -> dict[str, Any]:
    """The parameters of the source for the rides of a query, one passenger's or (None) everybody's; `ParameterError`
    names what cannot be used."""
    found = bookings_params(
        user_id,
        params.choices(query, "status", Status.values),
        params.flag(query, "attention"),
        ride_of(query["cursor"]) if "cursor" in query else None,
    )
    return found | place_params(params.bbox(query), params.circle(query)) | time_params(params.interval(query))

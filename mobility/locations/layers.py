"""Drivers, and where one of them was, as layers."""

from datetime import datetime
from typing import Any

from geo import params
from geo.features import Field
from geo.params import Interval
from mobility.conf import knobs
from mobility.drivers.models import DriverStatus
from mobility.layers.layer import Layer, place_params, time_params
from mobility.locations.models import REACH_SLACK_M
from mobility.locations.queries import DriverFilter
from mobility.paging import id_of

DRIVERS = Layer(
    name="drivers",
    title="Drivers",
    about="Every driver and the newest position they told.",
    geometry="point",
    source="locations/sql/drivers_layer",
    tile_source="locations/sql/drivers_tile",
    fields=(
        Field("name", "text", "As passengers see it.", null=False),
        Field("phone", "word", "Masked.", null=False),
        Field("vehicle_registration", "text", "The number plate.", null=False),
        Field("vehicle_type", "word", "What they drive.", null=False),
        Field("rating", "number", "One to five.", null=False),
        Field("total_rides", "integer", "Rides they have completed.", null=False),
        Field("verified", "boolean", "Whether papers and vehicle were checked.", null=False),
        Field("stationary", "boolean", "Whether they stand still and need tell no positions.", null=False),
        Field("status", "word", "available, busy or offline.", null=False),
        Field("silent", "boolean", "On duty, but no position for the time that makes one too old.", null=False),
        Field("heading", "number", "Degrees clockwise from true north."),
        Field("speed", "number", "Metres per second."),
        Field("recorded_at", "time", "When the driver's device took the position."),
        Field("received_at", "time", "When the server had it."),
    ),
    made_ahead={
        "personal_card": ("name", "phone", "vehicle_registration"),
        "card": ("vehicle_type", "rating", "total_rides", "verified", "stationary"),
    },
    reads=("driver", "driver_location"),
    personal=frozenset({"name", "phone", "vehicle_registration"}),
    clock_s=10,  # silence comes with time alone
)

HISTORY = Layer(
    name="history",
    title="Where a driver was",
    about="The positions a driver told, by the clock of their device.",
    geometry="point",
    source="locations/sql/history_layer",
    fields=(
        Field("recorded_at", "time", "When the driver's device took the position."),
        Field("received_at", "time", "When the server had it."),
        Field("heading", "number", "Degrees clockwise from true north."),
        Field("speed", "number", "Metres per second."),
        Field("accuracy_m", "number", "Metres, as the device says."),
        Field("door", "word", "How it came in: socket, driver, fleet or tracker.", null=False),
        Field("jump", "boolean", "Whether nobody drives that fast; tracks leave it out.", null=False),
    ),
    reads=("position",),
    key="trim(BOTH '\"' FROM to_json(s.recorded_at)::text)",
    clock_s=3600,  # whole days of it are dropped
)


def drivers_params(wanted: DriverFilter, after: int | None) -> dict[str, Any]:
    """The parameters of the source for a filter's drivers, beginning after an id."""
    return (
        place_params(wanted.box, wanted.circle, margin_m=REACH_SLACK_M)
        | time_params(wanted.between)
        | {"after": after, "statuses": wanted.statuses or None, "stale_after_s": knobs().stale_after_s}
        | {"only": None, "placeless": False}
    )


# What may be asked for of drivers in a query.
DRIVERS_QUERY = ("bbox", "near", "radius_m", "status", "datetime", "cursor")


def drivers_found(query: dict[str, str]) -> dict[str, Any]:
    """The parameters of the source for the drivers of a query; `ParameterError` names what cannot be used."""
    wanted = DriverFilter(
        params.bbox(query),
        params.circle(query),
        params.choices(query, "status", DriverStatus.values),
        params.interval(query),
    )
    return drivers_params(wanted, id_of(query["cursor"]) if "cursor" in query else None)


def history_params(driver_id: int, between: Interval, after: datetime | None, **place: Any) -> dict[str, Any]:
    """The parameters of the source for a driver's positions, beginning after an instant."""
    return (
        place_params(**place)
        | time_params(between)
        | {"driver_id": driver_id, "after": after, "jump_km_h": knobs().jump_km_h}
    )

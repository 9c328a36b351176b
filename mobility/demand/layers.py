"""Demand as a layer."""

from datetime import datetime, timedelta
from typing import Any

from geo import params
from geo.coordinates import Bounds
from geo.features import Field
from geo.params import Interval
from mobility.demand.models import SIZES_M
from mobility.demand.queries import MIN_COUNT, cell_of, demand_version
from mobility.layers.layer import Layer, place_params

# The one size of hexagons for those who must not learn about single persons.
COARSE_SIZE_M = 1000

DEMAND = Layer(
    name="demand",
    title="Demand",
    about="Rides asked for, rides nobody took, and idle drivers, by hexagon and hour.",
    geometry="polygon",
    source="demand/sql/demand_layer",
    fields=(
        Field("cell", "integer", "The number of the hexagon among those of its size."),
        Field("hour", "time", "When the hour begins."),
        Field("requests", "integer", "Rides asked for; null where so few that they could be told apart."),
        Field("unfulfilled", "integer", "Those of them that nobody took; null like requests."),
        Field("idle_drivers", "integer", "Drivers who were there without a ride; null like requests, or unknown."),
    ),
    version=demand_version,
    key="trim(BOTH '\"' FROM to_json(s.hour)::text) || ' ' || s.id",
)


def demand_params(
    size_m: int,
    between: Interval | None,
    *,
    box: Bounds | None = None,
    after: tuple[datetime, int] | None = None,
    suppress: bool = False,
) -> dict[str, Any]:
    """The parameters of the source for the hours that a time is in or an interval touches, beginning after a cell.

    `suppress`: for readers who must not learn about single persons.
    """
    begin, end = between or (None, None)
    at, cell_id = after or (None, None)
    return place_params(box) | {
        "size_m": size_m,
        "begin": None if begin is None else begin.replace(minute=0, second=0, microsecond=0),
        "end": None if end is None else end + timedelta(microseconds=1),
        "after_hour": at,
        "after_id": cell_id,
        "suppress": suppress,
        "min_count": MIN_COUNT,
        "only": None,
    }


# What may be asked for of demand in a query.
DEMAND_QUERY = ("size_m", "datetime", "bbox", "cursor")


def demand_found(query: dict[str, str], between: Interval | None, *, suppress: bool) -> dict[str, Any]:
    """The parameters of the source for the hexagons of a query in these hours; `ParameterError` names what cannot be
    used. With `suppress` there is one size: two could be subtracted from each other."""
    return demand_params(
        params.number_of(query, "size_m", (COARSE_SIZE_M,) if suppress else SIZES_M, default=COARSE_SIZE_M),
        between,
        box=params.bbox(query),
        after=cell_of(query["cursor"]) if "cursor" in query else None,
        suppress=suppress,
    )

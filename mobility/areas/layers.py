"""Service areas as a layer."""

from typing import Any

from geo import params
from geo.coordinates import Bounds
from geo.features import Field
from geo.params import Circle
from mobility.layers.layer import Layer, place_params, time_params
from mobility.paging import id_of

AREAS = Layer(
    name="areas",
    title="Service areas",
    about="Where passengers are picked up.",
    geometry="polygon",
    source="areas/sql/areas_layer",
    fields=(
        Field("name", "text", "What the area is called."),
        Field("active", "boolean", "Whether passengers are picked up there."),
        Field("matching_radius_m", "number", "Metres within which drivers are asked; null: as everywhere."),
        Field("created_at", "time", "When it was made."),
        Field("updated_at", "time", "When it was last changed."),
    ),
    reads=("service_area",),
)


def areas_params(
    active: bool | None, after: int | None = None, box: Bounds | None = None, circle: Circle | None = None
) -> dict[str, Any]:
    """The parameters of the source: only active ones, only others, or (None) all, beginning after an id."""
    return place_params(box, circle) | time_params(None) | {"active": active, "after": after, "only": None}


# What may be asked for of areas in a query, and what by operators alone.
AREAS_QUERY = ("bbox", "near", "radius_m", "cursor")
AREAS_QUERY_OF_OPERATORS = ("active",)


def areas_found(query: dict[str, str], *, operator: bool) -> dict[str, Any]:
    """The parameters of the source for the areas of a query, for others than operators the active ones;
    `ParameterError` names what cannot be used."""
    return areas_params(
        params.flag(query, "active") if operator else True,
        id_of(query["cursor"]) if "cursor" in query else None,
        params.bbox(query),
        params.circle(query),
    )

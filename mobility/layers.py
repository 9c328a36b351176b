"""The layers of the map: what each is called and shows. Tiles, TileJSON and the page of layers go by this list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GeometryType = Literal["point", "line", "polygon"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: `/tiles/<name>/{z}/{x}/{y}.mvt`, described by `/tiles/<name>.json`; `fields` are its features'."""

    name: str
    title: str
    description: str
    geometry_type: GeometryType
    min_zoom: int
    max_zoom: int
    fields: Mapping[str, str]

    @property
    def tilejson_path(self) -> str:
        """Where its TileJSON is."""
        return f"/tiles/{self.name}.json"


_LAYERS = (
    Layer(
        "drivers", "Drivers", "Where drivers are now.", "point", 0, 16,
        {
            "id": "The driver's number.",
            "status": "available, busy or offline.",
            "vehicle_type": "What they drive.",
            "heading": "Degrees clockwise from true north.",
            "speed": "Metres per second.",
            "silent": "On duty, but no position for too long.",
            "recorded_at": "When the device measured the position.",
        },
    ),
    Layer(
        "bookings", "Rides", "Rides from pickup to dropoff.", "line", 0, 16,
        {
            "id": "The ride's number.",
            "status": "Where the ride stands.",
            "driver_id": "The driver's number, once there is one.",
            "requested_at": "When it was asked for.",
        },
    ),
    Layer(
        "areas", "Service areas", "Where rides may begin.", "polygon", 0, 16,
        {
            "id": "The area's number.",
            "name": "What it is called.",
            "active": "Whether it counts now.",
            "search_radius_m": "How far drivers are searched here, in metres.",
        },
    ),
    Layer(
        "demand", "Demand", "Requests and idle drivers by hexagon and hour.", "polygon", 0, 14,
        {
            "hour": "When the hour begins.",
            "requests": "Rides that were asked for.",
            "unfulfilled": "Of them, those for which nobody was found.",
            "idle_drivers": "Drivers who were free.",
        },
    ),
)  # fmt: skip


def layer_list() -> tuple[Layer, ...]:
    """Every layer, in the order in which people are shown them."""
    return _LAYERS

"""Every layer there is, with how it is read for a map. An index: what a layer holds stands with its subject."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geo.coordinates import Bounds
from mobility.areas.layers import AREAS, areas_params
from mobility.bookings.layers import BOOKINGS, OPERATORS_ONLY, bookings_params
from mobility.layers.layer import Layer, place_params, time_params
from mobility.locations.layers import DRIVERS, drivers_params
from mobility.locations.queries import DriverFilter


@dataclass(frozen=True)
class MapLayer:
    """A layer as tiles: between which zooms, for how long a browser may keep one, and the parameters of its source
    for the features in a box. Tiles never hold personal fields: browsers keep them."""

    layer: Layer
    in_box: Callable[[Bounds], dict[str, Any]]
    min_zoom: int
    max_zoom: int
    keep_s: int
    hidden: frozenset[str] = frozenset()

    @property
    def fields(self) -> list[str]:
        """The names of what its tiles tell."""
        return [name for name in self.layer.shown(personal=False) if name not in self.hidden]


def _drivers(box: Bounds) -> dict[str, Any]:
    return drivers_params(DriverFilter(box), None)


def _bookings(box: Bounds) -> dict[str, Any]:
    return bookings_params(None, [], None, None) | place_params(box) | time_params(None)


def _areas(box: Bounds) -> dict[str, Any]:
    return areas_params(None, box=box)


CATALOG: dict[str, MapLayer] = {
    found.layer.name: found
    for found in (
        MapLayer(DRIVERS, _drivers, min_zoom=0, max_zoom=16, keep_s=5),
        MapLayer(BOOKINGS, _bookings, min_zoom=4, max_zoom=16, keep_s=5, hidden=OPERATORS_ONLY),
        MapLayer(AREAS, _areas, min_zoom=0, max_zoom=16, keep_s=60),
    )
}

"""Every layer there is, with how it is read for a map. An index: what a layer holds stands with its subject."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from geo.coordinates import Bounds
from geo.params import Interval
from mobility.areas.layers import AREAS, areas_params
from mobility.bookings.layers import BOOKINGS, OPERATORS_ONLY, bookings_params
from mobility.demand.layers import COARSE_SIZE_M, DEMAND, demand_params
from mobility.layers.layer import Layer, place_params, time_params
from mobility.locations.layers import DRIVERS, drivers_params
from mobility.locations.queries import DriverFilter
from mobility.people.models import Scope


@dataclass(frozen=True)
class MapLayer:
    """A layer as tiles: which scope a key needs, between which zooms there are some, for how long a browser may keep
    one, and the parameters of its source for the features in a box, `coarse` for keys.

    Tiles never hold personal fields, whoever asks: browsers keep them.
    """

    layer: Layer
    scope: Scope
    in_box: Callable[[Bounds, bool], dict[str, Any]]
    min_zoom: int
    max_zoom: int
    keep_s: int
    hidden: frozenset[str] = frozenset()

    @property
    def fields(self) -> list[str]:
        """The names of what its tiles tell."""
        return [name for name in self.layer.shown(personal=False) if name not in self.hidden]

    @property
    def described(self) -> dict[str, str]:
        """The same with a sentence each."""
        return {field.name: field.about for field in self.layer.chosen(self.fields)}

    @property
    def tilejson_path(self) -> str:
        """Where its TileJSON is."""
        return reverse("tilejson", args=[self.layer.name])


def _drivers(box: Bounds, _coarse: bool) -> dict[str, Any]:
    return drivers_params(DriverFilter(box), None)


def _bookings(box: Bounds, _coarse: bool) -> dict[str, Any]:
    """Of the last day: years of them at once say nothing, and cost half a second a tile."""
    lately = Interval(_hour() - timedelta(days=1), None)
    return bookings_params(None, [], None, None) | place_params(box) | time_params(lately)


def _areas(box: Bounds, coarse: bool) -> dict[str, Any]:
    return areas_params(True if coarse else None, box=box)


def _demand(box: Bounds, coarse: bool) -> dict[str, Any]:
    """Of the last hour that is over."""
    hour = _hour() - timedelta(hours=1)
    return demand_params(COARSE_SIZE_M, Interval(hour, hour), box=box, suppress=coarse)


def _hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0)


# Nobody draws by these, and numbers and times that are all different make a tile large: the API tells them.
_NOT_DRAWN = frozenset({"rating", "total_rides", "received_at"})

CATALOG: dict[str, MapLayer] = {
    found.layer.name: found
    for found in (
        MapLayer(DRIVERS, Scope.DRIVERS, _drivers, min_zoom=0, max_zoom=16, keep_s=5, hidden=_NOT_DRAWN),
        MapLayer(BOOKINGS, Scope.BOOKINGS, _bookings, min_zoom=4, max_zoom=16, keep_s=5, hidden=OPERATORS_ONLY),
        MapLayer(AREAS, Scope.AREAS, _areas, min_zoom=0, max_zoom=16, keep_s=60),
        MapLayer(DEMAND, Scope.DEMAND, _demand, min_zoom=6, max_zoom=14, keep_s=60),
    )
}

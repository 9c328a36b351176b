"""The layers that are collections of OGC API, and how each is read. What they hold stands with their subjects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geo import params
from mobility.areas.layers import AREAS_QUERY, AREAS_QUERY_OF_OPERATORS, areas_found
from mobility.bookings.layers import (
    BOOKINGS_QUERY,
    BOOKINGS_QUERY_OF_OPERATORS,
    OPERATORS_ONLY,
    bookings_found,
)
from mobility.demand.layers import DEMAND_QUERY, demand_found
from mobility.layers.layer import Layer, time_params
from mobility.locations.layers import DRIVERS_QUERY, drivers_found
from mobility.people.models import Scope
from mobility.tiles.catalog import CATALOG


@dataclass(frozen=True)
class Collection:
    """A layer as a collection.

    `found` gives the parameters of the source for a query, for a key or for an operator. `names` are the parameters of
    such a query, `operators_names` and `operators_fields` what is there for operators alone. A feature is from `begins`
    to `ends`, SQL expressions of a row `s`; `when` says so in words. `note` is what one should know before reading.
    """

    id: str
    layer: Layer
    scope: Scope
    found: Callable[[dict[str, str], bool], dict[str, Any]]
    names: tuple[str, ...]
    begins: str
    ends: str
    when: str
    operators_names: tuple[str, ...] = ()
    operators_fields: frozenset[str] = frozenset()
    note: str = ""

    def asked(self, *, key: bool) -> tuple[str, ...]:
        """The names of the parameters that this reader may use."""
        return self.names if key else (*self.names, *self.operators_names)

    def shown(self, *, key: bool) -> list[str]:
        """The names of the fields that this reader may see."""
        return [n for n in self.layer.shown(personal=not key) if not key or n not in self.operators_fields]

    @property
    def about(self) -> str:
        """What it holds, in sentences."""
        return f"{self.layer.about} {self.note}".strip()


def _drivers(query: dict[str, str], _key: bool) -> dict[str, Any]:
    # The standard wants features without a place or a time in whatever box and time are asked for.
    return drivers_found(query) | {"placeless": True}


def _bookings(query: dict[str, str], _key: bool) -> dict[str, Any]:
    return bookings_found(query, None)


def _areas(query: dict[str, str], key: bool) -> dict[str, Any]:
    return areas_found(query, operator=not key) | time_params(params.interval(query))


def _demand(query: dict[str, str], key: bool) -> dict[str, Any]:
    return demand_found(query, params.interval(query), suppress=key)


def _of(name: str) -> dict[str, Any]:
    return {"layer": CATALOG[name].layer, "scope": CATALOG[name].scope}


COLLECTIONS: dict[str, Collection] = {
    found.id: found
    for found in (
        Collection(
            "drivers", **_of("drivers"), found=_drivers, names=DRIVERS_QUERY,
            begins="s.recorded_at", ends="s.recorded_at", when="When the newest position was taken",
            note="A driver who never told a position has no geometry, and is in every box and time.",
        ),
        Collection(
            "bookings", **_of("bookings"), found=_bookings, names=BOOKINGS_QUERY,
            operators_names=BOOKINGS_QUERY_OF_OPERATORS, operators_fields=OPERATORS_ONLY,
            begins="s.requested_at", ends="s.requested_at", when="When the ride was asked for",
            note="Newest first.",
        ),
        Collection(
            "service-areas", **_of("areas"), found=_areas, names=(*AREAS_QUERY, "datetime"),
            operators_names=AREAS_QUERY_OF_OPERATORS,
            begins="s.created_at", ends="NULL::timestamptz", when="When the area is there: from when it was made on",
            note="Operators see those that are not active, too.",
        ),
        Collection(
            # One size: an id is of one hexagon and hour among those of its size.
            "demand", **_of("demand"), found=_demand, names=tuple(n for n in DEMAND_QUERY if n != "size_m"),
            begins="s.hour", ends="s.hour + interval '1 hour'", when="Hours that a time is in or an interval touches",
            note="Hexagons with edges of 1000 m. A key sees hours that are over, counts below 10 as null, others to the"
            " nearest 5.",
        ),
    )
}  # fmt: skip

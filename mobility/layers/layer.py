"""What a layer is: a source (see geo/features.py), its fields, and who sees which of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from geo.coordinates import Bounds
from geo.expressions import envelope_texts
from geo.features import Field
from geo.geodesy import grown_box, surrounding_box
from geo.params import Circle, Interval

Geometry = Literal["point", "line", "polygon"]


@dataclass(frozen=True)
class Layer:
    """Something on a map.

    `source` names the SQL file with the source. `reads` are the tables whose changes make an answer old (see
    versions.py), or `version` says it; what depends on the clock as well is looked at anew every `clock_s`. `key` is
    the SQL expression of a row `s` as the text by which cursors name it. `personal` fields are for operators and the
    people themselves, never for keys. `made_ahead` names columns of the source that hold the text of some properties,
    `"a":1,"b":2`, and which. `tile_source` is read for tiles, where what a tile tells takes less than the whole source.
    """

    name: str
    title: str
    about: str
    geometry: Geometry
    source: str
    fields: tuple[Field, ...]
    reads: tuple[str, ...] = ()
    version: Callable[[], str] | None = None
    key: str = "s.id::text"
    personal: frozenset[str] = frozenset()
    clock_s: int | None = None
    made_ahead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tile_source: str | None = None

    def shown(self, *, personal: bool) -> list[str]:
        """The names of the fields that a reader may see."""
        return [f.name for f in self.fields if personal or f.name not in self.personal]

    def chosen(self, names: Sequence[str]) -> list[Field]:
        """These fields, in this order."""
        by_name = {f.name: f for f in self.fields}
        return [by_name[name] for name in names]

    def split(self, names: Sequence[str]) -> tuple[list[str], list[Field]]:
        """The columns with properties made ahead that fit into these, and the fields that are left, in order."""
        columns = [column for column, made in self.made_ahead.items() if set(made) <= set(names)]
        covered = {name for column in columns for name in self.made_ahead[column]}
        return columns, self.chosen([name for name in names if name not in covered])


def place_params(box: Bounds | None = None, circle: Circle | None = None, *, margin_m: float = 0.0) -> dict[str, Any]:
    """The parameters of a source that say where: `box_a` and `box_b` (the second only over the antimeridian), and
    `near_longitude`, `near_latitude`, `radius_m` with `near_a` and `near_b`, a box around the circle for the index."""
    params: dict[str, Any] = dict.fromkeys(
        ("box_a", "box_b", "wide_a", "wide_b", "near_longitude", "near_latitude", "radius_m", "near_a", "near_b")
    )
    if box is not None:
        params |= _parts("box", box) | _parts("wide", grown_box(box, margin_m) if margin_m else box)
    if circle is not None:
        params |= {
            "near_longitude": circle.centre.longitude,
            "near_latitude": circle.centre.latitude,
            "radius_m": circle.radius_m,
        } | _parts("near", surrounding_box(circle.centre, circle.radius_m + margin_m))
    return params


def _parts(name: str, box: Bounds) -> dict[str, Any]:
    return dict(zip((f"{name}_a", f"{name}_b"), [*envelope_texts(box), None], strict=False))


def time_params(between: Interval | None) -> dict[str, Any]:
    """The parameters of a source that say when: `begin` and `end`, both included, null where open."""
    begin, end = between or (None, None)
    return {"begin": begin, "end": end}

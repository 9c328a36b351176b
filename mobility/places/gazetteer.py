"""Our own table of places as a geocoder: needs nobody outside."""

from typing import Any

from django.db import OperationalError

from geo.coordinates import Bounds, LatLon, lat_lon
from geo.geocoding.geocoder import Place, TimedOut
from mobility.places.folding import folded
from mobility.transactions import rows

NAME = "gazetteer"
# What is farther from a position does not say where it is.
REVERSE_WITHIN_M = 250.0
QUERY_CANCELED = "57014"  # by statement_timeout: a word of a million places, each of which is compared
_NO_BOX = dict.fromkeys(Bounds._fields)


class Gazetteer:
    """The table `mobility_place`, as a `Geocoder`. What the database raises is raised."""

    name = NAME

    def __init__(self, *, attribution: str = "") -> None:
        self._attribution = attribution

    def forward(self, text: str, *, limit: int, near: LatLon | None = None, box: Bounds | None = None) -> list[Place]:
        """Places whose name or label holds something like this text, best first."""
        wanted = folded(text)
        if not wanted:
            return []
        here = {"latitude": near and near.latitude, "longitude": near and near.longitude}
        params = {"text": wanted, "limit": limit, **here, **(box._asdict() if box else _NO_BOX)}
        try:
            found = rows("places/sql/search", params)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
                raise
            raise TimedOut("too_many_alike") from None
        return [self._place(row) for row in found]

    def reverse(self, at: LatLon) -> Place | None:
        """The nearest place within 250 m, or None."""
        found = rows("places/sql/nearest", {**at._asdict(), "within_m": REVERSE_WITHIN_M})
        return self._place(found[0]) if found else None

    def _place(self, row: Any) -> Place:
        return Place(
            label=row.label, name=row.name, at=lat_lon(row.latitude, row.longitude), kind=row.kind,
            importance=row.importance, source=row.source, attribution=self._attribution,
        )  # fmt: skip

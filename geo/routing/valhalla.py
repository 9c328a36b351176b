"""Valhalla, by its matrix: https://valhalla.github.io/valhalla/api/matrix/api-reference/."""

from collections.abc import Sequence
from typing import Any

from geopy.distance import great_circle

from geo.coordinates import LatLon, lat_lon
from geo.routing.cache import Drive
from geo.routing.engine import OFF_ROAD_M, Answer, Engine, Question, drive, measure, table


class Valhalla(Engine):
    """`valhalla_service` with the costing `auto`, under `<url>/sources_to_targets`."""

    name = "valhalla"

    def _question(self, origins: Sequence[LatLon], destinations: Sequence[LatLon]) -> Question:
        return Question(
            "/sources_to_targets",
            {
                "sources": [_place(at) for at in origins],
                "targets": [_place(at) for at in destinations],
                "costing": "auto",
                "units": "kilometers",
            },
        )

    def _answer(
        self, document: Any, origins: Sequence[LatLon], destinations: Sequence[LatLon], wanted: Sequence[int]
    ) -> Answer:
        cells = table(document["sources_to_targets"], origins, destinations)
        return [
            _drive(cells[row][column], origin, destinations[column])
            for row, (origin, column) in enumerate(zip(origins, wanted, strict=True))
        ]


def _drive(cell: Any, origin: LatLon, destination: LatLon) -> Drive | None:
    km = cell["distance"]
    found = drive(None if km is None else 1_000 * measure(km, float("inf")), cell["time"])
    if found is None or _is_off_road(origin, cell, "begin") or _is_off_road(destination, cell, "end"):
        return None
    return found


def _place(at: LatLon) -> dict[str, float]:
    return {"lat": round(at.latitude, 6), "lon": round(at.longitude, 6)}


def _is_off_road(place: LatLon, cell: Any, end: str) -> bool:
    """Whether the drive begins (or ends) far from the place: Valhalla goes on from a road up to 35 km away.

    Only newer versions tell where it begins; from others the drive is taken as it is.
    """
    if f"{end}_lat" not in cell:
        return False
    return bool(great_circle(place, lat_lon(cell[f"{end}_lat"], cell[f"{end}_lon"])).meters > OFF_ROAD_M)

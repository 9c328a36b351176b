"""OSRM, by its table service: https://project-osrm.org/docs/v5.24.0/api/#table-service."""

from collections.abc import Sequence
from typing import Any

from geo.coordinates import LatLon
from geo.routing.engine import OFF_ROAD_M, Answer, Engine, Question, drive, measure, table


class Osrm(Engine):
    """`osrm-routed` with the car profile, under `<url>/table/v1/driving/`."""

    name = "osrm"
    # 64 drives cost OSRM less than 8 requests cost us.
    pairs_at_once = 8

    def _question(self, origins: Sequence[LatLon], destinations: Sequence[LatLon]) -> Question:
        places = ";".join(f"{at.longitude:.6f},{at.latitude:.6f}" for at in (*origins, *destinations))
        numbers = [str(n) for n in range(len(origins) + len(destinations))]
        sources, goals = ";".join(numbers[: len(origins)]), ";".join(numbers[len(origins) :])
        return Question(
            f"/table/v1/driving/{places}?sources={sources}&destinations={goals}"
            "&annotations=duration,distance&generate_hints=false"
        )

    def _answer(
        self, document: Any, origins: Sequence[LatLon], destinations: Sequence[LatLon], wanted: Sequence[int]
    ) -> Answer:
        if document["code"] != "Ok":
            raise ValueError("not Ok")
        distances, durations = (table(document[name], origins, destinations) for name in ("distances", "durations"))
        begins, ends = document["sources"], document["destinations"]
        return [
            None
            if _is_off_road(begins[row]) or _is_off_road(ends[column])
            else drive(distances[row][column], durations[row][column])
            for row, column in enumerate(wanted)
        ]


def _is_off_road(waypoint: Any) -> bool:
    """Whether OSRM had to go far for a road: it takes the nearest, on another continent if need be."""
    return measure(waypoint["distance"], float("inf")) > OFF_ROAD_M

"""Boxes as OGC API has them: four numbers, or six with heights, in CRS 84."""

import math
from collections.abc import Mapping

from geo.ogc.conformance import CRS84, CRS84H
from geo.params import ParameterError


def flat(query: Mapping[str, str]) -> dict[str, str]:
    """The query with a `bbox` of four numbers: heights are left out, because nothing here has one. `bbox-crs` is gone,
    which may only say what is so; `ParameterError` where it does not, or where heights are none."""
    known = {name: value for name, value in query.items() if name != "bbox-crs"}
    parts = query.get("bbox", "").split(",")
    systems = (CRS84, CRS84H) if len(parts) == 6 else (CRS84,)
    if query.get("bbox-crs", CRS84) not in systems:
        raise ParameterError("bbox-crs", f"must be {' or '.join(systems)}: there is no other here")
    if len(parts) == 6:
        west, south, low, east, north, high = parts
        _check_heights(low, high)
        known["bbox"] = ",".join((west, south, east, north))
    return known


def _check_heights(low: str, high: str) -> None:
    try:
        heights = float(low), float(high)
    except ValueError:
        raise ParameterError("bbox", "its third and sixth number must be heights") from None
    if not all(map(math.isfinite, heights)) or heights[0] > heights[1]:
        raise ParameterError("bbox", "its heights must be finite, the lower one first")

"""Fixtures for service areas."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.gis.geos import MultiPolygon, Polygon

from mobility.models import ServiceArea
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


@pytest.fixture
def make_area() -> Callable[..., ServiceArea]:
    """make_area(name, *boxes, **fields): an active area of these boxes (west, south, east, north), or of polygons."""

    def make(name: str, *parts: Any, **fields: Any) -> ServiceArea:
        polygons = [Polygon.from_bbox(p) if isinstance(p, tuple) else p for p in parts]
        return ServiceArea.objects.create(name=name, area=MultiPolygon(polygons, srid=4326), **fields)

    return make


@pytest.fixture
def operator(make_user: Callable[..., Any]) -> Any:
    """Somebody who sees everything."""
    return make_user(roles=["operator"])

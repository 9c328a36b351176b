"""How long drives take."""

import pytest

from geo.coordinates import lat_lon
from geo.geodesy import destination
from geo.routing.router import GreatCircle

HERE = lat_lon(-26.2, 28.05)


def test_a_great_circle_with_a_detour_at_one_speed():
    origins = [destination(HERE, bearing_deg=b, distance_m=m) for b, m in ((0, 10_000), (123, 500), (200, 0))]
    legs = GreatCircle(detour=1.3, speed_km_h=36).legs(origins, HERE)
    assert [leg.distance_m for leg in legs] == pytest.approx([13_000, 650, 0], rel=0.006, abs=0.01)
    assert [leg.duration_s for leg in legs] == pytest.approx([1_300, 65, 0], rel=0.006, abs=0.01)
    assert {leg.engine for leg in legs} == {"great_circle"}


def test_nothing_from_nowhere():
    assert GreatCircle(detour=1, speed_km_h=30).legs([], HERE) == []

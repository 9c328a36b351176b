"""The box around what is served, to which answers of geocoders lean."""

import pytest
from django.contrib.gis.geos import Polygon
from django.core.cache import cache

from mobility.areas.queries import served_bounds
from mobility.places.backend import bias

pytestmark = pytest.mark.django_db


def test_none_where_no_area_is_active(make_area):
    make_area("Closed", (0, 0, 1, 1), active=False)
    assert served_bounds() is None


@pytest.mark.parametrize(
    ("parts", "box"),
    [
        ([(28.0, -26.3, 28.2, -26.1)], (28.0, -26.3, 28.2, -26.1)),
        ([(28.0, -26.3, 28.2, -26.1), (18.3, -34.2, 18.7, -33.8)], (18.3, -34.2, 28.2, -26.1)),
        ([(-10.0, 50.0, 2.0, 60.0)], (-10.0, 50.0, 2.0, 60.0)),
        ([(179.0, -18.0, 180.0, -16.0), (-180.0, -18.0, -179.0, -16.0)], (179.0, -18.0, -179.0, -16.0)),
        ([(170.0, -40.0, 175.0, -35.0), (-176.8, -44.5, -176.0, -43.5)], (170.0, -44.5, -176.0, -35.0)),
        # Both narrow ways round lead over a part on both sides of the meridian of Greenwich: the whole width then.
        ([(-1.0, 50.0, 1.0, 51.0), (170.0, 0.0, 180.0, 1.0), (-180.0, 0.0, -170.0, 1.0)], (-180.0, 0.0, 180.0, 51.0)),
    ],
)  # fmt: skip
def test_the_narrower_box(make_area, parts, box):
    make_area("Parts", *parts)
    assert served_bounds() == pytest.approx(box)


def test_a_wide_polygon_is_not_turned_inside_out(make_area):
    make_area("Wide", Polygon(((-170, 0), (0.5, 0), (170, 0), (170, 10), (0.5, 10), (-170, 10), (-170, 0))))
    assert served_bounds() == (-170, 0, 170, 10)


def test_some_seconds_old_at_most_and_asked_once(make_area):
    assert served_bounds() is None
    make_area("Jozi", (28.0, -26.3, 28.2, -26.1))
    assert served_bounds() is None  # still what was told
    cache.clear()
    assert served_bounds() == (28.0, -26.3, 28.2, -26.1)


def test_it_is_told_without_the_cache_too(make_area, settings):
    make_area("Jozi", (28.0, -26.3, 28.2, -26.1))
    gone = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": gone}
    assert served_bounds() == (28.0, -26.3, 28.2, -26.1)


def test_geocoders_lean_to_it_unless_a_box_is_set(make_area, settings):
    make_area("Jozi", (28.0, -26.3, 28.2, -26.1))
    settings.GEOCODER_BOUNDS = ""
    assert bias() == (28.0, -26.3, 28.2, -26.1)
    settings.GEOCODER_BOUNDS = "1,2,3,4"
    assert bias() == (1, 2, 3, 4)

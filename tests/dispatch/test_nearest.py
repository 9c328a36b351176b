"""The candidates query: right everywhere on Earth, and on the index."""

import random

import pytest
from django.db import connection
from geopy.distance import geodesic

from geo.coordinates import LatLon, lat_lon
from geo.geodesy import destination
from mobility.dispatch.queries import nearest_available, search_params
from mobility.sql import sql
from mobility.transactions import rows

pytestmark = pytest.mark.django_db
JOHANNESBURG = lat_lon(-26.2041, 28.0473)


def test_nearest_comes_first_and_the_distance_is_on_the_spheroid(make_driver):
    far = make_driver(-26.2241, 28.0473)
    near = make_driver(-26.2051, 28.0473)
    found = nearest_available(JOHANNESBURG)
    assert [c.driver_id for c in found] == [near.pk, far.pk]
    assert found[0].distance_m == pytest.approx(geodesic(JOHANNESBURG, found[0].position).meters, abs=0.001)

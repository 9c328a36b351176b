"""Fixtures: a city whose rides are known."""

import pytest

from tests.analytics.city import City
from tests.rest import set_knobs

__all__ = ["set_knobs"]


@pytest.fixture
def city(committed_db, admin_url):
    made = City(admin_url)
    yield made
    made.close()

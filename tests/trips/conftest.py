"""Fixtures: those of tests/rest.py, and rides that were driven."""

import pytest

from tests.rest import api, empty_cache, quick_hashes, set_knobs
from tests.trips.staging import Stage

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


@pytest.fixture
def stage(committed_db, admin_url, make_user, make_driver, ride_request):
    made = Stage(admin_url, make_user, make_driver, ride_request)
    yield made
    made.close()

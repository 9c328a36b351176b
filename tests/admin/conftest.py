"""Fixtures of tests/rest.py, and an operator's browser."""

from collections.abc import Callable

import pytest
from django.test import Client

from mobility.models import User
from tests.rest import api, empty_cache, quick_hashes, set_knobs

__all__ = ["api", "empty_cache", "quick_hashes", "set_knobs"]


@pytest.fixture
def pages(make_user: Callable[..., User]) -> Client:
    """A client logged in as an operator who may do everything."""
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True, roles=["operator"]))
    return client

"""Fixtures: rides that were driven, secrets of surrogate keys, and logins of analysts that end with the test."""

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from mobility.analytics.logins import Logins
from mobility.analytics.services import keep_gis
from tests.analytics.city import City
from tests.analytics.people import signed_up
from tests.rest import set_knobs
from tests.trips.conftest import stage

__all__ = ["set_knobs", "stage"]


@pytest.fixture
def secrets(committed_db: None) -> None:
    """The secrets of the months that are kept: the database is emptied before each test that commits."""
    keep_gis()


@pytest.fixture
def logins(admin_url: str) -> Iterator[Logins]:
    """The logins of this database; those of the test are gone afterwards. Roles are the whole cluster's."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        of_database = Logins(admin)
        yield of_database
        for one in of_database.all():
            of_database.revoke(one.role)


@pytest.fixture
def name() -> str:
    """A name nobody else has: other tests run beside this one in the same cluster."""
    return f"t{os.getpid()}_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def analyst(logins: Logins, name: str, admin_url: str) -> Iterator[psycopg.Connection]:
    """A connection of a login that reads what tells of nobody."""
    with signed_up(logins, f"gis_{name}a", admin_url, operations=False) as connection:
        yield connection


@pytest.fixture
def operations(logins: Logins, name: str, admin_url: str) -> Iterator[psycopg.Connection]:
    """A connection of a login that also reads single rides."""
    with signed_up(logins, f"gis_{name}o", admin_url, operations=True) as connection:
        yield connection


@pytest.fixture
def city(committed_db, admin_url):
    made = City(admin_url)
    yield made
    made.close()

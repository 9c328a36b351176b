"""Fixtures for every test. The database is real, and the role is the application's."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from geo.coordinates import lat_lon, point
from mobility.bookings.services import RideRequest
from mobility.delivery import background
from mobility.invariants.queries import broken_invariants
from mobility.models import Driver, DriverLocation, User
from tests.emptying import empty, superuser
from tests.engines import mortal_osrm, osrm, valhalla  # noqa: F401 (fixtures)
from tests.environment import libpq, on_database
from tests.server import Server, serving, stop
from tests.warm import at_rest, usable

_numbers = itertools.count(1)
IN_TRANSACTION = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND xact_start IS NOT NULL)"
)


def pytest_configure() -> None:
    """What makes thousands of small tests fast."""
    # A test's client would read every static file's head when it is made: it looks for a file when asked for one.
    settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `first` comes first; everything else stays in its order."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """tests.environment made the database already."""


@pytest.fixture(scope="session")
def admin_url() -> str:
    """The superuser's URL for this process's database, for what a test must do from outside."""
    name = os.environ["DATABASE_URL"].rsplit("/", 1)[1]
    return libpq(on_database(os.environ["TEST_ADMIN_URL"], name))


_shared: list[Server] = []


@pytest.fixture(autouse=True)
def without_thread() -> Iterator[None]:
    """What `background.outside` is given runs at once, whatever a test before this one has started."""
    yield
    background._outside = None


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for entity tags, which else change by themselves every few seconds."""
    monkeypatch.setattr("mobility.layers.versions.time", SimpleNamespace(time=lambda: 1_000_000.0))


@contextmanager
def _at_rest(resting: list[Server], admin_url: str) -> Iterator[None]:
    for server in resting:
        _stand_still(server, admin_url)
    try:
        yield
    finally:
        for server in resting:
            server.process.send_signal(signal.SIGCONT)


def _stand_still(server: Server, admin_url: str) -> None:
    """Stop the process where it is in no transaction: else it would keep its locks, and the test would meet them."""
    admin = superuser(admin_url)
    for _ in range(500):
        stop(server.process.pid)
        time.sleep(0.002)  # what it has sent has arrived
        if admin.execute(IN_TRANSACTION).fetchone() == (False,):
            return
        server.process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the server is always in a transaction")


@contextmanager
def committing(blocker: Any, admin_url: str, resting: list[Server]) -> Iterator[None]:
    """Within this, what is done to the database is committed; then it is emptied. These servers stand still."""
    with blocker.unblock():
        try:
            with _at_rest(resting, admin_url):
                if resting:
                    empty(admin_url)  # of what their sweeps have written since the last test
                usable()
                yield
        finally:
            at_rest()
            empty(admin_url)


@pytest.fixture
def committed_db(request: pytest.FixtureRequest, django_db_blocker: Any, admin_url: str) -> Iterator[None]:
    """The database for tests that commit: from several connections, threads or processes. Emptied afterwards."""
    # The shared server sweeps the same database: it stands still while a test that does not use it commits.
    with committing(django_db_blocker, admin_url, _shared if "server" not in request.fixturenames else []):
        yield


@pytest.fixture(scope="module")
def module_db(django_db_blocker: Any, admin_url: str) -> Iterator[None]:
    """The database for a module whose tests share what was committed for all of them. Emptied after the module."""
    with committing(django_db_blocker, admin_url, _shared):
        yield


@pytest.fixture
def make_user() -> Callable[..., User]:
    """make_user(**fields): a user with a unique phone and the password `password123`."""

    def make(**fields: Any) -> User:
        n = next(_numbers)
        password = fields.pop("password", None)
        user = User(**{"username": f"user{n}", "phone": f"+2782{n:07d}", "first_name": f"First{n}"} | fields)
        # A cheap hash: hashing is not what these tests are about.
        user.set_password(password) if password else user.set_unusable_password()
        user.save()
        return user

    return make


@pytest.fixture
def make_driver(make_user: Callable[..., User]) -> Callable[..., Driver]:
    """make_driver(latitude, longitude, **fields): a verified, available driver with a position of this moment.

    Without a place (None, None) the driver has never told one.

    `recorded_at` and `received_at` may be given; other fields are the driver's.
    """

    def make(latitude: float | None, longitude: float | None, **fields: Any) -> Driver:
        n = next(_numbers)
        times = {name: fields.pop(name, Now()) for name in ("recorded_at", "received_at")}
        user = fields.pop("user", None) or make_user(username=f"driver{n}x", roles=["driver"])
        driver = Driver.objects.create(
            **{
                "user": user,
                "phone": user.phone,
                "license_number": f"L{n}",
                "vehicle_registration": f"CA {n} GP",
                "vehicle_type": "sedan",
                "status": "available",
                "verified": True,
                # Takes rides by themselves; a test about asking says auto_accept=False and lets them be `present`.
                "auto_accept": True,
            }
            | fields
        )
        if latitude is not None and longitude is not None:
            DriverLocation.objects.create(driver=driver, position=point(lat_lon(latitude, longitude)), **times)
        return driver

    return make


@pytest.fixture
def statements() -> Callable[[], Any]:
    """`with statements() as sent`: the texts of all statements of this test's connection, those past the ORM too."""

    @contextmanager
    def listening() -> Iterator[list[str]]:
        connection.ensure_connection()
        raw: Any = connection.connection
        wait, sent = raw.wait, []

        def heard(generator: Any, *args: Any, **kwargs: Any) -> Any:
            if generator.__name__ == "_execute_gen":
                query = generator.gi_frame.f_locals["query"]
                sent.append(query.decode() if isinstance(query, bytes) else str(query))
            return wait(generator, *args, **kwargs)

        raw.wait = heard
        try:
            yield sent
        finally:
            raw.wait = wait

    return listening


@pytest.fixture
def ride_request() -> Callable[..., RideRequest]:
    """ride_request(**fields): the protocol's own example, with fields changed."""

    def make(**fields: Any) -> RideRequest:
        example: dict[str, Any] = {
            "pickup": lat_lon(-26.2041, 28.0473),
            "dropoff": lat_lon(-26.1041, 28.1473),
            "pickup_address": "123 Main St, Johannesburg",
            "dropoff_address": "456 Oak St, Johannesburg",
            "distance_km": 12.5,
            "duration_minutes": 25.0,
            "fare_amount": Decimal("150.00"),
            "passenger_phone": "+27123456789",
        }
        return RideRequest(**example | fields)

    return make


@pytest.fixture(autouse=True)
def invariants_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that used the database, whatever it did: nothing is broken. Not where a wall was taken away."""
    checked = (
        (request.node.get_closest_marker("django_db") or "committed_db" in request.fixturenames)
        and not request.node.get_closest_marker("breaks_invariants")
        and "CARETEST_REMOVE_WALL" not in os.environ
    )
    if "committed_db" in request.fixturenames:
        request.getfixturevalue("committed_db")  # so that this one ends before the tables are emptied
    yield
    if checked and not connection.needs_rollback and not (connection.in_atomic_block and _nothing_was_written()):
        assert broken_invariants() == []


def _nothing_was_written() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL")
        return cursor.fetchone() == (True,)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One demo server process for the tests of this worker, on their database. Use it together with committed_db."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        _shared.append(running)
        yield running
        _shared.clear()

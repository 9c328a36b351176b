"""A connection is kept by who uses it often, and never from who waits for one."""

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from mobility import connections
from mobility.checks import pool_has_connections_for_all
from mobility.connections import give_back_idle, keeping
from mobility.locations.buffer import Buffer
from tests.locations.test_ingest import HERE
from tests.positions import fix
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet
from tests.server import EXAMPLE, serving


@pytest.fixture
def thread(committed_db):
    """Somebody else's thread, with a connection of its own."""
    with ThreadPoolExecutor(1) as one:
        yield lambda work: one.submit(work).result(10)
        one.submit(lambda: connection.close()).result(10)  # noqa: PLW0108 (of that thread)


@pytest.fixture
def waiting(monkeypatch):
    """Somebody waits for a connection: there is no pool in the tests' own process."""
    monkeypatch.setattr(connections, "_is_waited_for", lambda: True)


def _use():
    with keeping():
        return _asked()


def _asked():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def _has():
    return connection.connection is not None


def test_it_is_kept_from_one_use_to_the_next(thread):
    first = thread(_use)
    give_back_idle()
    assert thread(_has)
    assert thread(_use) == first


def test_one_that_somebody_waits_for_goes_back_after_its_use(thread, waiting):
    thread(_use)
    assert not thread(_has)


def test_an_idle_one_goes_back_when_somebody_waits(thread, monkeypatch):
    thread(_use)
    monkeypatch.setattr(connections, "_is_waited_for", lambda: True)
    give_back_idle()
    assert not thread(_has)


def test_one_that_was_kept_for_long_is_another_at_the_next_use(thread, monkeypatch):
    first = thread(_use)
    monkeypatch.setattr(connections, "KEEP_S", 0.0)
    assert thread(_use) != first


def test_that_of_a_writer_is_its_own_while_it_writes_and_nobody_elses_after(thread, waiting):
    pids = []

    def write(_fixes, named):
        pids.append(_asked())
        with ThreadPoolExecutor(1) as another:
            another.submit(give_back_idle).result(10)
        pids.append(_asked())
        return []

    thread(_use)  # known to who gives back
    buffer = Buffer(write, lambda _: set())
    stored = buffer.put([fix(1, HERE)])
    buffer.end()
    thread(buffer.run)
    assert stored.result(10) is None
    assert pids[0] == pids[1]
    assert not thread(_has)


def test_one_in_use_is_taken_from_nobody(thread, waiting):
    begun, looked = threading.Event(), threading.Event()

    def work():
        with keeping():
            first = _asked()
            begun.set()
            assert looked.wait(10)
            return first, _asked()

    with ThreadPoolExecutor(1) as one:
        working = one.submit(thread, work)
        assert begun.wait(10)
        give_back_idle()
        looked.set()
        first, second = working.result(10)
    assert first == second


def test_one_in_a_transaction_stays(db, waiting):
    with keeping():
        first = _asked()
    assert _asked() == first


async def test_threads_without_work_keep_no_request_waiting(tmp_path, committed_db):
    """Four threads have served sockets at the start, and two have looked at the database's clock."""
    with serving(tmp_path, DB_POOL_MIN="1", DB_POOL_MAX="2") as small:
        await _is_ready(small, 10)
        assert "warm_up_failed" not in small.output
        assert "mobility.W003" in small.output


async def test_who_wrote_positions_keeps_no_request_waiting(tmp_path, committed_db, make_driver):
    """Nothing else comes that would have the one connection given back."""
    driver = await in_thread(make_driver, -26.2041, 28.0473)
    with serving(tmp_path, DB_POOL_MIN="1", DB_POOL_MAX="1") as small:
        async with Fleet(make_driver).socket(small, driver) as app:
            for n in range(5):
                here = {
                    "type": "location_update",
                    "latitude": -26.2041,
                    "longitude": 28.0473,
                    "command_id": f"here-{n}",
                }
                assert (await app.ask(here))["type"] == "command_done"
                await _is_ready(small, 1)


async def test_busy_threads_keep_no_request_waiting(tmp_path, committed_db, make_driver):
    """As many threads as connections, with more to do than they can."""
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    with serving(tmp_path, DB_POOL_MIN="1", DB_POOL_MAX="2", CARECONNECT_SOCKET_DB_WORKERS="2") as small:
        over = asyncio.Event()

        async def one(n):
            async with small.ride(f"busy-{n}") as client:
                while not over.is_set():
                    await client.send(EXAMPLE)
                    await client.receive(30)

        busy = [asyncio.ensure_future(one(n)) for n in range(6)]
        try:
            await asyncio.sleep(1)
            await _is_ready(small, 5)
        finally:
            over.set()
            await asyncio.gather(*busy)


async def _is_ready(server, times):
    async with httpx.AsyncClient() as http:
        for _ in range(times):
            answer = await http.get(f"{server.http}/readyz", timeout=30)
            assert (answer.status_code, answer.text) == (200, answer.text)


@pytest.mark.parametrize(("most", "workers", "warned"), [(16, 4, False), (10, 4, False), (9, 4, True), (10, 5, True)])
def test_a_pool_that_is_too_small_is_warned_about(settings, most, workers, warned):
    settings.DB_POOL_MAX = most
    settings.MOBILITY = dataclasses.replace(settings.MOBILITY, socket_db_workers=workers)
    messages = pool_has_connections_for_all()
    assert [message.id for message in messages] == (["mobility.W003"] if warned else [])
    assert not warned or f"DB_POOL_MAX={most}" in messages[0].msg

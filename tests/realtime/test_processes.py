"""Several processes on one database: two servers and a dispatcher of its own, over a real Redis."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mobility.models import Booking, Driver, Offer
from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about
from tests.realtime.test_faults import redis_url  # noqa: F401 (a fixture)
from tests.server import EXAMPLE, ROOT, serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


@contextlib.contextmanager
def dispatching(tmp_path, redis: str, **environment: str):
    """A `manage.py dispatcher` that has begun; ended with the block, by SIGTERM, and well."""
    output = tmp_path / f"dispatcher-{time.monotonic_ns()}.log"
    env = os.environ | {"REDIS_URL": redis, "PYTHONUNBUFFERED": "1"} | environment
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "dispatcher"], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 30
        while "dispatching" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert "ended" in output.read_text()
    finally:
        process.kill()
        process.wait()


async def whole_ride(passenger, app, driver) -> None:
    """From the request to the dropoff; each side hears what the other did."""
    await passenger.send(EXAMPLE)
    request = await app.until("ride_request")
    await app.send(about(request, "accept_ride"))
    assert (await passenger.until("driver_assigned"))["driver"]["id"] == driver.pk
    await app.until("ride_assigned")
    for command in ("driver_arrived", "start_ride", "complete_ride"):
        await app.ask(about(request, command))
    for told in ("driver_arrived", "ride_started", "ride_completed"):
        assert (await passenger.receive())["type"] == told


async def test_a_ride_between_a_passenger_and_a_driver_on_different_servers(redis_url, tmp_path, fleet):  # noqa: F811
    driver = await fleet.driver()
    slow = {"REDIS_URL": redis_url, "CARECONNECT_CATCH_UP_S": "3600"}  # what arrives came as a hint
    with serving(tmp_path, **slow) as one, serving(tmp_path, **slow) as two:
        async with one.ride("far") as passenger, fleet.socket(two, driver) as app:
            await whole_ride(passenger, app, driver)
            # A connection to the other server takes this one's place.
            async with fleet.socket(one, driver) as new:
                assert await app.close_code() == 4409
                await new.quiet()
    assert (await in_thread(Driver.objects.get)).total_rides == 1


def worker_of(server, client) -> int:
    """The process id of the uvicorn worker that holds this client's socket."""
    theirs, ours = (name[1] for name in (client.connection.local_address, client.connection.remote_address))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = (f":{ours:04X}", f":{theirs:04X}")
    inode = next(row[9] for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1]))
    supervisor = server.process.pid
    for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        if any(str(held.readlink()) == f"socket:[{inode}]" for held in Path(f"/proc/{pid}/fd").iterdir()):
            return int(pid)
    raise AssertionError("no worker holds this socket")


async def test_a_ride_between_two_workers_of_one_server(redis_url, tmp_path, fleet):  # noqa: F811
    driver = await fleet.driver()
    # The passenger hears of the driver's moves by hints alone: nothing else looks, and nobody asks.
    with serving(tmp_path, WEB_CONCURRENCY="2", REDIS_URL=redis_url, CARECONNECT_CATCH_UP_S="3600") as server:
        async with asyncio.timeout(30):
            while server.output.count('"event": "serving"') < 2:  # noqa: ASYNC110 (another process's output)
                await asyncio.sleep(0.1)
        async with contextlib.AsyncExitStack() as sockets:
            app = await sockets.enter_async_context(fleet.socket(server, driver))
            there = here = worker_of(server, app)
            for n in range(100):  # the kernel chooses who accepts a connection
                passenger = await sockets.enter_async_context(server.ride(f"workers-{n}"))
                if (here := worker_of(server, passenger)) != there:
                    break
            assert here != there
            await whole_ride(passenger, app, driver)
    assert (await in_thread(Booking.objects.get)).status == "completed"


async def test_dispatchers_of_their_own_sweep_for_a_server_that_does_not(redis_url, tmp_path, fleet):  # noqa: F811
    driver = await fleet.driver()
    quick = {"CARECONNECT_OFFER_TTL_S": "0.5", "CARECONNECT_SEARCH_TIMEOUT_S": "3"}
    silent = quick | {"REDIS_URL": redis_url, "CARECONNECT_DISPATCHER": "no", "CARECONNECT_CATCH_UP_S": "3600"}
    with serving(tmp_path, **silent) as server:
        async with fleet.socket(server, driver) as app, server.ride() as passenger:
            await passenger.send(EXAMPLE)
            await app.until("ride_request")
            await passenger.until("searching")
            with dispatching(tmp_path, redis_url, **quick), dispatching(tmp_path, redis_url, **quick):
                assert (await app.until("ride_request_closed"))["reason"] == "expired"
                await passenger.until("no_drivers")
    assert (await in_thread(Offer.objects.get)).status == "expired"
    assert (await in_thread(Booking.objects.get)).seq == 2

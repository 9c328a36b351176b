"""The faults of this stack that were met before, one by one, so that they stay away."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import httpx
import psycopg
import pytest
import websockets

from mobility.bookings.models import Booking
from mobility.bookings.services import SYSTEM, Actor
from mobility.bookings.states import ActorRole
from mobility.delivery import groups
from mobility.dispatch.driving import arrive_at_pickup
from mobility.dispatch.services import cancel_ride
from tests.realtime.sync import in_thread
from tests.server import EXAMPLE, free_port, serving, stop

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    """A Redis of the tests' own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: bin/setup --test installs it")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


@pytest.fixture(params=["in-memory", "redis"])
def layered(request, tmp_path):
    """A server on each channel layer."""
    changes = {"REDIS_URL": request.getfixturevalue("redis_url")} if request.param == "redis" else {}
    with serving(tmp_path, **changes) as running:
        running.redis_url = changes.get("REDIS_URL")
        yield running


@pytest.mark.slow
async def test_f1_an_idle_socket_lives_for_a_minute_and_then_hears(layered, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    async with layered.ride("idle") as idle, layered.ride("idle") as speaker:
        await asyncio.sleep(60)  # the minute is what this is about
        await speaker.send(EXAMPLE)
        assert (await idle.until("driver_assigned"))["seq"] == 2


async def test_f2_what_the_layer_loses_is_read_from_the_log(layered, make_driver):
    """A stopped process is hinted at a thousand times; its client then hears of both moves, in order, once."""
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    async with layered.ride("stalled") as client:
        await client.send(EXAMPLE)
        booking_id = (await client.until("driver_assigned"))["booking_id"]
        stop(layered.process.pid)
        try:
            # Made by another process, without a hint: as if the layer had lost all of them.
            await in_thread(arrive_at_pickup, booking_id, SYSTEM)
            await in_thread(cancel_ride, booking_id, Actor(None, ActorRole.OPERATOR), "test")
            if layered.redis_url:
                await _hint_1000_times(layered.redis_url, booking_id)
        finally:
            os.kill(layered.process.pid, signal.SIGCONT)
        # Over Redis one hint that came through is enough; without it the server compares by itself every few seconds.
        assert [(await client.receive())["seq"] for _ in range(2)] == [3, 4]
        await client.quiet()


async def _hint_1000_times(redis_url: str, booking_id: int) -> None:
    from channels_redis.pubsub import RedisPubSubChannelLayer

    layer = RedisPubSubChannelLayer(hosts=[redis_url])
    group = groups.audience(None, "stalled")
    for n in range(1000):
        message = {"type": "ride.moved", "ride_id": "stalled", "booking_id": booking_id, "seq": 3 + n % 2}
        await layer.group_send(group, {"type": "hub.hint", "from": "elsewhere", "group": group, "message": message})
    await layer.flush()


async def test_f2_a_move_made_elsewhere_reaches_the_socket_over_redis(redis_url, tmp_path, make_driver):
    """Two server processes; the move is made in one, the socket is on the other."""
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    with serving(tmp_path, REDIS_URL=redis_url) as one, serving(tmp_path, REDIS_URL=redis_url) as two:
        async with one.ride("far") as here, two.ride("far") as there:
            await here.send(EXAMPLE)
            assert (await here.until("driver_assigned"))["seq"] == 2
            assert [(await there.receive())["seq"] for _ in range(2)] == [1, 2]
            await there.send({"type": "cancel_ride"})
            assert (await here.until("ride_cancelled"))["seq"] == 3
            await here.quiet()


async def test_f3_a_slow_query_of_one_socket_holds_up_no_other(server, make_driver, make_user, admin_url):
    """More sockets wait in the database than there are workers; pings are answered while they wait."""
    driver = await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    async with server.ride("neighbour") as neighbour:
        await neighbour.quiet()  # it has been told whether there is a ride, which is read from the table
        with psycopg.connect(admin_url) as blocker:
            blocker.execute("LOCK TABLE mobility_booking IN ACCESS EXCLUSIVE MODE")
            sockets = [await websockets.connect(f"{server.ws}/ws/ride/slow-{n}/") for n in range(12)]
            began = time.monotonic()
            for _ in range(10):
                await neighbour.quiet()
            # Not a measurement: each of the ten would have waited for the lock's 2 s.
            assert time.monotonic() - began < 1.5
            for socket in sockets:
                assert json.loads(await socket.recv())["type"] == "connection_established"
            waiting = blocker.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'careconnect_app'"
                " AND datname = current_database()"
            ).fetchone()
            assert waiting is not None
            assert waiting[0] >= 1
            blocker.rollback()
        for socket in sockets:
            await socket.close()
    assert driver.pk


async def test_f4_a_query_held_by_a_lock_ends_with_an_error_and_the_socket_lives(server, make_driver, admin_url):
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    async with server.ride("held") as client:
        await client.quiet()
        with psycopg.connect(admin_url) as blocker:
            blocker.execute("LOCK TABLE mobility_booking IN ACCESS EXCLUSIVE MODE")
            await client.send(EXAMPLE)
            await client.send({"type": "ping"})
            told = await client.receive(10)
            assert (told["type"], told["code"]) == ("error", "try_again")
            assert (await client.receive())["type"] == "pong"
            blocker.rollback()
        await client.send(EXAMPLE)
        await client.until("driver_assigned")


async def test_f5_an_exception_in_a_handler_is_an_error_and_the_socket_lives(monkeypatch):
    """In process, with the real consumer: what a command does on its thread fails."""
    from asgiref.testing import ApplicationCommunicator

    from mobility.realtime import passenger
    from mobility.routing import websocket

    for step in ("_find_driver_now", "_cancel_now"):
        monkeypatch.setattr(passenger.PassengerSocket, step, _broken)
    scope = {
        "type": "websocket", "path": "/ws/ride/f5/", "headers": [], "query_string": b"", "subprotocols": [],
        "client": ["127.0.0.1", 1],
    }  # fmt: skip
    client = ApplicationCommunicator(websocket, scope)

    async def told() -> dict:
        return json.loads((await client.receive_output(10))["text"])

    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(10))["type"] == "websocket.accept"
    assert (await told())["type"] == "connection_established"
    for frame in (EXAMPLE, {"type": "cancel_ride"}):
        await client.send_input({"type": "websocket.receive", "text": json.dumps(frame)})
        answer = await told()
        assert (answer["type"], answer["code"]) == ("error", "internal_error")
        assert "secret" not in json.dumps(answer)
    await client.send_input({"type": "websocket.receive", "text": '{"type": "ping"}'})
    assert (await told())["type"] == "pong"
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    await client.wait(10)


def _broken(*_):
    raise RuntimeError("a secret of ours")


async def test_f6_many_sockets_leave_http_alone(server):
    sockets = await asyncio.gather(*(websockets.connect(f"{server.ws}/ws/ride/s{n}/") for n in range(200)))
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{server.http}/healthz")).status_code == 200
        assert (await http.get(f"{server.http}/readyz")).status_code == 200
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_the_pool_bounds_the_connections_of_many_sockets(tmp_path, make_driver, admin_url):
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    with serving(tmp_path, DB_POOL_MIN="2", DB_POOL_MAX="4", CARECONNECT_SOCKET_DB_WORKERS="3") as small:

        async def one(n):
            async with small.ride(f"many-{n}") as client:
                await client.send(EXAMPLE)
                told = await client.receive(30)
                assert told["type"] == "searching", told

        peak = 0
        with psycopg.connect(admin_url, autocommit=True) as watcher:
            asking = [asyncio.ensure_future(one(n)) for n in range(100)]
            async with httpx.AsyncClient() as http:
                while not all(a.done() for a in asking):
                    assert (await http.get(f"{small.http}/readyz", timeout=30)).status_code == 200
                    row = watcher.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'careconnect_app' AND"
                        " application_name = 'careconnect' AND datname = current_database() AND pid <> ALL(%s)",
                        [[]],
                    ).fetchone()
                    peak = max(peak, row[0])
            await asyncio.gather(*asking)
        # The other server of this worker keeps up to its own pool; this one adds at most four.
        assert peak <= 4 + await _connections_of_others(admin_url)


async def _connections_of_others(admin_url) -> int:
    """Connections that stay when the small server is idle: the tests' own and the shared server's pool."""
    with psycopg.connect(admin_url, autocommit=True) as watcher:
        row = watcher.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'careconnect_app' AND datname = current_database()"
        ).fetchone()
    return row[0]


async def test_sigterm_says_1012_and_ends(tmp_path):
    with serving(tmp_path) as running:
        async with running.ride("last") as client:
            running.process.terminate()
            assert await client.close_code(15) == 1012
        running.process.wait(15)
        assert running.process.returncode in {0, -signal.SIGTERM}


async def test_a_client_that_vanishes_leaves_its_ride_behind_unharmed(server, make_driver):
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    for n in range(20):
        async with server.ride(f"gone-{n % 2}") as client:
            await client.send(EXAMPLE)
            client.connection.transport.abort()
    assert await in_thread(Booking.objects.count) <= 2


async def test_without_the_layer_rides_go_on(redis_url, tmp_path, make_driver):
    """Redis is gone from the start: the ride is made and answered all the same."""
    await in_thread(make_driver, -26.2041, 28.0473, stationary=True)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with serving(tmp_path, REDIS_URL=nowhere) as running:
        async with running.ride("alone") as client:
            await client.send(EXAMPLE)
            assert (await client.until("driver_assigned"))["seq"] == 2
            assert (await client.ask({"type": "cancel_ride"}))["type"] == "ride_cancelled"
        assert "layer_unreachable" in running.output


def test_several_workers_without_redis_are_not_served():
    env = os.environ | {"WEB_CONCURRENCY": "2", "DB_POOL": "yes"}
    ended = subprocess.run(
        [sys.executable, "-c", "import config.asgi"], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "REDIS_URL" in ended.stderr

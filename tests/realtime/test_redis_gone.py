"""Redis is killed and comes back empty: rides go on, and everybody has the truth one ping later."""

import contextlib
import shutil
import signal
import subprocess
import time
from typing import Any

import httpx
import pytest
from knox.models import AuthToken

from tests.realtime.sync import in_thread
from tests.realtime.test_driver import Fleet, about
from tests.server import EXAMPLE, free_port, serving, stop

pytestmark = pytest.mark.usefixtures("committed_db")


class Redis:
    """A Redis that may be killed and started again, empty, at the same address."""

    def __init__(self, folder) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while b"PONG" not in self._ping():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _ping(self) -> bytes:
        import socket

        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)
        return b""

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        stop(self._process.pid)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def redis(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: bin/setup --test installs it")
    made = Redis(tmp_path)
    yield made
    made.thaw()
    made.kill()


@pytest.fixture
def two(redis, tmp_path):
    """Two servers that hear of each other over Redis only: neither compares by itself."""
    env = {"REDIS_URL": redis.url, "CARECONNECT_CATCH_UP_S": "3600", "CARECONNECT_CREDENTIAL_RECHECK_S": "3600"}
    with serving(tmp_path, **env) as one, serving(tmp_path, **env) as other:
        yield one, other


@pytest.fixture
def fleet(make_driver):
    return Fleet(make_driver)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_ping_brings_the_truth_while_redis_is_away_and_hints_work_again_when_it_is_back(redis, two, fleet, how):
    one, other = two
    driver = await fleet.driver()
    async with one.ride("r") as passenger, fleet.socket(other, driver) as app:
        await passenger.send(EXAMPLE)
        request = await app.until("ride_request")
        await app.send(about(request, "accept_ride"))
        assert (await passenger.until("driver_assigned"))["seq"] == 2
        await app.until("ride_assigned")

        redis.kill() if how == "killed" else redis.freeze()
        assert (await app.ask(about(request, "driver_arrived")))["seq"] == 3  # the ride goes on
        await passenger.send({"type": "ping", "seq": 2})
        assert (await passenger.until("driver_arrived"))["seq"] == 3

        redis.start() if how == "killed" else redis.thaw()
        # Made now, heard by a hint: nobody asks and nobody compares.
        await _hints_arrive_again(passenger, app, request)


async def _hints_arrive_again(passenger, app, request) -> None:
    """The driver starts the ride; the passenger hears of it or, where that hint was still lost, of the end of it."""
    deadline = time.monotonic() + 15
    assert (await app.ask(about(request, "start_ride")))["type"] == "ride_started"
    with contextlib.suppress(TimeoutError):
        assert (await passenger.receive(5))["type"] == "ride_started"
    assert (await app.ask(about(request, "complete_ride")))["type"] == "ride_completed"
    await passenger.until("ride_completed", deadline - time.monotonic())


async def _log_out(server, user, token: str) -> None:
    async with httpx.AsyncClient(base_url=server.http) as http:
        told = await http.post("/api/v1/auth/logout/", headers={"Authorization": f"Token {token}"})
    assert told.status_code == 204


def _by_an_operator(page: str, **form: str) -> Any:
    """Something that an operator does with a person's account in the admin of a server."""

    async def do(server, user, token: str) -> None:
        login, page_of = "/admin/login/", page.format(pk=user.pk)
        async with httpx.AsyncClient(base_url=server.http, headers={"Referer": server.http}) as http:
            for path, sent in (
                (login, {"username": "boss", "password": "password123"}),
                (page_of, {name: value.format(pk=user.pk) for name, value in form.items()}),
            ):
                await http.get(path)
                told = await http.post(path, data=sent | {"csrfmiddlewaretoken": http.cookies["csrftoken"]})
                assert told.status_code == 302, told.text  # else the form is shown again

    return do


ENDS = {
    "logout": _log_out,
    "suspension": _by_an_operator("/admin/mobility/user/", action="suspend", _selected_action="{pk}"),
    "a new password": _by_an_operator(
        "/admin/mobility/user/{pk}/password/", password1="correct horse", password2="correct horse",
        usable_password="true",
    ),
}  # fmt: skip


async def test_what_ends_a_login_closes_its_sockets_on_every_server(two, make_user):
    """By the hint: the servers' own look at credentials comes much later here."""
    await in_thread(lambda: make_user(username="boss", password="password123", is_staff=True, is_superuser=True))
    one, other = two
    for how, end in ENDS.items():  # in one test, because two servers and a Redis are long to start
        user = await in_thread(lambda: make_user(password="password123"))
        token = (await in_thread(AuthToken.objects.create, user))[1]
        options = {"additional_headers": {"Authorization": f"Token {token}"}}
        async with one.ride("a", **options) as here, other.ride("b", **options) as there:
            await end(one, user, token)
            began = time.monotonic()
            for client in (here, there):
                assert await client.close_code(5) == 4401, how
            assert time.monotonic() - began < 2, how

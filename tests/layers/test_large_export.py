"""Exports that are larger than what a socket holds: bounded in number, and cut off where they cannot end well."""

import http.client
import json
import socket
import struct
import time

import psycopg
import pytest
from django.db import connection

from tests.layers.exports import get, load_fleet
from tests.server import serving

__all__ = ["get"]
FLEET = 60_000


@pytest.fixture(scope="module")
def exporting(module_db, admin_url, tmp_path_factory):
    """A server of this module with a large fleet, which its tests leave as it is."""
    load_fleet(admin_url, FLEET)
    with serving(tmp_path_factory.mktemp("exporting")) as running:
        yield running


def test_two_at_once_and_a_third_waits_its_turn(exporting, get):
    first, second = (_admitted(lambda: get(exporting, "drivers/?export=1")) for _ in range(2))
    begun = first.read(1000), second.read(1000)
    third = get(exporting, "drivers/?export=1")
    assert (third.status, json.loads(third.read())["code"]) == (503, "server_full")
    assert int(third.headers["Retry-After"]) > 0
    for part, rest in zip(begun, (first, second), strict=True):
        assert json.loads(part + rest.read())["numberReturned"] == FLEET
    _until(lambda: get(exporting, "drivers/?export=1&bbox=0,0,1,1").status == 200)


def _until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_goes_away_gives_the_place_back(exporting, get):
    for _ in range(3):
        for _ in range(2):
            reading = _admitted(lambda: get(exporting, "drivers/?export=1"))
            reading.read(1000)
            reading.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reading.close()
            reading.connection.close()
    _admitted(lambda: get(exporting, "drivers/?export=1&bbox=0,0,1,1"))
    with connection.cursor() as cursor:
        _until(lambda: not _open_cursors(cursor))


def _admitted(ask):
    """The answer, once there is a place."""
    answers = []
    _until(lambda: answers.append(ask()) or answers[-1].status == 200)
    return answers[-1]


def _open_cursors(cursor):
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'FETCH%%'"
        " AND state <> 'idle'"
    )
    return cursor.fetchone()[0]


@pytest.mark.usefixtures("exporting")
def test_who_does_not_read_keeps_nobody_else_away_for_ever(tmp_path, get):
    with serving(tmp_path, CARECONNECT_EXPORT_TIMEOUT_S="1") as server:
        stuck = [get(server, "drivers/?export=1") for _ in range(2)]
        assert get(server, "drivers/?export=1&bbox=0,0,1,1").status == 503
        _until(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1").status == 200)
        for reading in stuck:
            with pytest.raises(http.client.IncompleteRead):
                reading.read()
        assert server.output.count("export_cut_off") == 2


@pytest.mark.usefixtures("exporting")
def test_each_holds_one_connection(tmp_path, get):
    """The one it reads with. What is left of three serves everybody else."""
    with serving(tmp_path, DB_POOL_MIN="1", DB_POOL_MAX="3") as server:
        stuck = [get(server, "drivers/?export=1") for _ in range(2)]
        assert [reading.read(1000).startswith(b'{"type":"FeatureCollection"') for reading in stuck] == [True, True]
        for _ in range(3):
            assert server.get("/readyz")[0] == 200


def test_a_database_that_dies_under_it_cuts_it_off(exporting, get, admin_url):
    cut_off = exporting.output.count("export_cut_off")
    _die_under_an_export(exporting, get, admin_url)
    _until(lambda: get(exporting, "drivers/?export=1&bbox=0,0,1,1").status == 200)
    assert exporting.output.count("export_cut_off") == cut_off + 1


def _die_under_an_export(server, get, admin_url):
    reading = _admitted(lambda: get(server, "drivers/?export=1"))
    reading.read(1000)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'FETCH%'"
        )
    with pytest.raises(http.client.IncompleteRead):
        while reading.read(1_000_000):
            pass


@pytest.mark.usefixtures("exporting")
def test_those_cut_off_leave_the_pool_its_connections(tmp_path, get, admin_url):
    """Those of their requests too, however many there are."""
    with serving(tmp_path, DB_POOL_MAX="7") as server:
        for _ in range(8):
            _die_under_an_export(server, get, admin_url)
        _until(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1").status == 200)

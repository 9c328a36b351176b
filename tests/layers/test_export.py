"""The whole of a collection from a real server: complete, bounded in memory and number, and cut off where it cannot
end well."""

import gzip
import http.client
import json
import socket
import struct
import time

import psycopg
import pytest
from django.db import connection

from tests.rest import token_of
from tests.server import serving

pytestmark = pytest.mark.usefixtures("committed_db")
FLEET = """
    INSERT INTO mobility_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active,
        date_joined, phone, roles)
    SELECT n, 'd' || n, '!', '', '', '', false, false, true, now(), '+2771' || n, ARRAY['driver'] FROM
    generate_series(1000001, 1000000 + {drivers}) n; INSERT INTO mobility_driver (user_id, phone, license_number,
    vehicle_registration, vehicle_type, status, verified, rating, total_rides, auto_accept, missed_offers, inbox_seq,
    stationary, is_demo) SELECT id, phone, 'L' || id, 'CA ' || id, 'sedan', 'available', true, 5, 0, false, 0, 0,
    false, false FROM mobility_user WHERE id > 1000000; INSERT INTO mobility_driver_location (driver_id, position,
    indexed_position, recorded_at, received_at, stationary, dispatchable, vehicle_type) SELECT d.id, p, p, now(),
    now(), false, false, '' FROM mobility_driver d, LATERAL ST_SetSRID(ST_MakePoint(28 + (d.id % 1000) / 1000.0,
    -26.2), 4326) p WHERE d.user_id > 1000000;
"""


@pytest.fixture
def fleet(admin_url):
    """fleet(drivers): so many drivers, with the statistics that autovacuum would have a moment later."""

    def load(drivers):
        with psycopg.connect(admin_url, autocommit=True) as admin:  # no time limit for its statements
            admin.execute(FLEET.format(drivers=drivers))
            admin.execute("ANALYZE")

    return load


@pytest.fixture
def get(make_user):
    """get(server, path): the open connection and its answer, to read from."""
    token = token_of(make_user(roles=["operator"]))
    opened = []

    def ask(server, path, **headers):
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        opened.append(conn)
        conn.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Token {token}"} | headers)
        answer = conn.getresponse()
        answer.connection = conn
        return answer

    yield ask
    for conn in opened:
        conn.close()


def test_all_of_them_at_once(server, get, fleet):
    fleet(2500)  # more than two fetches
    answer = get(server, "drivers/?export=1")
    body = json.loads(answer.read())
    assert answer.headers["Content-Type"] == "application/geo+json"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="drivers.geojson"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["ETag"]
    ids = [f["id"] for f in body["features"]]
    assert len(ids) == len(set(ids)) == body["numberReturned"] == 2500
    assert ids == sorted(ids)
    assert body["next"] is None
    page = json.loads(get(server, "drivers/?limit=1000").read())
    assert [p | {"silent": None} for p in _properties(page)] == [p | {"silent": None} for p in _properties(body)[:1000]]


def _properties(body):
    return [f["properties"] for f in body["features"]]


def test_of_none(server, get):
    assert json.loads(get(server, "drivers/?export=1").read()) == {
        "type": "FeatureCollection", "features": [], "numberReturned": 0, "next": None,
    }  # fmt: skip


def test_with_filters_fields_and_gzip(server, get, fleet):
    fleet(1500)
    answer = get(server, "drivers/?export=1&fields=status&bbox=28.1,-27,28.2,-26", **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    body = json.loads(gzip.decompress(answer.read()))
    assert 100 <= body["numberReturned"] < 300
    assert _properties(body)[0] == {"status": "available"}
    plain = json.loads(get(server, "drivers/?export=1&fields=status&bbox=28.1,-27,28.2,-26").read())
    assert plain == body


def test_two_at_once_and_a_third_waits_its_turn(server, get, fleet):
    fleet(60_000)  # more than sockets hold
    first, second = get(server, "drivers/?export=1"), get(server, "drivers/?export=1")
    begun = first.read(1000), second.read(1000)
    third = get(server, "drivers/?export=1")
    assert (third.status, json.loads(third.read())["code"]) == (503, "server_full")
    assert int(third.headers["Retry-After"]) > 0
    for part, rest in zip(begun, (first, second), strict=True):
        assert json.loads(part + rest.read())["numberReturned"] == 60_000
    _until(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1").status == 200)


def _until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_goes_away_gives_the_place_back(server, get, fleet):
    fleet(60_000)
    for _ in range(3):
        for _ in range(2):
            reading = _admitted(lambda: get(server, "drivers/?export=1"))
            reading.read(1000)
            reading.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reading.close()
            reading.connection.close()
    _admitted(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1"))
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


def test_who_does_not_read_keeps_nobody_else_away_for_ever(tmp_path, get, fleet):
    fleet(60_000)
    with serving(tmp_path, CARECONNECT_EXPORT_TIMEOUT_S="1") as server:
        stuck = [get(server, "drivers/?export=1") for _ in range(2)]
        assert get(server, "drivers/?export=1&bbox=0,0,1,1").status == 503
        _until(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1").status == 200)
        for reading in stuck:
            with pytest.raises(http.client.IncompleteRead):
                reading.read()
        assert server.output.count("export_cut_off") == 2


def test_a_database_that_dies_under_it_cuts_it_off(tmp_path, get, admin_url, fleet):
    fleet(60_000)
    with serving(tmp_path) as server:
        reading = get(server, "drivers/?export=1")
        reading.read(1000)
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'FETCH%'"
            )
        with pytest.raises(http.client.IncompleteRead):
            while reading.read(1_000_000):
                pass
        _until(lambda: get(server, "drivers/?export=1&bbox=0,0,1,1").status == 200)
        assert "export_cut_off" in server.output

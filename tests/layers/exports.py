"""Fleets that are larger than what a socket holds, and exports of them."""

import http.client

import psycopg
import pytest

from tests.rest import token_of

# Without triggers, so what these keep in step is written here.
FLEET = """
    SET session_replication_role = replica;
    INSERT INTO mobility_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active,
        date_joined, phone, roles)
    SELECT n, 'd' || n, '!', '', '', '', false, false, true, now(), '+2771' || n, ARRAY['driver']
    FROM generate_series(1000001, 1000000 + {drivers}) n;
    INSERT INTO mobility_driver (user_id, phone, license_number, vehicle_registration, vehicle_type, status, verified,
        rating, total_rides, auto_accept, missed_offers, inbox_seq, stationary, is_demo, shown_name)
    SELECT id, phone, 'L' || id, 'CA ' || id, 'sedan', 'available', true, 5, 0, false, 0, 0, false, false, username
    FROM mobility_user WHERE id > 1000000;
    INSERT INTO mobility_driver_location (driver_id, position, indexed_position, recorded_at, received_at, stationary,
        dispatchable, status, verified, vehicle_type)
    SELECT d.id, p, p, now(), now(), false, true, 'available', true, 'sedan'
    FROM mobility_driver d, LATERAL ST_SetSRID(ST_MakePoint(28 + (d.id % 1000) / 1000.0, -26.2), 4326) p
    WHERE d.user_id > 1000000;
"""


def load_fleet(admin_url, drivers):
    """So many drivers, with the statistics that autovacuum would have a moment later."""
    with psycopg.connect(admin_url, autocommit=True) as admin:  # no time limit for its statements
        admin.execute(FLEET.format(drivers=drivers))
        admin.execute("ANALYZE")


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

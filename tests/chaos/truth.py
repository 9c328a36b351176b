"""Reads from the database what the checker judges by."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.bench.stage import BenchError, Fleet
from tests.chaos.history import Booking, Driver, Offer, Place, Row, Told, Truth
from tests.environment import ROOT

_BOOKINGS = "SELECT id, ride_id, passenger_id, driver_id, status, seq, notes, cancellation_reason FROM mobility_booking"
_LOG = """SELECT booking_id, seq, event, to_status, actor_id, actor_role, extract(epoch FROM occurred_at)::float8,
    (payload ->> 'driver_id')::bigint, coalesce(payload ->> 'reason', '')
    FROM mobility_ride_event ORDER BY booking_id, seq"""
_OFFERS = """SELECT id, booking_id, driver_id, status, origin, decline_reason, delivered_at IS NOT NULL,
    coalesce(extract(epoch FROM settled_at)::float8, 0)
    FROM mobility_offer ORDER BY id"""
_DRIVERS = """SELECT d.id, d.user_id, d.status, d.auto_accept, d.total_rides, d.inbox_seq, ST_Y(l.position),
    ST_X(l.position), extract(epoch FROM l.recorded_at)::float8
    FROM mobility_driver d JOIN mobility_driver_location l ON l.driver_id = d.id"""
_INBOX = "SELECT driver_id, seq, kind, booking_id FROM mobility_driver_inbox ORDER BY driver_id, seq"
_PLACES = """SELECT driver_id, ST_Y(position), ST_X(position), extract(epoch FROM recorded_at)::float8
    FROM mobility_position ORDER BY driver_id, recorded_at"""
_ANSWERS = """SELECT split_part(principal, '.', 2)::bigint, command_id, answer FROM mobility_command
    WHERE principal LIKE 'user.%'"""
_UNDER_WAY = """SELECT (SELECT count(*) FROM mobility_booking WHERE status IN ('pending', 'confirmed', 'in_progress'))
    + (SELECT count(*) FROM mobility_offer WHERE status = 'pending')"""


def read(fleet: Fleet) -> Truth:
    """Everything, in one snapshot."""
    with fleet.admin() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        log: dict[int, list[Row]] = defaultdict(list)
        for row in map(Row._make, connection.execute(_LOG)):
            log[row.booking_id].append(row)
        inbox: dict[int, list[Told]] = defaultdict(list)
        for told in map(Told._make, connection.execute(_INBOX)):
            inbox[told.driver_id].append(told)
        places: dict[int, list[Place]] = defaultdict(list)
        for driver_id, *place in connection.execute(_PLACES):
            places[driver_id].append(Place._make(place))
        return Truth(
            {b.id: b for b in map(Booking._make, connection.execute(_BOOKINGS))}, dict(log),
            [Offer._make(row) for row in connection.execute(_OFFERS)],
            {d.id: d for d in map(Driver._make, connection.execute(_DRIVERS))}, dict(inbox),
            {(user, command_id): answer for user, command_id, answer in connection.execute(_ANSWERS)},
            dict(places),
        )  # fmt: skip


def under_way(fleet: Fleet) -> int:
    """Rides that have not ended and drivers who are being asked."""
    return int(fleet.one(_UNDER_WAY))


def broken_invariants(env: Mapping[str, str]) -> list[str]:
    """What `manage.py check_invariants` reports, in words."""
    command = [sys.executable, "manage.py", "check_invariants", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=dict(env), text=True, capture_output=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BenchError(f"check_invariants failed:\n{done.stderr[-2000:]}") from None
    return [f"{broken['name']}: {broken['says']} {broken['rows'][:3]}" for broken in report["broken"]]

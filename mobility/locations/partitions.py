"""The days of the positions of the past: made ahead, dropped when they are old enough."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from mobility.conf import knobs

AHEAD_DAYS = 3
# How long it may wait for the table while positions are being read and written; else the next round tries again.
LOCK_WITHIN_MS = 500


class Kept(NamedTuple):
    """What a round did: how many days were made and dropped."""

    made: int
    dropped: int


def keep_partitions(*, today: "datetime | None" = None) -> Kept:
    """Make the days up to three ahead, and those of late positions; drop the ones that were kept long enough.

    Again: the same, without effect. Raises OperationalError where the table is busy for too long; nothing is half done.
    """
    day = (today or datetime.now(UTC)).date()
    late_days = -(-knobs().position_late_hours // 24) + 1
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(LOCK_WITHIN_MS)])
        cursor.execute(
            "SELECT mobility_make_position_days(%s, %s)",
            [day - timedelta(late_days), day + timedelta(AHEAD_DAYS)],
        )
        made = cursor.fetchone()
        cursor.execute("SELECT mobility_drop_position_days(%s)", [day - timedelta(knobs().position_keep_days)])
        dropped = cursor.fetchone()
    return Kept(made[0], dropped[0])


def partitions() -> list[tuple[str, int, int]]:
    """Every partition: name, rows by the planner's estimate, bytes with indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'mobility_position'::regclass ORDER BY 1"
        )
        return [(name, rows, size) for name, rows, size in cursor.fetchall()]

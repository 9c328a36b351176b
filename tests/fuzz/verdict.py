"""What a run is judged by: its violations, the server's log and memory, the database, the neighbour."""

import json
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psycopg

from tests.fuzz.neighbour import RIDE_ID
from tests.fuzz.run import Outcome
from tests.fuzz.tally import Tally

MEMORY_GROWTH_KIB = 50 * 1024
SLOWER_AT_MOST = 2.0
# With fewer the p99 is a matter of one or two of them, and of chance.
ENOUGH = 300
KEPT_LINES = 20

# What nobody may have caused, beside the neighbour's own rides (its offers, log and inbox rows belong to them).
WRITTEN = """SELECT
    (SELECT count(*) FROM mobility_booking WHERE ride_id <> ALL(%(asked)s)) AS "rides nobody asked for",
    (SELECT count(*) FROM mobility_offer o JOIN mobility_booking b ON b.id = o.booking_id
        WHERE b.ride_id <> %(neighbour)s) AS "offers of rides without a driver in reach",
    (SELECT count(*) FROM mobility_driver_inbox i JOIN mobility_driver d ON d.id = i.driver_id
        WHERE NOT d.auto_accept) AS "things told to drivers who were not asked",
    (SELECT count(*) FROM mobility_ride_event e JOIN mobility_booking b ON b.id = e.booking_id
        WHERE b.ride_id <> %(neighbour)s
        AND e.event NOT IN ('ride_requested', 'search_started', 'no_drivers', 'ride_cancelled'))
        AS "moves of rides without a driver",
    (SELECT count(*) FROM mobility_command WHERE command_id <> ALL(%(command_ids)s))
        AS "answers to commands nobody sent",
    (SELECT abs(count(*) - %(drivers)s - 1) FROM mobility_driver) AS "drivers come or gone",
    (SELECT abs(count(*) - %(drivers)s - 1) FROM mobility_user) AS "users come or gone",
    (SELECT abs(count(*) - %(drivers)s) FROM knox_authtoken) AS "logins come or gone",
    (SELECT count(*) FROM mobility_socket_ticket) AS "tickets"
"""
RIDES = "SELECT count(*) FROM mobility_booking WHERE ride_id <> %(neighbour)s"


def written(admin_url: str, tally: Tally, drivers: int) -> tuple[dict[str, int], int]:
    """Rows that no valid frame asked for, by what they are; and how many rides hostile sockets did ask for."""
    given = {
        "asked": [*tally.rides, RIDE_ID], "command_ids": [*tally.command_ids], "neighbour": RIDE_ID, "drivers": drivers,
    }  # fmt: skip
    with psycopg.connect(admin_url) as connection:
        cursor = connection.execute(WRITTEN, given)
        row = cursor.fetchone()
        rides = connection.execute(RIDES, given).fetchone()
    assert row is not None
    assert rides is not None
    assert cursor.description is not None
    found = {column.name: int(count) for column, count in zip(cursor.description, row, strict=True)}
    return {name: count for name, count in found.items() if count}, int(rides[0])


def errors_in_log(log: Path) -> list[str]:
    """Lines of level error or worse, and whatever is no log line at all, such as a traceback."""
    found = []
    with log.open(errors="replace") as lines:
        for line in lines:
            try:
                level = json.loads(line)["level"]
            except (ValueError, KeyError, TypeError):
                level = "not a log line"
            if level not in {"debug", "info", "warning"} or "Traceback" in line:
                found.append(line.rstrip()[:2_000])
    return found


def answers(port: int) -> bool:
    """Whether the server is alive."""
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as response:
        return bool(response.status == 200)
    return False


def judge(outcome: Outcome, log: list[str], rows: dict[str, int]) -> list[str]:
    """Everything that must not be, but for times, in words; empty: all is fine."""
    wrong = [f"{v['what']} ({v['kind']}, --replay {v['replay']})" for v in outcome.tally.violations]
    wrong += [f"in the server's log: {line}" for line in log[:KEPT_LINES]]
    wrong += [f"in the database: {count} {what}" for what, count in rows.items()]
    wrong += [f"the neighbour: {what}" for what in outcome.neighbour["wrong"]]
    growth = outcome.memory_kib[1] - outcome.memory_kib[0]
    if growth > MEMORY_GROWTH_KIB:
        wrong.append(f"the server grew by {growth / 1024:.0f} MiB")
    return wrong


def slowed_down(outcome: Outcome) -> list[str]:
    """Where the neighbour waited too long beside the shots."""
    return [
        f"the neighbour's p99 of a {kind} is {times:.1f} times that beside harmless frames"
        for kind in ("ping", "ride")
        if (times := slower(outcome, kind)) is not None and times > SLOWER_AT_MOST
    ]


def slower(outcome: Outcome, kind: str) -> float | None:
    """How many times the p99 of the control the neighbour's is beside the shots; None without enough to tell.

    Of the two controls the slower one counts: what the machine does by itself is not the shots' doing.
    """
    phases = [outcome.neighbour["times"].get(phase, {}).get(kind, {}) for phase in ("before", "shots", "after")]
    if any(phase.get("count", 0) < ENOUGH for phase in phases):
        return None
    before, shots, after = (float(phase["p99"]) for phase in phases)
    return shots / max(before, after)

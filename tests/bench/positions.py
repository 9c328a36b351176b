"""Positions written in batches, with their history, beside row upserts without any."""

from collections import defaultdict
from typing import Any

from tests.bench import pgbench
from tests.bench.own_code import own_code
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import Fleet, Stage

CLIENTS = 8
BATCHES = (100, 1_000, 5_000)
AT = 1_000  # the batch that the ingest writes under load
# Some tens of metres, as between two positions of a car in a city.
STEP_DEG = 0.0005
UPSERT = """
\\set driver random(1, {drivers})
\\set east {step} * random(-1000000, 1000000) / 1000000.0
\\set north {step} * random(-1000000, 1000000) / 1000000.0
INSERT INTO mobility_driver_location AS l (
    driver_id, position, heading, speed, recorded_at, received_at, stationary, dispatchable, vehicle_type)
VALUES (:driver, ST_SetSRID(ST_MakePoint(28.05, -26.25), 4326), 90, 8, statement_timestamp(), statement_timestamp(),
    false, false, '')
ON CONFLICT (driver_id) DO UPDATE
SET position = ST_SetSRID(ST_MakePoint(ST_X(l.position) + :east, ST_Y(l.position) + :north), 4326),
    heading = EXCLUDED.heading, speed = EXCLUDED.speed, recorded_at = EXCLUDED.recorded_at,
    received_at = EXCLUDED.received_at
WHERE l.recorded_at <= EXCLUDED.recorded_at;
"""


def bench(stage: Stage, plan: Plan) -> Result:
    """8 connections with a row each, and one with batches, in turns on the same fleet."""
    fleet = stage.fleet(plan.middle_size)
    upserts: list[float] = []
    batches: dict[int, list[float]] = defaultdict(list)
    sizes: list[int] = []
    with own_code(stage, fleet) as code:
        options = code.statements()["options"]
        for number in range(plan.rounds + 1):
            say("positions: warming up" if number == 0 else f"positions: round {number} of {plan.rounds}")
            script = UPSERT.format(drivers=fleet.drivers, step=STEP_DEG)
            timing = pgbench.pgbench(
                fleet, script, {}, clients=CLIENTS, seconds=plan.position_seconds, seed=SEED + number, options=options
            )
            found = {
                size: code.ask("positions", batch=size, seconds=plan.position_seconds, seed=SEED + number)
                for size in BATCHES
            }
            sizes.append(_index_bytes(fleet))
            if number:
                upserts.append(timing.per_s)
                for size, per_s in found.items():
                    batches[size].append(per_s)
    return _result(plan, upserts, batches, sizes)


def _index_bytes(fleet: Fleet) -> int:
    return int(fleet.one("SELECT pg_indexes_size('mobility_driver_location')"))


def _result(plan: Plan, upserts: list[float], batches: dict[int, list[float]], sizes: list[int]) -> Result:
    result = Result("positions", f"positions a second into {plan.middle_size:,} drivers' rows")
    result.rows.append({"way": "row upserts, no history", "connections": CLIENTS, "positions/s": middle(upserts)})
    for size, per_s in batches.items():
        way: dict[str, Any] = {"way": f"batches of {size:,} with history", "connections": 1}
        result.rows.append(way | {"positions/s": middle(per_s), "of upserts": share_of(per_s, upserts)})
    result.targets.append(
        Target(
            f"positions/s in batches of {AT:,} with history over row upserts on {CLIENTS} connections",
            share_of(batches[AT], upserts), at_least=15,
        )
    )  # fmt: skip
    begin, end = (size / 2**20 for size in (sizes[0], sizes[-1]))
    result.notes = [f"Indexes of the live rows: {begin:.0f} MiB after warming up, {end:.0f} at the end."]
    result.rounds = {"upserts": upserts} | {f"batches of {size}": per_s for size, per_s in batches.items()}
    return result

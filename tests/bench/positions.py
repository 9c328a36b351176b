"""Positions written in batches, with their history, beside row upserts without any."""

from collections import defaultdict
from typing import Any

from tests.bench import pgbench
from tests.bench.own_code import own_code
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import Fleet, Stage

CLIENTS = 8
# Positions in a batch, and connections; the ingest writes the second way under load.
WAYS = ((1_000, 1), (1_000, 2), (100, 2), (5_000, 2))
OURS = WAYS[1]
# Some tens of metres, as between two positions of a car in a city.
STEP_DEG = 0.0005
_STEPS = """
\\set driver random(1, {drivers})
\\set east {step} * random(-1000000, 1000000) / 1000000.0
\\set north {step} * random(-1000000, 1000000) / 1000000.0
"""
UPSERT = """INSERT INTO mobility_driver_location AS l (
    driver_id, position, heading, speed, recorded_at, received_at, stationary, dispatchable, vehicle_type)
VALUES (:driver, ST_SetSRID(ST_MakePoint(28.05, -26.25), 4326), 90, 8, statement_timestamp(), statement_timestamp(),
    false, false, '')
ON CONFLICT (driver_id) DO UPDATE
SET position = ST_SetSRID(ST_MakePoint(ST_X(l.position) + :east, ST_Y(l.position) + :north), 4326),
    indexed_position = CASE WHEN ST_DistanceSphere(l.indexed_position,
            ST_SetSRID(ST_MakePoint(ST_X(l.position) + :east, ST_Y(l.position) + :north), 4326)) <= 75
        THEN l.indexed_position
        ELSE ST_SetSRID(ST_MakePoint(ST_X(l.position) + :east, ST_Y(l.position) + :north), 4326) END,
    heading = EXCLUDED.heading, speed = EXCLUDED.speed, recorded_at = EXCLUDED.recorded_at,
    received_at = EXCLUDED.received_at
WHERE l.recorded_at <= EXCLUDED.recorded_at"""
PEERS = {
    "row upserts, no history": f"{_STEPS}{UPSERT};",
    "row upserts with history": f"""{_STEPS}WITH moved AS ({UPSERT} RETURNING *)
        INSERT INTO mobility_position (driver_id, recorded_at, received_at, position, heading, speed, accuracy_m, door)
        SELECT driver_id, recorded_at, received_at, position, heading, speed, 10, 'fleet' FROM moved
        ON CONFLICT (driver_id, recorded_at) DO NOTHING;""",
}


def bench(stage: Stage, plan: Plan) -> Result:
    """8 connections with a row each, and the ingest's own with batches, in turns on the same fleet."""
    fleet = stage.fleet(plan.middle_size)
    upserts: dict[str, list[float]] = defaultdict(list)
    batches: dict[tuple[int, int], list[float]] = defaultdict(list)
    sizes: list[int] = []
    with own_code(stage, fleet) as code:
        options = code.statements()["options"]
        for number in range(plan.rounds + 1):
            say("positions: warming up" if number == 0 else f"positions: round {number} of {plan.rounds}")
            for name, script in PEERS.items():
                timing = pgbench.pgbench(
                    fleet, script.format(drivers=fleet.drivers, step=STEP_DEG), {}, clients=CLIENTS,
                    seconds=plan.position_seconds, seed=SEED + number, options=options,
                )  # fmt: skip
                if number:
                    upserts[name].append(timing.per_s)
            for size, writers in WAYS:
                per_s = code.ask(
                    "positions", batch=size, writers=writers, seconds=plan.position_seconds, seed=SEED + number
                )
                if number:
                    batches[size, writers].append(per_s)
            sizes.append(index_bytes(fleet))
    return _result(plan, upserts, batches, sizes)


def index_bytes(fleet: Fleet) -> int:
    """Size of all indexes of the live rows."""
    return int(fleet.one("SELECT pg_indexes_size('mobility_driver_location')"))


def _result(
    plan: Plan, upserts: dict[str, list[float]], batches: dict[tuple[int, int], list[float]], sizes: list[int]
) -> Result:
    result = Result("positions", f"positions a second into {plan.middle_size:,} drivers' rows")
    plain, full = upserts.values()
    for name, per_s in upserts.items():
        result.rows.append({"way": name, "connections": CLIENTS, "positions/s": middle(per_s)})
    for (size, writers), per_s in batches.items():
        way: dict[str, Any] = {"way": f"batches of {size:,} with history", "connections": writers}
        of = {"of upserts": share_of(per_s, plain), "of upserts with history": share_of(per_s, full)}
        result.rows.append(way | {"positions/s": middle(per_s)} | of)
    what = f"positions/s in batches of {OURS[0]:,} with history on {OURS[1]} connections over row upserts on {CLIENTS}"
    result.targets = [
        Target(f"{what}, with history too", share_of(batches[OURS], full), at_least=15),
        Target(f"{what} without history", share_of(batches[OURS], plain), at_least=15),
    ]
    begin, end = (size / 2**20 for size in (sizes[0], sizes[-1]))
    result.notes = [f"Indexes of the live rows: {begin:.0f} MiB after warming up, {end:.0f} at the end."]
    result.rounds = dict(upserts) | {f"batches of {size} on {n}": per_s for (size, n), per_s in batches.items()}
    return result

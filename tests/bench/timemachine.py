"""The time machine: where a whole fleet was at any instant of days with ten million positions."""

import random
import time
from pathlib import Path
from typing import Any

from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, percentile, say
from tests.bench.stage import Fleet, Stage, libpq_env, run

FLEETS, DAYS = (2_000, 10_000), 5
TARGET_MS = 200
INSTANTS = 40  # of one round
SPAN_S = (DAYS - 1) * 86_400


def bench(stage: Stage, plan: Plan) -> Result:
    """gis.fleet_at at random instants, as the service's own role, each one's pages not read before."""
    positions = plan.history
    result = Result("timemachine", f"gis.fleet_at over {positions:,} positions of {DAYS} days")
    for drivers in FLEETS:
        fleet = _with_history(stage, drivers, positions)
        within_s = max(600.0, 2 * DAYS * 86_400 * drivers / positions)
        rounds = [_round(fleet, within_s, SEED + number) for number in range(plan.rounds)]
        found = [ms for times in rounds for ms in times]
        p95 = middle(percentile(times, 95) for times in rounds)
        result.rows.append(
            {"drivers": drivers, "median ms": middle(found), "p95 ms": p95, "slowest ms": max(found),
             "the same instant again, ms": _again(fleet, within_s)}
        )  # fmt: skip
        what = f"ms of gis.fleet_at, p95, {drivers:,} drivers, {positions:,} positions"
        result.targets.append(Target(what, p95, at_most=TARGET_MS))
        result.rounds[str(drivers)] = rounds
    result.notes = ["Every answer is fetched in full. Instants are drawn anew for each question."]
    return result


def _with_history(stage: Stage, drivers: int, positions: int) -> Fleet:
    fleet = stage.fleet(drivers, "history")
    say(f"timemachine: writing {positions:,} positions of {drivers:,} drivers")
    run(
        [
            "psql", "--no-psqlrc", "--quiet", "--file", str(Path(__file__).with_name("history.sql")),
            "-v", f"drivers={drivers}", "-v", f"rows={positions}", "-v", f"days={DAYS}",
        ],
        env=libpq_env(fleet.admin_url),
    )  # fmt: skip
    return fleet


def _round(fleet: Fleet, within_s: float, seed: int) -> list[float]:
    """Milliseconds of each question."""
    chosen = random.Random(seed)
    with fleet.admin() as connection:
        connection.execute("SET ROLE careconnect_app")
        return [_asked(connection, fleet, within_s, chosen.uniform(0, SPAN_S)) for _ in range(INSTANTS)]


def _again(fleet: Fleet, within_s: float) -> float:
    with fleet.admin() as connection:
        connection.execute("SET ROLE careconnect_app")
        return middle(_asked(connection, fleet, within_s, SPAN_S / 2) for _ in range(5))


def _asked(connection: Any, fleet: Fleet, within_s: float, ago_s: float) -> float:
    began = time.perf_counter()
    answer = connection.execute(
        "SELECT * FROM gis.fleet_at(date_trunc('day', now(), 'UTC') - make_interval(secs => %s), %s)",
        [ago_s, within_s],
    ).fetchall()
    took_ms = (time.perf_counter() - began) * 1000
    # Everybody told something within that time before, and a sixth had a ride.
    assert len(answer) == fleet.drivers, len(answer)
    assert 0 < sum(row[-1] for row in answer) < fleet.drivers / 2
    return took_ms

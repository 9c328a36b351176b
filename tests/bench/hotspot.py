"""Everybody at one spot: do 32 clients still get on as fast as 8, and is no driver given twice?"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench import pgbench
from tests.bench.own_code import own_code
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.rides import Round, by_pgbench, by_service
from tests.bench.stage import HOT_SPOT, Fleet, Stage, libpq_env, run, service

FEW, MANY = 8, 32
WAYS = ("pgbench", "service")


def bench(stage: Stage, plan: Plan) -> Result:
    """8 and 32 clients in turns, through pgbench and through the service; then the control."""
    fleet = stage.fleet(plan.middle_size)
    env = stage.service_env(fleet)
    rounds: dict[tuple[str, int], list[Round]] = defaultdict(list)
    with own_code(stage, fleet) as code:
        given = code.statements()
    with service(env) as server:
        for number in range(plan.rounds + 1):
            say("hotspot: warming up" if number == 0 else f"hotspot: round {number} of {plan.rounds}")
            for way in WAYS:
                for clients in (FEW, MANY)[:: 1 if number % 2 else -1]:
                    common: dict[str, Any] = {
                        "clients": clients, "each": plan.hot_rides // clients, "seed": SEED + number
                    }  # fmt: skip
                    if way == "pgbench":
                        done = by_pgbench(fleet, HOT_SPOT, given, **common)
                    else:
                        done = by_service(fleet, server, env, HOT_SPOT, **common, opened=True)
                    fleet.forget_rides()
                    if number:
                        rounds[way, clients].append(done)
    say("hotspot: the naive control")
    doubles, rides = _naive(fleet, given, plan)
    return _result(plan, rounds, doubles, rides)


def _naive(fleet: Fleet, given: dict[str, Any], plan: Plan) -> tuple[int, int]:
    """Read the nearest, then write: rides that were given a driver whom another ride had already, and all rides."""
    run(
        ["psql", "--no-psqlrc", "--quiet", "--file", str(Path(__file__).with_name("naive.sql"))],
        env=libpq_env(fleet.admin_url),
    )
    # Of a few, all within the slack of the index, none is certain to be the nearest; the service would ask for more.
    params = given["search"] | {"fetch": 128}
    nearest = pgbench.in_script("dispatch/sql/nearest", params)
    script = (
        pgbench.draw(HOT_SPOT)
        + pgbench.summed_up(nearest, "(array_agg(driver_id ORDER BY distance_m, driver_id))[1] AS driver_id")
        + "\n\\gset found_\nUPDATE mobility_driver SET status = 'busy' WHERE id = :found_driver_id;\n"
        "UPDATE mobility_driver_location SET dispatchable = false WHERE driver_id = :found_driver_id;\n"
        "INSERT INTO ride (driver_id) VALUES (:found_driver_id);"
    )
    pgbench.pgbench(
        fleet, script, params, clients=MANY, each=plan.hot_rides // MANY, seed=SEED,
        options=given["options"] + " -c search_path=naive,public",
    )  # fmt: skip
    doubles = fleet.one("SELECT count(*) - count(DISTINCT driver_id) FROM naive.ride")
    rides = fleet.one("SELECT count(*) FROM naive.ride")
    with fleet.admin() as connection:
        connection.execute("DROP SCHEMA naive CASCADE")
    return doubles, rides


def _result(plan: Plan, rounds: dict[tuple[str, int], list[Round]], doubles: int, rides: int) -> Result:
    result = Result("hotspot", f"{plan.hot_rides:,} rides from one spot, {plan.middle_size:,} drivers")
    for way in WAYS:
        for clients in (FEW, MANY):
            mine = [r.timing for r in rounds[way, clients]]
            result.rows.append(
                {
                    "way": way, "clients": clients, "rides/s": middle(t.per_s for t in mine),
                    "p50 ms": middle(t.p50_ms for t in mine), "p99 ms": middle(t.p99_ms for t in mine), "doubles": 0,
                }
            )  # fmt: skip
        ratio = share_of([r.timing.per_s for r in rounds[way, MANY]], [r.timing.per_s for r in rounds[way, FEW]])
        result.targets.append(Target(f"rides/s of 32 clients over those of 8, {way}", ratio, at_least=0.7))
    result.rows.append({"way": "naive: read, then write", "clients": MANY, "doubles": doubles})
    result.targets.append(
        Target("share of rides in the naive control whose driver was taken already", doubles / rides, at_least=0.01)
    )
    result.notes = [
        "No driver was given twice in any round: the run stops otherwise. The control shows it would be seen."
    ]
    result.rounds = {f"{way}, {clients}": [vars(r.timing) for r in found] for (way, clients), found in rounds.items()}
    return result

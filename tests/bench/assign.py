"""find_driver to driver_assigned over WebSockets, beside pgbench running the same transaction."""

from collections import defaultdict
from typing import Any

from tests.bench.own_code import own_code
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.rides import Round, by_pgbench, by_service
from tests.bench.stage import DENSE, PASSENGERS, Stage, service

CLIENTS = (16, 32)
OPENED, A_SOCKET_EACH, LOGGED_IN = "sockets open before", "a socket per ride", "a socket per ride, logged in"
RAW = "pgbench"


def bench(stage: Stage, plan: Plan) -> Result:
    """Every way in every round, from the same untouched fleet each time."""
    fleet = stage.fleet(plan.middle_size)
    env = stage.service_env(fleet)
    rounds: dict[tuple[str, int], list[Round]] = defaultdict(list)
    with own_code(stage, fleet) as code:
        given = code.statements()
        tokens = code.tokens(range(fleet.drivers + 1, fleet.drivers + 1 + min(plan.rides, PASSENGERS)))
    with service(env) as server:
        for number in range(plan.rounds + 1):
            say("assign: warming up" if number == 0 else f"assign: round {number} of {plan.rounds}")
            for clients in CLIENTS:
                each = max(plan.rides // (4 if number == 0 else 1) // clients, 10)
                for way in (RAW, OPENED, A_SOCKET_EACH, LOGGED_IN)[:: 1 if number % 2 else -1]:
                    common: dict[str, Any] = {"clients": clients, "each": each, "seed": SEED + number}
                    if way == RAW:
                        done = by_pgbench(fleet, DENSE, given, **common)
                    else:
                        done = by_service(
                            fleet, server, env, DENSE, **common, opened=way == OPENED,
                            tokens=tokens if way == LOGGED_IN else None,
                        )  # fmt: skip
                    fleet.forget_rides()
                    if number:
                        rounds[way, clients].append(done)
    return _result(plan, rounds)


def _result(plan: Plan, rounds: dict[tuple[str, int], list[Round]]) -> Result:
    result = Result("assign", f"find_driver to driver_assigned, {plan.middle_size:,} drivers, dense city")
    for clients in CLIENTS:
        raw = [r.timing.per_s for r in rounds[RAW, clients]]
        for way in (RAW, OPENED, A_SOCKET_EACH, LOGGED_IN):
            mine = rounds[way, clients]
            row: dict[str, Any] = {
                "clients": clients,
                "way": way,
                "rides/s": middle(r.timing.per_s for r in mine),
                "p50 ms": middle(r.timing.p50_ms for r in mine),
                "p99 ms": middle(r.timing.p99_ms for r in mine),
            }
            if way != RAW:
                row |= {
                    "of pgbench": share_of([r.timing.per_s for r in mine], raw),
                    "server CPU ms/ride": middle(r.server_ms for r in mine),
                    "load generator CPU": f"{middle(r.load_share for r in mine):.0%}",
                }
            result.rows.append(row)
        for way in (OPENED, A_SOCKET_EACH):
            measured = share_of([r.timing.per_s for r in rounds[way, clients]], raw)
            result.targets.append(
                Target(f"rides/s over those of pgbench, {clients} clients, {way}", measured, at_least=0.25, stretch=0.4)
            )
    result.notes = [
        "One server process, one load generator process, PostgreSQL and all on the same cores. Every ride of every",
        "round ended confirmed, no driver twice (counted in the database after each round; the run stops otherwise).",
        "a socket per ride: connect, greeting, find_driver, driver_assigned, close, all within the time; logged in: by",
        "a token, each ride another passenger's.",
    ]
    result.rounds = {
        f"{way}, {clients}": [vars(r.timing) | {"server_ms": r.server_ms, "load_share": r.load_share} for r in found]
        for (way, clients), found in rounds.items()
    }
    return result

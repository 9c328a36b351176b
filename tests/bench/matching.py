"""The nearest five: the service's own code beside the same SQL in pgbench, at three sizes and in hard places."""

from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from tests.bench import pgbench
from tests.bench.own_code import OwnCode, own_code
from tests.bench.pgbench import Timing
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, percentile, say, share_of
from tests.bench.stage import ALL_BUSY, DENSE, EMPTY_SEA, NEARLY_ALL_BUSY, Box, Fleet, Stage

RARE = "wheelchair_accessible"  # 2 % of the fleet
PLACES: dict[str, tuple[Box, str | None, int]] = {
    "dense city": (DENSE, None, 1),
    "dense city, 8 clients": (DENSE, None, 8),
    "dense city, rare vehicle (2 %)": (DENSE, RARE, 1),
    "nearly all busy": (NEARLY_ALL_BUSY, None, 1),
    "all busy": (ALL_BUSY, None, 1),
    "empty sea": (EMPTY_SEA, None, 1),
}
Rounds = dict[tuple[int, str, str], list[Timing]]


def bench(stage: Stage, plan: Plan) -> Result:
    """Rounds of own code and pgbench one after the other, over all sizes and places."""
    timings: Rounds = defaultdict(list)
    by_python: dict[int, list[float]] = {}
    with ExitStack() as processes:
        fleets = [stage.fleet(size) for size in plan.sizes]
        codes = [processes.enter_context(own_code(stage, fleet)) for fleet in fleets]
        given = codes[0].statements()
        for number in range(plan.rounds + 1):
            warming = number == 0
            say("matching: warming up" if warming else f"matching: round {number} of {plan.rounds}")
            for fleet, code in zip(fleets, codes, strict=True):
                for place in PLACES:
                    # The targets are about the dense city: it gets more time.
                    seconds = plan.seconds if place.startswith("dense city") and not warming else 1
                    _one_round(fleet, code, place, number, seconds, given, timings)
            if warming:
                timings.clear()
        for fleet, code in zip(fleets, codes, strict=True):
            if fleet.drivers <= 100_000:
                say(f"matching: haversine in Python over {fleet.drivers:,} drivers")
                code.haversine(DENSE, queries=1, seed=SEED)
                by_python[fleet.drivers] = code.haversine(DENSE, queries=plan.haversine_queries, seed=SEED)
    return _result(plan, timings, by_python)


def _one_round(
    fleet: Fleet, code: OwnCode, place: str, number: int, seconds: float, given: dict[str, Any], timings: Rounds
) -> None:
    box, vehicle_type, clients = PLACES[place]
    seed = SEED + number
    params = given["search"] | {"vehicle_type": vehicle_type}
    script = pgbench.draw(box) + pgbench.in_script("dispatch/sql/nearest", params) + ";"

    def own() -> Timing:
        return code.nearest(box, clients=clients, seconds=seconds, seed=seed, vehicle_type=vehicle_type)

    def raw() -> Timing:
        return pgbench.pgbench(
            fleet, script, params, clients=clients, seconds=seconds, seed=seed, options=given["options"]
        )

    # Who comes first changes from round to round.
    for who, measure in (("own", own), ("raw", raw))[:: 1 if number % 2 else -1]:
        timings[fleet.drivers, place, who].append(measure())


def _result(plan: Plan, timings: Rounds, by_python: dict[int, list[float]]) -> Result:
    result = Result("matching", "the nearest five, milliseconds; own code | the same SQL in pgbench")
    for size in plan.sizes:
        for place in PLACES:
            result.rows.append(_row(size, place, timings[size, place, "own"], timings[size, place, "raw"]))
        if size in by_python:
            took = by_python[size]
            result.rows.append(
                {"drivers": size, "where": "haversine in Python (ORM)", "own p50": percentile(took, 50),
                 "own p99": percentile(took, 99), "own/s": 1000 / middle(took)}
            )  # fmt: skip
    result.targets = _targets(plan, timings)
    result.notes = [
        "pgbench -M prepared with the service's own session settings, among them plan_cache_mode=force_generic_plan.",
        "own code, 8 clients: 8 threads of one Python process. ratio: median over the rounds of own p50 / pgbench p50.",
    ]
    result.rounds = {
        f"{size}, {place}, {who}": [vars(t) for t in rounds] for (size, place, who), rounds in timings.items()
    }
    return result


def _row(size: int, place: str, own: list[Timing], raw: list[Timing]) -> dict[str, Any]:
    return {
        "drivers": size,
        "where": place,
        "own p50": middle(t.p50_ms for t in own),
        "own p99": middle(t.p99_ms for t in own),
        "own/s": middle(t.per_s for t in own),
        "pgbench p50": middle(t.p50_ms for t in raw),
        "pgbench p99": middle(t.p99_ms for t in raw),
        "pgbench/s": middle(t.per_s for t in raw),
        "ratio": share_of([t.p50_ms for t in own], [t.p50_ms for t in raw]),
    }


def _targets(plan: Plan, timings: Rounds) -> list[Target]:
    def p50s(size: int, who: str) -> list[float]:
        return [t.p50_ms for t in timings[size, "dense city", who]]

    size = plan.middle_size
    beside_raw = Target(f"own code's p50 over pgbench's, {size:,} drivers", at_most=2)
    beside_raw.measured = share_of(p50s(size, "own"), p50s(size, "raw"))
    growth = Target("own code's p50 at 1,000,000 over that at 100,000", at_most=3, stretch=1.5)
    raw_growth = Target("pgbench's p50 at 1,000,000 over that at 100,000", at_most=3, stretch=1.5)
    for target, who in ((growth, "own"), (raw_growth, "raw")):
        if 1_000_000 in plan.sizes:
            target.measured = share_of(p50s(1_000_000, who), p50s(100_000, who))
        else:
            target.why_not = "quick run"
    return [beside_raw, growth, raw_growth]

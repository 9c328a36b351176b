"""Matching while the positions of a large city come in, beside matching on the same fleet at rest."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.own_code import own_code
from tests.bench.pgbench import Timing
from tests.bench.plan import SEED, Plan
from tests.bench.positions import index_bytes
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import DENSE, Stage

SEARCHES_PER_S = 50
# None: at rest. The middle one is what a large city sends: 100,000 drivers, each every five seconds.
RATES = (None, 20_000, 60_000)
REST, JUDGED = RATES[0], RATES[-1]
BATCH, WRITERS = 1_000, 2
# The positions are made before the clock starts, and no client is asked to wait: so much of them must come in.
ENOUGH = 0.98


def bench(stage: Stage, plan: Plan) -> Result:
    """One process searches 50 times a second, another one writes positions with their history at so many a second."""
    fleet = stage.fleet(plan.middle_size)
    found: dict[int | None, list[Timing]] = defaultdict(list)
    written: dict[int, list[float]] = defaultdict(list)
    sizes = [index_bytes(fleet)]
    with own_code(stage, fleet) as searching, own_code(stage, fleet) as writing, ThreadPoolExecutor(1) as beside:
        for number in range(plan.rounds + 1):
            say("meanwhile: warming up" if number == 0 else f"meanwhile: round {number} of {plan.rounds}")
            for rate in RATES[:: 1 if number % 2 else -1]:
                seed: dict[str, Any] = {"seed": SEED + number}
                if rate is not None:
                    # Its positions are made, and it is under way before the first search.
                    writing.ask("prepare", batch=BATCH, count=round(rate * plan.meanwhile_seconds), **seed)
                    going = beside.submit(writing.ask, "write_prepared", writers=WRITERS, per_s=rate)
                timing = searching.nearest(
                    DENSE, clients=1, seconds=plan.meanwhile_seconds, per_s=SEARCHES_PER_S, **seed
                )
                per_s = None if rate is None else going.result()
                if number:
                    found[rate].append(timing)
                    if rate is not None:
                        written[rate].append(per_s)
            sizes.append(index_bytes(fleet))
    return _result(found, written, sizes)


def _result(found: dict[int | None, list[Timing]], written: dict[int, list[float]], sizes: list[int]) -> Result:
    result = Result("meanwhile", f"the nearest five, {SEARCHES_PER_S} searches a second, while positions are written")
    p50, p99 = ({rate: [getattr(t, name) for t in ts] for rate, ts in found.items()} for name in ("p50_ms", "p99_ms"))
    for rate in RATES:
        came = None if rate is None else middle(written[rate])
        result.rows.append(
            {
                "positions/s wanted": "none" if rate is None else f"{rate:,}", "came in": came,
                "p50 ms": middle(p50[rate]), "p99 ms": middle(p99[rate]),
                "p50 of rest": share_of(p50[rate], p50[REST]), "p99 of rest": share_of(p99[rate], p99[REST]),
            }
        )  # fmt: skip
    meanwhile = f"while {JUDGED:,} positions/s come in, over at rest"
    result.targets = [
        Target(f"match p50 {meanwhile}", share_of(p50[JUDGED], p50[REST]), at_most=4),
        Target(f"match p99 {meanwhile}", share_of(p99[JUDGED], p99[REST]), at_most=10),
        Target(f"positions/s that came in of {JUDGED:,}", middle(written[JUDGED]) / JUDGED, at_least=ENOUGH),
    ]
    result.notes = [
        f"Batches of {BATCH:,} with history on {WRITERS} connections, by the ingest's own writer in its own process.",
        f"Indexes of the live rows: {sizes[0] / 2**20:.0f} MiB before, {sizes[-1] / 2**20:.0f} after.",
    ]
    result.rounds = {f"{rate}": [vars(t) for t in ts] for rate, ts in found.items()} | {
        f"came in of {rate}": per_s for rate, per_s in written.items()
    }
    return result

"""Measures the hot paths beside what they could be at best, and says which targets are met.

It starts a PostgreSQL cluster of its own (var/bench-postgres), fills it with made-up fleets, measures, and removes it
again; your databases are not touched. Figures go to the terminal and, as JSON, to var/bench. docs/performance.md
explains every row. For figures worth keeping the machine should have nothing else to do.

Exit codes: 0 every target met, 1 a target missed or the run failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import (
    accept,
    assign,
    echo,
    fanout,
    hotspot,
    maps,
    matching,
    meanwhile,
    positions,
    redis_peer,
    timemachine,
    updates,
)
from tests.bench.plan import FULL, QUICK, SEED, TRIAL, Plan
from tests.bench.report import Result, console, machine, say, show_targets
from tests.bench.stage import FLEET_SEED, RESULTS, Disturbance, Stage, exit_code

BENCHES: dict[str, Callable[[Stage, Plan], Result]] = {
    "matching": matching.bench,
    "redis": redis_peer.bench,
    "assign": assign.bench,
    "hotspot": hotspot.bench,
    "accept": accept.bench,
    "positions": positions.bench,
    "meanwhile": meanwhile.bench,
    "echo": echo.bench,
    "updates": updates.bench,
    "fanout": fanout.bench,
    "maps": maps.bench,
    "timemachine": timemachine.bench,
}
BUSY_BEFORE = 0.5  # load average of the last minute from which figures deserve doubt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shorter = parser.add_mutually_exclusive_group()
    shorter.add_argument(
        "--quick", action="store_true", help="some ten minutes: smaller fleets, fewer and shorter rounds"
    )
    shorter.add_argument(
        "--trial", action="store_true", help="as short as can be: whether each still runs; its figures mean nothing"
    )
    parser.add_argument("--only", metavar="NAME", choices=BENCHES, action="append", help=f"one of {', '.join(BENCHES)}")
    parser.add_argument(
        "--results", metavar="FOLDER", type=Path, default=RESULTS, help="where the JSON goes (default: var/bench)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the bench's database (stopped) for a look at it")
    return parser.parse_args()


def _run(asked: argparse.Namespace) -> list[Result]:
    plan, load_before = (TRIAL if asked.trial else QUICK if asked.quick else FULL), os.getloadavg()[0]
    if plan.quick:
        console.print(
            "[yellow]A quick run: small fleets and short rounds. Its figures are rough, do not quote them.[/]"
        )
    if load_before > BUSY_BEFORE:
        console.print(
            f"[yellow]The machine is busy already (load {load_before:.1f}): the figures will be disturbed.[/]"
        )
    results = []
    with Stage(keep=asked.keep) as stage:
        facts: dict[str, Any] = {
            "quick": plan.quick,
            "machine": machine(
                stage.fleet(plan.sizes[0]).one("SELECT version() || ', PostGIS ' || postgis_lib_version()")
            )
            | {"load_before": load_before},
            "seeds": {"fleet": FLEET_SEED, "pickups": SEED},
            "plan": vars(plan),
        }
        for name in asked.only or BENCHES:
            began = time.monotonic()
            with Disturbance() as others:
                result = BENCHES[name](stage, plan)
            result.disturbed_by(others.share)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            result.keep(asked.results, facts | {"measured_at": now, "took_s": round(time.monotonic() - began)})
            result.show()
            results.append(result)
        say("removing the bench's database" if not asked.keep else "stopping the bench's database")
    return results


def main() -> int:
    """Run what was asked for."""
    asked = _arguments()
    return exit_code(lambda: _judged(asked))


def _judged(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    results = _run(asked)
    show_targets(results)
    missed = [t for r in results for t in r.targets if t.met is False]
    console.print(f"{len(missed)} of {sum(len(r.targets) for r in results)} targets missed; "
                  f"{(time.monotonic() - began) / 60:.1f} minutes; JSON in var/bench")  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Kills and stops parts of the service while clients ride, and sees that nothing is lost, doubled or made up.

It has a PostgreSQL cluster of its own with full durability, a Redis, two server processes and a dispatcher, all on
loopback and in var/chaos; your databases are not touched. Passengers and drivers ride over real WebSockets and repeat
each command under its command_id until it is answered. The seed alone decides which fault strikes when. In the end
every answer is held against the database. Results: var/chaos/result.json, and history.jsonl with every command and
frame.

Exit codes: 0 nothing was lost; 1 violations, or the run is worth nothing or failed; 2 wrong usage; 130 interrupted,
everything it started is stopped.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.report import console, say
from tests.bench.stage import BenchError, exit_code
from tests.chaos import report
from tests.chaos.drama import Outcome, play
from tests.chaos.faults import plan
from tests.chaos.system import System
from tests.environment import ROOT

FOLDER = ROOT / "var" / "chaos"
KILLS, EVERY_S = 200, 3.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kills",
        type=_count,
        default=KILLS,
        metavar="N",
        help="how many faults, mostly kill -9 (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of which fault strikes when, and of what people do")
    parser.add_argument("--seconds", type=float, help=f"in how many seconds (default {EVERY_S:g} for each fault)")
    parser.add_argument(
        "--careless",
        action="store_true",
        help="the control: PostgreSQL answers before it has written; must end with 1",
    )
    parser.add_argument("--keep", action="store_true", help="leave the database (stopped) for a look at it")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def run(
    folder: Path, *, kills: int, seed: int, seconds: float | None = None, keep: bool = False, careless: bool = False,
    afterwards: Callable[[System, Outcome], None] = lambda _system, _outcome: None,
) -> Outcome:  # fmt: skip
    """One run. A `BenchError` when it fails, or would prove nothing where it found nothing.

    `afterwards` is called before the system ends.
    """
    began, seconds = time.monotonic(), kills * EVERY_S if seconds is None else seconds
    with System(folder, keep=keep, careless=careless) as system:
        if "redis" not in system.targets:
            say("redis-server is not installed: no faults of Redis and of a dispatcher of its own")
        faults = plan(seed, kills, seconds, ["postgresql"] if careless else system.targets)
        say(f"seed {seed}: {kills} faults in {seconds:.0f} s")
        outcome = asyncio.run(play(system, faults, seed))
        afterwards(system, outcome)
    facts = {
        "seed": seed, "asked": kills, "seconds": seconds, "careless": careless, "late_s": round(outcome.late_s, 1),
        "took_s": round(time.monotonic() - began),
    }  # fmt: skip
    report.keep(outcome, folder, facts)
    report.show(outcome)
    say(f"seed {seed}, {kills} faults, the last {outcome.late_s:.1f} s later than planned; {facts['took_s']} s in all")
    if not outcome.found and (why := report.worthless(outcome)):
        raise BenchError(f"the run is worth nothing: {why}")
    return outcome


def main() -> int:
    """Run what was asked for."""
    asked = _arguments()
    return exit_code(lambda: _judged(run(FOLDER, **vars(asked))), FOLDER)


def _judged(outcome: Outcome) -> int:
    if outcome.found:
        console.print("[bold red]Not as it must be: see above.[/]")
        return 1
    console.print("[green]Nothing was lost, doubled or made up.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())

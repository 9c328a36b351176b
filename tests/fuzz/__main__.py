"""Hostile frames against a real server process, and whether anything gave way.

A seeded generator makes valid frames of both sockets and spoils them: flipped bytes, cut texts, doubled and unordered
keys, wrong types, numbers and texts that no database takes, deep nesting, fields only the service sets, binary, empty
and fragmented frames, frames around 16 KiB; and what is no WebSocket any more: wrong opcodes, bits and masks, invalid
UTF-8, floods, half frames with a reset or silence behind them, handshakes that are none. Hundreds of sockets stay open
throughout; the server has its real limits, so that 4400 and 4429 are among what is tried.

Nothing may give way: every frame is answered or its socket closed with a code of docs/protocol.md, nothing is written
that no valid frame asked for, no error is logged, the process lives and does not grow by 50 MiB, and an honest
neighbour waits at most twice as long (p99) as beside the same number of harmless pings, sent before and after in the
same run (tests/fuzz/run.py says why).

It has a PostgreSQL cluster of its own (var/bench-postgres), removed at the end; your databases are not touched. The
figures go to the terminal and to var/fuzz/result.json. A frame that failed is named as SEED:NUMBER; `--replay` sends it
again, alone.

Exit codes: 0 nothing gave way; 1 something did, or the run is worth nothing or failed; 2 wrong usage; 130 interrupted.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.bench.report import DISTURBED, console, machine, say
from tests.bench.stage import AS_SHIPPED, LOGS, Disturbance, Stage, exit_code, service
from tests.environment import ROOT, libpq
from tests.fuzz.run import Ground, Outcome, Plan, run
from tests.fuzz.verdict import answers, errors_in_log, judge, slowed_down, slower, written

FRAMES, SEED = 1_000_000, 1
RESULT = ROOT / "var" / "fuzz" / "result.json"
LOG = LOGS / "bench-server.log"
CONTROL_S = 60.0
# Below so many the controls would take longer than what they are compared with.
JUDGED_FROM = 200_000
PHASES = ("before", "shots", "after")
SLOWED_DOWN = 0.8  # of the pace


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=_count, default=FRAMES, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help="of the frames (default %(default)s)")
    parser.add_argument("--replay", metavar="SEED:NUMBER", type=_number, help="send one frame and show what comes back")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1_000 <= int(text) <= 100_000_000:
        raise argparse.ArgumentTypeError("a whole number from 1000 on")
    return int(text)


def _number(text: str) -> tuple[int, int]:
    seed, _, number = text.partition(":")
    try:
        return int(seed), int(number)
    except ValueError:
        raise argparse.ArgumentTypeError("a seed and a number, as 1:2345") from None


def _fuzz(asked: argparse.Namespace) -> int:
    import uvloop

    frames = 1_000 if asked.replay else asked.frames
    plan = Plan(frames, asked.seed, CONTROL_S if frames >= JUDGED_FROM else 0)
    if not asked.replay:
        say(f"{plan.frames:,} frames over {plan.sockets} sockets, seed {plan.seed}")
    with Stage(keep=False, limits=AS_SHIPPED) as stage, Disturbance() as others:
        fleet = stage.database("fuzz", plan.drivers)
        env = stage.service_env(
            fleet, LOG_LEVEL="INFO", LOG_FORMAT="json", CARECONNECT_FRAMES_PER_S="20", CARECONNECT_FRAMES_BURST="60"
        )
        drivers, broken_invariants = _django(env, plan)
        with service(env) as server:
            ground = Ground(server.port, server.pid, LOG, drivers)
            if asked.replay:
                return uvloop.run(_replay(ground, *asked.replay))
            outcome = uvloop.run(run(ground, plan, say))
            ended = not answers(server.port)
        rows, rides = written(libpq(fleet.admin_url), outcome.tally, plan.drivers)
        wrong = judge(outcome, errors_in_log(LOG), rows)
        wrong += ["the server has ended"] * ended + [f"broken: {broken}" for broken in broken_invariants()]
        postgres = fleet.one("SELECT version() || ', PostGIS ' || postgis_lib_version()")
    worthless = _worthless(outcome)
    if late := slowed_down(outcome):
        if others.share > DISTURBED:
            worthless = f"other programs used {others.share:.0%} of the machine's CPU, and " + ", ".join(late)
        else:
            wrong += late
    _show(outcome, wrong, rides)
    console.print(f"other programs used {others.share:.0%} of the machine's CPU meanwhile")
    _keep(outcome, wrong, worthless, machine(postgres) | {"others_cpu_share": round(others.share, 3)})
    return _end(outcome, wrong, worthless)


def _django(env: dict[str, str], plan: Plan) -> tuple[dict[int, str], Any]:
    """People in the database, by the ORM, which from here on is this process's as well."""
    os.environ.update(env)
    import django

    django.setup()
    from mobility.invariants.queries import broken_invariants
    from tests.fuzz.people import people

    return people(plan.drivers), broken_invariants


async def _replay(ground: Ground, seed: int, number: int) -> int:
    from tests.fuzz.grammar import role_of, shot
    from tests.fuzz.sockets import SILENCE_LIMIT_S, Client
    from tests.fuzz.tally import Tally

    fired, tally = shot(seed, number), Tally(seed)
    driver = next(iter(ground.drivers.items())) if role_of(number) == "driver" else None
    client = Client(ground.port, tally, 0, driver, asyncio.Semaphore(1))
    console.print(
        f"{fired.kind} on a {role_of(number)}'s socket; {fired.answer.value}\n{fired.wire[:2_000]!r}", markup=False
    )
    try:
        async with asyncio.timeout(2 * SILENCE_LIMIT_S):
            await client.fire([(number, fired)])
    except TimeoutError:
        tally.violation("nothing happened", number, fired)
    client.close()
    errors = errors_in_log(LOG)
    console.print(f"heard: {dict(tally.answers + tally.closes)}", markup=False)
    for wrong in [*(str(v["what"]) for v in tally.violations), *errors]:
        console.print(f"[bold red]wrong:[/] {wrong}", soft_wrap=True)
    return 1 if tally.violations or errors else 0


def _worthless(outcome: Outcome) -> str:
    """Why the run proves nothing; empty where it does."""
    if outcome.pace_per_s and outcome.reached_per_s < SLOWED_DOWN * outcome.pace_per_s:
        return f"only {outcome.reached_per_s:,.0f} of {outcome.pace_per_s:,.0f} frames a second were reached"
    if sum(outcome.tally.sent.values()) < outcome.plan.frames:
        return "not all frames were sent"
    return ""


def _show(outcome: Outcome, wrong: list[str], rides: int) -> None:
    tally = outcome.tally
    for title, counter in (("frames by kind", tally.sent), ("answers", tally.answers), ("ends", tally.closes)):
        counted: Counter[str] = counter
        console.print(f"\n[bold]{title}[/]: {sum(counted.values()):,}")
        console.print("  " + ", ".join(f"{name} {count:,}" for name, count in counted.most_common()), markup=False)
    before, after = (kib / 1024 for kib in outcome.memory_kib)
    console.print(f"\nserver memory: {before:.0f} MiB after warming up, {after:.0f} MiB at the end")
    console.print(
        f"rides begun by valid frames: {rides} of at most {len(tally.rides)}; sockets opened: {tally.opened:,}"
    )
    for kind in ("ping", "ride"):
        times = outcome.neighbour["times"]
        p99 = ", ".join(
            f"{phase} {times[phase][kind]['p99']:,.1f}" for phase in PHASES if kind in times.get(phase, {})
        )  # fmt: skip
        ratio = slower(outcome, kind)
        judged = "not judged: too few" if ratio is None else f"{ratio:.2f} times the control's"
        console.print(f"the neighbour's p99 of a {kind}, ms: {p99}; {judged}")
    shares = ", ".join(f"{phase} {share:.0%}" for phase, share in outcome.server_share.items())
    console.print(f"the server's share of a core: {shares}")
    for line in wrong[:30]:
        console.print(f"[bold red]wrong:[/] {line}", soft_wrap=True)


def _keep(outcome: Outcome, wrong: list[str], worthless: str, facts: dict[str, Any]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    tally = outcome.tally
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": facts, "plan": asdict(outcome.plan),
        "sockets": outcome.plan.sockets, "took_s": round(outcome.took_s), "pace_per_s": outcome.pace_per_s,
        "reached_per_s": round(outcome.reached_per_s), "sent": tally.sent, "answers": tally.answers,
        "ends": tally.closes, "opened": tally.opened, "memory_kib": outcome.memory_kib,
        "neighbour_ms": outcome.neighbour["times"], "server_share": outcome.server_share,
        "worthless": worthless, "wrong": wrong, "violations": tally.violations,
    }  # fmt: skip
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


def _end(outcome: Outcome, wrong: list[str], worthless: str) -> int:
    say(
        f"seed {outcome.plan.seed}: {sum(outcome.tally.sent.values()):,} frames in {outcome.took_s:.0f} s, "
        f"{outcome.reached_per_s:,.0f} a second; {len(wrong)} violations"
    )
    if worthless:
        console.print(f"[bold red]The run proves nothing:[/] {worthless}")
    elif not wrong:
        console.print("[green]Nothing gave way.[/]")
    return 1 if wrong or worthless else 0


def main() -> int:
    """Run, judge."""
    asked = _arguments()
    return exit_code(lambda: _fuzz(asked))


if __name__ == "__main__":
    sys.exit(main())

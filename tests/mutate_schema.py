"""Take the walls of the database away one by one, and see that the tests which guard them fail.

    python -m tests.mutate_schema                 all walls of tests/walls.py
    python -m tests.mutate_schema --only offer    those with "offer" in their key; may be repeated
    python -m tests.mutate_schema --list          the walls and their tests; runs nothing

First the tests run against a database with all its walls, where they must pass. Then each wall gets a database of its
own, a copy of the migrated one without this wall, and a pytest that runs its tests there. Each of them has to fail in
its own body, with a failed assertion: one that breaks down in some other way has not seen the wall missing. A test that
passes does not guard the wall.

Exit codes: 0 every test named by a wall guards it, 1 some do not, 2 wrong usage, 130 interrupted. Nothing stays behind.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from tests import environment
from tests.walls import WALLS, Wall

ROOT = environment.ROOT
AT_ONCE = 2
LIMIT_S = 180  # for the tests of one wall
STANDS = "with all walls"
REPORT = "CARETEST_REPORT"
FAILED = {"AssertionError", "Failed"}  # a plain assert, and pytest.raises() that saw nothing raised
Verdicts = dict[str, str]

# ------------------------------------------------------------------------------ inside pytest (-p tests.mutate_schema)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """Write a line for each phase of a test, for the process that started this one."""
    report: pytest.TestReport = yield
    if path := os.environ.get(REPORT):
        raised = call.excinfo.typename if call.excinfo else ""
        with Path(path).open("a") as file:
            file.write(json.dumps([item.nodeid, report.when, report.outcome, raised]) + "\n")
    return report


# --------------------------------------------------------------------------------------------------- one wall, one run


class Run(NamedTuple):
    """A pytest under way: for a wall, or with all of them."""

    wall: Wall | None
    process: "subprocess.Popen[bytes]"
    report: Path
    began: float


def begin(wall: Wall | None, tests: tuple[str, ...], run_id: str, folder: Path) -> Run:
    """Start the tests on a copy of the database without this wall."""
    report = folder / f"{run_id}.jsonl"
    foreign = ("PYTEST_", "CARETEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {"CARETEST_RUN": run_id, REPORT: str(report)}
    if wall:
        env["CARETEST_REMOVE_WALL"] = wall.key
    # Plugins that cost seconds of start-up and do nothing here.
    useless = ("cacheprovider", "hypothesispytest", "anyio", "xdist")
    without = [part for name in useless for part in ("-p", f"no:{name}")]
    with (folder / f"{run_id}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "tests.mutate_schema", *without, *tests],
            cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we end the runs and clear up behind them
        )  # fmt: skip
    return Run(wall, process, report, time.monotonic())


def verdicts(run: Run, tests: tuple[str, ...]) -> Verdicts:
    """What became of each test, in a word: "fails", "passes", or what went wrong."""
    phases: dict[str, dict[str, tuple[str, str]]] = {}
    if run.report.exists():
        for line in run.report.read_text().splitlines():
            test, when, outcome, raised = json.loads(line)
            phases.setdefault(test, {})[when] = (outcome, raised)
    return {test: _verdict(phases.get(test, {})) for test in tests}


def _verdict(phases: dict[str, tuple[str, str]]) -> str:
    if "call" not in phases:
        outcome, raised = phases.get("setup", ("failed", "did not start"))
        return "is skipped" if outcome == "skipped" else f"breaks down before it begins ({raised})"
    outcome, raised = phases["call"]
    if outcome == "passed":
        return "passes" if phases.get("teardown", ("passed",))[0] == "passed" else "passes, but its clearing up fails"
    if outcome == "skipped":
        return "is skipped"
    return "fails" if raised in FAILED else f"breaks down ({raised})"


# ---------------------------------------------------------------------------------------------------------- all of them


@contextmanager
def cluster(run_id: str) -> Iterator[None]:
    """The tests' cluster, kept from being stopped by others meanwhile; afterwards without any database of ours."""
    environment.start_cluster()
    urls = environment.connection_urls(environment.CLUSTER)
    server = environment.on_database(urls["DATABASE_ADMIN_URL"], "postgres")
    with psycopg.connect(environment.libpq(server), autocommit=True) as admin:
        # A session in a database of the tests says that the cluster is in use.
        held = f"test_mutate_{run_id}"
        admin.execute(f'CREATE DATABASE "{held}"')
        try:
            with psycopg.connect(environment.libpq(environment.on_database(server, held))):
                yield
        finally:
            environment.drop_databases(admin, f"test\\_%\\_{run_id}%")
            environment.stop_cluster(admin)


def judge(walls: list[Wall], show: Any) -> dict[str, Verdicts]:
    """Run everything; the verdicts by wall, and those of the database that has them all."""
    run_id = f"mutate{os.getpid()}"
    every = tuple(sorted({test for wall in walls for test in wall.tests}))
    # The walls with the most tests first, so that no long one is left over at the end.
    waiting: list[Wall | None] = [None, *sorted(walls, key=lambda wall: -len(wall.tests))]
    running: list[Run] = []
    found: dict[str, Verdicts] = {}
    with tempfile.TemporaryDirectory(prefix="careconnect-mutate-") as folder, cluster(run_id):
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    wall = waiting.pop(0)
                    number = len(found) + len(running)
                    running.append(begin(wall, wall.tests if wall else every, f"{run_id}x{number}", Path(folder)))
                for run in [run for run in running if _is_over(run)]:
                    running.remove(run)
                    key = run.wall.key if run.wall else STANDS
                    found[key] = verdicts(run, run.wall.tests if run.wall else every)
                    show(key, found[key], run)
                time.sleep(0.02)
        finally:
            for run in running:
                _kill(run)
    return found


def _is_over(run: Run) -> bool:
    if run.process.poll() is None and time.monotonic() - run.began > (LIMIT_S if run.wall else 3 * LIMIT_S):
        _kill(run)
    return run.process.returncode is not None


def _kill(run: Run) -> None:
    """End a run and what it started, which is a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()


# ----------------------------------------------------------------------------------------------------------- the report


def wrong(found: dict[str, Verdicts]) -> list[tuple[str, str, str]]:
    """What is not as it should be: wall, test, verdict."""
    return [
        (key, test, verdict)
        for key, tests in found.items()
        for test, verdict in tests.items()
        if verdict != ("passes" if key == STANDS else "fails")
    ]


def report(found: dict[str, Verdicts], seconds: float) -> int:
    """Print the summary; the exit code."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    kinds = Table(box=None, pad_edge=False)
    for heading in ("kind of wall", "walls", "tests", "guarded"):
        kinds.add_column(heading, justify="left" if heading == "kind of wall" else "right")
    walls = [WALLS[key] for key in found if key != STANDS]
    bad = wrong(found)
    unguarded = dict.fromkeys(key for key, _, _ in bad)
    for kind in dict.fromkeys(wall.kind for wall in WALLS.values()):
        of_kind = [wall for wall in walls if wall.kind == kind]
        if of_kind:
            guarded = sum(wall.key not in unguarded for wall in of_kind)
            kinds.add_row(kind, str(len(of_kind)), str(sum(len(wall.tests) for wall in of_kind)), str(guarded))
    console.print(kinds)
    for key in unguarded:
        console.print(f"\n{key} is not guarded as it is said:", style="bold", markup=False)
        for _, test, verdict in (row for row in bad if row[0] == key):
            console.print(f"    {test}: {verdict}", markup=False, soft_wrap=True)
    state = "[red]some walls are not guarded[/]" if bad else "[green]every wall is guarded[/]"
    console.print(f"\n{len(walls)} walls, {len(unguarded)} with a fault, {seconds:.0f} s: {state}")
    return 1 if bad else 0


def list_walls(walls: list[Wall]) -> None:
    """The walls and the tests that guard them."""
    for wall in walls:
        print(f"{wall.key} ({wall.place})")
        for test in wall.tests:
            print(f"    {test}")


def chosen(only: list[str]) -> list[Wall]:
    """The walls whose key is, or contains, one of these words; all without any."""
    exact = [WALLS[word] for word in only if word in WALLS]
    return [
        wall
        for wall in WALLS.values()
        if not only or wall in exact or any(word in wall.key for word in only if word not in WALLS)
    ]


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutate_schema", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a wall's key, or a part of it")
    parser.add_argument("--list", action="store_true", help="print the walls and their tests, and run nothing")
    arguments = parser.parse_args()
    walls = chosen(arguments.only)
    if not walls:
        parser.error(f"no wall is called {' or '.join(arguments.only)}; --list shows them")
    if arguments.list:
        list_walls(walls)
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    began = time.monotonic()
    now = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    bar = (TextColumn("walls"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), now)
    try:
        with Progress(*bar, expand=True) as progress:
            task = progress.add_task(STANDS, total=len(walls) + 1)

            def show(key: str, tests: Verdicts, run: Run) -> None:
                progress.update(task, advance=1, description=key)
                if faults := wrong({key: tests}):
                    progress.console.print(f"{key}: {len(faults)} of {len(tests)} not as they should be", markup=False)
                if any("did not start" in verdict for verdict in tests.values()):
                    progress.console.print(run.report.with_suffix(".log").read_text()[-2000:], markup=False)

            found = judge(walls, show)
    except KeyboardInterrupt:
        print("interrupted; everything is cleared up", file=sys.stderr)
        return 130
    return report(found, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())

"""The same SQL without the service: pgbench, prepared, over the same TCP port and with the same session settings."""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mobility.sql import sql
from tests.bench.report import percentile
from tests.bench.stage import BenchError, Box, Fleet, libpq_env, run

_PARAMETER = re.compile(r"%\((\w+)\)s")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Timing:
    """One run: how many a second and how long each took."""

    count: int
    per_s: float
    p50_ms: float
    p99_ms: float


def in_script(statement: str, params: Mapping[str, Any]) -> str:
    """The service's statement with psycopg's `%(name)s` as pgbench's `:name`, and as there without its comments.

    None and empty text are written out: pgbench cannot send them.
    """

    def written(match: "re.Match[str]") -> str:
        value = params.get(match[1], 0)
        return "NULL" if value is None else "''" if value == "" else f":{match[1]}"

    return _PARAMETER.sub(written, _COMMENT.sub("", sql(statement))).rstrip()


def summed_up(statement: str, select: str, rest: str = "") -> str:
    r"""A statement of `in_script` that answers with one row, because `\gset` takes no more and no fewer.

    Its last SELECT becomes a part of its own, `answer`, of which `select` is asked; what it reads, locks and writes
    stays as it is.
    """
    if not statement.startswith("WITH "):
        return f"SELECT {select} FROM (\n{statement}\n) answer{rest}"
    before, found, last = statement.rpartition("\nSELECT ")
    if not found or last.count("(") != last.count(")"):
        raise BenchError("a statement no longer ends with a SELECT on a line of its own; see tests/bench/pgbench.py")
    return f"{before}, answer AS (\nSELECT {last}\n)\nSELECT {select} FROM answer{rest}"


def draw(box: Box, prefix: str = "") -> str:
    """Lines that draw a pickup in the box, evenly to a hundred-millionth of a degree, like `random.uniform`."""
    scale = f"{box.side_deg} * random(0, 10000000) / 10000000.0"
    return f"\\set {prefix}longitude {box.longitude} + {scale}\n\\set {prefix}latitude {box.latitude} + {scale}\n"


def pgbench(
    fleet: Fleet, script: str, params: Mapping[str, Any], *, clients: int, seed: int, options: str,
    seconds: float | None = None, each: int | None = None,
) -> Timing:  # fmt: skip
    """Run the script for `seconds`, or `each` times per client; `options` are the service's for a session."""
    with tempfile.TemporaryDirectory(prefix="careconnect-bench-") as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script + "\n")
        command = [
            pgbench_program(), "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
            "-f", str(path), f"--random-seed={seed}", "-l", f"--log-prefix={folder}/log",
        ]  # fmt: skip
        command += ["-T", str(max(1, round(seconds)))] if seconds is not None else ["-t", str(each)]
        for name, value in params.items():
            if value is not None and value != "":
                command += ["-D", f"{name}={value}"]
        said = run(command, env=libpq_env(fleet.app_url) | {"PGOPTIONS": options})
        if failed := re.search(r"number of failed transactions: ([1-9]\d*)", said):
            raise BenchError(f"pgbench: {failed[1]} transactions failed")
        return _read(Path(folder).glob("log*"))


def _read(logs: Any) -> Timing:
    """Per-transaction log lines: client, number, microseconds, script, time of its end in seconds and microseconds."""
    ends: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for log in logs:
        for line in log.read_text().splitlines():
            fields = line.split()
            ends[int(fields[0])].append((int(fields[4]) + int(fields[5]) / 1e6, int(fields[2]) / 1e3))
    return steady(list(ends.values()))


def steady(clients: list[list[tuple[float, float]]]) -> Timing:
    """What happened while all clients were at work and warm. For each client: (when it ended, milliseconds) in order.

    From the moment when the last client has finished its first tries until the first client has finished its last:
    opening connections and planning, and the tail with idle clients, are not counted.
    """
    skipped = 5 if min(len(c) for c in clients) > 20 else 1
    begin, end = max(c[skipped - 1][0] for c in clients), min(c[-1][0] for c in clients)
    inside = [ms for c in clients for at, ms in c if begin < at <= end]
    if len(inside) < 10:
        raise BenchError("too few measurements while all clients were at work: make the round longer")
    return Timing(len(inside), len(inside) / (end - begin), percentile(inside, 50), percentile(inside, 99))


@cache
def pgbench_program() -> str:
    """The newest installed pgbench itself, not the wrapper Debian puts before it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda p: float(p.parts[-3]))
    program = str(found[-1]) if found else shutil.which("pgbench")
    if program is None:
        raise BenchError("pgbench is not installed; it comes with the PostgreSQL server packages")
    return program

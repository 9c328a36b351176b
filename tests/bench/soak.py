"""A city's positions for minutes on end, with rides meanwhile: does anything grow, slow down or fall behind?

100,000 drivers, each of whom moves and tells where they are every five seconds, come in by the fleet's door (the
default: 20,000 positions a second, 5,000 in a request) or by as many sockets as --sockets says, one position a second
each. 50 passengers a second ask for a ride, are assigned a driver, and cancel. One server process, `bin/serve`, with
the dispatcher in it, on a PostgreSQL cluster of its own (var/bench-postgres) that is removed at the end.

At the end every position must be in the history, every ride must have had its driver, and all invariants hold; memory,
indexes and dead rows must not have grown since the end of the second minute. Figures of every minute go to the terminal
and to var/bench/soak-DOOR.json. docs/performance.md says more.

Exit codes: 0 all of that holds, 1 something does not or the run failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.load import answer_in, generator
from tests.bench.own_code import own_code
from tests.bench.plan import SEED
from tests.bench.report import Result, Target, machine, percentile, say, show_targets, shown
from tests.bench.stage import (
    DENSE,
    FLEET_SEED,
    RESULTS,
    BenchError,
    Disturbance,
    Fleet,
    Server,
    Stage,
    cpu_s,
    exit_code,
    resident_kib,
    service,
)

DRIVERS = 100_000
SETTLED = 2  # minutes until buffers, caches and autovacuum have found their size
# How much more than after two minutes is growth and not noise.
MEMORY_AT_MOST, INDEX_AT_MOST, DEAD_AT_MOST = 1.15, 1.3, 1.0
COUNTS = """SELECT pg_indexes_size('mobility_driver_location') AS index_bytes,
    pg_table_size('mobility_driver_location') AS table_bytes,
    s.n_dead_tup::float / greatest(s.n_live_tup, 1) AS dead, s.autovacuum_count AS vacuums,
    (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
     WHERE inhparent = 'mobility_position'::regclass) AS history_bytes
FROM pg_stat_user_tables s WHERE s.relname = 'mobility_driver_location'"""


@dataclass(frozen=True)
class Minute:
    """One minute of the run: what came in, how the rides fared, and what everything weighs at its end."""

    minute: int
    seconds: float
    positions: int
    positions_ms: list[float]
    rides_ms: list[float]
    server_mib: float
    database_mib: float
    index_mib: float
    table_mib: float
    history_mib: float
    dead: float
    vacuums: int
    server_cpu: float
    load_cpu: float

    def row(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "minute": self.minute, "positions/s": self.positions / self.seconds,
            "stored in ms p50": percentile(self.positions_ms, 50), "p99": percentile(self.positions_ms, 99),
            "rides/s": len(self.rides_ms) / self.seconds, "ride ms p50": percentile(self.rides_ms, 50),
            "ride p99": percentile(self.rides_ms, 99), "server MiB": self.server_mib,
            "PostgreSQL MiB": self.database_mib, "index MiB": self.index_mib, "dead rows": f"{self.dead:.0%}",
            "vacuums": self.vacuums, "history MiB": self.history_mib, "server CPU": f"{self.server_cpu:.0%}",
            "load CPU": f"{self.load_cpu:.0%}",
        }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--door", choices=("fleet", "sockets"), default="fleet", help="how the positions come in")
    parser.add_argument("--minutes", type=int, default=10, help="how long (default: 10, at least 3)")
    parser.add_argument("--per-s", type=int, default=20_000, help="positions a second by the fleet's door")
    parser.add_argument("--sockets", type=int, default=4_000, help="drivers connected, with --door sockets")
    parser.add_argument("--rides", type=float, default=50, help="rides a second (default: 50)")
    asked = parser.parse_args()
    if asked.minutes <= SETTLED:
        parser.error(f"--minutes must be more than {SETTLED}: so long everything takes to find its size")
    return asked


def _soak(asked: argparse.Namespace) -> int:
    with Stage(keep=False) as stage:
        fleet = stage.fleet(DRIVERS, "soak")
        unlimited = {f"CARECONNECT_{name}": "1000000000" for name in ("POSITIONS_PER_S", "POSITIONS_BURST")}
        # As it is in use: who does not tell where they are leaves the index, and returns.
        unlimited |= {"CARECONNECT_STALE_AFTER_S": "60", "CARECONNECT_SOCKETS_PER_PROCESS": "100000"}
        env = stage.service_env(fleet, **unlimited)
        with fleet.admin() as connection:
            connection.execute("SET session_replication_role = replica")
            for table in ("mobility_driver", "mobility_driver_location"):
                # The fleet's busy drivers have no rides: so that every invariant holds.
                connection.execute(f"UPDATE {table} SET status = 'offline' WHERE status = 'busy'")
            on_duty = [
                row[0]
                for row in connection.execute("SELECT id FROM mobility_driver WHERE status = 'available' ORDER BY id")
            ]
        with Disturbance() as others, own_code(stage, fleet) as code, service(env) as server:
            how: dict[str, Any] = {"port": server.port, "box": DENSE, "seed": SEED, "rides_per_s": asked.rides}
            if asked.door == "fleet":
                how |= {"key": code.ask("fleet_key"), "places": code.ask("places"), "per_s": asked.per_s}
            else:
                driver_ids = on_duty[: asked.sockets]
                how |= {"drivers": dict(zip(driver_ids, code.tokens(driver_ids), strict=True))}
            minutes, counted = _minutes(asked, stage, fleet, server, env, how)
            code.require_invariants()
            _require_all_stored(fleet, counted)
            version = fleet.one("SELECT version() || ', PostGIS ' || postgis_lib_version()")
        result = _result(asked, minutes, counted)
        result.disturbed_by(others.share)
        facts = {
            "machine": machine(version), "seeds": {"fleet": FLEET_SEED, "positions": SEED}, "asked": vars(asked),
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        result.keep(RESULTS, facts)
        say("removing the bench's database")
    result.show()
    show_targets([result])
    return 1 if any(t.met is False for t in result.targets) else 0


def _minutes(
    asked: argparse.Namespace, stage: Stage, fleet: Fleet, server: Server, env: dict[str, str], how: dict[str, Any]
) -> tuple[list[Minute], dict[str, int]]:
    """Let the load run and weigh everything after each minute; in the end what the clients counted."""
    minutes: list[Minute] = []
    with generator(env, "soak", how) as child:
        assert child.stdin is not None
        _told(child)  # it is connected
        for minute in range(1, asked.minutes + 1):
            cpu = cpu_s(server.pid)
            time.sleep(60)
            print(file=child.stdin, flush=True)
            told = _told(child)
            minutes.append(_weighed(minute, told, stage, fleet, server, cpu_s(server.pid) - cpu))
            say("  ".join(f"{name} {shown(value)}" for name, value in minutes[-1].row().items()))
        print("end", file=child.stdin, flush=True)
        return minutes, _told(child)


def _told(child: "subprocess.Popen[str]") -> dict[str, Any]:
    assert child.stdout is not None
    return answer_in(child.stdout.readline())


def _weighed(minute: int, told: dict[str, Any], stage: Stage, fleet: Fleet, server: Server, cpu: float) -> Minute:
    heavy = fleet.row(COUNTS)
    return Minute(
        minute=minute, seconds=told["seconds"], positions=told["positions"], positions_ms=told["positions_ms"],
        rides_ms=told["rides_ms"], server_mib=resident_kib(server.pid) / 2**10,
        database_mib=_own_memory_kib(stage.postmaster()) / 2**10, index_mib=heavy["index_bytes"] / 2**20,
        table_mib=heavy["table_bytes"] / 2**20, history_mib=float(heavy["history_bytes"]) / 2**20, dead=heavy["dead"],
        vacuums=heavy["vacuums"], server_cpu=cpu / told["seconds"], load_cpu=told["own_cpu_share"],
    )  # fmt: skip


def _own_memory_kib(postmaster: int) -> int:
    """What PostgreSQL's processes have for themselves, without the buffers they share."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                status = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines())
                if postmaster in {int(status["PPid"]), int(entry.name)}:
                    total += int(status.get("RssAnon", "0 kB").split()[0])
    return total


def _require_all_stored(fleet: Fleet, counted: dict[str, int]) -> None:
    """Every position that was answered is in the history, once, and every ride had its driver."""
    stored = int(fleet.one("SELECT count(*) FROM mobility_position"))
    rides, served = fleet.row("SELECT count(*) AS rides, count(driver_id) AS served FROM mobility_booking").values()
    if stored != counted["all_positions"] or not rides == served == counted["all_rides"] or counted["unended"]:
        raise BenchError(
            f"{counted['all_positions']} positions were told and {stored} are stored; of {rides} rides {served} had a "
            f"driver and {counted['all_rides']} came to their end; {counted['unended']} requests never ended"
        )


def _result(asked: argparse.Namespace, minutes: list[Minute], counted: dict[str, int]) -> Result:
    door = "the fleet's door" if asked.door == "fleet" else f"{asked.sockets:,} sockets"
    result = Result(f"soak-{asked.door}", f"{asked.minutes} minutes of positions by {door}, with rides")
    result.rows = [minute.row() for minute in minutes]
    settled, last = minutes[SETTLED - 1], minutes[-1]
    wanted = asked.per_s if asked.door == "fleet" else asked.sockets
    came = counted["all_positions"] / sum(m.seconds for m in minutes)
    rides = counted["all_rides"] / sum(m.seconds for m in minutes)
    later = minutes[SETTLED:]
    half = len(later) // 2
    slower = percentile(_rides(later[half:]), 99) / percentile(_rides(later[: half or 1]), 99)
    result.targets = [
        Target(f"positions/s that came in of {wanted:,}", came / wanted, at_least=0.98),
        Target(f"rides/s that had a driver of {asked.rides:g}", rides / asked.rides, at_least=0.95),
        Target("ride p99 of the second half over that of the first", slower, at_most=1.5),
        Target("server's memory at the end over that after two minutes", last.server_mib / settled.server_mib,
               at_most=MEMORY_AT_MOST),
        Target("PostgreSQL's own memory, the same", last.database_mib / settled.database_mib, at_most=MEMORY_AT_MOST),
        Target("indexes of the live rows, the same", last.index_mib / settled.index_mib, at_most=INDEX_AT_MOST),
        Target("dead rows over live ones, the most of any minute", max(m.dead for m in later), at_most=DEAD_AT_MOST),
    ]  # fmt: skip
    all_ms = _rides(minutes)
    result.notes = [
        f"{counted['all_positions']:,} positions and {counted['all_rides']:,} rides, all stored and served;",
        f"find_driver to driver_assigned p50 {percentile(all_ms, 50):.1f} ms, p99 {percentile(all_ms, 99):.1f}, max",
        f"{max(all_ms):.0f}. All invariants hold.",
    ]
    result.rounds = {"minutes": [asdict(m) for m in minutes]}
    return result


def _rides(minutes: list[Minute]) -> list[float]:
    return [ms for m in minutes for ms in m.rides_ms]


def main() -> int:
    """Run what was asked for."""
    asked = _arguments()
    return exit_code(lambda: _soak(asked))


if __name__ == "__main__":
    sys.exit(main())

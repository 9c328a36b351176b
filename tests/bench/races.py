"""A million contested accepts against the service's own statements, and a control that loses races.

Every ride asks five drivers, and all of them accept at the same time, one of them twice, from 32 connections: the
statements of the service in its order, by pgbench, with all constraints and triggers. After each batch the outcome is
counted. A control does the same without locks and guards: it must show what the service must not.

It has a PostgreSQL cluster of its own (var/bench-postgres), removed at the end; your databases are not touched.
docs/performance.md says more. Figures go to the terminal and to var/bench/races.json.

Exit codes: 0 no violation, and the control shows some; 1 violations, or the run is worth nothing or failed; 2 wrong
usage; 130 interrupted.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import pgbench
from tests.bench.own_code import OwnCode, own_code
from tests.bench.plan import SEED
from tests.bench.report import Result, Target, console, machine, middle, say, show_targets
from tests.bench.stage import (
    FLEET_SEED,
    RESULTS,
    BenchError,
    Disturbance,
    Fleet,
    Stage,
    exit_code,
    libpq_env,
    run,
)

CLIENTS = 32
ASKED = 5  # drivers a ride
TURNS = ASKED + 1  # accepts a ride: one of the drivers, drawn by chance, accepts twice
RIDES = 8_352  # of a batch; each client has equally many turns
CONTROL_RIDES = 2_000
ACCEPTS, QUICK_ACCEPTS = 1_000_000, 45_000
ACCEPT = ("dispatch/sql/offer_to_answer", "bookings/sql/lock_ride", "dispatch/sql/lock_driver", "dispatch/sql/accept")
CONTESTED_ACCEPT = (*ACCEPT[1:], "dispatch/sql/offer_state")  # after the first one's look at the offer
LATE_ACCEPT = ACCEPT[:1]

# The next turn, and from it the ride and the driver.
TURN = f"""SELECT nextval('races.turn') AS turn, (1e6 * extract(epoch FROM clock_timestamp()))::bigint AS began_us
\\gset
\\set ride (:turn - 1) / {TURNS}
\\set place (:turn - 1) % {TURNS}
\\if :place = {ASKED}
\\set place random(0, {ASKED - 1})
\\endif
\\set booking_id :first + :ride
\\set ride_id :booking_id
"""
WRITE_DOWN = """INSERT INTO races.try (turn, booking_id, driver_id, outcome, began_us)
VALUES (:turn, :booking_id, :driver_id, {outcome}, :began_us);
"""
# Read, then write: what one writes first. The ride's row comes first also here, else the control only deadlocks.
NAIVE = """BEGIN;
SELECT (status = 'pending')::int AS waiting FROM mobility_booking WHERE id = :booking_id
\\gset
SELECT (status = 'available')::int AS idle FROM mobility_driver WHERE id = :driver_id
\\gset
\\if :waiting = 1 and :idle = 1
UPDATE mobility_booking SET status = 'confirmed', driver_id = :driver_id, confirmed_at = now() WHERE id = :booking_id;
UPDATE mobility_offer SET status = 'accepted', settled_at = now()
WHERE booking_id = :booking_id AND driver_id = :driver_id;
UPDATE mobility_offer SET status = 'withdrawn', reason = 'taken', settled_at = now()
WHERE booking_id = :booking_id AND driver_id <> :driver_id AND status = 'pending';
UPDATE mobility_driver SET status = 'busy' WHERE id = :driver_id;
\\endif
COMMIT;
"""

# What must be zero, counted by the same text in the service's tables and in the control's.
VIOLATIONS = """SELECT
    (SELECT count(*) FROM (SELECT FROM mobility_offer WHERE status = 'accepted' GROUP BY booking_id
        HAVING count(*) > 1) n) AS "rides with two accepted offers",
    (SELECT count(*) FROM (SELECT FROM races.try WHERE outcome = 'won' GROUP BY booking_id
        HAVING count(*) > 1) n) AS "rides told to two drivers",
    (SELECT count(*) FROM races.try t JOIN mobility_booking b ON b.id = t.booking_id
        WHERE t.outcome IN ('won', 'again') AND b.driver_id IS DISTINCT FROM t.driver_id)
        AS "rides of another than who was told",
    (SELECT count(*) FROM (SELECT FROM mobility_booking WHERE driver_id IS NOT NULL GROUP BY driver_id
        HAVING count(*) > 1) n) AS "drivers with two rides",
    (SELECT count(*) FROM mobility_booking b WHERE b.status <> 'confirmed' OR NOT EXISTS (
        SELECT FROM mobility_offer o WHERE o.booking_id = b.id AND o.driver_id = b.driver_id AND o.status = 'accepted'))
        AS "rides without an accepted offer",
    (SELECT count(*) FROM mobility_offer WHERE NOT (status = 'accepted' OR (status = 'withdrawn' AND reason = 'taken')))
        AS "offers that ended otherwise",
    (SELECT abs((SELECT count(*) FROM mobility_driver WHERE status = 'busy')
        - (SELECT count(*) FROM mobility_booking WHERE status = 'confirmed')))
        AS "busy drivers beside confirmed rides"
"""
# Two accepts of one ride contest it when they were under way at the same time.
COUNTS = """WITH contest AS (
    SELECT outcome,
        coalesce(began_us < max(ended_us) OVER (ride ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false)
        OR coalesce(lead(began_us) OVER ride < ended_us, false) AS contested
    FROM races.try WINDOW ride AS (PARTITION BY booking_id ORDER BY began_us, turn)
)
SELECT count(*) AS tried, count(*) FILTER (WHERE contested) AS contested,
    count(*) FILTER (WHERE outcome = 'won') AS won, count(*) FILTER (WHERE outcome = 'again') AS again,
    count(*) FILTER (WHERE outcome = 'lost') AS lost,
    (SELECT count(*) FROM mobility_offer WHERE status = 'accepted') AS accepted,
    (SELECT count(*) FROM mobility_offer WHERE status = 'withdrawn') AS withdrawn
FROM contest"""


@dataclass
class Tally:
    """What was counted, over all batches."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    invariants: list[str] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def add(self, fleet: Fleet, timing: pgbench.Timing, *, search_path: str = "public") -> None:
        """Count the batch that has just been raced."""
        self.counts.update(fleet.row(COUNTS, search_path=search_path))
        self.violations.update(fleet.row(VIOLATIONS, search_path=search_path))
        self.per_s.append(timing.per_s)
        self.p99_ms.append(timing.p99_ms)


def accept_script(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An accept as the service sends it: the first one, the winner's second one, one that loses and one that is late.

    Three answers are changed, because pgbench takes single rows of numbers only: of offer_to_answer.sql whether the
    offer is closed, of lock_ride.sql whether the ride is this driver's already, of accept.sql how many drivers were
    told (none: the accept is not valid). An accept that lost has changed nothing when it has read why; it is committed.
    """
    for name, expected in (("accept", ACCEPT), ("contested_accept", CONTESTED_ACCEPT), ("late_accept", LATE_ACCEPT)):
        if names(given[name]) != expected:
            sent = ", ".join(names(given[name]))
            raise BenchError(f"the service accepts otherwise now; see tests/bench/races.py. {name}: {sent}")
    (answer,) = (pgbench.in_script(*sent) for sent in given["late_accept"])
    lock_ride, lock_driver, accept, state = (pgbench.in_script(*sent) for sent in given["contested_accept"])
    closed = ", ".join(f"'{status}'" for status in given["closed"])
    answer = pgbench.summed_up(answer, f"max(id) AS id, bool_and(status IN ({closed}))::int AS closed")
    lock_ride = pgbench.summed_up(lock_ride, "coalesce(max((driver_id = :driver_id)::int), 0) AS mine_already")
    accept = pgbench.summed_up(accept, "count(*) AS told")
    script = (
        TURN
        + f"\\set driver_id {ASKED} * :ride + :place + 1\n{answer}\n\\gset mine_\n"
        + "\\set told 0\n\\set mine_already 0\n\\if :mine_closed = 0\n\\set offer_id :mine_id\nBEGIN;\n"
        + f"{lock_ride}\n\\gset\n{lock_driver};\n{accept}\n\\gset\n"
        + f"\\if :told = 0 and :mine_already = 0\n{state};\n\\endif\nCOMMIT;\n\\endif\n"
        + WRITE_DOWN.format(
            outcome="CASE WHEN :told > 0 THEN 'won' WHEN :mine_already = 1 THEN 'again' ELSE 'lost' END"
        )
    )
    constants = {"lost_driver_s": dict(given["accept"])["dispatch/sql/accept"]["lost_driver_s"]}
    return script, constants


def names(sent: list[Any]) -> tuple[str, ...]:
    """Of recorded statements."""
    return tuple(name for name, _ in sent)


def naive_script() -> str:
    """An accept of the control, each two rides with the drivers of the first of them."""
    return (
        TURN
        + f"\\set driver_id {ASKED} * (:ride - :ride % 2) + :place + 1\n"
        + NAIVE
        + WRITE_DOWN.format(outcome="CASE WHEN :waiting = 1 AND :idle = 1 THEN 'won' ELSE 'lost' END")
    )


def race(stage: Stage, wanted: int, seed: int) -> tuple[Tally, Tally]:
    """Batches until so many accepts were contested; the service's tally, and the control's."""
    with own_code(stage, stage.fleet(10_000)) as code:
        given = code.statements()
    say(f"loading {ASKED * RIDES:,} drivers and {RIDES:,} passengers")
    fleet = stage.database("races", ASKED * RIDES)
    _psql(fleet, "races.sql", drivers=ASKED * RIDES, passengers=RIDES, seed=FLEET_SEED)
    control, tally, batch = Tally(), Tally(), 0
    with own_code(stage, fleet) as code:
        while tally.counts["contested"] < wanted:
            batch += 1
            first = batch * RIDES
            _psql(fleet, "races_batch.sql", first=first, rides=RIDES, asked=ASKED)
            if batch == 1:
                _control(fleet, given, control, first, seed)
            _batch(fleet, given, code, tally, first, seed + batch)
            _say_so(tally, batch, wanted)
            if tally.invariants or sum(tally.violations.values()):
                break
            fleet.forget_rides()
    return tally, control


def _control(fleet: Fleet, given: Mapping[str, Any], control: Tally, first: int, seed: int) -> None:
    say(f"the control: {CONTROL_RIDES:,} rides without locks and guards, seed {seed}")
    _psql(fleet, "races_control.sql", first=first, rides=CONTROL_RIDES, asked=ASKED)
    options = given["options"] + " -c search_path=naive,public"
    timing = pgbench.pgbench(
        fleet, naive_script(), {"first": first}, clients=CLIENTS, each=CONTROL_RIDES * TURNS // CLIENTS, seed=seed,
        options=options,
    )  # fmt: skip
    control.add(fleet, timing, search_path="naive, public")
    with fleet.admin() as connection:
        connection.execute("DROP SCHEMA naive CASCADE")
        connection.execute("TRUNCATE races.try")
        connection.execute("ALTER SEQUENCE races.turn RESTART")


def _batch(fleet: Fleet, given: Mapping[str, Any], code: OwnCode, tally: Tally, first: int, seed: int) -> None:
    script, constants = accept_script(given)
    timing = pgbench.pgbench(
        fleet, script, constants | {"first": first}, clients=CLIENTS, each=RIDES * TURNS // CLIENTS, seed=seed,
        options=given["options"],
    )  # fmt: skip
    before = Counter(tally.counts)
    tally.add(fleet, timing)
    mine = tally.counts - before
    won, again, lost, tried = (mine[name] for name in ("won", "again", "lost", "tried"))
    tally.violations["accepts, winners and losers that do not add up"] += sum(
        (
            abs(tried - RIDES * TURNS), abs(tried - won - again - lost), abs(won - mine["accepted"]),
            abs(RIDES * ASKED - mine["accepted"] - mine["withdrawn"]), abs(RIDES - won),
        )
    )  # fmt: skip
    tally.invariants += code.ask("invariants")


def _say_so(tally: Tally, batch: int, wanted: int) -> None:
    n = tally.counts
    say(
        f"batch {batch}: {n['contested']:,} of {wanted:,} contested accepts; {n['won']:,} won, {n['lost']:,} lost, "
        f"{n['again']:,} won before; {sum(tally.violations.values()) + len(tally.invariants)} violations; "
        f"{tally.per_s[-1]:,.0f} accepts/s"
    )


def _psql(fleet: Fleet, file: str, **variables: Any) -> None:
    given = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    run(
        ["psql", "--no-psqlrc", "--quiet", "--file", str(Path(__file__).with_name(file)), *given],
        env=libpq_env(fleet.admin_url),
    )


def _result(tally: Tally, control: Tally, wanted: int) -> Result:
    result = Result("races", f"{ASKED} drivers accept one ride at the same time, one of them twice; {CLIENTS} clients")
    for what, t in (("the service's statements", tally), ("the control: read, then write", control)):
        tried = t.counts["tried"]
        result.rows.append(
            {
                "what": what, "accepts": tried, "contested": t.counts["contested"], "won": t.counts["won"],
                "lost": t.counts["lost"], "won before": t.counts["again"], "accepts/s": middle(t.per_s),
                "p99 ms": middle(t.p99_ms), "violations": sum(t.violations.values()) + len(t.invariants),
            }
        )  # fmt: skip
    result.targets = [
        Target("contested accepts", tally.counts["contested"], at_least=wanted),
        Target("violations", sum(tally.violations.values()), at_most=0),
        Target("broken invariants", len(tally.invariants), at_most=0),
        *(
            Target(f"control: {name}", control.violations[name], at_least=1)
            for name in ("rides with two accepted offers", "rides told to two drivers", "drivers with two rides")
        ),
    ]
    result.notes = [
        "contested: another accept of the same ride was under way at the same time. won before: the winner's second",
        "accept, which is answered as the first. Every constraint and trigger of the service is on; all its invariants",
        "were checked after each batch.",
        *(f"broken: {broken}" for broken in tally.invariants),
        *(f"violations: {count:,} {name}" for name, count in tally.violations.items() if count),
        *(f"the control's: {count:,} {name}" for name, count in control.violations.items() if count),
    ]
    result.rounds = {
        name: {what: dict(found) if isinstance(found, Counter) else found for what, found in vars(t).items()}
        for name, t in (("service", tally), ("control", control))
    }
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.races", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ACCEPTS:,} contested accepts, about a minute")
    parser.add_argument("--accepts", type=int, metavar="N", help=f"so many contested accepts (default {ACCEPTS:,})")
    parser.add_argument("--seed", type=int, default=SEED, help="of who accepts twice (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the bench's database (stopped) for a look at it")
    return parser.parse_args()


def _run(asked: argparse.Namespace) -> Result:
    wanted, began = asked.accepts or (QUICK_ACCEPTS if asked.quick else ACCEPTS), time.monotonic()
    say(f"{wanted:,} contested accepts; seeds: drivers {FLEET_SEED}, clients {asked.seed} and one more a batch")
    with Stage(keep=asked.keep) as stage, Disturbance() as others:
        tally, control = race(stage, wanted, asked.seed)
        postgres = stage.fleet(10_000).one("SELECT version() || ', PostGIS ' || postgis_lib_version()")
        result = _result(tally, control, wanted)
    result.disturbed_by(others.share)
    result.keep(
        RESULTS,
        {
            "quick": asked.quick, "machine": machine(postgres), "seeds": {"fleet": FLEET_SEED, "clients": asked.seed},
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "took_s": round(time.monotonic() - began),
        },
    )  # fmt: skip
    result.show()
    return result


def main() -> int:
    """Race, count, judge."""
    asked = _arguments()
    return exit_code(lambda: _judged(_run(asked)))


def _judged(result: Result) -> int:
    show_targets([result])
    kept = all(target.met for target in result.targets)
    console.print("[green]No race was lost.[/]" if kept else "[bold red]Not as it must be: see above.[/]")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""From a driver's accept to the passenger's driver_assigned, over WebSockets; all who are asked accept at once."""

from dataclasses import dataclass
from typing import Any

from tests.bench.load import load
from tests.bench.own_code import own_code
from tests.bench.pgbench import steady
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, percentile, say
from tests.bench.stage import DENSE, HOT_SPOT, BenchError, Fleet, Server, Stage, service

# How many passengers, and how many rides a second they ask for together; None: each again as soon as the last is over.
LOADS: dict[str, tuple[int, float | None]] = {
    "10 rides a second": (16, 10.0),
    "8 passengers on end": (8, None),
    "16 passengers on end": (16, None),
}
# Beyond these the latency is the length of the queue before a saturated server.
JUDGED = ("10 rides a second", "8 passengers on end")
SINCE = {"first": "first accept", "winner": "winner's"}
CONNECTED = 500
AT_MOST_MS = 100
# Nobody takes rides by themselves, and the fleet's busy drivers, who have no rides, are off duty: so that every
# invariant of the service holds before and has to hold after.
PREPARE = (
    "SET session_replication_role = replica",
    "UPDATE mobility_driver SET auto_accept = false, status = CASE status WHEN 'busy' THEN 'offline' ELSE status END",
    "UPDATE mobility_driver_location SET status = 'offline' WHERE status = 'busy'",
    "VACUUM ANALYZE mobility_driver",
    "VACUUM ANALYZE mobility_driver_location",
)
NEAREST = f"""SELECT driver_id FROM mobility_driver_location WHERE dispatchable
    ORDER BY indexed_position::geography <-> ST_MakePoint({HOT_SPOT.longitude}, {HOT_SPOT.latitude})::geography
    LIMIT {CONNECTED}"""
COUNTS = """SELECT
    (SELECT count(*) FROM mobility_booking) AS rides,
    (SELECT count(*) FROM mobility_booking WHERE status = 'cancelled' AND driver_id IS NOT NULL) AS served,
    (SELECT count(*) FROM mobility_offer) AS asked,
    (SELECT count(*) FROM mobility_offer WHERE status = 'accepted') AS accepted,
    (SELECT count(*) FROM mobility_offer WHERE status = 'withdrawn' AND reason = 'taken') AS taken,
    (SELECT count(*) FROM mobility_booking a JOIN mobility_booking b ON b.driver_id = a.driver_id AND b.id > a.id
     WHERE b.confirmed_at < a.cancelled_at AND a.confirmed_at < b.cancelled_at) AS at_once"""


@dataclass(frozen=True)
class Round:
    """One round: each ride's milliseconds since the first and since the winner's accept; what the accepts came to."""

    per_s: float
    first_ms: list[float]
    winner_ms: list[float]
    rides: int
    accepts: int
    refused: int
    asked: int
    server_ms: float
    server_share: float
    load_share: float


def bench(stage: Stage, plan: Plan) -> Result:
    """All loads in turns, with 500 connected drivers; everything is counted after each round."""
    fleet = stage.fleet(plan.sizes[0], "accept")
    env = stage.service_env(fleet)
    with fleet.admin() as connection:
        for statement in PREPARE:
            connection.execute(statement)
        driver_ids = [row[0] for row in connection.execute(NEAREST)]
    rounds: dict[str, list[Round]] = {name: [] for name in LOADS}
    with own_code(stage, fleet) as code:
        drivers = dict(zip(driver_ids, code.tokens(driver_ids), strict=True))
        tokens = code.tokens(range(fleet.drivers + 1, fleet.drivers + 17))
        with service(env) as server:
            for number in range(plan.rounds + 1):
                say("accept: warming up" if number == 0 else f"accept: round {number} of {plan.rounds}")
                for name in list(LOADS)[:: 1 if number % 2 else -1]:
                    passengers, per_s = LOADS[name]
                    each = max(plan.accept_rides // (4 if number == 0 else 1) // passengers, 5)
                    common: dict[str, Any] = {"each": each, "number": number, "per_s": per_s}
                    done = _round(fleet, server, env, drivers, tokens[:passengers], **common)
                    code.require_invariants()
                    fleet.forget_rides()
                    if number:
                        rounds[name].append(done)
    return _result(rounds)


def _round(
    fleet: Fleet, server: Server, env: dict[str, str], drivers: dict[int, str], tokens: list[str], *,
    each: int, number: int, per_s: float | None,
) -> Round:  # fmt: skip
    answer = load(
        env, "accepts", port=server.port, server_pid=server.pid, box=DENSE, drivers=drivers, passengers=tokens,
        each=each, per_s=per_s, seed=SEED + number, name=f"accept{number}",
    )  # fmt: skip
    counts = _check(fleet, len(tokens) * each, answer)
    ends = answer["ends"]
    return Round(
        per_s=steady([[(at, first) for at, first, _ in client] for client in ends]).per_s,
        first_ms=[first for client in ends for _, first, _ in client],
        winner_ms=[winner for client in ends for _, _, winner in client],
        rides=len(tokens) * each, accepts=answer["accepts"], refused=answer["answers"].get("ride_taken", 0),
        asked=counts["asked"], server_ms=answer["server_ms"], server_share=answer["server_cpu_share"],
        load_share=answer["own_cpu_share"],
    )  # fmt: skip


def _check(fleet: Fleet, wanted: int, answer: dict[str, Any]) -> dict[str, int]:
    """Every ride had one driver and no driver two rides at once; each accept won or was told that another one had."""
    counts = fleet.row(COUNTS)
    answers, accepts, silent = dict(answer["answers"]), answer["accepts"], answer["silent"]
    won, taken = answers.pop("ride_assigned", 0), answers.pop("ride_taken", 0)
    as_it_must_be = (
        counts["rides"] == counts["served"] == counts["accepted"] == won == wanted
        and won + taken == accepts
        and counts["accepted"] + counts["taken"] == counts["asked"]
        and counts["at_once"] == silent == len(answers) == 0
    )
    if not as_it_must_be:
        raise BenchError(
            f"of {wanted} rides and {accepts} accepts {won} won, {taken} came too late, {silent} met silence, "
            f"{answers} else; in the database {counts}"
        )
    return counts


def _result(rounds: dict[str, list[Round]]) -> Result:
    result = Result("accept", f"accept to driver_assigned, milliseconds; {CONNECTED} drivers connected")
    for load_name, mine in rounds.items():
        for since, since_name in SINCE.items():
            took_ms = [ms for r in mine for ms in getattr(r, f"{since}_ms")]
            row: dict[str, Any] = {
                "load": load_name if since == "first" else "", "since": since_name,
                "p50": percentile(took_ms, 50), "p99": percentile(took_ms, 99), "max": max(took_ms),
            }  # fmt: skip
            if since == "first":
                rides = sum(r.rides for r in mine)
                row |= {
                    "rides": rides,
                    "rides/s": middle(r.per_s for r in mine),
                    "accepts a ride": sum(r.accepts for r in mine) / rides,
                    "refused": sum(r.refused for r in mine),
                    "server CPU": f"{middle(r.server_share for r in mine):.0%}",
                    "ms a ride": middle(r.server_ms for r in mine),
                    "load CPU": f"{middle(r.load_share for r in mine):.0%}",
                }
                if load_name in JUDGED:
                    result.targets.append(
                        Target(f"p99 from the first accept to driver_assigned, ms, {load_name}", row["p99"],
                               at_most=AT_MOST_MS)
                    )  # fmt: skip
            result.rows.append(row)
    result.notes = [
        "Every connected driver accepts at once when asked, as an app without careconnect.v1; the passenger cancels",
        "when the driver is assigned, and asks again. Counted in the database after each round (the run stops",
        "otherwise): one driver a ride, no driver with two at once, every accept answered, winners and losers add up,",
        "all invariants hold. p50, p99 and max: of all rides of all rounds.",
    ]
    result.rounds = {name: [vars(r) for r in found] for name, found in rounds.items()}
    return result

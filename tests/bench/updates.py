"""Positions over WebSockets, as drivers' phones send them, beside the echo of the same message by our base consumer."""

from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from tests.bench.load import load
from tests.bench.own_code import own_code
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import DENSE, BenchError, Fleet, Server, Stage, cpu_s, echo_server, service

SOCKETS = 100
WINDOW = 10
# These positions have the time of their arrival, and two of a driver in the same microsecond are one: so few of them.
SAME_TIME, AT_LEAST = 1e-4, 5
ECHO, POSITIONS = "our base consumer, echo", "driver's socket, positions"
FREE = f"""SELECT driver_id FROM mobility_driver_location WHERE dispatchable ORDER BY driver_id LIMIT {SOCKETS}"""


def bench(stage: Stage, plan: Plan) -> Result:
    """Both servers stand; they are measured in turns. The positions sent must be in the history afterwards."""
    fleet = stage.fleet(plan.sizes[0], "updates")
    unlimited = {f"CARECONNECT_POSITIONS_{name}": "1000000000" for name in ("PER_S", "BURST")}
    env = stage.service_env(fleet, **unlimited)
    with fleet.admin() as connection:
        driver_ids = [row[0] for row in connection.execute(FREE)]
    rounds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as processes:
        tokens = processes.enter_context(own_code(stage, fleet)).tokens(driver_ids)
        servers = {
            ECHO: processes.enter_context(echo_server("base", env)), POSITIONS: processes.enter_context(service(env)),
        }  # fmt: skip
        drivers = [
            (f"/ws/driver/{driver_id}/", f"Authorization: Token {token}\r\n")
            for driver_id, token in zip(driver_ids, tokens, strict=True)
        ]
        for number in range(plan.rounds + 1):
            say("updates: warming up" if number == 0 else f"updates: round {number} of {plan.rounds}")
            for what in list(servers)[:: 1 if number % 2 else -1]:
                sockets = drivers if what == POSITIONS else [(f"/ws/ride/e-{number}-{i}/", "") for i in range(SOCKETS)]
                done = _round(fleet, servers[what], env, sockets, plan, number, acknowledged=what == POSITIONS)
                if number:
                    rounds[what].append(done)
    return _result(rounds)


def _round(
    fleet: Fleet, server: Server, env: dict[str, str], sockets: list[tuple[str, str]], plan: Plan, number: int, *,
    acknowledged: bool,
) -> dict[str, Any]:  # fmt: skip
    before, cpu = _stored(fleet), cpu_s(server.pid)
    done = load(
        env, "updates", port=server.port, sockets=sockets, window=WINDOW, seconds=plan.update_seconds,
        acknowledged=acknowledged, box=DENSE, seed=SEED + number,
    )  # fmt: skip
    done["server_us"] = (cpu_s(server.pid) - cpu) * 1e6 / done["sent"]
    if acknowledged:
        # And the last one of each socket, which says that all before it are stored.
        sent, stored = done["sent"] + SOCKETS, _stored(fleet) - before
        if not sent - max(sent * SAME_TIME, AT_LEAST) <= stored <= sent:
            raise BenchError(f"{sent} positions were sent and {stored} stored")
    return done


def _stored(fleet: Fleet) -> int:
    return int(fleet.one("SELECT count(*) FROM mobility_position"))


def _result(rounds: dict[str, list[dict[str, Any]]]) -> Result:
    result = Result("updates", f"positions a second over {SOCKETS} sockets of one process, {WINDOW} sent at once")
    per_s = {what: [r["per_s"] for r in found] for what, found in rounds.items()}
    for what, found in rounds.items():
        result.rows.append(
            {
                "server": what, "positions/s": middle(per_s[what]), "of echo": share_of(per_s[what], per_s[ECHO]),
                "p50 ms": middle(r["p50_ms"] for r in found), "p99 ms": middle(r["p99_ms"] for r in found),
                "server CPU us each": middle(r["server_us"] for r in found),
                "load generator CPU": f"{middle(r['own_cpu_share'] for r in found):.0%}",
            }
        )  # fmt: skip
    result.targets = [
        Target("positions/s over the driver's socket over our own echo", share_of(per_s[POSITIONS], per_s[ECHO]),
               at_least=0.5)
    ]  # fmt: skip
    result.notes = [
        "The fixed message `location_update`, behind every ten a ping, which the driver's socket answers in order;",
        "it writes the positions with their history meanwhile, and the clock stops when the last one is stored.",
    ]
    result.rounds = dict(rounds)
    return result

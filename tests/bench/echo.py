"""What our base consumer costs beside bare ASGI, and what it saves beside Channels' own: messages and memory."""

import time
from collections import defaultdict
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from tests.bench.load import idle_sockets, load
from tests.bench.plan import Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import Server, Stage, cpu_s, echo_server, resident_kib, service

SOCKETS = 100
PING = '{"type": "ping"}'
PLAIN, STOCK, BASE, OWN = (
    "plain ASGI echo",
    "stock Channels echo",
    "our base consumer, echo",
    "passenger socket, ping/pong",
)


def bench(stage: Stage, plan: Plan) -> Result:
    """All four servers stand; they are measured in turns."""
    fleet = stage.fleet(plan.sizes[0])
    env = stage.service_env(fleet)

    def server(what: str) -> AbstractContextManager[Server]:
        return service(env) if what == OWN else echo_server({PLAIN: "plain", STOCK: "stock", BASE: "base"}[what], env)

    rounds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as processes:
        servers = {what: processes.enter_context(server(what)) for what in (PLAIN, STOCK, BASE, OWN)}
        for number in range(plan.rounds + 1):
            say("echo: warming up" if number == 0 else f"echo: round {number} of {plan.rounds}")
            for what in list(servers)[:: 1 if number % 2 else -1]:
                done = _echo(servers[what], what, env, plan, number)
                if number:
                    rounds[what].append(done)
    memory = {}
    for what in (PLAIN, STOCK, OWN):
        say(f"echo: memory of {plan.idle_sockets:,} idle sockets, {what}")
        with server(what) as fresh:
            memory[what] = _memory_kib(fresh, env, plan.idle_sockets)
    return _result(plan, rounds, memory)


def _echo(server: Server, what: str, env: dict[str, str], plan: Plan, number: int) -> dict[str, Any]:
    cpu, began = cpu_s(server.pid), time.perf_counter()
    answer = load(
        env, "echo", port=server.port, paths=[f"/ws/ride/echo-{number}-{i}/" for i in range(SOCKETS)], message=PING,
        greeted=what == OWN, seconds=plan.echo_seconds,
    )  # fmt: skip
    share = (cpu_s(server.pid) - cpu) / (time.perf_counter() - began)
    return answer | {"server_cpu_share": share}


def _memory_kib(server: Server, env: dict[str, str], count: int) -> float:
    """Growth of the server's resident memory per idle socket, after a few sockets have come and gone."""
    with idle_sockets(env, server.port, [f"/ws/ride/warm-{i}/" for i in range(50)]):
        pass
    before = resident_kib(server.pid)
    with idle_sockets(env, server.port, [f"/ws/ride/idle-{i}/" for i in range(count)]):
        return (resident_kib(server.pid) - before) / count


def _result(plan: Plan, rounds: dict[str, list[dict[str, Any]]], memory: dict[str, float]) -> Result:
    result = Result("echo", f"messages a second over {SOCKETS} sockets; memory of idle sockets")
    per_s = {what: [r["per_s"] for r in found] for what, found in rounds.items()}
    for what, found in rounds.items():
        result.rows.append(
            {
                "server": what, "messages/s": middle(per_s[what]), "p50 ms": middle(r["p50_ms"] for r in found),
                "p99 ms": middle(r["p99_ms"] for r in found), "of plain": share_of(per_s[what], per_s[PLAIN]),
                "of stock": share_of(per_s[what], per_s[STOCK]),
                "load generator CPU": f"{middle(r['own_cpu_share'] for r in found):.0%}",
                "KiB per idle socket": memory.get(what),
            }
        )  # fmt: skip
    for what in (BASE, OWN):
        result.targets += [
            Target(f"{what}, over plain ASGI", share_of(per_s[what], per_s[PLAIN]), at_least=0.55),
            Target(f"{what}, over stock Channels", share_of(per_s[what], per_s[STOCK]), at_least=2.5),
        ]
    result.targets.append(
        Target("memory of an idle passenger socket over a plain ASGI one", memory[OWN] / memory[PLAIN], at_most=1.4)
    )
    result.notes = [
        "All on uvicorn with the options of bin/serve, one message under way per socket. Memory: by how much the",
        f"resident set grows with {plan.idle_sockets:,} idle sockets in a fresh process that has served 50 before.",
    ]
    result.rounds = dict(rounds) | {"memory_kib": memory}
    return result

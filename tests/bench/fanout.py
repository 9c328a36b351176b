"""One message to a thousand sockets, sent by another process: our hub beside Channels' core Redis layer."""

import shutil
from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from tests.bench.echo_apps import FAN
from tests.bench.load import load
from tests.bench.plan import Plan
from tests.bench.redis_peer import redis_alone
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import Stage, cpu_s, echo_server

SOCKETS = 1_000
WAYS = {"core Redis layer, stock Channels": "core", "our hub, base consumer": "hub"}
PEER, OWN = WAYS
# What a driver on a map is: some 200 bytes.
CONTENT = {
    "type": "driver_location", "ride_id": "ride-123", "booking_id": 1, "seq": 12, "latitude": -26.2041,
    "longitude": 28.0473, "heading": 90.0, "speed": 8.3, "recorded_at": "2026-01-01T08:00:00Z", "eta_minutes": 4,
}  # fmt: skip


def bench(stage: Stage, plan: Plan) -> Result:
    """Both servers stand and have their sockets; they are measured in turns."""
    result = Result("fanout", f"messages a second that reach {SOCKETS:,} sockets of one process, sent by another")
    target = Target("deliveries/s of our hub over the core Redis layer", at_least=8)
    result.targets = [target]
    if shutil.which("redis-server") is None:
        target.why_not = "redis-server is not installed (bin/setup --test installs it where it can)"
        return result
    fleet = stage.fleet(plan.sizes[0])
    rounds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as processes:
        redis = f"redis://127.0.0.1:{processes.enter_context(redis_alone())}/0"
        env = stage.service_env(fleet, REDIS_URL=redis)
        servers = {
            name: processes.enter_context(echo_server(f"{layer}_group", env)) for name, layer in WAYS.items()
        }  # fmt: skip
        for number in range(plan.rounds + 1):
            say("fanout: warming up" if number == 0 else f"fanout: round {number} of {plan.rounds}")
            for name in list(WAYS)[:: 1 if number % 2 else -1]:
                server, layer = servers[name], WAYS[name]
                messages = plan.fanout_messages * (1 if layer == "core" else 4)
                cpu = cpu_s(server.pid)
                done = load(
                    env, "fanout", port=server.port, layer=layer, redis=redis, group=FAN, content=CONTENT,
                    messages=messages, paths=[f"/ws/ride/fan-{number}-{i}/" for i in range(SOCKETS)],
                )  # fmt: skip
                done["server_us"] = (cpu_s(server.pid) - cpu) * 1e6 / (messages * SOCKETS)
                if number:
                    rounds[name].append(done)
    per_s = {name: [r["per_s"] for r in found] for name, found in rounds.items()}
    for name, found in rounds.items():
        result.rows.append(
            {
                "way": name, "deliveries/s": middle(per_s[name]), "of core": share_of(per_s[name], per_s[PEER]),
                "p50 ms to all": middle(r["p50_ms"] for r in found),
                "p99 ms": middle(r["p99_ms"] for r in found),
                "server CPU us a delivery": middle(r["server_us"] for r in found),
                "load generator CPU": f"{middle(r['own_cpu_share'] for r in found):.0%}",
            }
        )  # fmt: skip
    target.measured = share_of(per_s[OWN], per_s[PEER])
    result.notes = ["Four messages under way at most. The CPU of opening the sockets is counted in the server's share."]
    result.rounds = dict(rounds)
    return result

"""The nearest five beside Redis GEOSEARCH over a set of only the free drivers, the same pickups, the same clients."""

import asyncio
import random
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import hiredis
import redis

from tests.bench import pgbench
from tests.bench.own_code import drawn, own_code
from tests.bench.pgbench import Timing, steady
from tests.bench.plan import SEED, Plan
from tests.bench.report import Result, Target, middle, say, share_of
from tests.bench.stage import DENSE, BenchError, Fleet, Stage, free_port, process

CLIENTS = (1, 8)
AT_LEAST = {100_000: (3.0, None), 1_000_000: (15.0, 40.0)}


def bench(stage: Stage, plan: Plan) -> Result:
    """Rounds of the service's SQL in pgbench and of GEOSEARCH, at 100,000 and 1,000,000 drivers."""
    result = Result("redis", "the nearest five: our SQL in pgbench | Redis GEOSEARCH of the free drivers")
    if shutil.which("redis-server") is None:
        why = "redis-server is not installed (bin/setup --test installs it where it can)"
        result.notes = [why]
        result.targets = [
            Target(f"searches/s over Redis, {size:,} drivers", at_least=low, stretch=high, why_not=why)
            for size, (low, high) in AT_LEAST.items()
        ]
        return result
    for size in sorted({*AT_LEAST, plan.middle_size}):
        low, high = AT_LEAST.get(size, AT_LEAST[100_000])
        target = Target(f"searches/s over Redis, {size:,} drivers, 8 clients", at_least=low, stretch=high)
        result.targets.append(target)
        if size in plan.sizes:
            target.measured = _one_size(stage, plan, size, result)
        else:
            target.why_not = "quick run"
    result.notes = [
        "GEOSEARCH FROMLONLAT BYRADIUS 10 km ASC COUNT 5 WITHDIST. Redis holds no vehicle type, no freshness and no",
        "stationary drivers here, and measures on the sphere: it does less than our query.",
    ]
    return result


def _one_size(stage: Stage, plan: Plan, size: int, result: Result) -> float:
    fleet = stage.fleet(size)
    rounds: dict[tuple[str, int], list[Timing]] = defaultdict(list)
    with ExitStack() as processes:
        given = processes.enter_context(own_code(stage, fleet)).statements()
        port = processes.enter_context(redis_alone())
        say(f"redis: loading the free drivers of {size:,}")
        free = _fill(port, fleet)
        script = pgbench.draw(DENSE) + pgbench.in_script("dispatch/sql/nearest", given["search"]) + ";"
        for number in range(plan.rounds + 1):
            say(f"redis: {size:,} drivers, " + ("warming up" if number == 0 else f"round {number} of {plan.rounds}"))
            for clients in CLIENTS:
                common: dict[str, Any] = {"clients": clients, "seconds": plan.seconds, "seed": SEED + number}
                ours = pgbench.pgbench(fleet, script, given["search"], options=given["options"], **common)
                theirs = asyncio.run(_search(port, **common))
                if number:
                    rounds["ours", clients].append(ours)
                    rounds["redis", clients].append(theirs)
    for clients in CLIENTS:
        ours_, theirs_ = rounds["ours", clients], rounds["redis", clients]
        result.rows.append(
            {
                "drivers": size, "free": free, "clients": clients,
                "ours/s": middle(t.per_s for t in ours_), "ours p50": middle(t.p50_ms for t in ours_),
                "ours p99": middle(t.p99_ms for t in ours_), "redis/s": middle(t.per_s for t in theirs_),
                "redis p50": middle(t.p50_ms for t in theirs_), "redis p99": middle(t.p99_ms for t in theirs_),
                "ratio": share_of([t.per_s for t in ours_], [t.per_s for t in theirs_]),
            }
        )  # fmt: skip
    result.rounds |= {f"{size}, {who}, {c}": [vars(t) for t in found] for (who, c), found in rounds.items()}
    return share_of([t.per_s for t in rounds["ours", 8]], [t.per_s for t in rounds["redis", 8]])


@contextmanager
def redis_alone() -> Iterator[int]:
    """A Redis of our own on a free loopback port that keeps nothing."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="careconnect-bench-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with process([*command, "--dir", folder], {"PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL) as child:
            client = redis.Redis(port=port)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.exceptions.RedisError:
                    if child.poll() is not None or time.monotonic() > deadline:
                        raise BenchError("redis-server did not start") from None
                    time.sleep(0.05)
            yield port


def _fill(port: int, fleet: Fleet) -> int:
    """Put every free driver into the set; how many they are."""
    client = redis.Redis(port=port)
    count = 0
    with fleet.admin() as connection, connection.cursor() as cursor:
        found = cursor.stream(
            "SELECT ST_X(position), ST_Y(position), driver_id FROM mobility_driver_location WHERE dispatchable"
        )
        batch: list[Any] = []
        for row in found:
            batch.extend(row)
            count += 1
            if len(batch) >= 6_000:
                client.geoadd("free", batch)
                batch.clear()
        if batch:
            client.geoadd("free", batch)
    return count


async def _search(port: int, *, clients: int, seconds: float, seed: int) -> Timing:
    """Bare sockets and prepared bytes: this process uses far less CPU than a search costs Redis."""

    async def client(number: int) -> list[tuple[float, float]]:
        rng, reader_of_answers, ends = random.Random(seed * 1000 + number), hiredis.Reader(), []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stop = time.perf_counter() + seconds
        while (began := time.perf_counter()) < stop:
            latitude, longitude = drawn(rng, DENSE)
            writer.write(_command(longitude, latitude))
            while (answer := reader_of_answers.gets()) is False:
                reader_of_answers.feed(await reader.read(65_536))
            if isinstance(answer, Exception) or len(answer) != 5:
                raise BenchError(f"Redis answered {answer!r}")
            ended = time.perf_counter()
            ends.append((ended, (ended - began) * 1e3))
        writer.close()
        return ends

    return steady(await asyncio.gather(*(client(n) for n in range(clients))))


def _command(longitude: float, latitude: float) -> bytes:
    return hiredis.pack_command(
        ("GEOSEARCH", "free", "FROMLONLAT", longitude, latitude, "BYRADIUS", 10, "km", "ASC", "COUNT", 5, "WITHDIST")
    )

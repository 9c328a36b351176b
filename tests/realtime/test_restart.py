"""PostgreSQL goes away and comes back: the service says so, and heals by itself."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time

import httpx
import pytest

from tests.environment import connection_urls
from tests.server import EXAMPLE, ROOT, serving

POOL_TIMEOUT_S = 2


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory):
    """A migrated and seeded cluster of this test's own, which it may stop."""
    folder = tmp_path_factory.mktemp("pg") / "c"

    def cluster(verb, *options):
        subprocess.run([sys.executable, ROOT / "bin" / "cluster", verb, folder, *options], check=True, stdout=2)

    cluster("start")  # durable: a crash must lose nothing that was answered
    urls = connection_urls(folder)
    env = os.environ | {name: urls[name] for name in ("DATABASE_URL", "DATABASE_OWNER_URL")}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--database", "owner", "-v", "0"], cwd=ROOT, env=env, check=True)
    subprocess.run([*manage, "seed_drivers"], cwd=ROOT, env=env, check=True, stdout=2)
    yield cluster, urls["DATABASE_URL"]
    cluster("destroy")


@pytest.mark.slow
async def test_a_restart_of_postgresql_heals_by_itself(own_cluster, tmp_path):
    cluster, url = own_cluster
    with serving(tmp_path, DATABASE_URL=url, DB_POOL_TIMEOUT_S=str(POOL_TIMEOUT_S)) as running:
        async with running.ride("before") as client, httpx.AsyncClient(base_url=running.http) as http:
            await client.send(EXAMPLE)
            await client.until("driver_assigned")
            await client.ask({"type": "cancel_ride"})

            cluster("restart")  # every pooled connection is dead now
            await _succeeds(client)

            cluster("stop", "--immediate")
            told = await client.ask(EXAMPLE)
            assert (told["type"], told["code"]) == ("error", "unavailable")
            await client.quiet()
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz", timeout=15)).status_code == 503

            # Not a measurement: one pool timeout after another, eight at a time, would take five of them.
            began = time.monotonic()
            async with contextlib.AsyncExitStack() as open_now:
                many = [await open_now.enter_async_context(running.ride(f"m{n}", greeted=False)) for n in range(40)]
                for told in await asyncio.gather(*(one.until("error", 30) for one in many)):
                    assert told["code"] == "unavailable"
            assert time.monotonic() - began < 2 * POOL_TIMEOUT_S + 1

            cluster("start")
            await _succeeds(client)
            for _ in range(20):  # HTTP may have waited for its turn to connect
                if (ready := await http.get("/readyz", timeout=15)).status_code == 200:
                    break
            assert ready.status_code == 200


async def _succeeds(client) -> None:
    """Within a few tries the whole ride works again, on the same socket; until then the answer is `unavailable`.

    A find_driver whose answer was lost with the connection is answered with the present state when it is repeated.
    """
    await _until(client, EXAMPLE, "driver_assigned")
    await _until(client, {"type": "cancel_ride"}, "ride_cancelled")


async def _until(client, frame, kind: str) -> None:
    for _ in range(20):
        await client.send(frame)
        while (told := await client.receive())["type"] not in {kind, "error"}:
            assert told["type"] == "searching", told
        if told["type"] == kind:
            return
        assert told["code"] == "unavailable", told
        await asyncio.sleep(0.5)
    raise AssertionError("it did not heal")

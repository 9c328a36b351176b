"""What the server process does once, at its start."""

import subprocess
import sys

import pytest

START = """
import asyncio, gc, django
django.setup()
from mobility.server import lifespan

async def start():
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(events)

    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            print("kept", gc.get_freeze_count())
            before = [generation["collections"] for generation in gc.get_stats()]
            kept = [[] for _ in range(500_000)]
            young, middle, full = (g["collections"] - b for g, b in zip(gc.get_stats(), before))
            print("young", young)
            print("full", full)

    await lifespan({}, receive, send)

asyncio.run(start())
"""


@pytest.fixture(scope="module")
def started():
    """What a server's start says about its garbage collector."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: int(line[1]) for line in lines if line[0] in {"kept", "young", "full"}}


def test_full_collections_do_not_walk_through_what_the_start_made(started):
    assert started["kept"] > 50_000


def test_objects_that_stay_cause_small_collections_but_no_full_one(started):
    assert started["young"] > 100
    assert started["full"] == 0

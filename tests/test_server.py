"""What the server process does once, at its start."""

import subprocess
import sys

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

    await lifespan({}, receive, send)

asyncio.run(start())
"""


def test_full_collections_do_not_walk_through_what_the_start_made():
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    kept = next(line for line in done.stdout.splitlines() if line.startswith("kept "))
    assert int(kept.split()[1]) > 50_000

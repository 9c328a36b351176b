"""An export that nobody closes: memory is freed wherever Python happens to be at that moment."""

import subprocess
import sys

from tests.server import ROOT

# In the middle of handing work to any thread pool, whose lock is not taken twice: this hung the whole server.
FREED_WHILE_LOCKED = """
import concurrent.futures.thread, gc, os, time
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from mobility.layers import export
from mobility.locations.layers import DRIVERS
gc.disable()
dropped = export.Export(DRIVERS, {}, [])
dropped.itself = dropped
assert export._places._taken == 1
del dropped
with concurrent.futures.thread._global_shutdown_lock:
    gc.collect()
while export._places._taken:
    time.sleep(0.01)
print("given back")
"""


def test_one_that_is_freed_while_the_pools_are_locked_gives_its_place_back():
    done = subprocess.run(
        [sys.executable, "-c", FREED_WHILE_LOCKED], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr) == ("given back\n", "")

"""What runs in the server process from its start to its end (the ASGI lifespan)."""

import asyncio
import gc
import resource
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from mobility.analytics.publish import forget_old_publications, publish_due_periods
from mobility.analytics.services import end_long_statements, keep_gis
from mobility.bookings.addresses import look_up_due_addresses
from mobility.commands.services import forget_old_commands
from mobility.conf import knobs
from mobility.connections import start_giving_back
from mobility.delivery import background, hub
from mobility.demand.services import count_due_hours, forget_old_hours
from mobility.dispatch.demo import drive_demo
from mobility.dispatch.dispatcher import TICK_S, forget_old_explanations, sweep
from mobility.dispatch.services import warm_up
from mobility.locations import ingest
from mobility.locations.freshness import sweep_silent
from mobility.locations.partitions import keep_partitions
from mobility.places.backend import geocoder_is_set
from mobility.places.lookup import forget_old_answers
from mobility.realtime.database import comes_last, in_database
from mobility.realtime.watch import catch_up, keep_presence, recheck_credentials, tell_driver_positions
from mobility.trips.services import make_due_trips

log = structlog.get_logger(__name__)
DEMO_TICK_S = 0.5
REDIS_TICK_S = 2.0
FOLLOW_TICK_S = 1.0  # what protocol.md promises: a passenger is told where the driver is at most once a second
POSITIONS_WITHIN_S = 5.0
COUNTS_TICK_S = 60.0  # positions stored and dropped since the start, by reason
TIDY_TICK_S = 600.0
SILENT_TICK_S = 10.0
ADDRESS_TICK_S = 30.0
ANALYSTS_TICK_S = 5.0
DEMAND_TICK_S = 60.0
DEMAND_ROUNDS = 40  # of one tick, like those of trips
PUBLISH_TICK_S = 300.0
PUBLISH_ROUNDS = 200  # days or months of one tick, when years are to be made up for
COMMAND_ROUNDS = 400  # of one tick: some 3,000 named commands a second are forgotten as fast as they come
TRIP_ROUNDS = 40  # of one tick; between two of them its worker serves others
FULL_COLLECTION_TICK_S = 300.0
GROWTH_TICK_S, GROWTH_MIB = 1.0, 128.0
NEVER = 2**31 - 1
_STATM = Path("/proc/self/statm")
_resident_before = 0.0  # MiB, after the last full collection
_tasks: set["asyncio.Task[None]"] = set()


async def lifespan(_scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Start the background loops when uvicorn starts, end them when it stops."""
    await receive()  # lifespan.startup
    loop = asyncio.get_running_loop()
    hub.attach(loop)
    background.attach(lambda work, *args: loop.call_soon_threadsafe(_in_background, work, *args))
    background.start_outside()
    start_giving_back()
    await _warm_up()
    await _logged(keep_partitions)
    await _logged(keep_gis)
    ingest.start()
    _spare_the_collector()
    loops = [
        asyncio.create_task(_repeat(recheck_credentials, knobs().credential_recheck_s)),
        asyncio.create_task(_repeat(catch_up, knobs().catch_up_s)),
        asyncio.create_task(_repeat(keep_presence, knobs().presence_lease_s / 3)),
        asyncio.create_task(_repeat(tell_driver_positions, FOLLOW_TICK_S)),
        asyncio.create_task(_repeat(_tell_positions_counted, COUNTS_TICK_S)),
        asyncio.create_task(_repeat(_collect_all, FULL_COLLECTION_TICK_S)),
        asyncio.create_task(_repeat(_collect_when_grown, GROWTH_TICK_S)),
    ]
    if knobs().dispatcher:
        loops += dispatcher_loops()
    if settings.REDIS_URL:
        loops.append(asyncio.create_task(_repeat(hub.subscribe_again, REDIS_TICK_S)))
    if settings.DEMO:
        loops.append(asyncio.create_task(_repeat(_demo_tick, DEMO_TICK_S)))
    await send({"type": "lifespan.startup.complete"})
    log.info("serving", environment=settings.ENVIRONMENT)
    await receive()  # lifespan.shutdown
    for task in loops:
        task.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    ingest.stop(POSITIONS_WITHIN_S)  # no sockets any more: nobody is held up
    await send({"type": "lifespan.shutdown.complete"})


def dispatcher_loops() -> "list[asyncio.Task[None]]":
    """The sweep and its tidying, on the running loop: in the server, or in `manage.py dispatcher`."""
    background.start_outside()
    return [
        asyncio.create_task(_repeat(_sweep_tick, TICK_S)),
        asyncio.create_task(_repeat(_silent_tick, SILENT_TICK_S)),
        asyncio.create_task(_repeat(_address_tick, ADDRESS_TICK_S)),
        asyncio.create_task(_repeat(_demand_tick, DEMAND_TICK_S)),
        asyncio.create_task(_repeat(_analysts_tick, ANALYSTS_TICK_S)),
        asyncio.create_task(_repeat(_publish_tick, PUBLISH_TICK_S)),
        asyncio.create_task(_repeat(_tidy_tick, TIDY_TICK_S)),
    ]


def _in_background(work: Callable[..., Any], *args: Any) -> None:
    task = asyncio.ensure_future(_logged(work, *args))
    _tasks.add(task)  # the loop itself keeps only weak references
    task.add_done_callback(_tasks.discard)


async def _logged(work: Callable[..., Any], *args: Any) -> None:
    comes_last.set(False)  # it is for others, whoever caused it: a freed driver for a ride that waits
    try:
        await in_database(work, *args)
    except Exception as error:
        log.warning("background_work_failed", work=getattr(work, "__name__", "?"), error=type(error).__name__)


async def _sweep_tick() -> None:
    await in_database(sweep)


async def _silent_tick() -> None:
    await in_database(sweep_silent)


async def _address_tick() -> None:
    if geocoder_is_set():
        await in_database(look_up_due_addresses)


async def _analysts_tick() -> None:
    await in_database(end_long_statements)


async def _tidy_tick() -> None:
    await in_database(forget_old_explanations)
    await _commands_tick()
    await in_database(forget_old_answers)
    await in_database(forget_old_hours)
    await in_database(forget_old_publications)
    await in_database(keep_partitions)
    await in_database(keep_gis)
    await _trips_tick()


async def _commands_tick() -> None:
    for _ in range(COMMAND_ROUNDS):
        if not await in_database(forget_old_commands):
            return


async def _trips_tick() -> None:
    for _ in range(TRIP_ROUNDS):
        if not await in_database(make_due_trips):
            return


async def _demand_tick() -> None:
    for _ in range(DEMAND_ROUNDS):
        if not await in_database(count_due_hours):
            return


async def _publish_tick() -> None:
    for _ in range(PUBLISH_ROUNDS):
        if not await in_database(publish_due_periods, 1):
            return


async def _demo_tick() -> None:
    await in_database(drive_demo)


async def _repeat(work: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except Exception as error:
            # The next round does it again: what is due is a row.
            log.warning("background_work_failed", work=getattr(work, "__name__", "?"), error=type(error).__name__)


def _spare_the_collector() -> None:
    """Full garbage collections by the clock and when memory has grown; without what the start made, which stays.

    One takes 80 ms with 1,000 sockets, and all of them stand still meanwhile. Python would run one for every 250 that
    come and go. Sockets do not need it: what they leave behind is freed at once (config/wire.py). Requests do.
    """
    global _resident_before  # noqa: PLW0603
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    _resident_before = _resident_mib()


async def _tell_positions_counted() -> None:
    if ingest.counts:
        log.info("positions", **ingest.counts)


async def _collect_all() -> None:
    global _resident_before  # noqa: PLW0603
    gc.collect()
    _resident_before = _resident_mib()


async def _collect_when_grown() -> None:
    """What answered requests leave in circles, a page of drivers for example, must not wait until memory is full."""
    if _resident_mib() - _resident_before > GROWTH_MIB:
        await _collect_all()


def _resident_mib() -> float:
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:  # not Linux: by the clock only
        return 0.0
    return pages * resource.getpagesize() / 2**20


async def _warm_up() -> None:
    """Have every worker open a connection, where there are as many, and run the hot statements once."""
    workers = min(knobs().socket_db_workers, settings.DB_POOL_MAX)
    together = threading.Barrier(workers)

    def ready() -> None:
        together.wait(timeout=10)  # so that each worker takes a connection of its own
        warm_up()

    try:
        await asyncio.gather(*(in_database(ready) for _ in range(workers)))
    except Exception as error:
        log.warning("warm_up_failed", error=type(error).__name__)

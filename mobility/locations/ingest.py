"""The way in for positions: from every door into one buffer of the process, from there in batches into the database.

A batch is written 150 ms after its first position, or as soon as there are 1,000. Two threads with a connection each
write, so that nothing else waits for it: one packs its batch while the database works on the other's. While the
database is slow or away, positions wait (locations/buffer.py).

A batch is committed like everything else, so an answered position survives; a server that is killed loses the ones that
waited, at most those of the last 0.2 s.

Positions that came under the name of a command are remembered by it in the transaction that stores them, so they are
stored once, however often and wherever they are told.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from mobility.commands.services import Answer, Wanted, once_each
from mobility.conf import knobs
from mobility.connections import keeping
from mobility.drivers.models import Driver
from mobility.errors import Refusal
from mobility.locations.arrays import bigints, doubles, teach, texts
from mobility.locations.batches import Answered, Batch, Named
from mobility.locations.buffer import Buffer, counts, is_locked
from mobility.locations.fixes import Drop, Fix, compare_clocks, sift
from mobility.locations.freshness import mark_returned
from mobility.locations.stored import Stored
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
WRITERS = 2


@state_change
def write_fixes(fixes: Sequence[Fix], named: Sequence[Named] = (), *, brief: bool = False) -> list[Answer | Refusal]:
    """Store positions, in one statement; the newest of each driver is where they are. Repeats change nothing.

    A stationary driver whose device tells a newer position is stationary no more, and a silent one can be matched
    again. Those of `named` are stored where the name is new; for each the answer, or why there is none. A `brief` one
    waits for locks 0.05 s only.
    """
    if brief:
        rows("locations/sql/briefly", {})
    if not named:
        _write(fixes)
        return []
    settled = once_each([(one.wanted, one.answer) for one in named])
    due = [*fixes, *(fix for one, came in zip(named, settled, strict=True) if came.is_new for fix in one.fixes)]
    if due:
        _write(due)
    return [came.answer for came in settled]


def _write(fixes: Sequence[Fix]) -> None:
    now = time.monotonic()
    driver_ids, latitudes, longitudes, recorded_ats, headings, speeds, accuracies_m, doors, arrived = zip(
        *fixes, strict=True
    )
    connection.ensure_connection()
    teach(connection.connection)
    wall = time.time()
    done = rows(
        "locations/sql/write_fixes",
        {
            "driver_ids": bigints(driver_ids), "latitudes": doubles(latitudes), "longitudes": doubles(longitudes),
            "recorded_ats": doubles(recorded_ats), "ages_s": doubles([now - at for at in arrived]),
            "headings": doubles(headings), "speeds": doubles(speeds), "accuracies_m": doubles(accuracies_m),
            "doors": texts(doors), "late_hours": knobs().position_late_hours,
        },
    )[0]  # fmt: skip
    compare_clocks(wall - done.now)
    counts["stored"] += done.stored
    if done.left_out:
        # Only where its clock was set meanwhile, or this process stood still just then.
        counts["left_out"] += done.left_out
        log.warning("positions_left_out", positions=done.left_out)
    # After the commit: who changes a driver locks the driver first and the position second.
    if done.restless:
        transaction.on_commit(lambda: _follow(_set_moving, done.restless))
    if done.returned:
        transaction.on_commit(lambda: _follow(mark_returned, done.returned))


def _follow(work: Callable[[list[int]], Any], driver_ids: list[int]) -> None:
    """What follows from positions that are stored. A failure must not have them stored again; the next one of a driver
    makes up for it. One whose row is held keeps nobody waiting."""
    try:
        _briefly(work, driver_ids)
    except Exception as error:
        if is_locked(error) and len(driver_ids) > 1:
            for driver_id in driver_ids:
                _follow(work, [driver_id])
            return
        log.warning("positions_not_followed", work=work.__name__, drivers=len(driver_ids), error=repr(error))


@state_change
def _briefly(work: Callable[[list[int]], Any], driver_ids: list[int]) -> None:
    rows("locations/sql/briefly", {})
    work(driver_ids)


def _set_moving(driver_ids: list[int]) -> None:
    Driver.objects.filter(pk__in=driver_ids, stationary=True).update(stationary=False)


def held_up(driver_ids: Sequence[int]) -> set[int]:
    """Those whose live row another transaction holds at this moment. Nobody is waited for."""
    return {row.driver_id for row in rows("locations/sql/held_up", {"driver_ids": driver_ids})}


def _look_at_clock() -> None:
    """Before the first batch, which does it too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM statement_timestamp())::float8")
        compare_clocks(time.time() - cursor.fetchone()[0])


_buffer: Buffer | None = None
_threads: list[threading.Thread] = []


def start() -> None:
    """From now on positions of this process are buffered."""
    global _buffer  # noqa: PLW0603
    buffer = Buffer(write_fixes, held_up)

    def run() -> None:
        try:
            with suppress(OperationalError, InterfaceError), keeping():
                _look_at_clock()
            buffer.run()
        finally:
            with keeping():
                connection.close()

    _buffer = buffer
    _threads[:] = [threading.Thread(target=run, name=f"positions {n}", daemon=True) for n in range(WRITERS)]
    for thread in _threads:
        thread.start()


def stop(within_s: float) -> None:
    """Write what waits, for at most so long; afterwards positions are written at once by whoever brings them."""
    global _buffer
    buffer, _buffer = _buffer, None
    if buffer is not None:
        buffer.end()
        deadline = time.monotonic() + within_s
        for thread in _threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if buffer.count:
            log.error("positions_lost", positions=buffer.count)


class Taken(NamedTuple):
    """What became of positions that were brought: why some were not taken, and whether the others are stored; None
    where they are already."""

    dropped: "Counter[Drop]"
    stored: Stored | None


def take(fixes: Iterable[Fix]) -> Taken:
    """Let positions in. Without a running buffer (a command, a test) they are stored at once, on this connection."""
    taken, dropped = _sifted(fixes)
    if not taken:
        return Taken(dropped, None)
    if _buffer is not None:
        return Taken(dropped, _buffer.put(taken))
    write_fixes(taken)
    return Taken(dropped, None)


def take_named(wanted: Wanted, fixes: Iterable[Fix], answer: Callable[["Counter[Drop]"], Answer]) -> Answered:
    """Let positions in that came under a name, once. `answer` says what is told when those that were dropped are these.

    The future is that answer, or the one that was given under this name before; or why there is none. Without a running
    buffer it is done when this returns.
    """
    taken, dropped = _sifted(fixes)
    named = Named(wanted, answer(dropped), taken)
    if _buffer is not None:
        return _buffer.put_named(named)
    batch = Batch()
    told = batch.put_named(named)
    batch.write(write_fixes)
    return told


def _sifted(fixes: Iterable[Fix]) -> tuple[list[Fix], "Counter[Drop]"]:
    taken, dropped = sift(fixes)
    for reason, count in dropped.items():
        counts[reason] += count
    return taken, dropped


def is_buffered() -> bool:
    """Whether `take` only puts aside what it is given, so that it may be called from the event loop."""
    return _buffer is not None


def hurry() -> None:
    """Somebody waits for what was taken: write it now."""
    if _buffer is not None:
        _buffer.hurry()

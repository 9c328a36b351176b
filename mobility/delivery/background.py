"""What may happen a moment later, beside the answer to whoever caused it.

In the server `later` runs on the workers of the sockets' database pool, so that nobody waits for it, and `outside` on a
thread of its own, because it waits for others; elsewhere (a command, a test) both run at once. It may be lost with the
process: only what the dispatcher's sweep would find anyway is done so.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.db import connection

log = structlog.get_logger(__name__)
IN_LINE = 200
_run: Callable[..., Any] | None = None
_outside: "queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] | None" = None


def attach(run: Callable[..., Any]) -> None:
    """Name the function that runs `work(*args)` later, from any thread, without waiting."""
    global _run  # noqa: PLW0603 (one per process, like the server's loop)
    _run = run


def later(work: Callable[..., Any], *args: Any) -> None:
    """Have `work(*args)` run soon."""
    if _run is None:
        work(*args)
    else:
        _run(work, *args)


def start_outside() -> None:
    """Begin the thread that waits for others; it ends with the process, whatever it waits for."""
    global _outside  # noqa: PLW0603
    if _outside is None:
        _outside = queue.Queue(maxsize=IN_LINE)
        threading.Thread(target=_work_through, args=(_outside,), name="outside", daemon=True).start()


def outside(work: Callable[..., Any], *args: Any) -> None:
    """Have `work(*args)` run soon, after all that is in line; lost where 200 are."""
    if _outside is None:
        work(*args)
        return
    try:
        _outside.put_nowait((work, args))
    except queue.Full:
        log.warning("background_work_dropped", work=getattr(work, "__name__", "?"))


def _work_through(line: "queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]]") -> None:
    while True:
        work, args = line.get()
        try:
            work(*args)
        except Exception as error:
            log.warning("background_work_failed", work=getattr(work, "__name__", "?"), error=type(error).__name__)
        finally:
            connection.close()

"""The only way from a socket to the database: one hop to a worker thread, and the connection back to the pool after.

The threads are few and belong to sockets alone, so a slow statement holds up its own socket and at worst the others
that want the database too, never one that doesn't, and never the event loop. Django's shared "thread-sensitive" thread,
which everything would queue on, is not used.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ParamSpec, TypeVar

from django.db import connection

from mobility.conf import knobs

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(knobs().socket_db_workers, thread_name_prefix="socket-db")


async def in_database(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` on a worker thread and give its result; what it raises is raised here."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_workers(), context.run, _run, work, args, kwargs)


def _run(work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return work(*args, **kwargs)
    finally:
        connection.close()  # back to the pool, never kept by the thread

"""The only way from a socket to the database: one hop to a worker thread of a small pool.

The threads are few and belong to sockets alone, so a slow statement holds up its own socket and at worst the others
that want the database too, never one that doesn't, and never the event loop. Django's shared "thread-sensitive" thread,
which everything would queue on, is not used.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError, connection

from mobility.conf import knobs
from mobility.connections import keeping
from mobility.realtime.limits import LastInLine

P = ParamSpec("P")
R = TypeVar("R")
# Whether this task works for a client that has shown itself to be broken or hostile: see `in_database`.
comes_last: ContextVar[bool] = ContextVar("comes_last", default=False)
PATIENCE_S = 0.05
_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, LastInLine] = WeakKeyDictionary()


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(knobs().socket_db_workers, thread_name_prefix="socket-db")


async def in_database(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` on a worker thread and give its result; what it raises is raised here.

    Clients that have sent nonsense lately (`comes_last`) are served one after another, while nobody else is: however
    many they are, the workers are there for everybody else, and so is Python's lock, which busy workers keep from each
    other and from the event loop. After 0.05 s they are served beside the others.
    """
    if not comes_last.get():
        with _line().at_once():
            return await _on_a_worker(work, args, kwargs)
    async with _line().last():
        return await _on_a_worker(work, args, kwargs)


async def _on_a_worker(work: Callable[P, R], args: Any, kwargs: Any) -> R:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_workers(), context.run, _run, work, args, kwargs)


def _line() -> LastInLine:
    loop = asyncio.get_running_loop()
    found = _lines.get(loop)
    if found is None:
        found = _lines[loop] = LastInLine(PATIENCE_S)
    return found


class _Reach:
    """Whether the database could be reached when it was tried last.

    While it could not, one worker at a time tries again, and everybody else is told at once: else all who wait would
    be answered one pool timeout after another.
    """

    def __init__(self) -> None:
        self._away = False
        self._trying = threading.Lock()

    def connect(self) -> None:
        """Take a connection, or raise OperationalError."""
        if not self._away:
            self._try()
        elif self._trying.acquire(blocking=False):
            try:
                self._try()
            finally:
                self._trying.release()
        else:
            raise OperationalError("the database is away")

    def _try(self) -> None:
        try:
            connection.ensure_connection()
        except (OperationalError, InterfaceError):
            self._away = True
            raise
        self._away = False


_reach = _Reach()


def _run(work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run `work` on this worker's connection.

    One that was kept may have died meanwhile; then everything runs once more on a fresh one. That is safe because the
    work of sockets is repeatable: the same command again gives the present state.
    """
    with keeping():
        fresh = connection.connection is None
        try:
            if fresh:
                _reach.connect()
            return work(*args, **kwargs)
        except (OperationalError, InterfaceError):
            died = connection.connection is None or connection.connection.closed
            connection.close()
            if fresh or not died:
                raise
            _reach.connect()
            return work(*args, **kwargs)

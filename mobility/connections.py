"""Threads that work for many keep their database connection for a moment, and none that somebody else waits for.

To take one from the pool costs a round trip, to see that it lives. But the threads that serve sockets and write
positions may be more than the pool has connections: those they keep must not keep anybody else waiting.
"""

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, connection, connections

log = structlog.get_logger(__name__)
KEEP_S = 60.0
LOOK_EVERY_S = 0.1


class _Kept:
    """A thread's connection, and since when it has it."""

    def __init__(self) -> None:
        self.connection: Any = connections[DEFAULT_DB_ALIAS]
        # Another thread gives it back while this one has nothing to do; this lock says which of them may touch it.
        self.connection.inc_thread_sharing()
        self.lock = threading.RLock()
        self.since = time.monotonic()

    def begin(self) -> None:
        now = time.monotonic()
        if now - self.since > KEEP_S:
            self.give_back()
        if self.connection.connection is None:
            self.since = now

    def end(self) -> None:
        if _is_waited_for():
            self.give_back()

    def give_back(self) -> None:
        if not self.connection.in_atomic_block:
            self.connection.close()

    def give_back_idle(self) -> None:
        """By another thread."""
        if self.lock.acquire(blocking=False):
            try:
                self.give_back()
            finally:
                self.lock.release()


_of_thread = threading.local()
_lock = threading.Lock()
_all: "weakref.WeakSet[_Kept]" = weakref.WeakSet()


def _kept() -> _Kept:
    if not hasattr(_of_thread, "kept"):
        _of_thread.kept = _Kept()
        with _lock:
            _all.add(_of_thread.kept)
    kept: _Kept = _of_thread.kept
    return kept


@contextmanager
def keeping() -> Iterator[None]:
    """Within this the thread uses its connection. It keeps it for the next time, for a minute in all or until somebody
    waits for one."""
    kept = _kept()
    with kept.lock:
        kept.begin()
        try:
            yield
        finally:
            kept.end()


def give_back() -> None:
    """What comes next takes its time and needs no database: nobody else need wait for this thread's connection."""
    if not connection.in_atomic_block:
        connection.close()


def _is_waited_for() -> bool:
    pool = connections[DEFAULT_DB_ALIAS].pool  # type: ignore[attr-defined]  # PostgreSQL's
    return pool is not None and pool.get_stats().get("requests_waiting", 0) > 0


def give_back_idle() -> None:
    """When somebody waits, give back the connections of threads that have nothing to do."""
    if not _is_waited_for():
        return
    with _lock:
        every = list(_all)
    for kept in every:
        kept.give_back_idle()


@cache
def start_giving_back() -> None:
    """From now on connections of this process's idle threads go back to the pool when somebody waits."""
    threading.Thread(target=_give_back_for_ever, name="connections", daemon=True).start()


def _give_back_for_ever() -> None:
    while True:
        time.sleep(LOOK_EVERY_S)
        try:
            give_back_idle()
        except Exception as error:
            log.warning("connections_not_given_back", error=type(error).__name__)

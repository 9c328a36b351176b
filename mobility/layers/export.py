"""The whole of a collection, streamed: the database hands out some features at a time, and no more of them are in
memory.

An export holds a connection of the pool and a snapshot of the database for as long as its reader takes, so there are
few at once, and each has an end. One that ends early is cut off, so that nobody takes half of it for the whole.
"""

import asyncio
import queue
import threading
import weakref
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
import structlog
from django.db import connection

from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.layers.layer import Layer
from mobility.layers.render import features_sql

log = structlog.get_logger(__name__)
AT_A_TIME = 1000
# A statement fetches a thousand rows; the first one may have to sort them all.
STATEMENT_TIMEOUT_S, IDLE_TIMEOUT_S = 60, 60


class _Places:
    """How many exports there may be at once in this process."""

    def __init__(self) -> None:
        self._lock, self._taken = threading.Lock(), 0

    def take(self) -> None:
        """One more, or the refusal."""
        with self._lock:
            if self._taken >= knobs().exports_at_once:
                raise Refusal("server_full", "Enough exports are under way: try again in a while.", retry_after_s=10)
            self._taken += 1

    def give_back(self) -> None:
        """One less."""
        with self._lock:
            self._taken -= 1


_places = _Places()


@cache
def _readers() -> ThreadPoolExecutor:
    """Threads of their own: whoever reads slowly holds up no ride."""
    threading.Thread(target=_end_what_is_over, name="export-ends", daemon=True).start()
    return ThreadPoolExecutor(knobs().exports_at_once, thread_name_prefix="export")


# An export may be freed, and so closed, anywhere: also in the middle of handing work to a thread pool, whose lock would
# be waited for by the thread that holds it. This queue's `put` may be called there; its reader waits for no export.
_over: "queue.SimpleQueue[Callable[[], None]]" = queue.SimpleQueue()


def _end_what_is_over() -> None:
    while True:
        end = _over.get()
        with suppress(RuntimeError):  # the process is ending
            _readers().submit(end)


class Export:
    """The bytes of a FeatureCollection with all features of a source, for a streaming response; gzipped if asked for.

    It ends by itself when its time is over, also when its reader does not read.
    """

    def __init__(self, layer: Layer, params: dict[str, Any], fields: Sequence[str], *, gzip: bool = False) -> None:
        _readers()
        _places.take()
        self._layer = layer
        self._gzip = zlib.compressobj(1, wbits=31) if gzip else None
        self._chunks = self._packed(self._collection(params | {"limit": None}, fields))
        self._reading, self._closing = threading.Lock(), threading.Lock()
        self._closed = self._late = self._begun = False

    def __aiter__(self) -> "Export":
        return self

    async def __anext__(self) -> bytes:
        """The next bytes."""
        loop = asyncio.get_running_loop()
        if not self._begun:
            self._begun = True
            loop.call_later(knobs().export_timeout_s, _cut_off, weakref.ref(self))
        chunk = await loop.run_in_executor(_readers(), self._next)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Give back what it holds. The response does it, at its end and when its reader has gone."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        _over.put(self._end)

    def __del__(self) -> None:
        # A response that was made while its asker went away is dropped without being closed.
        if not getattr(self, "_closed", True):
            self.close()

    def cut_off(self) -> None:
        """End it before its time, so that its reader sees that it is not whole."""
        self._late = True
        self.close()

    def _next(self) -> bytes | None:
        try:
            with self._reading:
                return self._chunk_in_time()
        except Exception as error:
            log.warning("export_cut_off", layer=self._layer.name, error=type(error).__name__)
            self.close()  # at once, whoever else still holds it with the error
            raise

    def _chunk_in_time(self) -> bytes | None:
        if self._late:
            raise TimeoutError(f"an export took more than {knobs().export_timeout_s:.0f} s")
        return next(self._chunks, None)

    def _end(self) -> None:
        try:
            with self._reading:
                self._chunks.close()
        finally:
            _places.give_back()

    def _packed(self, texts: Iterator[str]) -> Generator[bytes, None, None]:
        for text in texts:
            data = text.encode()
            packed = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH) if self._gzip else data
            yield packed
        if self._gzip:
            yield self._gzip.flush()

    def _collection(self, params: dict[str, Any], fields: Sequence[str]) -> Iterator[str]:
        opening, count = '{"type":"FeatureCollection","features":[\n', 0
        own = connection.copy()  # another connection of the same pool, not bound to a thread
        own.inc_thread_sharing()
        try:
            own.ensure_connection()
            statement = f"SELECT feature FROM ({features_sql(self._layer, fields)}) f"  # noqa: S608 (our own text)
            for features in _fetched(own.connection, statement, params):
                yield opening + ",\n".join(features)
                opening, count = ",\n", count + len(features)
            yield (opening if not count else "") + f'\n],"numberReturned":{count},"next":null}}'
        finally:
            own.close()


def _cut_off(export: "weakref.ref[Export]") -> None:
    late = export()
    if late is not None:
        late.cut_off()


def _fetched(raw: Any, statement: str, params: dict[str, Any]) -> Iterator[list[str]]:
    with psycopg.ClientCursor(raw) as cursor, raw.transaction():
        cursor.execute(
            "SET TRANSACTION READ ONLY;"
            f" SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s';"
            " SET LOCAL cursor_tuple_fraction = 1"
        )
        cursor.execute(f"DECLARE features NO SCROLL CURSOR FOR {statement}", params)
        while found := cursor.execute(f"FETCH {AT_A_TIME} FROM features").fetchall():
            yield [row[0] for row in found]

"""Log lines: one event with named values per line, for people (text) or machines (JSON).

Paths are logged without their query, and a driver's path without its id, because that may be a phone number.
"""

import atexit
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TextIO

import psycopg
import pydantic
import structlog
from django.db.utils import DatabaseError, InterfaceError

OUT = "out"  # the handler of everything
CLOSED_WITHIN_S = 5.0
_DRIVER_PATH = re.compile(r"(/ws/driver/)[^/?\s\"]+")
_QUERY = re.compile(r"\?[^\s\"]*")


def masked(text: str) -> str:
    """`text` with queries and the driver id of the fixed driver path taken out."""
    return _DRIVER_PATH.sub(r"\1***", _QUERY.sub("", text))


class MaskPaths(logging.Filter):
    """Masks every path that uvicorn, Django or Channels put into a log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; never drops one."""
        if isinstance(record.msg, str):
            record.msg = masked(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(masked(a) if isinstance(a, str) else a for a in record.args)
        return True


def logging_config(*, level: str, json_lines: bool) -> dict[str, Any]:
    """The LOGGING setting; also configures structlog, which our own code logs with."""
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_without_values),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # DEBUG is for our own code: libraries print whole frames, statements and headers there.
    others = level if logging.getLevelName(level) >= logging.INFO else "INFO"
    last = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"mask_paths": {"()": MaskPaths}},
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": before,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
            }
        },
        "handlers": {
            OUT: {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "lines",
                "filters": ["mask_paths"],
            },
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": [OUT], "level": others},
        "loggers": {
            # uvicorn brings handlers of its own; without this each line would be printed twice, once unmasked.
            name: {"handlers": [OUT], "level": others, "propagate": False}
            for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "django", "django.server")
        }
        # A wrong Host header is answered 400; the traceback would only quote the stranger. A handler that does nothing,
        # because without any Python's last resort prints it.
        | {"django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False}}
        # At INFO httpx prints every address it asks, and a routing engine's holds where people are.
        | {name: {"level": "WARNING"} for name in ("httpx", "httpcore")}
        | {name: {"level": level} for name in ("config", "geo", "mobility")},
    }


class WrittenOutside:
    """A stream whose text is written by a thread of its own: whoever logs does not wait, least of all the event loop.

    To write to a file lets go of Python's lock, and whoever wants it back waits for up to 5 ms for each thread that is
    busy: a line of log was the longest halt of the loop. `AT_MOST` texts may lie here; then whoever logs waits, so that
    a reader that has stopped reading is felt and costs no memory. Once it is closed, and in a process forked from this
    one, where there is no such thread, text is written where it comes from.
    """

    AT_MOST = 10_000

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: SimpleQueue[str | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()
        atexit.register(self.close)

    def write(self, text: str) -> int:
        """Take it; it is written within moments."""
        while self._writer.is_alive():
            if self._texts.qsize() < self.AT_MOST:
                self._texts.put(text)
                return len(text)
            time.sleep(0.01)
        return self._stream.write(text)

    def flush(self) -> None:
        """The thread does it after each text."""
        if not self._writer.is_alive():
            self._stream.flush()

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._texts.put(None)
        self._writer.join(CLOSED_WITHIN_S)

    def _write(self) -> None:
        while (text := self._texts.get()) is not None:
            with suppress(OSError, ValueError):  # the reader is gone, or cannot take this text: the next may be fine
                self._stream.write(text)
                self._stream.flush()


def write_outside() -> Callable[[], None]:
    """From now on this process writes its log in a thread of its own. For servers: what a command logs stands between
    what it prints.

    What is given back ends that, when all is written: a server that was asked to end by a signal ends by it, with no
    more said to threads or exit handlers.
    """
    out: Any = next(found for found in logging.getLogger().handlers if found.name == OUT)
    stream = WrittenOutside(out.stream)
    out.setStream(stream)
    return stream.close


def _without_values(exc_info: Any) -> str:
    """A traceback with places and types, without the values that database and validation errors quote.

    PostgreSQL's DETAIL repeats the failing row, pydantic the input: phones and positions among them.
    """
    parts = []
    error = exc_info[1]
    while error is not None:
        quoting = isinstance(error, DatabaseError | InterfaceError | psycopg.Error | pydantic.ValidationError)
        diagnosis = getattr(error, "diag", None)
        known = f"sqlstate={diagnosis.sqlstate} constraint={diagnosis.constraint_name}" if diagnosis else "..."
        told = known if quoting else str(error)
        parts.append("".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__name__}: {told}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich led to\n".join(reversed(parts))

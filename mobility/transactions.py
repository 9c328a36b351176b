"""One way to change state: a short transaction, tried again as a whole when the database asks for that."""

import random
import re
import time
from collections import namedtuple
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
import structlog
from django.db import OperationalError, connection, transaction

from mobility.sql import sql

log = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
_RETRIED = {"40001", "40P01"}  # serialization failure, deadlock: the whole transaction may simply run again
_TRIES = 4


def state_change(service: Callable[P, R]) -> Callable[P, R]:
    """Run the service in one transaction; on a deadlock or serialization failure run all of it again, with jitter.

    Inside another transaction it joins that one and leaves the retry to it: after a failed statement only the
    outermost transaction can start over.
    """

    @wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return service(*args, **kwargs)
        for tried in range(1, _TRIES + 1):
            try:
                with transaction.atomic():
                    return service(*args, **kwargs)
            except OperationalError as error:
                if tried == _TRIES or getattr(error.__cause__, "sqlstate", None) not in _RETRIED:
                    raise
                log.warning("transaction_retried", service=service.__name__, tried=tried)
                time.sleep(random.uniform(0, 0.02 * 2**tried))  # noqa: S311 (jitter, not a secret)
        raise AssertionError("unreachable")

    return run


def rows(statement: str, params: dict[str, Any]) -> list[Any]:
    """Run `mobility/<statement>.sql` prepared on Django's own connection; rows as named tuples.

    For the few statements that must be fast: the ORM spends a millisecond of CPU on compiling a spatial query.
    Database errors arrive as Django's, like everywhere else.
    """
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw, row_factory=_row_factory(statement)) as cursor:
        cursor.execute(_statement(statement), params, prepare=True)
        result = cursor.pgresult
        return cursor.fetchall() if result is not None and result.nfields else []


@cache
def _row_factory(_statement_name: str) -> Any:
    """Named tuples, their class made once a statement: making it out of each result's columns costs more than rows."""
    row_class: Any = None

    def factory(cursor: Any) -> Any:
        nonlocal row_class
        if row_class is None:
            names = [column.name for column in cursor.description or ()]
            if not names:
                return tuple
            row_class = namedtuple("Row", names)  # type: ignore[misc]  # names known only now
        return row_class._make

    return factory


@cache
def _statement(name: str) -> bytes:
    """A statement without its comments: psycopg remembers how to bind short ones only."""
    return re.sub(r"^\s*--.*\n", "", sql(name), flags=re.MULTILINE).encode()

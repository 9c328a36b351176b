"""The wire between a command and PostgreSQL, on which one call can be made to fail.

`Wire` stands below everything that reaches the database on a connection of Django's: statements of its cursors and
of raw ones, BEGIN, SAVEPOINT, COMMIT and ROLLBACK. Armed, it lets the Nth of these calls meet a fault: the session is
killed before the call, or after it (so that only the answer is lost), or the server raises an error in its place.
The faults are real: the server ends the session or the transaction, and psycopg raises what it raises in production.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection, connections


@dataclass(frozen=True)
class Fault:
    """What happens to a call, and the code whoever gave the command is answered with.

    With an `sqlstate` the server raises it; else the session dies, before the call or `after` it. A `retried` one is no
    answer at all: inside a transaction the command runs again as a whole.
    """

    name: str
    code: str
    sqlstate: str = ""
    after: bool = False
    retried: bool = False


DEAD = Fault("dead", "unavailable")
LOST = Fault("answer lost", "unavailable", after=True)
LOCK_TIMEOUT = Fault("lock timeout", "try_again", "55P03")
STATEMENT_TIMEOUT = Fault("statement timeout", "unavailable", "57014")
DEADLOCK = Fault("deadlock", "try_again", "40P01", retried=True)
FAULTS = (DEAD, LOST, LOCK_TIMEOUT, STATEMENT_TIMEOUT, DEADLOCK)


@dataclass(frozen=True)
class Call:
    """A call that met a fault: its text, and whether it is part of a transaction."""

    says: str
    in_transaction: bool


class Wire:
    """Below every connection that Django opens while this is in place; counts the calls while armed."""

    def __init__(self, admin_url: str) -> None:
        self._admin = psycopg.connect(admin_url, autocommit=True)
        self.said: list[str] = []
        self.hit: Call | None = None
        self._armed, self._fail_at, self._fault, self._away = False, 0, DEAD, False

    @contextmanager
    def in_place(self) -> Iterator["Wire"]:
        """Watch the connections opened from now on; the present one is given up."""
        wrapper: Any = type(connections["default"])
        connect = wrapper.get_new_connection

        def watched(django_connection: Any, params: Any) -> Any:
            if self._armed and self._away and self.hit:
                raise psycopg.OperationalError("connection failed: connection refused")
            return self._watch(connect(django_connection, params))

        connection.close()
        wrapper.get_new_connection = watched
        try:
            yield self
        finally:
            wrapper.get_new_connection = connect
            connection.close()
            self._admin.close()

    @contextmanager
    def failing(self, nth: int, fault: Fault, *, away: bool = False) -> Iterator[None]:
        """Let the Nth call of the block (0: none) meet the fault; with `away` nobody can connect again within it."""
        self.said, self.hit = [], None
        self._armed, self._fail_at, self._fault, self._away = True, nth, fault, away
        try:
            yield
        finally:
            self._armed = False

    def _watch(self, raw: Any) -> Any:
        wait, command = raw.wait, raw._exec_command

        def plainly(text: bytes) -> None:
            wait(command(text))

        def statement(generator: Any, *args: Any, **kwargs: Any) -> Any:
            """Every statement of every cursor."""
            if generator.__name__ not in {"_execute_gen", "_executemany_gen"}:
                return wait(generator, *args, **kwargs)
            wait(raw._start_query())  # BEGIN where it is needed; psycopg would send it with the statement
            query = generator.gi_frame.f_locals["query"]
            text = query if isinstance(query, bytes) else str(query).encode()
            return self._call(raw, text, lambda: wait(generator, *args, **kwargs), plainly)

        def around(text: bytes, *args: Any, **kwargs: Any) -> Any:
            """BEGIN, COMMIT and ROLLBACK."""
            return self._call(raw, text, lambda: wait(command(text, *args, **kwargs)), plainly)
            yield  # psycopg drives it as a generator

        raw.wait, raw._exec_command = statement, around
        return raw

    def _call(self, raw: Any, text: bytes, send: Callable[[], Any], plainly: Callable[[bytes], None]) -> Any:
        if not self._armed:
            return send()
        self.said.append(" ".join(text.decode().split()))
        if len(self.said) != self._fail_at:
            return send()
        fault, self.hit = self._fault, Call(self.said[-1], in_transaction=not raw.autocommit)
        if fault.sqlstate:
            try:
                plainly(b"DO $$ BEGIN RAISE 'made to fail' USING ERRCODE = '%s'; END $$" % fault.sqlstate.encode())
            finally:
                if text in {b"COMMIT", b"ROLLBACK"}:  # with a COMMIT that fails the transaction is over
                    plainly(b"ROLLBACK")
        elif fault.after:
            send()
            self._kill(raw)
            raw.close()
            raise psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")
        self._kill(raw)
        return send()

    def _kill(self, raw: Any) -> None:
        """End the session, and wait until it is gone with its locks."""
        self._admin.execute("SELECT pg_terminate_backend(%s, 10000)", [raw.info.backend_pid])

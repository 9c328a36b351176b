"""Analysts with a login of their own, over connections of their own."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from mobility.analytics.logins import Logins

PASSWORD = "a-password-of-the-tests"


def connected(admin_url: str, role: str, password: str = PASSWORD, **options: Any) -> "psycopg.Connection[Any]":
    """A connection of this role to the database of the tests, each statement by itself."""
    return psycopg.connect(admin_url, user=role, password=password, autocommit=True, **options)


@contextmanager
def signed_up(
    logins: Logins, role: str, admin_url: str, *, operations: bool, timeout_s: float = 60
) -> Iterator["psycopg.Connection[Any]"]:
    """A new login's connection."""
    until = datetime.now(UTC) + timedelta(days=1)
    logins.make(role, PASSWORD, operations=operations, valid_until=until, timeout_s=timeout_s)
    with connected(admin_url, role) as connection:
        yield connection


def refusal(connection: "psycopg.Connection[Any]", statement: str, *, whole: bool = True) -> str:
    """The SQLSTATE that the statement is refused with; "" when it is not. Nothing of it stays, but for `whole=False`,
    which runs what can't be in a transaction."""
    try:
        with connection.transaction(force_rollback=True) if whole else nullcontext():
            connection.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate or "connection"
    return ""

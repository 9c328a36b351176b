"""The tests' connections stay open from test to test: a new one has to read the catalogue first.

That costs a fifth of a second for the first few statements, as much as most tests themselves. Plans are made anew in
every test, as they would be on a new connection: those of empty tables are of no use to a test that fills them.
"""

from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from psycopg.pq import TransactionStatus


def usable() -> None:
    """Before a test: a connection that has died since is replaced by the next statement."""
    if connection.connection is not None and not connection.is_usable():
        connection.close()


def at_rest() -> None:
    """After a test: what it set on this thread's connection is forgotten. One in the middle of something is closed."""
    for other in connections.all(initialized_only=True):
        if other.alias != DEFAULT_DB_ALIAS:
            other.close()
    if connection.connection is None:
        return
    with suppress(DatabaseError):
        if connection.connection.info.transaction_status == TransactionStatus.IDLE and not connection.in_atomic_block:
            with connection.cursor() as cursor:
                cursor.execute("RESET ALL")
                cursor.execute("DISCARD PLANS")
            connection.ensure_timezone()
            return
    connection.close()

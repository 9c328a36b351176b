"""The server's connections: what they begin with, and what survives a transaction that is taken back."""

import os
import subprocess
import sys

import psycopg
import pytest

from config.database import Connection

ASK = "SELECT %(n)s::int + 1"
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int + 1'"


def prepared(connection) -> int:
    with connection.cursor() as cursor:
        return cursor.execute(PREPARED, prepare=False).fetchone()[0]


@pytest.fixture
def connection(admin_url):
    with Connection.connect(admin_url) as opened:
        opened.execute(ASK, {"n": 1}, prepare=True)
        yield opened


def test_a_refusal_leaves_the_prepared_statements(connection):
    connection.rollback()
    assert prepared(connection) == 1
    assert connection.execute(ASK, {"n": 2}, prepare=True).fetchone() == (3,)
    assert prepared(connection) == 1  # that was the same one


def test_a_statement_that_failed_takes_them_along(connection):
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    connection.rollback()
    connection.execute("SELECT 1")  # with the next statement they are thrown away
    assert prepared(connection) == 0
    assert connection.execute(ASK, {"n": 2}, prepare=True).fetchone() == (3,)


def test_a_table_that_is_gone_takes_them_along(connection):
    connection.execute("CREATE TEMPORARY TABLE short_lived (n int)")
    connection.execute("DROP TABLE short_lived")
    connection.execute("SELECT 1")
    assert prepared(connection) == 0


def test_a_rollback_takes_back_what_was_written(connection):
    connection.commit()
    connection.execute("CREATE TEMPORARY TABLE written (n int)")
    connection.commit()
    connection.execute("INSERT INTO written VALUES (1)")
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM written").fetchone() == (0,)


def test_the_server_has_such_connections():
    """In a process of its own, because only a server has the pool."""
    program = (
        "import django; django.setup(); from django.db import connection as c; c.ensure_connection();"
        "print(type(c.connection).__module__, type(c.connection).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"DB_POOL": "yes"}, text=True, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["config.database", "Connection"], done.stderr


def test_a_new_connection_does_not_load_postgis_first(admin_url):
    """bin/cluster has PostgreSQL load it at its start."""
    with psycopg.connect(admin_url) as opened:
        assert opened.execute("SHOW shared_preload_libraries").fetchone() == ("postgis-3",)

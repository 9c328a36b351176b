"""The tests' own connections: kept from test to test, with nothing that a test has set on them."""

import psycopg
import pytest
from django.db import connection

from tests.realtime.sync import in_thread
from tests.warm import at_rest, usable

pytestmark = pytest.mark.usefixtures("committed_db")


def ask(statement: str) -> object:
    with connection.cursor() as cursor:
        return cursor.execute(statement).fetchone()[0]


def backend() -> object:
    return ask("SELECT pg_backend_pid()")


def test_it_is_the_same_one_afterwards_without_what_was_set():
    before = backend()
    ask("SELECT set_config('lock_timeout', '77', false)")
    at_rest()
    assert backend() == before
    assert ask("SHOW lock_timeout") != "77ms"
    assert ask("SHOW timezone") == "UTC"


def test_one_in_the_middle_of_a_transaction_is_closed():
    before = backend()
    connection.connection.autocommit = False
    ask("SELECT 1")
    at_rest()
    assert backend() != before


def test_one_that_has_died_is_replaced(admin_url):
    before = backend()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    usable()
    assert backend() != before


async def test_the_thread_of_asynchronous_tests_keeps_its_own():
    assert await in_thread(backend) == await in_thread(backend)

"""What a login computes for too long is ended by the service, whatever the login has set."""

import asyncio
import threading
import time

import psycopg
import pytest
from django.db import connection

from mobility import server
from mobility.analytics.services import end_long_statements
from tests.staged import attacked

pytestmark = pytest.mark.django_db


def computing(login, admin_url, statement="SELECT pg_sleep(60)"):
    """The login runs the statement on a thread; comes back once the database does. Its outcome is in the list."""
    outcome = []

    def run():
        try:
            outcome.append(login.execute(statement).fetchall())
        except psycopg.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        deadline = time.monotonic() + 20
        while admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query = %s",
            [login.info.backend_pid, statement],
        ).fetchone() == (0,):
            assert time.monotonic() < deadline
    return thread, outcome


def ended(longest_s):
    with connection.cursor() as cursor:
        cursor.execute("SELECT login, ended FROM mobility_end_long_statements(%s)", [longest_s])
        return cursor.fetchall()


def until(condition):
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline
    return found


def test_a_statement_is_cancelled_though_the_login_took_its_own_limit_away(analyst, admin_url):
    analyst.execute("SET statement_timeout = 0")
    thread, outcome = computing(analyst, admin_url)
    assert ended(3600) == []
    assert until(lambda: ended(1)) == [(analyst.info.user, "statement")]
    thread.join(20)
    assert isinstance(outcome[0], psycopg.errors.QueryCanceled)
    assert analyst.execute("SELECT 1").fetchone() == (1,)


def test_a_transaction_that_is_ten_times_as_old_ends_with_its_session(operations):
    operations.execute("SET idle_in_transaction_session_timeout = 0")
    operations.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    operations.execute("SELECT count(*) FROM gis.rides")
    assert ended(2) == []
    assert until(lambda: ended(1)) == [(operations.info.user, "session")]
    with pytest.raises(psycopg.OperationalError):
        operations.execute("SELECT 1")


def test_nobody_else_is_ended(analyst, admin_url):
    """Not the service itself, nor a superuser, however long they take."""
    with psycopg.connect(admin_url, autocommit=True) as other:
        thread, outcome = computing(other, admin_url, "SELECT pg_sleep(1.5)")
        while thread.is_alive():
            assert ended(1) == []
        assert outcome == [[("",)]]


def test_the_dispatcher_does_it_with_the_knob(analyst, admin_url, set_knobs, caplog):
    set_knobs(analyst_statement_timeout_s=1.0)
    analyst.execute("SET statement_timeout = 0")
    thread, outcome = computing(analyst, admin_url)
    assert until(end_long_statements) == 1
    thread.join(20)
    assert isinstance(outcome[0], psycopg.errors.QueryCanceled)
    assert any("analyst_ended" in str(record.msg) for record in caplog.records)


def test_its_loops_have_one_for_analysts():
    async def names() -> set[str]:
        loops = server.dispatcher_loops()
        for task in loops:
            task.cancel()
        found = {task.get_coro().cr_frame.f_locals["work"].__name__ for task in loops}
        await asyncio.gather(*loops, return_exceptions=True)
        return found

    assert "_analysts_tick" in asyncio.run(names())


@pytest.mark.parametrize("longest_s", ["0", "-1", "0.9", "NULL"])
def test_a_statement_has_a_second_at_least(admin_url, longest_s):
    attack = f"SELECT mobility_end_long_statements({longest_s})"
    assert attacked(admin_url, attack) == "statements_have_a_second"


@pytest.mark.parametrize("role", ["careconnect_analyst", "careconnect_operations"])
def test_analysts_end_nobody(admin_url, role):
    told = attacked(admin_url, "SELECT mobility_end_long_statements(1)", role=role)
    assert told == "permission denied for function mobility_end_long_statements"

"""Whole runs, small ones: nothing is lost; and the checker does find what is put into the database by other hands."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.stage import Fleet
from tests.chaos import truth
from tests.chaos.__main__ import run
from tests.chaos.checker import violations
from tests.chaos.drama import Outcome
from tests.chaos.system import System
from tests.environment import ROOT

# A completed ride again, under a name nobody asked for, past every wall.
_COPY = """INSERT INTO {table} SELECT (jsonb_populate_record(t, %s)).* FROM {table} t WHERE {of} = (
    SELECT max(id) FROM mobility_booking WHERE status = 'completed' AND id < 999999)"""


def make_up_a_booking(fleet: Fleet) -> None:
    with fleet.admin() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            _COPY.format(table="mobility_booking", of="t.id"), ['{"id": 999999, "ride_id": "nobody-asked"}']
        )
        connection.execute(_COPY.format(table="mobility_ride_event", of="t.booking_id"), ['{"booking_id": 999999}'])


def lose_a_move(fleet: Fleet) -> None:
    with fleet.admin() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM mobility_booking WHERE id = 999999")
        connection.execute("DELETE FROM mobility_ride_event WHERE booking_id = 999999")
        connection.execute(
            "DELETE FROM mobility_ride_event WHERE event = 'ride_completed' AND booking_id = ("
            "SELECT max(id) FROM mobility_booking WHERE status = 'completed')"
        )


def the_checker_is_awake(system: System, outcome: Outcome) -> None:
    """What it passed a moment ago it does not pass with a row too many, or one too few."""
    for tamper, rule in ((make_up_a_booking, "made up"), (lose_a_move, "lost")):
        tamper(system.fleet)
        found = violations(outcome.history, truth.read(system.fleet))
        assert rule in {violation.rule for violation in found}, tamper.__name__


@pytest.mark.timeout(300)  # 40 s on a machine that has nothing else to do
def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    """Redis, a server and PostgreSQL. Afterwards the control, on the same run."""
    outcome = run(tmp_path, kills=3, seed=3, seconds=5, afterwards=the_checker_is_awake)
    assert {struck.target for struck in outcome.history.struck} == {"redis", "server", "postgresql"}
    assert outcome.found == []
    assert (tmp_path / "result.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, kills=20, seed=1).found == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_database_that_answers_before_it_has_written_is_found_out(tmp_path: Path) -> None:
    """The control of the whole: the same clients and the same checker, and commits that a kill loses."""
    found = run(tmp_path, kills=6, seed=1, careless=True).found
    assert "lost" in {violation.rule for violation in found}


@pytest.mark.parametrize("wrong", [["--kills", "0"], ["--kills", "few"], ["--nonsense"]])
def test_wrong_usage_is_2(wrong: list[str]) -> None:
    command = [sys.executable, "-m", "tests.chaos", *wrong]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2

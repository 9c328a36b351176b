"""The list of walls is complete, each names tests that exist, and each can be taken away alone."""

import os
import re
import subprocess
import sys
from collections import Counter

import psycopg
import pytest
from django.db import connection

from mobility.invariants.queries import FOLDER
from tests.environment import ROOT
from tests.walls import RESTS_ON, WALLS, removal, rules, standing


@pytest.mark.django_db
def test_every_wall_of_the_database_is_listed_and_every_listed_one_stands():
    with connection.cursor() as cursor:
        found = standing(cursor)
    assert found - WALLS.keys() == set(), "not in tests/walls.py: add them, with the tests that guard them"
    assert WALLS.keys() - found == set(), "in tests/walls.py, but not in the database"


@pytest.mark.django_db
def test_every_refusal_of_a_guard_names_its_constraint():
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'mobility\\_%'")
        for function, source in cursor.fetchall():
            assert len(rules(source)) == source.count("RAISE"), function


def test_every_wall_names_tests_and_they_exist():
    assert [key for key, wall in WALLS.items() if not wall.tests] == []
    named = sorted({test for wall in WALLS.values() for test in wall.tests})
    # A run of its own, as `make mutate-schema` makes many.
    foreign = ("PYTEST_", "CARETEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *named],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.findall("^ERROR.*", collected.stdout + collected.stderr, re.MULTILINE) == []
    assert collected.returncode == 0, collected.stdout + collected.stderr
    # One with parameters is named with each of them: `mutate-schema` looks for the very test.
    assert set(named) - set(collected.stdout.splitlines()) == set()


def test_a_wall_is_taken_away_alone_and_check_invariants_tells(admin_url):
    """The rules inside functions, which the check of production does not read, are left to the mutations."""
    check = (FOLDER / "walls_stand.sql").read_text(encoding="utf-8").replace("%%", "%")
    with psycopg.connect(admin_url, autocommit=True) as admin, admin.cursor() as cursor:
        before = standing(cursor)
        assert admin.execute(check).fetchall() == []
        for key, wall in WALLS.items():
            with admin.transaction(force_rollback=True):
                cursor.execute(removal(wall, cursor))
                assert _gone(before, standing(cursor)) == Counter(_unnumbered({key, RESTS_ON.get(key, key)})), key
                told = [row[0] for row in admin.execute(check).fetchall()]
                if wall.kind == "grant":
                    assert told == [f"careconnect_app may {wall.name} {wall.place}"], key
                elif wall.kind != "rule":
                    assert f"missing: {wall.name}" in told, key


def _unnumbered(keys: set[str]) -> list[str]:
    return [re.sub(r":\d+$", "", key) for key in keys]


def _gone(before: set[str], after: set[str]) -> Counter[str]:
    """Which walls are gone; of two rules of one name in a function it is not told which."""
    return Counter(_unnumbered(before)) - Counter(_unnumbered(after))

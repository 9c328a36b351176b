"""An unknown account answers as late as a known one: the same hashing and the same questions to the database.

Counted and not timed, because on a busy machine two equal hashes differ by a quarter.
"""

import pytest
from django.contrib.auth import hashers
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.rest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def rounds(monkeypatch):
    """How many rounds of hashing were asked for, in order; each is done with one round."""
    asked: list[int] = []
    real = hashers.pbkdf2

    def counted(password, salt, iterations, *args, **options):
        asked.append(iterations)
        return real(password, salt, 1, *args, **options)

    monkeypatch.setattr(hashers, "pbkdf2", counted)
    return asked


def test_known_unknown_and_inactive_accounts_cost_the_same_work(api, make_user, rounds):
    make_user(username="sarah", password=PASSWORD)
    make_user(username="closed", password=PASSWORD, is_active=False)
    make_user(username="no-password")
    work = {}
    for name in ("sarah", "nobody", "closed", "no-password"):
        rounds.clear()
        with CaptureQueriesContext(connection) as asked:
            password = PASSWORD if name == "closed" else "wrong"
            assert api.post("auth/login/", {"username": name, "password": password}).status_code == 401
        work[name] = (sum(rounds), len(asked))
    assert len(set(work.values())) == 1, work
    assert work["nobody"][0] >= 1_000_000


def test_once_throttled_nothing_is_hashed_for_anybody(api, make_user, rounds, set_knobs):
    set_knobs(logins_per_quarter_hour=1)
    make_user(username="sarah", password=PASSWORD)
    for name in ("sarah", "nobody"):
        api.post("auth/login/", {"username": name, "password": "wrong"})
        rounds.clear()
        assert api.post("auth/login/", {"username": name, "password": "wrong"}).status_code == 429
        assert rounds == []

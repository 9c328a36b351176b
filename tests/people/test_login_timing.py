"""An unknown account answers as late as a known one (with the real password hasher)."""

import statistics
import time

import pytest

from tests.rest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_known_unknown_and_inactive_accounts_take_equally_long(api, make_user, set_knobs):
    set_knobs(logins_per_quarter_hour=10_000)
    make_user(username="sarah", password=PASSWORD)
    make_user(username="closed", password=PASSWORD, is_active=False)
    make_user(username="no-password")
    # Processor time of this thread, so that whatever else the machine does is left out.
    took_s: dict[str, list[float]] = {name: [] for name in ("sarah", "nobody", "closed", "no-password")}
    for _ in range(12):
        for name, times in took_s.items():
            start = time.thread_time()
            assert api.post("auth/login/", {"username": name, "password": "wrong"}).status_code == 401
            times.append(time.thread_time() - start)
    medians = {name: statistics.median(times) for name, times in took_s.items()}
    assert max(medians.values()) < 1.25 * min(medians.values()), medians

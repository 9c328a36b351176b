"""Counters: exact, windowed, nameless."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from redis.exceptions import ConnectionError as RedisDown

from mobility.people import throttle
from mobility.people.throttle import (
    Limit,
    address_key,
    allow,
    refund,
    refund_search,
    retry_after_s,
    spend,
    spend_search,
)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still at the beginning of a window until a test moves it."""
    now = [3_600_000.0]
    monkeypatch.setattr(throttle, "_now", lambda: now[0])
    return now


def test_as_many_as_the_limit_are_allowed_and_no_more():
    assert [allow("s", "k", 3, 60) for _ in range(5)] == [True, True, True, False, False]


def test_other_keys_and_scopes_count_for_themselves():
    assert allow("s", "a", 1, 60)
    assert allow("s", "b", 1, 60)
    assert allow("t", "a", 1, 60)
    assert not allow("s", "a", 1, 60)


def test_a_refunded_use_can_be_used_again():
    assert allow("s", "k", 1, 60)
    refund("s", "k", 1, 60)
    assert allow("s", "k", 1, 60)
    assert not allow("s", "k", 1, 60)


def test_a_refused_use_is_not_counted(clock):
    assert allow("s", "k", 1, 60)
    for _ in range(50):
        assert not allow("s", "k", 1, 60)
    clock[0] += 120
    assert allow("s", "k", 1, 60)


def test_the_window_slides_so_that_its_border_gives_nothing_away(clock):
    clock[0] += 59
    assert [allow("s", "k", 10, 60) for _ in range(11)].count(True) == 10
    clock[0] += 2
    assert [allow("s", "k", 10, 60) for _ in range(10)].count(True) <= 1
    clock[0] += 30
    assert 4 <= [allow("s", "k", 10, 60) for _ in range(10)].count(True) <= 6


def test_after_the_told_wait_one_more_is_allowed(clock):
    limit = Limit("s", "k", 4, 60)
    clock[0] += 17
    while spend([limit]) is None:
        pass
    clock[0] += retry_after_s(limit)
    assert spend([limit]) is None


def test_simultaneous_uses_never_exceed_the_limit():
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: allow("s", "k", 20, 60), range(200)))
    assert allowed.count(True) <= 20
    assert allowed.count(True) >= 1


def test_of_several_limits_all_are_spent_or_none():
    wide, narrow = Limit("wide", "k", 5, 60), Limit("narrow", "k", 1, 60)
    assert spend([wide, narrow]) is None
    for _ in range(20):
        assert spend([wide, narrow]) == narrow
    assert [spend([wide]) is None for _ in range(5)] == [True] * 4 + [False]


def test_no_counter_is_named_after_a_phone_or_an_address():
    allow("login", "+27821234567", 5, 60)
    spend_search(None, "203.0.113.77")
    names = " ".join(cache._cache)  # the LocMem cache's own dictionary
    assert "throttle:login" in names
    for canary in ("27821234567", "203.0.113.77", "203.0"):
        assert canary not in names


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("\0", "unknown"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address, key):
    assert address_key(address) == key


def test_searches_are_limited_by_passenger_wherever_they_are(set_knobs):
    set_knobs(searches_per_hour=2)
    assert [spend_search(7, f"203.0.113.{n}") for n in range(4)] == [True, True, False, False]
    assert spend_search(8, "203.0.113.1")
    refund_search(7, "203.0.113.9")
    assert spend_search(7, "203.0.113.1")


def test_searches_of_guests_are_limited_by_address(set_knobs):
    set_knobs(searches_per_hour=1)
    assert spend_search(None, "203.0.113.1")
    assert not spend_search(None, "203.0.113.1")
    assert spend_search(None, "203.0.113.2")


def test_without_its_cache_everything_is_allowed(monkeypatch):
    def down(*_args, **_options):
        raise RedisDown("10.0.0.1 refused")

    monkeypatch.setattr(cache, "add", down)
    assert all(allow("s", "k", 1, 60) for _ in range(3))

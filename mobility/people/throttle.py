"""How often somebody may do something: counters in the cache, exact under concurrency.

A counter is named by an HMAC of the account or address, so that nobody can read phones or addresses out of Redis.
Over a sliding window: the count of the present window plus the share of the one before that still reaches into it.
When the cache cannot be reached, everything is allowed and the log says so: rides go on without Redis.
"""

import ipaddress
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import structlog
from django.core.cache import cache
from django.utils.crypto import salted_hmac
from redis.exceptions import RedisError

from mobility.conf import knobs

log = structlog.get_logger(__name__)
HOUR_S = 3600.0
QUARTER_HOUR_S = 900.0
T = TypeVar("T")


class Limit(NamedTuple):
    """At most `limit` times in `window_s` seconds for this `key` within this `scope`."""

    scope: str
    key: str
    limit: int
    window_s: float


def allow(scope: str, key: str, limit: int, window_s: float) -> bool:
    """Count one use and say whether it was within the limit; a refused one is not counted."""
    return spend([Limit(scope, key, limit, window_s)]) is None


def refund(scope: str, key: str, limit: int, window_s: float) -> None:
    """Take back one use that was counted a moment ago."""
    give_back([Limit(scope, key, limit, window_s)])


def spend(limits: Iterable[Limit]) -> Limit | None:
    """Count one use against each limit, or against none and return the limit that is used up."""
    spent: list[Limit] = []
    for limit in limits:
        if not _reachable(_spend, limit, default=True):
            give_back(spent)
            return limit
        spent.append(limit)
    return None


def give_back(limits: Iterable[Limit]) -> None:
    """Take back one use of each limit."""
    for limit in limits:
        _reachable(_give_back, limit, default=None)


def retry_after_s(limit: Limit) -> int:
    """After how many seconds another use will be allowed at the latest, if nothing is used till then."""
    return math.ceil(limit.window_s - _now() % limit.window_s + limit.window_s / limit.limit)


def address_key(address: str) -> str:
    """An address as counters know it. IPv6 by its /64: whoever has one has all addresses in it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def spend_search(passenger_id: int | None, address: str) -> bool:
    """Whether this passenger from this address (a guest: this address) may start one more search now; counts it."""
    return spend(_search_limits(passenger_id, address)) is None


def refund_search(passenger_id: int | None, address: str) -> None:
    """The search that was counted turned out to be none, for example a repeated request."""
    give_back(_search_limits(passenger_id, address))


def _search_limits(passenger_id: int | None, address: str) -> list[Limit]:
    here = address_key(address)
    if passenger_id is None:
        return [Limit("guest-search", here, knobs().searches_per_hour, HOUR_S)]
    return [
        Limit("search", str(passenger_id), knobs().searches_per_hour, HOUR_S),
        Limit("address-search", here, knobs().address_searches_per_hour, HOUR_S),
    ]


def _spend(limit: Limit) -> bool:
    now = _now()
    name = _counter(limit, now)
    used = _count(name, 2 * limit.window_s)
    before = cache.get(_counter(limit, now - limit.window_s), 0)
    if used + before * (1 - now % limit.window_s / limit.window_s) <= limit.limit:
        return True
    cache.decr(name)
    return False


def _count(name: str, lives_s: float) -> int:
    """One more on the counter, made where it is missing. It outlives its window, so that it cannot end in between."""
    while True:
        cache.add(name, 0, timeout=lives_s)
        with suppress(ValueError):  # a full cache dropped it just now
            return cache.incr(name)


def _give_back(limit: Limit) -> None:
    with suppress(ValueError):  # the window it was counted in is over
        cache.decr(_counter(limit, _now()))


def _counter(limit: Limit, at: float) -> str:
    who = salted_hmac("mobility.throttle", f"{limit.scope}\n{limit.key}", algorithm="sha256").hexdigest()
    return f"throttle:{limit.scope}:{who[:32]}:{int(at // limit.window_s)}"


def _now() -> float:
    return time.time()


def _reachable(use: Callable[[Limit], T], limit: Limit, *, default: T) -> T:
    try:
        return use(limit)
    except (RedisError, OSError) as error:
        log.warning("throttle_unreachable", error=type(error).__name__)
        return default

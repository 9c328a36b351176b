"""The plan of faults is the seed's alone, and leaves nothing out; and what they strike is the service as shipped."""

from collections import Counter
from pathlib import Path

from tests.bench.stage import Stage
from tests.chaos.faults import DECK, FIRST_AT_S, STOPPED_S, plan
from tests.chaos.system import System

ALL = ("postgresql", "redis", "server 0", "server 1", "dispatcher")


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan(7, 50, 150, ALL) == plan(7, 50, 150, ALL)
    assert plan(7, 50, 150, ALL) != plan(8, 50, 150, ALL)


def test_every_kind_comes_in_its_share_and_in_time() -> None:
    faults = plan(1, 10 * len(DECK), 500, ALL)
    assert Counter((f.action, f.target) for f in faults) == {card: 10 * n for card, n in Counter(DECK).items()}
    assert {f.server for f in faults if f.target == "server"} == {0, 1}
    assert {f.name for f in faults} == set(ALL)
    times = [f.at_s for f in faults]
    assert times == sorted(times)
    assert times[0] >= FIRST_AT_S
    assert times[-1] <= 500
    stops = [f.for_s for f in faults if f.action == "stop"]
    assert STOPPED_S[0] <= min(stops) < max(stops) <= STOPPED_S[1]


def test_what_is_not_there_is_not_struck() -> None:
    faults = plan(1, 40, 120, ("postgresql", "server 0", "server 1"))
    assert len(faults) == 40
    assert {f.target for f in faults} == {"postgresql", "server"}


def test_the_service_waits_for_its_database_as_long_as_it_is_shipped_to(tmp_path: Path) -> None:
    """A bench's patience there once had a frozen server hold up the other one for its whole freeze."""
    limits = {"DB_STATEMENT_TIMEOUT_MS", "DB_LOCK_TIMEOUT_MS"}
    assert not limits & System(tmp_path)._stage._env("", {}).keys()
    assert limits <= Stage(keep=False)._env("", {}).keys()

"""Strategies: who is asked for a ride, and which ride a freed driver is asked for.

A strategy only chooses. It never locks, writes or waits: offers, locks and timers are the same for all of them, and
what it chose is checked again under the locks (docs/decisions/0009).
"""

from typing import Protocol

from mobility.conf import STRATEGIES, knobs
from mobility.dispatch.queries import (
    Candidates,
    IdleDriver,
    Search,
    WaitingRide,
    idle_driver,
    nearest_to,
    waiting_near,
)
from mobility.dispatch.ranking import Ranking


class Strategy(Protocol):
    """Chooses drivers for a ride and a ride for a driver."""

    name: str

    def drivers_for(self, search: Search, fetch: int, ranking: Ranking) -> Candidates:
        """Whom to ask for this ride, best first; looks at `fetch` drivers at first. Of those at hand `ranking` says who
        is better."""

    def ride_for(self, driver: IdleDriver) -> WaitingRide | None:
        """Which waiting ride to ask this driver for."""


class Nearest:
    """Each ride gets its nearest driver, in the order in which the rides were asked for."""

    name = "nearest"

    def drivers_for(self, search: Search, fetch: int, ranking: Ranking) -> Candidates:
        """The nearest drivers."""
        return _best_of_nearest(search, fetch, ranking)

    def ride_for(self, driver: IdleDriver) -> WaitingRide | None:
        """The ride in reach that waits longest."""
        return min(waiting_near(driver), key=_longest_waiting, default=None)


class Balanced:
    """As `Nearest`, but while more rides wait than drivers are idle, each freed driver takes the nearest one.

    A queue served in order makes pickups longer when drivers are scarce: freed drivers cross the city for whoever waits
    longest. Taking the nearest rider instead serves more of them, sooner.
    """

    name = "balanced"

    def drivers_for(self, search: Search, fetch: int, ranking: Ranking) -> Candidates:
        """The nearest drivers; in later rounds only those who have no nearer ride to go to."""
        nearest = _best_of_nearest(search, fetch, ranking)
        if search.rounds == 0:
            return nearest
        wave = nearest.found[: knobs().candidate_count]
        ours = [c for c in wave if self._is_for(search, c.driver_id)]
        return Candidates(ours, more=False, for_others=tuple(c.driver_id for c in wave if c not in ours))

    def _is_for(self, search: Search, driver_id: int) -> bool:
        driver = idle_driver(driver_id)
        ride = None if driver is None else self.ride_for(driver)
        return ride is None or ride.booking_id == search.booking_id

    def ride_for(self, driver: IdleDriver) -> WaitingRide | None:
        """The nearest ride nobody is being asked for, else the nearest; the longest waiting where drivers abound."""
        waiting = waiting_near(driver)
        if not waiting or not waiting[0].riders_outnumber:
            return min(waiting, key=_longest_waiting, default=None)
        return min(waiting, key=lambda ride: (ride.live_offers > 0, ride.distance_m, ride.booking_id))


def _best_of_nearest(search: Search, fetch: int, ranking: Ranking) -> Candidates:
    nearest = nearest_to(search, fetch)
    return nearest._replace(found=ranking.ranked(search.pickup, nearest.found))


def _longest_waiting(ride: WaitingRide) -> tuple[object, ...]:
    return (ride.search_started_at, ride.booking_id)


_BY_NAME: dict[str, Strategy] = {strategy.name: strategy for strategy in (Balanced(), Nearest())}
assert set(_BY_NAME) == set(STRATEGIES)  # noqa: S101 (conf.py, below, refuses other names at the start)


def strategy() -> Strategy:
    """The one in force."""
    return _BY_NAME[knobs().strategy]

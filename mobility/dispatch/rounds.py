"""One look for drivers: choose, lock, ask or bind, explain, and say when to look again. Part of a caller's transaction
that holds the ride's row.
"""

from typing import Any, NamedTuple

import structlog

from geo.coordinates import LatLon
from mobility import events
from mobility.bookings import services as bookings
from mobility.conf import knobs
from mobility.dispatch.queries import Candidate, Search, first_fetch, params_of
from mobility.dispatch.ranking import Ranking
from mobility.dispatch.reach import goes_on
from mobility.dispatch.states import CloseReason, OfferStatus, Outcome
from mobility.dispatch.strategies import strategy
from mobility.transactions import rows

log = structlog.get_logger(__name__)
# After so long a ride is looked at again whose drivers were all held by other transactions: those take milliseconds.
SOON_S = 0.1
# The ride id of searches that only warm a connection up and are taken back.
WARM_UP = "warm-up"


class RoundResult(NamedTuple):
    """What came of a round; `seq` is the ride's newest, `driver_id` whoever was bound."""

    outcome: Outcome
    seq: int | None = None
    driver_id: int | None = None


def search_of(ride: Any) -> Search:
    """A row of bookings/sql/held_ride.sql as a search."""
    return Search(
        ride.id, ride.ride_id, ride.passenger_id, LatLon(ride.latitude, ride.longitude), ride.vehicle_type, ride.rounds,
        ride.search_radius_m,
    )  # fmt: skip


def next_round(search: Search, *, begins: bool = False) -> RoundResult:
    """Ask the next wave of drivers, or bind one who takes rides by themselves. With nobody to ask, wait for somebody or
    give the search up, as `goes_on` says; it `begins` with this round or did so before. Nobody is being asked for the
    ride now.
    """
    ranking = Ranking()
    asked, passed_over = _ask_the_best(search, ranking)
    bound = next((row for row in asked if row.status == OfferStatus.ACCEPTED), None)
    if bound is not None:
        _explain(search, Outcome.ASSIGNED, ranking)
        return RoundResult(Outcome.ASSIGNED, bound.seq, bound.driver_id)
    if asked:
        _explain(search, Outcome.ASKED, ranking)
        schedule(search.booking_id, search.rounds + 1)
        return RoundResult(Outcome.ASKED)
    if not goes_on(search, begins=begins):
        _explain(search, Outcome.NOBODY)
        seq = bookings.give_up_search(search.booking_id, search.ride_id, search.passenger_id, search.rounds + 1)
        return RoundResult(Outcome.NOBODY, seq)
    _wait(search, SOON_S if passed_over else knobs().waiting_retry_s)
    return RoundResult(Outcome.WAITING)


def _wait(search: Search, retry_s: float) -> None:
    """Look again in a moment. Only the first round in a row that finds everybody taken is kept as one."""
    newest = rows("dispatch/sql/newest_outcome", {"booking_id": search.booking_id})
    known = bool(newest) and newest[0].outcome == Outcome.WAITING
    if not known:
        _explain(search, Outcome.WAITING)
    schedule(search.booking_id, search.rounds + (0 if known else 1), retry_s)


def top_up(search: Search, places: int) -> None:
    """Ask further drivers in a wave that is under way, for places that were lost to undelivered requests."""
    fetch, ranking = first_fetch(knobs().candidate_count), Ranking()
    asked = ask(search, strategy().drivers_for(search, fetch, ranking).found, places) if places > 0 else []
    if not asked:
        schedule(search.booking_id, search.rounds)
        return
    bound = any(row.status == OfferStatus.ACCEPTED for row in asked)
    _explain(search, Outcome.ASSIGNED if bound else Outcome.ASKED, ranking)
    schedule(search.booking_id, search.rounds + 1)


def ask_driver(search: Search, driver_id: int, distance_m: float) -> bool:
    """Ask one driver for a waiting ride; whether they could be asked (or are bound)."""
    asked = ask(search, [Candidate(driver_id, distance_m, search.pickup)], 1)
    if asked:
        bound = asked[0].status == OfferStatus.ACCEPTED
        _explain(search, Outcome.ASSIGNED if bound else Outcome.ASKED)
        schedule(search.booking_id, search.rounds + 1)
    return bool(asked)


def _ask_the_best(search: Search, ranking: Ranking) -> tuple[list[Any], bool]:
    """Ask a whole wave; and whether there were drivers, but others held every one of them at this moment.

    Drivers whom other transactions hold are passed over, and more are fetched when that were all.
    """
    fetch = first_fetch(knobs().candidate_count)
    while True:
        candidates = strategy().drivers_for(search, fetch, ranking)
        asked = ask(search, candidates.found, knobs().candidate_count)
        passed_over = bool(candidates.found) and not asked
        for driver_id in candidates.for_others:
            events.publish(events.DriverFreed(driver_id))
        if asked or not candidates.more:
            return asked, passed_over
        fetch *= 4


def ask(search: Search, candidates: list[Candidate], places: int) -> list[Any]:
    """Offer the ride to the first `places` of the candidates who can be had; the rows of ask.sql, facts published.

    Where one of them takes rides by themselves they are bound at once and nobody else is asked; whoever is being asked
    already hears that the ride is taken.
    """
    if not candidates:
        return []
    now = knobs()
    ids = [c.driver_id for c in candidates]
    locked = {row.id for row in rows("dispatch/sql/lock_drivers", {"driver_ids": ids, "places": places})}
    ours = [c for c in candidates if c.driver_id in locked]
    if not ours:
        return []
    asked = rows(
        "dispatch/sql/ask",
        {
            "booking_id": search.booking_id,
            "driver_ids": [c.driver_id for c in ours],
            "distances_m": [c.distance_m for c in ours],
            "round": search.rounds + 1,
            "auto_assign": now.auto_assign,
            "offer_ttl_s": now.offer_ttl_s,
            "delivery_timeout_s": now.delivery_timeout_s,
            "lost_driver_s": now.lost_driver_s,
        },
    )
    for row in asked:
        events.publish(events.DriverTold(row.driver_id, row.inbox_seq))
        if row.status == OfferStatus.ACCEPTED:
            bookings.publish_assignment(search.booking_id, search.ride_id, search.passenger_id, row)
            if search.rounds:  # in the first round nobody can be being asked yet
                withdraw_offers(search.booking_id, CloseReason.TAKEN)
    return asked


def withdraw_offers(booking_id: int, reason: CloseReason, driver_id: int | None = None) -> int:
    """Take back a ride's open offers (or one driver's), telling the drivers; how many. The caller holds the ride."""
    told = rows("dispatch/sql/withdraw", {"booking_id": booking_id, "reason": reason.value, "driver_id": driver_id})
    for row in told:
        events.publish(events.DriverTold(row.driver_id, row.inbox_seq))
        events.publish(events.DriverFreed(row.driver_id))
    return len(told)


def schedule(booking_id: int, rounds: int, retry_s: float | None = None) -> None:
    """Say when the dispatcher looks at a waiting ride next; after `retry_s` where nobody is being asked."""
    retry_s = knobs().waiting_retry_s if retry_s is None else retry_s
    rows("dispatch/sql/schedule", {"booking_id": booking_id, "rounds": rounds, "retry_s": retry_s})


def _explain(search: Search, outcome: Outcome, ranking: Ranking | None = None) -> None:
    by_eta = " by eta" if ranking is not None and ranking.changed_by_eta else ""
    rows(
        "dispatch/sql/explain",
        params_of(search)
        | {
            "round": search.rounds + 1,
            "strategy": strategy().name + by_eta,
            "outcome": outcome.value,
            "listed": knobs().explained_drivers,
        },
    )
    if search.ride_id == WARM_UP:
        return
    log.info(
        "candidates", ride_id=search.ride_id, booking_id=search.booking_id, round=search.rounds + 1,
        outcome=outcome.value,
    )  # fmt: skip

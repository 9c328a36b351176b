"""Every fact that can happen, and `publish`. Who reacts to what stands in subscribers.py.

A fact is published inside the transaction that makes it true and told after the commit, never before. Telling is only
a hint that makes things fast: what must not be lost is a row.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RideMoved:
    """A row of the ride log was written."""

    booking_id: int
    ride_id: str
    seq: int
    event: str
    from_status: str
    to_status: str
    occurred_at: datetime
    passenger_id: int | None
    driver_id: int | None


@dataclass(frozen=True, slots=True)
class DriverTold:
    """A row was written into a driver's inbox."""

    driver_id: int
    inbox_seq: int


@dataclass(frozen=True, slots=True)
class DriverFreed:
    """A driver may take a ride (again): came online, ended a ride, or lost an offer."""

    driver_id: int


@dataclass(frozen=True, slots=True)
class DriverConnected:
    """A driver opened a socket; older sockets of theirs are replaced by it."""

    driver_id: int
    socket_id: str


@dataclass(frozen=True, slots=True)
class DriverSilent:
    """The driver of a ride under way has given no sign for too long: an operator should call."""

    booking_id: int
    ride_id: str
    driver_id: int


@dataclass(frozen=True, slots=True)
class UserSignedOut:
    """A user logged out, was suspended or changed the password: sockets opened before must close."""

    user_id: int


_reactions: defaultdict[type, list[Callable[[Any], None]]] = defaultdict(list)


def subscribe(fact: type, reaction: Callable[[Any], None]) -> None:
    """Have `reaction(fact)` called after each commit that published such a fact. Called by subscribers.py only."""
    if reaction not in _reactions[fact]:
        _reactions[fact].append(reaction)


def publish(fact: Any) -> None:
    """Tell the subscribers once the present transaction is committed."""
    transaction.on_commit(lambda: _tell(fact))


def _tell(fact: Any) -> None:
    for reaction in _reactions[type(fact)]:
        try:
            reaction(fact)
        except Exception:
            # The change is committed and true; one deaf listener must not turn it into an error for the caller.
            log.exception("reaction_failed", fact=type(fact).__name__, reaction=reaction.__name__)

"""What happens after what: a table of facts and reactions. Each reaction runs after the commit."""

import structlog

from mobility.delivery import groups, hub
from mobility.events import RideMoved, UserSignedOut, subscribe

log = structlog.get_logger(__name__)


def hint_sockets_of_ride(fact: RideMoved) -> None:
    """Tell the ride's sockets that its log is longer; they read it themselves."""
    hub.hint(
        groups.audience(fact.passenger_id, fact.ride_id),
        {"type": "ride.moved", "ride_id": fact.ride_id, "booking_id": fact.booking_id, "seq": fact.seq},
    )


_TOLD_AS = {"ride_requested": "booking_created", "driver_assigned": "assigned", "ride_cancelled": "cancelled"}


def log_move(fact: RideMoved) -> None:
    """The ride's story, one line a move: ids only."""
    log.info(
        _TOLD_AS.get(fact.event, fact.event), ride_id=fact.ride_id, booking_id=fact.booking_id, seq=fact.seq,
        status=fact.to_status, driver_id=fact.driver_id,
    )  # fmt: skip


def close_sockets_of_user(fact: UserSignedOut) -> None:
    """Close what the user opened before; valid credentials may connect again."""
    hub.hint(groups.user(fact.user_id), {"type": "signed.out"})


REACTIONS = (
    (RideMoved, log_move),
    (RideMoved, hint_sockets_of_ride),
    (UserSignedOut, close_sockets_of_user),
)
for _fact, _reaction in REACTIONS:
    subscribe(_fact, _reaction)

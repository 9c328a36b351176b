"""What happens after what: a table of facts and reactions. Each reaction runs after the commit."""

import structlog

from mobility.bookings.addresses import look_up_addresses
from mobility.delivery import background, groups, hub
from mobility.dispatch.services import offer_waiting_ride
from mobility.events import (
    DriverConnected,
    DriverFreed,
    DriverSilent,
    DriverTold,
    RideMoved,
    UserSignedOut,
    subscribe,
)
from mobility.trips.services import make_trip

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


def hint_driver(fact: DriverTold) -> None:
    """Tell the driver's socket that there is something in the inbox; it reads it itself."""
    hub.hint(groups.driver(fact.driver_id), {"type": "driver.told", "inbox_seq": fact.inbox_seq})


def replace_older_sockets(fact: DriverConnected) -> None:
    """Close the driver's sockets that this one takes the place of."""
    hub.hint(groups.driver(fact.driver_id), {"type": "driver.replaced", "by": fact.socket_id})


def give_waiting_ride(fact: DriverFreed) -> None:
    """A driver who can take a ride gets a waiting one, a moment later; the sweep would find them as well."""
    background.later(offer_waiting_ride, fact.driver_id)


def make_trip_of_ride(fact: RideMoved) -> None:
    """A ride that was driven and is over gets its track, a moment later; the dispatcher makes up for what is missed."""
    if fact.from_status == "in_progress":
        background.later(make_trip, fact.booking_id)


def find_addresses(fact: RideMoved) -> None:
    """A ride asked for without addresses gets them a moment later; the dispatcher makes up for what is missed."""
    if fact.event in {"ride_requested", "search_started"}:
        look_up_addresses(fact.booking_id)


def alert_operators(fact: DriverSilent) -> None:
    """A line that monitoring looks for; the ride carries `attention_since` for the operators' pages."""
    log.error("driver_silent_on_ride", ride_id=fact.ride_id, booking_id=fact.booking_id, driver_id=fact.driver_id)


REACTIONS = (
    (RideMoved, log_move),
    (RideMoved, hint_sockets_of_ride),
    (DriverTold, hint_driver),
    (DriverConnected, replace_older_sockets),
    (DriverFreed, give_waiting_ride),
    (RideMoved, make_trip_of_ride),
    (RideMoved, find_addresses),
    (DriverSilent, alert_operators),
    (UserSignedOut, close_sockets_of_user),
)
for _fact, _reaction in REACTIONS:
    subscribe(_fact, _reaction)

"""What a driver answers to a request, and how requests end otherwise. One function a use case.

Every change of an offer but the acknowledgement is made under the lock of its ride's row.
"""

from datetime import datetime
from typing import Any, NamedTuple

import structlog

from mobility import events
from mobility.bookings import services as bookings
from mobility.bookings.states import TERMINAL, Status
from mobility.conf import knobs
from mobility.dispatch.rounds import next_round, schedule, search_of
from mobility.dispatch.states import CLOSED, CloseReason, OfferStatus
from mobility.drivers.models import Driver, DriverStatus, InboxKind
from mobility.drivers.services import tell_driver
from mobility.errors import Refusal
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


class RideRef(NamedTuple):
    """How a driver names a ride: by the passenger's ride id, by the booking's number, or both."""

    ride_id: str | None = None
    booking_id: int | None = None


class Acknowledged(NamedTuple):
    """A request the driver has: which ride, and when the time to answer ends."""

    booking_id: int
    ride_id: str
    expires_at: datetime


def offer_of(driver_id: int, ref: RideRef) -> Any:
    """The offer a driver's message is about (a row of offer_to_answer.sql), or the refusal `no_offer`."""
    found = rows("dispatch/sql/offer_to_answer", {"driver_id": driver_id, **ref._asdict()})
    if not found:
        raise Refusal("no_offer")
    return found[0]


def accept_offer(driver_id: int, ref: RideRef) -> int:
    """Take the ride: the first valid accept wins; the booking's id. The winner's repeat is answered alike.

    Refusals say why: `no_offer`, `ride_taken`, `offer_expired`, `offer_declined`, `offer_withdrawn`, `ride_cancelled`,
    `driver_has_ride`, `driver_not_available`.
    """
    offer = offer_of(driver_id, ref)
    if offer.status in CLOSED:
        # For good: who comes late is answered without waiting for the ride's row.
        raise Refusal(_why_closed(offer), booking_id=offer.booking_id, ride_id=offer.ride_id)
    return take_ride(driver_id, offer)


@state_change
def take_ride(driver_id: int, offer: Any) -> int:
    """Accept an offer that was open or accepted when it was looked up; part of `accept_offer`."""
    ride = bookings.locked(offer.booking_id)
    driver = rows("dispatch/sql/lock_driver", {"driver_id": driver_id})[0]
    told = rows(
        "dispatch/sql/accept",
        {"offer_id": offer.id, "driver_id": driver_id, "lost_driver_s": knobs().lost_driver_s},
    )
    if not told:
        return _answer_again(offer.id, ride, driver_id, driver.status)
    # The passenger first: they have waited longest.
    bookings.publish_assignment(ride.id, ride.ride_id, ride.passenger_id, _Assigned(told[0], driver_id))
    for row in told:
        events.publish(events.DriverTold(row.driver_id, row.inbox_seq))
    for row in told:
        if row.driver_id != driver_id:
            events.publish(events.DriverFreed(row.driver_id))
    return int(ride.id)


class _Assigned:
    """A row of accept.sql as `publish_assignment` takes it."""

    def __init__(self, row: Any, driver_id: int) -> None:
        self.seq, self.occurred_at, self.driver_id = row.seq, row.occurred_at, driver_id


def _answer_again(offer_id: int, ride: Any, driver_id: int, driver_status: str) -> int:
    """The ride again for a driver who has it; else the refusal that says why the accept is not valid."""
    if _holds(driver_id, ride):
        return int(ride.id)
    offer = rows("dispatch/sql/offer_state", {"offer_id": offer_id})[0]
    code = _why_closed(offer)
    if offer.status == OfferStatus.PENDING and not offer.is_over:
        code = "driver_has_ride" if driver_status == DriverStatus.BUSY else "driver_not_available"
    raise Refusal(code, booking_id=ride.id, ride_id=ride.ride_id)


def _holds(driver_id: int, ride: Any) -> bool:
    """Whether the driver has this ride, by whatever offer: an operator may have bound them after it was looked up."""
    return ride.driver_id == driver_id and ride.status not in TERMINAL


def _why_closed(offer: Any) -> str:
    """The code that says how an offer ended (a row of offer_state.sql); for an open one, that its time is over."""
    return {
        OfferStatus.DECLINED: "offer_declined",
        OfferStatus.RELEASED: "no_offer",
        OfferStatus.WITHDRAWN: _WHY_WITHDRAWN.get(offer.reason, "offer_withdrawn"),
        OfferStatus.ACCEPTED: "ride_over",
    }.get(offer.status, "offer_expired")


_WHY_WITHDRAWN = {
    CloseReason.TAKEN: "ride_taken",
    CloseReason.RIDE_CANCELLED: "ride_cancelled",
    CloseReason.SEARCH_OVER: "offer_expired",
    CloseReason.UNDELIVERED: "offer_expired",
}


@state_change
def decline_offer(driver_id: int, ref: RideRef, reason: str = "") -> int:
    """Say no; the driver is not asked again for this ride. The booking's id. Declining twice changes nothing.

    When nobody else is being asked, the next wave is asked in the same commit.
    """
    offer = offer_of(driver_id, ref)
    ride = bookings.locked(offer.booking_id)
    declined = rows("dispatch/sql/decline", {"offer_id": offer.id, "driver_id": driver_id, "reason": reason})
    if not declined:
        if _holds(driver_id, ride):
            raise Refusal(
                "not_allowed",
                "You took this ride: cancel_ride gives it back.",
                booking_id=ride.id,
                ride_id=ride.ride_id,
            )
        return int(ride.id)  # over in another way: there is nothing left to decline
    events.publish(events.DriverFreed(driver_id))
    go_on_searching(ride)
    return int(ride.id)


def go_on_searching(ride: Any) -> None:
    """After offers of a searching ride have ended: the next wave when nobody is being asked any more."""
    if ride.status != Status.PENDING or ride.search_is_over:
        return
    if rows("dispatch/sql/live_offers", {"booking_id": ride.id})[0].live:
        schedule(ride.id, ride.rounds)
    else:
        next_round(search_of(ride))


@state_change
def acknowledge_offer(driver_id: int, ref: RideRef) -> Acknowledged:
    """The driver's app has the request: the time to answer begins now. Repeated, the same end is told again.

    Refused with the reason when the request is over, or was withdrawn because the acknowledgement came too late.
    """
    offer = offer_of(driver_id, ref)
    mark_delivered(driver_id, offer.id)
    now = rows("dispatch/sql/offer_state", {"offer_id": offer.id})[0]
    if now.status == OfferStatus.WITHDRAWN:
        # Perhaps because an operator bound this very driver meanwhile.
        newest = offer_of(driver_id, RideRef(booking_id=offer.booking_id))
        now = rows("dispatch/sql/offer_state", {"offer_id": newest.id})[0]
    if now.status == OfferStatus.ACCEPTED:
        raise Refusal(
            "not_allowed", "You took this ride: there is nothing left to confirm.", booking_id=offer.booking_id,
            ride_id=offer.ride_id,
        )  # fmt: skip
    if now.status != OfferStatus.PENDING or now.delivered_at is None or now.is_over:
        raise Refusal(_why_closed(now), booking_id=offer.booking_id, ride_id=offer.ride_id)
    return Acknowledged(offer.booking_id, offer.ride_id, now.expires_at)


def mark_delivered(driver_id: int, offer_id: int) -> None:
    """The request was written to an open socket, or acknowledged: its time begins, once, by the database's clock."""
    rows("dispatch/sql/delivered", {"driver_id": driver_id, "offer_id": offer_id, "offer_ttl_s": knobs().offer_ttl_s})


def settle_due(booking_id: int) -> int:
    """Close what has run out of a ride's offers; how many places undelivered requests left. The caller holds the ride.

    A driver who missed `misses_until_offline` requests in a row goes offline and is told.
    """
    closed = rows("dispatch/sql/settle_due", {"booking_id": booking_id})
    for row in closed:
        events.publish(events.DriverTold(row.driver_id, row.inbox_seq))
        if row.status == OfferStatus.EXPIRED and row.missed_offers >= knobs().misses_until_offline:
            _send_offline(row.driver_id)
        else:
            events.publish(events.DriverFreed(row.driver_id))
    return sum(row.status == OfferStatus.WITHDRAWN for row in closed)


def _send_offline(driver_id: int) -> None:
    gone = Driver.objects.filter(pk=driver_id, status=DriverStatus.AVAILABLE).update(
        status=DriverStatus.OFFLINE, missed_offers=0
    )
    if gone:
        tell_driver(driver_id, InboxKind.WENT_OFFLINE, reason="requests_missed")
        log.info("driver_sent_offline", driver_id=driver_id)

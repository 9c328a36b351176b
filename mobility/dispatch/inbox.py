"""What a driver is told and sees: the inbox, the ride held or asked for, the driver's own state. Reads only."""

from typing import Any, NamedTuple

from mobility.dispatch.states import OfferStatus
from mobility.transactions import rows

AT_ONCE = 50


class DriverView(NamedTuple):
    """The driver, the ride they hold and the one they are being asked for; rows of the statements of those names."""

    state: Any
    ride: Any | None
    request: Any | None


def inbox_after(driver_id: int, seq: int) -> list[Any]:
    """The inbox rows after `seq`, in order, some at a time: rows of dispatch/sql/inbox_after.sql."""
    return rows("dispatch/sql/inbox_after", {"driver_id": driver_id, "seq": seq, "limit": AT_ONCE})


def ride_of_offer(offer_id: int) -> Any:
    """A ride as the driver sees it who was asked for it: a row of dispatch/sql/ride_of_offer.sql."""
    return rows("dispatch/sql/ride_for_driver", {"offer_id": offer_id})[0]


def read_state(driver_id: int) -> DriverView:
    """The driver now. What the inbox holds beyond `state.inbox_seq` is not in it yet."""
    state = rows("dispatch/sql/driver_state", {"driver_id": driver_id})[0]
    ride = None if state.held_offer_id is None else ride_of_offer(state.held_offer_id)
    request = None if state.offer_id is None else ride_of_offer(state.offer_id)
    if request is not None and request.offer_status != OfferStatus.PENDING:
        request = None  # over meanwhile: the inbox will say how
    return DriverView(state, ride, request)

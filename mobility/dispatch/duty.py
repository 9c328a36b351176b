"""A driver's working day: connected, online, offline."""

from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from mobility import events
from mobility.bookings.services import locked
from mobility.conf import knobs
from mobility.dispatch.offers import RideRef, accept_offer, go_on_searching
from mobility.dispatch.rounds import withdraw_offers
from mobility.dispatch.states import CloseReason
from mobility.drivers.models import Driver, DriverStatus
from mobility.errors import Refusal
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)
_TRIES = 5


@state_change
def connect_driver(driver_id: int, socket_id: UUID) -> None:
    """A driver opened a socket: their presence is this one from now on; older sockets of theirs hear it and close."""
    rows(
        "dispatch/sql/open_presence",
        {"driver_id": driver_id, "socket_id": socket_id, "lease_s": knobs().presence_lease_s},
    )
    events.publish(events.DriverConnected(driver_id, str(socket_id)))
    events.publish(events.DriverFreed(driver_id))


@state_change
def renew_presence(sockets: dict[int, UUID]) -> set[int]:
    """Extend the leases of these drivers' open sockets; the drivers whose presence is another socket by now."""
    kept = rows(
        "dispatch/sql/renew_presence",
        {
            "driver_ids": list(sockets),
            "socket_ids": list(sockets.values()),
            "lease_s": knobs().presence_lease_s,
        },
    )
    return set(sockets) - {row.driver_id for row in kept}


@state_change
def go_online(driver_id: int, auto_accept: bool | None = None) -> None:
    """The driver takes rides from now on; with `auto_accept` set, by themselves or not. Again: the same.

    Refused: `driver_not_verified`. With a ride the driver stays busy.
    """
    driver = Driver.objects.select_for_update(of=("self",), no_key=True).get(pk=driver_id)
    if not driver.verified:
        raise Refusal("driver_not_verified")
    changes: dict[str, object] = {"missed_offers": 0}
    if driver.status == DriverStatus.OFFLINE:
        changes["status"] = DriverStatus.AVAILABLE
    if auto_accept is not None:
        changes["auto_accept"] = auto_accept
    Driver.objects.filter(pk=driver_id).update(**changes)
    log.info(
        "driver_online", driver_id=driver_id, auto_accept=driver.auto_accept if auto_accept is None else auto_accept
    )
    events.publish(events.DriverFreed(driver_id))


def take_open_request(driver_id: int) -> None:
    """Accept what a driver is being asked right now, after they switched `auto_accept` on."""
    offer = rows("dispatch/sql/live_offer_of_driver", {"driver_id": driver_id})
    if offer:
        accept_offer(driver_id, RideRef(booking_id=offer[0].booking_id))


def go_offline(driver_id: int) -> None:
    """The driver takes no more rides; what they are being asked is withdrawn and the next one asked. Again: the same.

    Refused while they hold a ride: `driver_has_ride`, naming it.
    """
    for _ in range(_TRIES):
        # An offer made between our look and our lock is refused to go with us by the database; then we look again.
        try:
            return _go_offline(driver_id)
        except IntegrityError as error:
            constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
            if constraint != "offer_only_to_free_driver" or transaction.get_connection().in_atomic_block:
                raise
    raise Refusal("try_again")


@state_change
def _go_offline(driver_id: int) -> None:
    offer = rows("dispatch/sql/live_offer_of_driver", {"driver_id": driver_id})
    ride = locked(offer[0].booking_id) if offer else None
    driver = Driver.objects.select_for_update(of=("self",), no_key=True).get(pk=driver_id)
    if driver.status == DriverStatus.BUSY:
        held = driver.bookings.filter(status__in=("confirmed", "in_progress")).first()
        details: dict[str, Any] = {"ride_id": held.ride_id, "booking_id": held.pk} if held else {}
        raise Refusal("driver_has_ride", "You have a ride: finish it or give it back first.", **details)
    Driver.objects.filter(pk=driver_id).update(status=DriverStatus.OFFLINE, missed_offers=0)
    if ride is not None and withdraw_offers(ride.id, CloseReason.DRIVER_GONE, driver_id):
        go_on_searching(ride)
    log.info("driver_offline", driver_id=driver_id)

"""What operators do with drivers."""

from collections.abc import Iterable

import structlog

from mobility import events
from mobility.drivers.models import Driver, DriverStatus, InboxKind
from mobility.errors import Refusal
from mobility.people.models import Role, User
from mobility.transactions import rows, state_change

log = structlog.get_logger(__name__)


@state_change
def set_verified(driver_ids: Iterable[int], *, verified: bool) -> int:
    """Say that papers and vehicle of these drivers were checked, or no longer hold; how many changed.

    A ride that a driver is bound to goes on; only later searches pass over an unverified driver.
    """
    others = Driver.objects.filter(pk__in=list(driver_ids)).exclude(verified=verified).order_by("pk")
    drivers = list(others.select_for_update(no_key=True))
    Driver.objects.filter(pk__in=[driver.pk for driver in drivers]).update(verified=verified)
    for driver in drivers:
        driver.verified = verified
        _publish_if_free(driver)
    log.info("drivers_verified" if verified else "drivers_unverified", count=len(drivers))
    return len(drivers)


def _publish_if_free(driver: Driver) -> None:
    """A driver whom an operator made available or verified gets a waiting ride at once."""
    if driver.verified and driver.status == DriverStatus.AVAILABLE:
        events.publish(events.DriverFreed(driver.pk))


def check_status_change(driver_id: int | None, status: str) -> None:
    """Refuse a status set by hand that would contradict the driver's rides; locks the driver's row till the commit.

    `busy` belongs to the service: it holds exactly while a live booking does.
    """
    now = None
    if driver_id is not None:
        now = Driver.objects.select_for_update(of=("self",), no_key=True).get(pk=driver_id).status
    if status == now:
        return
    if now == DriverStatus.BUSY:
        raise Refusal("driver_has_ride", "This driver has a live ride: the status changes with it.", field="status")
    if status == DriverStatus.BUSY:
        raise Refusal("invalid_field", "Only a ride makes a driver busy.", field="status")
    if driver_id is not None and Driver.objects.filter(pk=driver_id, offers__status="pending").exists():
        raise Refusal("driver_being_asked", field="status")


@state_change
def save_driver(driver: Driver, changed: Iterable[str]) -> None:
    """Store a new driver, or the `changed` fields of an edited one: what others wrote meanwhile stays.

    Whoever is made a driver has the role from then on.
    """
    if driver.pk is None:
        driver.save(force_insert=True)
    else:
        driver.save(update_fields=list(changed))
    _publish_if_free(driver)
    user = User.objects.select_for_update(no_key=True).get(pk=driver.user_id)
    if Role.DRIVER.value not in user.roles:
        User.objects.filter(pk=user.pk).update(roles=[*user.roles, Role.DRIVER.value])


def tell_driver(
    driver_id: int, kind: InboxKind, *, booking_id: int | None = None, offer_id: int | None = None, reason: str = ""
) -> int:
    """Put one thing into a driver's inbox; its number. Part of a caller's transaction, which then holds the row."""
    told = rows(
        "drivers/sql/tell_driver",
        {
            "driver_id": driver_id,
            "kind": kind.value,
            "booking_id": booking_id,
            "offer_id": offer_id,
            "reason": reason,
        },
    )
    events.publish(events.DriverTold(driver_id, told[0].inbox_seq))
    return int(told[0].inbox_seq)

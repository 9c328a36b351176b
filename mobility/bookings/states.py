"""Which moves a ride may make, as data. The database holds the same table and refuses everything else."""

from typing import NamedTuple

from django.db import models


class Status(models.TextChoices):
    """Booking.status, the names the apps and reports use."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    UNFULFILLED = "unfulfilled"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


class EventName(models.TextChoices):
    """What happened to a ride, in the log."""

    RIDE_REQUESTED = "ride_requested"
    RIDE_SCHEDULED = "ride_scheduled"
    SEARCH_STARTED = "search_started"
    DRIVER_ASSIGNED = "driver_assigned"
    NO_DRIVERS = "no_drivers"
    DRIVER_ARRIVED = "driver_arrived"
    DRIVER_RELEASED = "driver_released"
    RIDE_STARTED = "ride_started"
    RIDE_COMPLETED = "ride_completed"
    RIDE_CANCELLED = "ride_cancelled"
    NO_SHOW = "no_show"


class ActorRole(models.TextChoices):
    """Who made a move."""

    PASSENGER = "passenger"
    DRIVER = "driver"
    OPERATOR = "operator"
    SYSTEM = "system"


class Move(NamedTuple):
    """One allowed step; `source` is "" for a ride that does not exist yet."""

    source: str
    target: str
    event: str


TERMINAL = frozenset({Status.COMPLETED, Status.CANCELLED, Status.NO_SHOW})
BOUND = frozenset({Status.CONFIRMED, Status.IN_PROGRESS})
LIVE = frozenset({Status.PENDING, *BOUND})
WITHOUT_DRIVER = frozenset({Status.SCHEDULED, Status.PENDING, Status.UNFULFILLED})

_E, _S = EventName, Status
MOVES: tuple[Move, ...] = tuple(
    Move(str(source), str(target), str(event))
    for source, target, event in (
        ("", _S.PENDING, _E.RIDE_REQUESTED),
        ("", _S.SCHEDULED, _E.RIDE_SCHEDULED),
        (_S.SCHEDULED, _S.PENDING, _E.SEARCH_STARTED),
        (_S.UNFULFILLED, _S.PENDING, _E.SEARCH_STARTED),
        (_S.PENDING, _S.CONFIRMED, _E.DRIVER_ASSIGNED),
        (_S.PENDING, _S.UNFULFILLED, _E.NO_DRIVERS),
        (_S.CONFIRMED, _S.CONFIRMED, _E.DRIVER_ARRIVED),
        (_S.CONFIRMED, _S.PENDING, _E.DRIVER_RELEASED),
        (_S.CONFIRMED, _S.UNFULFILLED, _E.DRIVER_RELEASED),
        (_S.CONFIRMED, _S.IN_PROGRESS, _E.RIDE_STARTED),
        (_S.CONFIRMED, _S.NO_SHOW, _E.NO_SHOW),
        (_S.IN_PROGRESS, _S.COMPLETED, _E.RIDE_COMPLETED),
        (_S.SCHEDULED, _S.CANCELLED, _E.RIDE_CANCELLED),
        (_S.PENDING, _S.CANCELLED, _E.RIDE_CANCELLED),
        (_S.UNFULFILLED, _S.CANCELLED, _E.RIDE_CANCELLED),
        (_S.CONFIRMED, _S.CANCELLED, _E.RIDE_CANCELLED),
        (_S.IN_PROGRESS, _S.CANCELLED, _E.RIDE_CANCELLED),
    )
)

# What each side may do in which state: the commands of the sockets, and of the operators' API.
_COMMANDS: dict[str, dict[str, list[str]]] = {
    ActorRole.PASSENGER: {
        _S.SCHEDULED: ["cancel_ride"],
        _S.PENDING: ["cancel_ride"],
        _S.UNFULFILLED: ["find_driver", "cancel_ride"],
        _S.CONFIRMED: ["cancel_ride"],
    },
    ActorRole.DRIVER: {
        _S.CONFIRMED: ["driver_arrived", "start_ride", "no_show", "cancel_ride"],
        _S.IN_PROGRESS: ["complete_ride"],
    },
    ActorRole.OPERATOR: {
        _S.SCHEDULED: ["cancel"],
        _S.PENDING: ["assign", "cancel"],
        _S.UNFULFILLED: ["assign", "cancel"],
        _S.CONFIRMED: ["assign", "cancel"],
        _S.IN_PROGRESS: ["complete", "cancel"],
    },
}


def allowed_commands(status: str, role: str) -> list[str]:
    """What this role may ask of a ride in this state; nothing once it is over."""
    return _COMMANDS.get(role, {}).get(status, [])

"""Every frame that clients are told, made by the functions that make them, from rows that have everything."""

import inspect
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from geo.coordinates import LatLon
from mobility.bookings.states import EventName, Status
from mobility.dispatch.tracking import DriverPosition
from mobility.drivers.models import InboxKind
from mobility.errors import Refusal
from mobility.realtime import driver_frames, frames
from mobility.realtime.driver import _MOVES
from tests.permissions.table import table

Frame = dict[str, Any]
_AT = datetime(2026, 1, 1, tzinfo=UTC)
# The details that refusals come with, mobility/realtime/frames.py: each `error` has some of them.
REFUSAL = Refusal(
    "invalid_field", field="x", retry_after_s=1, reason="x", dropped=1, status="x", allowed=[], ride_id="x",
    booking_id=1, distance_m=1.0, allowed_m=1.0, allowed_from=_AT, area="x",
)  # fmt: skip


class Row:
    """A row with every column: a time where the name says so, else a number; or as given."""

    def __init__(self, **given: Any) -> None:
        self.__dict__ |= given

    def __getattr__(self, name: str) -> Any:
        return _AT if name.endswith("_at") or name == "no_show_from" else 1


_POSITION = DriverPosition(1, 1, LatLon(0.0, 0.0), 1.0, 1.0, _AT, 60.0)
_ABOUT = {"ride_id": "r", "booking_id": 1, "seq": 1}
# What each public function of the two modules that makes frames is called with: a new one needs a line here.
RIDE: dict[str, Callable[[], Any]] = {
    "connection_established": lambda: frames.connection_established("r"),
    "pong": lambda: frames.pong(1),
    "command_done": lambda: frames.command_done("c", "find_driver", _ABOUT),
    "error": lambda: frames.error(REFUSAL) | {"command_id": "c"},
    "driver_location": lambda: frames.driver_location(_POSITION),
    "searching": lambda: frames.searching(Row()),
    "driver_assigned": lambda: frames.driver_assigned(Row()),
    "no_drivers": lambda: frames.no_drivers(Row()),
    "driver_card": lambda: [],  # inside other frames
    "ride_state": lambda: frames.ride_state(Row()),
    "of_state": lambda: [f for status in Status.values for f in frames.of_state(Row(status=status))],
    "of_event": lambda: [f for event in EventName.values for f in frames.of_event(Row(event=event, to_status="x"))],
    "driver_released": lambda: frames.driver_released(Row()),
    "ride_cancelled": lambda: frames.ride_cancelled(Row()),
}
DRIVER: dict[str, Callable[[], Any]] = {
    "connection_established": lambda: driver_frames.connection_established(1),
    "driver_state": lambda: driver_frames.driver_state(Row(), Row(), Row()),
    "ride_request": lambda: driver_frames.ride_request(Row(), 1),
    "ride_assigned": lambda: driver_frames.ride_assigned(Row(), 1),
    "request_acknowledged": lambda: driver_frames.request_acknowledged(Row()),
    "request_declined": lambda: driver_frames.request_declined(Row()),
    "moved": lambda: [driver_frames.moved(kind, Row()) for _, kind in _MOVES.values()],
    "of_inbox": lambda: [
        frame for kind in InboxKind.values for status in ("pending", "expired")
        for frame in driver_frames.of_inbox(Row(kind=kind, offer_status=status))
    ],
}  # fmt: skip
# Both sockets are told these, with what belongs to each.
DRIVER_TOO: dict[str, Callable[[], Any]] = {
    "pong": RIDE["pong"],
    "error": RIDE["error"],
    "command_done": lambda: frames.command_done("c", "x", {"ride_id": "r", "booking_id": 1, "dropped": {}}),
}


def makers(module: ModuleType) -> set[str]:
    """The public functions of a module that make frames."""
    return {
        name for name, made in inspect.getmembers(module, inspect.isfunction)
        if made.__module__ == module.__name__ and not name.startswith("_") and "return" in made.__annotations__
        and made.__annotations__["return"] in {Frame, list[Frame]}
    }  # fmt: skip


def told(by: Iterable[Callable[[], Any]]) -> dict[str, set[str]]:
    """Type -> members of all frames that these make."""
    found: dict[str, set[str]] = {}
    for make in by:
        made = make()
        for frame in made if isinstance(made, list) else [made]:
            found.setdefault(frame["type"], set()).update(members(frame))
    return found


def members(frame: Frame, before: str = "") -> set[str]:
    """The names in a frame; `driver.name` is one inside `driver`. What is inside `dropped` is counts by reason."""
    found = set()
    for name, value in frame.items():
        found.add(before + name)
        if isinstance(value, dict) and name != "dropped":
            found |= members(value, f"{before}{name}.")
    return found


def listed(socket: str) -> dict[str, tuple[str, ...]]:
    """Type -> members, as the table has them, `!` and all."""
    return {kind: tuple(text.split()) for kind, text in table()["frames"][socket].items()}


def plain(word: str) -> str:
    """The name of a member."""
    return word.strip("!?")

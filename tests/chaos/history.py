"""What clients asked and were told, and what the database holds in the end: plain data for the checker.

Times are seconds of this process's monotonic clock.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Frame = dict[str, Any]
Role = Literal["passenger", "driver"]


@dataclass
class Op:
    """One command of one client, from its first sending to its answer or the end of the client's patience.

    `who` is a passenger's user id or a driver's id; `ride` a passenger's ride id or the booking a driver speaks of,
    None where the command is about no ride. `answers` are all that came for its command_id, repeats included.
    """

    role: Role
    who: int
    command: str
    command_id: str
    ride: str | int | None
    began: float
    sent: Frame = field(default_factory=dict)
    ended: float | None = None
    outcome: Literal["ok", "fail", "unknown"] = "unknown"
    code: str = ""
    tries: int = 0
    answers: list[Frame] = field(default_factory=list)


@dataclass
class Life:
    """One socket: what it was told, in order. Among it, as frames of the types OWN, what its client asked to be told.

    `closed` is None while it is open, `code` the close code (1006 without one), `left` that the client went by itself.
    """

    role: Role
    who: int
    ride_id: str | None
    server: int
    opened: float
    closed: float | None = None
    code: int | None = None
    left: bool = False
    heard: list[Frame] = field(default_factory=list)


# Noted by clients in `Life.heard`, with the number they named in `after`; no server sends these.
OWN = frozenset({"resume", "ping"})


class View(NamedTuple):
    """What a client that was still connected believed in the end.

    A passenger: the booking, its seq and status. A driver: the ride they hold or None, their inbox number, no status.
    """

    role: Role
    who: int
    booking_id: int | None
    seq: int
    status: str


@dataclass
class Struck:
    """A fault that was done: `at` it struck, `over` when what it hit was there again, `counted_from` when the time to
    the next booking begins."""

    action: str
    target: str
    server: int | None
    at: float
    over: float = 0.0
    counted_from: float = 0.0


@dataclass
class History:
    """Everything the clients and the faults did. `epoch` added to a time of it gives seconds since 1970."""

    ops: list[Op] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    epoch: float = 0.0

    def keep(self, path: Path) -> None:
        """Write it, one JSON object a line."""
        with path.open("w") as file:
            for kind in ("struck", "ops", "lives"):
                for entry in getattr(self, kind):
                    print(json.dumps({"kind": kind, **asdict(entry)}), file=file)
            for view in self.views:
                print(json.dumps({"kind": "views", **view._asdict()}), file=file)


# ---------------------------------------------------------------------------------------------- what the database holds


class Booking(NamedTuple):
    """A row of mobility_booking."""

    id: int
    ride_id: str
    passenger_id: int | None
    driver_id: int | None
    status: str
    seq: int
    notes: str
    reason: str


class Row(NamedTuple):
    """A row of a ride's log. `at`: seconds by the database's clock; `driver_id` where it binds or releases one."""

    booking_id: int
    seq: int
    event: str
    to_status: str
    actor_id: int | None
    actor_role: str
    at: float
    driver_id: int | None
    reason: str


class Offer(NamedTuple):
    """A row of mobility_offer. `settled`: seconds since 1970, 0 while it is open."""

    id: int
    booking_id: int
    driver_id: int
    status: str
    origin: str
    decline_reason: str
    delivered: bool
    settled: float


class Driver(NamedTuple):
    """A driver with their position; `recorded_at` as the device told it, in seconds since 1970."""

    id: int
    user_id: int
    status: str
    auto_accept: bool
    total_rides: int
    inbox_seq: int
    latitude: float
    longitude: float
    recorded_at: float


class Place(NamedTuple):
    """A row of a driver's past positions; `at` in seconds since 1970."""

    latitude: float
    longitude: float
    at: float


class Told(NamedTuple):
    """A row of a driver's inbox."""

    driver_id: int
    seq: int
    kind: str
    booking_id: int | None


@dataclass
class Truth:
    """The database when everything has come to rest. `log` by booking, `inbox` and `places` by driver, in order;
    `answers`, as they are remembered, by user and command_id.
    """

    bookings: dict[int, Booking] = field(default_factory=dict)
    log: dict[int, list[Row]] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    drivers: dict[int, Driver] = field(default_factory=dict)
    inbox: dict[int, list[Told]] = field(default_factory=dict)
    answers: dict[tuple[int, str], Frame] = field(default_factory=dict)
    places: dict[int, list[Place]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


class Violation(NamedTuple):
    """Something that must not be: the rule's name, and what breaks it."""

    rule: str
    says: str

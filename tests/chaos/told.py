"""Judges what clients were told: numbers neither go back nor jump, and every frame says what the log says. Pure."""

import math
from collections.abc import Iterator

from tests.chaos.history import OWN, Frame, History, Life, Row, Told, Truth, Violation

# Frames whose number is no move they tell of: an answer given earlier may be repeated late.
_NOT_TOLD = frozenset({"command_done", "error", "pong"})
_OF_STATE = {"searching": {"pending"}, "driver_assigned": {"confirmed", "in_progress"}, "no_drivers": {"unfulfilled"}}
_OF_EVENT = frozenset(
    {"driver_arrived", "ride_started", "ride_completed", "no_show", "ride_cancelled", "driver_released"}
)
_OF_INBOX = frozenset(
    {"ride_request_closed", "ride_request_over", "ride_cancelled", "ride_released", "ride_completed", "went_offline"}
)
_MOVED = {
    "driver_arrived": "driver_arrived", "ride_started": "ride_started", "ride_completed": "ride_completed",
    "no_show": "no_show",
}  # fmt: skip


def sequences(history: History, _truth: Truth) -> Iterator[Violation]:
    """Within a socket's life no number goes back or jumps, unless the client asked to be told again from there.

    Over all its sockets no passenger is told less of a ride than before: what was told is never lost.
    """
    known: dict[tuple[int, str], tuple[int, float]] = {}
    for life in sorted(history.lives, key=lambda life: life.opened):
        steps = _Steps(life)
        yield from steps.judged()
        if life.role == "passenger" and steps.state is not None:
            who = (life.who, life.ride_id or "")
            before, until = known.get(who, (0, 0.0))
            if steps.state < before and life.opened > until:
                yield Violation("lost", f"{_name(life)} was told seq {before} before, and of a state at {steps.state}")
        if life.role == "passenger":
            who = (life.who, life.ride_id or "")
            known[who] = max(known.get(who, (0, 0.0)), (steps.highest, life.closed or math.inf))


def _name(life: Life) -> str:
    about = f" ({life.ride_id})" if life.ride_id else ""
    return f"{life.role} {life.who}{about} on server {life.server}"


class _Steps:
    """The numbers of one socket. `state` is that of the first ride_state, `highest` the highest told."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._number = "seq" if life.role == "passenger" else "inbox_seq"
        self.state: int | None = None
        self.highest = 0
        self._at: int | None = None
        self._asked: list[tuple[int, int]] = []  # after which pong it is over, and the number the client named
        self._pings = self._pongs = 0

    def judged(self) -> Iterator[Violation]:
        for frame in self._life.heard:
            kind = frame["type"]
            if kind in OWN:
                self._pings += kind == "ping"
                if frame.get("after") is not None:
                    self._asked.append((self._pings, frame["after"]))
            elif kind == "pong":
                # Frames are answered in order, and what a ping lacks comes after its pong: older wishes are fulfilled.
                self._pongs += 1
                self._asked = [(due, n) for due, n in self._asked if due >= self._pongs]
            elif kind not in _NOT_TOLD and frame.get(self._number) is not None:
                yield from self._step(frame, frame[self._number])

    def _step(self, frame: Frame, seq: int) -> Iterator[Violation]:
        at, snapshot = self._at, frame["type"] in {"ride_state", "driver_state"}
        if frame["type"] == "ride_state" and self.state is None:
            self.state = seq
        self.highest = max(self.highest, seq)
        self._at = seq
        # A driver_state says it all, whatever it passes over; the passengers' is told on request only.
        if at is None or seq in {at, at + 1} or (frame["type"] == "driver_state" and seq > at):
            return
        again = next((wish for wish in self._asked if snapshot or wish[1] + 1 == seq), None)
        if again is not None:
            self._asked.remove(again)
        elif seq < at:
            yield Violation("went back", f"{_name(self._life)}: {self._number} {seq} after {at}: {frame}")
        else:
            yield Violation("jump", f"{_name(self._life)}: {self._number} {seq} after {at}: {frame}")


# ------------------------------------------------------------------------------------------------- frame by frame


def frames(history: History, truth: Truth) -> Iterator[Violation]:
    """What a frame says of a ride is what the log says of it at that number."""
    logs = {number: _Log(rows) for number, rows in truth.log.items()}
    for life in history.lives:
        inbox = {row.seq: row for row in truth.inbox.get(life.who, [])} if life.role == "driver" else {}
        for frame in life.heard:
            if frame["type"] in OWN or frame["type"] in _NOT_TOLD:
                continue
            wrong = _passenger(frame, logs) if life.role == "passenger" else _driver(frame, inbox, logs)
            if wrong:
                yield Violation("told wrong", f"{_name(life)} was told {frame}: {wrong}")


class _Log:
    """A ride's log, with the driver who is bound after each row."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = {row.seq: row for row in rows}
        self.driver: dict[int, int | None] = {}
        bound: int | None = None
        for row in rows:
            if row.event == "driver_assigned":
                bound = row.driver_id
            elif row.event == "driver_released":
                bound = None
            self.driver[row.seq] = bound


def _passenger(frame: Frame, logs: dict[int, _Log]) -> str:
    if "seq" not in frame:
        return ""
    kind, seq, log = frame["type"], frame["seq"], logs.get(frame["booking_id"])
    row = log.rows.get(seq) if log else None
    if log is None or row is None:
        return "the log has no such row"
    driver = (frame.get("driver") or {}).get("id")
    if kind in _OF_EVENT:
        right = row.event == kind
    else:
        right = row.to_status in _OF_STATE.get(kind, {frame.get("status")}) and driver in {None, log.driver[seq]}
    return "" if right else f"the log says {row}, driver {log.driver[seq]}"


def _driver(frame: Frame, inbox: dict[int, Told], logs: dict[int, _Log]) -> str:
    kind, booking_id, number = frame["type"], frame.get("booking_id"), frame.get("inbox_seq")
    if number is not None and number not in inbox and number != 0:
        return "there is no such row in the inbox"
    if kind in {"ride_request", "ride_assigned"}:
        # Told again with a driver_state they carry that one's number, and an answer repeated the present one.
        there = any(r.kind == kind and r.booking_id == booking_id and r.seq <= (number or 0) for r in inbox.values())
        return "" if there or number is None else "the inbox says no such thing up to there"
    if kind in _OF_INBOX and number is not None:
        row = inbox[number]
        stored = "ride_request" if kind == "ride_request_over" else kind
        return "" if (row.kind, row.booking_id) == (stored, booking_id) else f"the inbox says {row}"
    if kind in _MOVED and "seq" in frame:
        log = logs.get(booking_id or 0)
        found = log.rows.get(frame["seq"]) if log else None
        if log is None or found is None or found.to_status != frame["status"]:
            return f"the log says {found}"
        if not any(row.event == kind and seq <= frame["seq"] for seq, row in log.rows.items()):
            return "the log has no such move"
    return ""

"""Apps that live through anything: they come back, ask for what they missed, and send again what was not answered.

They apply numbered frames only, one after the other, and keep what they should not have been told: a number left out
(`gap`), a number again (`again`), or a snapshot that is not what its numbered frames come to (`differs`).
"""

import asyncio
import contextlib
import json
import random
from typing import Any
from uuid import uuid4

import websockets

Frame = dict[str, Any]
PATIENCE_S = 30.0
# Fields of `ride_state` that the numbered frames say as well. A time in the log may be a statement later.
FACTS = ("status", "cancelled_by", "cancellation_reason")
TIMES = {
    "searching": (), "driver_assigned": ("confirmed_at",), "no_drivers": ("unfulfilled_at",),
    "driver_arrived": ("arrived_at",), "ride_started": ("started_at",), "ride_completed": ("completed_at",),
    "no_show": ("no_show_at",),
}  # fmt: skip
STATUS = {
    "searching": "pending", "driver_assigned": "confirmed", "no_drivers": "unfulfilled", "ride_cancelled": "cancelled",
}  # fmt: skip
# The fixed messages that follow `ride_state`; a ride that is over has none.
GREETED = {"searching", "driver_assigned", "no_drivers"}
TERMINAL = {"completed", "cancelled", "no_show"}


class Phone:
    """One app: connects again and again until `stop`. Subclasses say what a frame means."""

    path = ""

    def __init__(self, port: int, token: str, seed: int) -> None:
        self.port, self._token = port, token
        self._rng = random.Random(seed)
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._changed = asyncio.Condition()
        self._socket: Any = None
        self._came_back = asyncio.Event()
        self._catching_up = True
        self.connections = 0
        self.odd: list[str] = []
        self._life = asyncio.ensure_future(self._live())

    async def stop(self) -> None:
        """Switch it off."""
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)

    async def do(self, frame: Frame) -> Frame:
        """Have a command answered, over as many connections as it takes; the answer."""
        command_id = str(uuid4())
        answer = self._answers[command_id] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE_S):
            while not answer.done():
                await self._came_back.wait()
                with contextlib.suppress(OSError, websockets.WebSocketException):
                    await self._socket.send(json.dumps(frame | {"command_id": command_id}))
                closed = asyncio.ensure_future(self._socket.wait_closed())
                await asyncio.wait([answer, closed], return_when=asyncio.FIRST_COMPLETED)
                closed.cancel()
        del self._answers[command_id]
        if answer.result().get("code") in {"try_again", "unavailable", "internal_error"}:
            return await self.do(frame)
        return answer.result()

    async def until(self, wanted: Any) -> None:
        """Wait until `wanted()` is true."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(wanted)

    async def _live(self) -> None:
        while True:
            try:
                async with websockets.connect(
                    f"ws://127.0.0.1:{self.port}{self.path}",
                    additional_headers={"Authorization": f"Token {self._token}"}, open_timeout=5, close_timeout=0.1,
                ) as self._socket:  # fmt: skip
                    self.connections += 1
                    self._catching_up = True
                    await self._socket.send(json.dumps(self.resume()))
                    await self._socket.send('{"type": "ping"}')
                    async for text in self._socket:
                        await self._hear(json.loads(text))
            except (OSError, EOFError, TimeoutError, websockets.WebSocketException):
                pass
            finally:
                self._came_back.clear()
            await asyncio.sleep(self._rng.uniform(0, 0.02))

    async def _hear(self, frame: Frame) -> None:
        named = frame.get("command_id")
        if named in self._answers and not self._answers[named].done():
            self._answers[named].set_result(frame)
        elif frame["type"] == "pong":
            self._catching_up = False
            self.caught_up()
            self._came_back.set()
        elif frame["type"] == "error" and named is None and frame["code"] not in {"no_ride", "unavailable"}:
            self.odd.append(f"told {frame}")
        async with self._changed:
            self.heard(frame)
            self._changed.notify_all()

    def _count(self, number: int, frame: Frame) -> bool:
        """Whether this is the next numbered frame; what else it is, is kept, unless the missing are on their way."""
        if number == self.known + 1:
            return True
        if not self._catching_up:
            self.odd.append(f"{'gap' if number > self.known else 'again'}: knows {self.known}, told {frame}")
        return False

    # --- for subclasses ----------------------------------------------------------------------------------------

    known = 0  # the newest number

    def resume(self) -> Frame:
        """What to ask for when connected."""
        raise NotImplementedError

    def heard(self, frame: Frame) -> None:
        """One frame."""
        raise NotImplementedError

    def caught_up(self) -> None:
        """Everything missed should have been told now."""


class PassengerPhone(Phone):
    """One ride of one passenger, rebuilt from its numbered frames alone."""

    def __init__(self, port: int, token: str, ride_id: str, seed: int) -> None:
        self.path = f"/ws/ride/{ride_id}/"
        self.ride: dict[str, Any] = {"status": None, "driver": None, "cancelled_by": None, "cancellation_reason": ""}
        self.log: list[str] = []  # what was applied, one a number
        self.booking_id = 0
        self._was: dict[int, dict[str, Any]] = {}
        self._snapshots: list[Frame] = []
        self._greeted_by: Frame | None = None
        super().__init__(port, token, seed)

    def resume(self) -> Frame:
        """The moves after the last one known."""
        self._greeted_by = None
        return {"type": "resume", "last_seq": self.known}

    def heard(self, frame: Frame) -> None:
        """Apply the next move; keep snapshots for the comparison."""
        kind = frame["type"]
        if kind == "ride_state":
            self._snapshots.append(frame)
            self._greeted_by = frame
        elif "seq" in frame and kind not in {"pong", "command_done"}:
            if self._greeted_by is not None and frame["seq"] == self._greeted_by["seq"] and kind in GREETED:
                self._greeted_by = None  # the fixed message of the snapshot
                return
            self._greeted_by = None
            second_half = self.log[-1:] == ["driver_released"] and frame["seq"] == self.known
            if second_half and kind in {"searching", "no_drivers"}:
                return  # says what driver_released has said
            if self._count(frame["seq"], frame):
                self._apply(frame)

    def caught_up(self) -> None:
        """Every snapshot is what the moves up to its number come to."""
        for snapshot in self._snapshots:
            mine = self._was.get(snapshot["seq"])
            theirs = _projected(snapshot)
            if mine is None or not _same(mine, theirs):
                self.odd.append(f"differs: {mine} from {theirs}")
        self._snapshots.clear()

    def _apply(self, frame: Frame) -> None:
        kind, ride = frame["type"], self.ride
        self.known, self.booking_id = frame["seq"], frame["booking_id"]
        self.log.append(kind)
        ride["status"] = STATUS.get(kind) or frame["status"]
        for name in TIMES.get(kind, ()):
            ride[name] = frame["at"]
        if kind == "driver_assigned":
            ride["driver"] = frame["driver"]["id"]
        elif kind == "driver_released":
            ride["driver"] = ride["confirmed_at"] = ride["arrived_at"] = None
            if ride["status"] == "unfulfilled":
                ride["unfulfilled_at"] = frame["at"]
        elif kind == "searching":
            ride["unfulfilled_at"] = None
        elif kind == "ride_cancelled":
            ride |= {"cancelled_by": frame["cancelled_by"], "cancellation_reason": frame["reason"]}
            ride["cancelled_at"] = frame["cancelled_at"]
        self._was[self.known] = dict(ride)


class DriverPhone(Phone):
    """A driver's app: the inbox, applied in order; the requests that are open."""

    def __init__(self, port: int, token: str, driver_id: int, seed: int) -> None:
        self.path = f"/ws/driver/{driver_id}/"
        self.requests: dict[int, Frame] = {}
        self.state: Frame = {}
        self._greetings: list[str] = []
        super().__init__(port, token, seed)

    def resume(self) -> Frame:
        """The inbox after the last number known."""
        return {"type": "resume", "last_inbox_seq": self.known}

    def heard(self, frame: Frame) -> None:
        """Apply the next row of the inbox."""
        kind = frame["type"]
        if kind == "driver_state":
            self.state = frame
            if self.connections == 1 and not self.known:
                self.known = frame["inbox_seq"]  # a new app begins with the present state
            if self._catching_up:
                self._greetings = [n for n, f in (("ride_assigned", "ride"), ("ride_request", "request")) if frame[f]]
            if frame["request"]:
                self.requests[frame["request"]["booking_id"]] = frame["request"]
        elif kind in self._greetings:
            self._greetings.remove(kind)
        elif "inbox_seq" in frame and self._count(frame["inbox_seq"], frame):
            self.known = frame["inbox_seq"]
            if kind == "ride_request":
                self.requests[frame["booking_id"]] = frame
            elif "booking_id" in frame:
                self.requests.pop(frame["booking_id"], None)


def _projected(snapshot: Frame) -> dict[str, Any]:
    times = {name: snapshot[name] for names in TIMES.values() for name in names} | {
        "cancelled_at": snapshot["cancelled_at"]
    }
    driver = snapshot["driver"]["id"] if snapshot["driver"] else None
    return {name: snapshot[name] for name in FACTS} | times | {"driver": driver}


def _same(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Equal; of times, that both are there: the log's may be a statement later than the ride's."""
    return all(
        (mine.get(name) is None) == (value is None) if name.endswith("_at") else mine.get(name) == value
        for name, value in theirs.items()
    )

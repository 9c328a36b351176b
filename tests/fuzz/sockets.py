"""The hostile clients: sockets that fire shots in turn and hold every answer against what the shot allows."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from mobility.errors import ANSWERS
from tests.bench.wire import Wire, WireError
from tests.fuzz.grammar import RESET, Shot, frame
from tests.fuzz.messages import Answer
from tests.fuzz.tally import Tally

PING = frame(b'{"type": "ping"}')
# Where pongs are among the answers, the end of them is told by an error that names this command.
MARK = frame(b'{"type": "mark", "command_id": "mark"}')
SILENCE_LIMIT_S = 10.0
# An answer may take longer: whoever sends nonsense waits in one line, where each of a thousand sockets can take 0.05 s.
ANSWER_LIMIT_S = 60.0
VOLLEY = 9
# What one socket sends before it rests: with the volley that follows, 30 misunderstood frames in 10 s and 60 frames.
BAD_IN_A_ROW, IN_A_ROW, REST_S = 28 - VOLLEY, 60 - 2 * VOLLEY, 10.2
STAYS_SILENT_S, BODY_AWAITED_S = 3.0, 0.5
AGAIN_S, AT_ONCE = 1.0, 200  # how a flood goes on
FAULTS = {"internal_error", "unavailable"}
TYPES_WITHOUT_RIDE = {"error", "pong"}


async def _flood(wire: "HostileWire") -> None:
    while True:
        await asyncio.sleep(AGAIN_S)
        wire.put(PING * AT_ONCE)


class HostileWire(Wire):
    """A socket that remembers how it ended: `code`, RESET where the connection ended without one."""

    code = RESET

    def put(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._transport.write(data)

    def leave(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    async def end(self, each: Callable[[], None]) -> int:
        """Wait for the end of the connection, and call `each` whenever something is heard before it; its code."""
        while not self._closed:
            await self._news()
            each()
        return self.code

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x8:
            self.code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        super()._handle(opcode, payload)


class Client:
    """One place for a socket: opened again whenever a shot has cost the one before."""

    def __init__(
        self, port: int, tally: Tally, place: int, driver: tuple[int, str] | None, floods: asyncio.Semaphore
    ) -> None:
        self._port, self._tally, self._place, self._driver = port, tally, place, driver
        self._floods = floods
        self._wire: HostileWire | None = None
        self._opened = self._bad = self._in_a_row = 0
        self.waits_since: float | None = None
        self._waits_for: tuple[int | None, Shot | None] = (None, None)

    # --- opening -------------------------------------------------------------------------------------------------

    @property
    def is_tired(self) -> bool:
        """Whether this socket has to be silent for REST_S before its next volley."""
        return self._bad > BAD_IN_A_ROW or self._in_a_row >= IN_A_ROW

    async def ready(self) -> HostileWire:
        """An open, greeted socket."""
        if self._wire is None:
            self._wire = await self._open()
        return self._wire

    def rested(self) -> None:
        """It was silent for REST_S."""
        self._bad = self._in_a_row = 0

    async def _open(self) -> HostileWire:
        self._opened += 1
        self._tally.opened += 1
        self.rested()
        self._waiting(None, None)
        if self._driver:
            path, header = f"/ws/driver/{self._driver[0]}/", f"Authorization: Token {self._driver[1]}\r\n"
        else:
            path, header = f"/ws/ride/{self.ride_id}/", ""
        wire: HostileWire = await HostileWire.open(self._port, path, header)  # type: ignore[assignment]
        for expected in ("connection_established", "driver_state")[: 2 if self._driver else 1]:
            told = await wire.receive()
            if json.loads(told)["type"] != expected:
                self._tally.violation(f"greeted with something else than {expected}", told=told)
        self.waits_since = None
        return wire

    @property
    def ride_id(self) -> str:
        """Of this place's present socket."""
        return f"fuzz-{self._place}-{self._opened}"

    def close(self) -> None:
        """Give the socket up."""
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def give_up(self) -> None:
        """Called from outside: what is waited for has not come for too long."""
        number, shot = self._waits_for
        self._tally.violation(f"nothing happened for {ANSWER_LIMIT_S:.0f} s", number, shot)
        self.waits_since = None
        self.close()

    # --- firing --------------------------------------------------------------------------------------------------

    async def fire(self, shots: list[tuple[int, Shot]]) -> None:
        """Send these in order. Those with exactly one answer each go together, every other one by itself."""
        together: list[tuple[int, Shot]] = []
        for number, shot in shots:
            self._tally.sent[shot.kind] += 1
            if shot.command_id is not None:
                self._tally.command_ids.add(shot.command_id)
            if shot.answer is Answer.ONE:
                together.append((number, shot))
                continue
            await self._safely(self._all_of, together)
            together = []
            await self._safely(self._single, [(number, shot)])
        await self._safely(self._all_of, together)

    async def ping(self, count: int) -> None:
        """Frames that harm nobody, as many and as fast as shots are sent."""
        if self.is_tired:
            await asyncio.sleep(REST_S)
            self.rested()
        await self._safely(self._all_of, [(-1, Shot("ping", PING, Answer.ONE))] * count)

    async def _safely(self, step: Any, shots: list[tuple[int, Shot]]) -> None:
        """Run one step; when the connection ends in it, that is a violation of the shot that was waited for."""
        if not shots:
            return
        try:
            await step(shots)
        except (WireError, OSError) as ended:
            code = self._wire.code if self._wire is not None else None
            if self.waits_since is not None:  # else `give_up` has said so
                number, shot = self._waits_for
                self._tally.violation(f"the socket ended ({ended}), code {code}", number, shot)
            self._tally.closes[f"{code} unexpected"] += 1
            self.close()
        self.waits_since = None

    async def _all_of(self, shots: list[tuple[int, Shot]]) -> None:
        wire = await self.ready()
        wire.put(b"".join(shot.wire for _, shot in shots))
        for number, shot in shots:
            self._waiting(number, shot)
            self._hear(await wire.receive(), number, shot, TYPES_WITHOUT_RIDE)

    async def _single(self, shots: list[tuple[int, Shot]]) -> None:
        number, shot = shots[0]
        if shot.answer is Answer.HANDSHAKE:
            self._waiting(number, shot)
            await self._shake_hands(number, shot)
            return
        if shot.again:
            async with self._floods:
                await self._flood_until_closed(number, shot)
            return
        wire = await self.ready()
        self._waiting(number, shot)
        if shot.answer is Answer.GONE:
            wire.put(shot.wire)
            if "silence" in shot.kind:
                asyncio.get_running_loop().call_later(STAYS_SILENT_S, wire.leave)
                self._wire = None
            self.close()
        elif shot.answer is Answer.CLOSE:
            wire.put(shot.wire)
            self._ended(await self._end(wire, number, shot), number, shot)
        else:
            if shot.answer is Answer.RIDE:
                self._tally.rides.add(self.ride_id)
            wire.put(shot.wire + (MARK if shot.answer is Answer.PONGS else PING))
            await self._until_end(wire, number, shot)
            if shot.answer is Answer.RIDE:
                self.close()  # what is told about a ride from here on would be taken for answers

    async def _end(self, wire: HostileWire, number: int, shot: Shot) -> int:
        """Wait until the server has closed the socket; its code. One that answers is not silent."""
        return await wire.end(lambda: self._waiting(number, shot))

    async def _flood_until_closed(self, number: int, shot: Shot) -> None:
        """A busy server works frames off slower than is allowed, and then no single burst is too fast for it."""
        wire = await self.ready()
        self._waiting(number, shot)
        wire.put(shot.wire)
        more = asyncio.create_task(_flood(wire))
        try:
            self._ended(await self._end(wire, number, shot), number, shot)
        finally:
            more.cancel()

    async def _until_end(self, wire: HostileWire, number: int, shot: Shot) -> None:
        """Everything up to the answer to what was sent behind the shot."""
        heard = 0
        self._in_a_row += 1
        end = (b'"command_id": "mark"', slice(-24, None)) if shot.answer is Answer.PONGS else (b'"pong"', slice(20))
        while end[0] not in (told := await wire.receive())[end[1]]:
            heard += 1
            self._hear(told, number, shot, None)
        self._bad += shot.answer is Answer.PONGS
        fits = {Answer.NOTHING: heard == 0, Answer.ANY: True}.get(shot.answer, heard > 0)
        if not fits:
            self._tally.violation(f"{heard} answers where there must be: {shot.answer.value}", number, shot)

    def _waiting(self, number: int | None, shot: Shot | None) -> None:
        self.waits_since, self._waits_for = time.monotonic(), (number, shot)

    # --- judging -------------------------------------------------------------------------------------------------

    def _hear(self, told: bytes, number: int, shot: Shot, types: set[str] | None) -> None:
        """One frame of the server: known, no fault of its own, and of a type that this shot allows."""
        self._in_a_row += 1
        message = json.loads(told)
        kind = message["type"]
        if kind == "error":
            code = message["code"]
            self._tally.answers[code] += 1
            if code in FAULTS or code not in ANSWERS or not message["message"]:
                self._tally.violation(f"answered with {code}", number, shot, told)
            elif ANSWERS[code].http_status == 400:
                self._bad += 1
            return
        self._tally.answers[kind] += 1
        if types is not None and kind not in types:
            self._tally.violation(f"{kind} where nothing may begin", number, shot, told)

    def _ended(self, code: int, number: int, shot: Shot) -> None:
        self._tally.closes[str(code or "reset")] += 1
        if code not in shot.codes:
            expected = " or ".join(str(c or "reset") for c in sorted(shot.codes))
            self._tally.violation(f"closed with {code or 'a reset'} instead of {expected}", number, shot)
        self._wire = None

    async def _shake_hands(self, number: int, shot: Shot) -> None:
        """A status, or a socket that is greeted or told why not and closed; or the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        # Whoever announces a body may be waited for; longer than we stay.
        with_body = any(name in shot.wire for name in (b"Content-Length", b"Transfer-Encoding"))
        try:
            writer.write(shot.wire)
            async with asyncio.timeout(BODY_AWAITED_S if with_body else SILENCE_LIMIT_S - 1):
                await self._after_request(reader, number, shot)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._tally.closes["handshake ended"] += 1
        except TimeoutError:
            self._tally.closes["handshake unanswered"] += 1
            if not with_body:
                self._tally.violation("a handshake is not answered", number, shot)
        finally:
            writer.transport.abort()

    async def _after_request(self, reader: asyncio.StreamReader, number: int, shot: Shot) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        self._tally.closes[f"HTTP {status}"] += 1
        if status >= 500:
            self._tally.violation(f"HTTP {status}", number, shot, head)
        if status == 101:
            await self._after_101(reader, number, shot)

    async def _after_101(self, reader: asyncio.StreamReader, number: int, shot: Shot) -> None:
        while True:
            first, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            payload = await reader.readexactly(size)
            if first & 0xF == 0x8:
                code = int.from_bytes(payload[:2], "big")
                self._tally.closes[str(code)] += 1
                if code not in shot.codes:
                    self._tally.violation(f"a handshake closed with {code}", number, shot)
                return
            if b"connection_established" in payload:
                return

"""A client as an app would be: one path, a socket that is opened anew whenever it is lost, and commands that are
repeated under the same command_id until they are answered.
"""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import websockets
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.chaos.history import Frame, History, Life, Op, Role

OPEN_S = 3.0  # the handshake and the greeting
ANSWER_S = 4.0  # a command that is not answered in this time is sent again over another socket
HEARTBEAT_S, SILENT_S = 1.0, 3.0
JITTER_S = 0.6  # at most, before a lost socket is opened anew
PATIENCE_S, IMPATIENT_S = 25.0, 1.0  # one in ten gives up early: then nobody knows what became of it
# Not remembered by the service, so the same command is tried anew; unanswered in the end, nobody knows.
TRANSIENT = frozenset(
    {
        "try_again", "unavailable", "internal_error", "too_many_searches", "unauthenticated", "account_inactive",
        "too_fast",
    }
)  # fmt: skip


class World:
    """What all clients share. `strays` counts errors that answer no command, `errors` the codes of all answers."""

    def __init__(self, ports: list[int], tokens: dict[int, str]) -> None:
        self.ports, self.tokens, self.history = ports, tokens, History(epoch=time.time() - time.monotonic())
        self.closing = self.ended = False  # no new rides; and no more work for drivers
        self.ops: dict[str, Op] = {}
        self.strays: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def command_id(self) -> str:
        """The next one."""
        return f"c{next(self._numbers)}"


class App:
    """One client on one path, from `open` to `close`. Subclasses keep what they are told in `told`."""

    number = "seq"  # the field by which this client is told where it stands
    resume_by = "last_seq"

    def __init__(
        self, world: World, role: Role, who: int, user_id: int, path: str, rng: random.Random, *,
        ride_id: str | None = None, server: int | None = None, subprotocols: tuple[websockets.Subprotocol, ...] = (),
    ) -> None:  # fmt: skip
        self.world, self.role, self.who, self.ride_id, self.rng = world, role, who, ride_id, rng
        self.known: int | None = None
        self.server = rng.randrange(len(world.ports)) if server is None else server
        self._path, self._user_id, self._subprotocols = path, user_id, subprotocols
        self._socket: websockets.ClientConnection | None = None
        self._life: Life | None = None
        self._open, self._gone, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._staying: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Connect, and stay connected until `close`."""
        self._staying = asyncio.create_task(self._stay_connected())
        return self

    async def close(self) -> None:
        """Go for good."""
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.wait([self._staying])

    def told(self, frame: Frame) -> None:
        """Take in a frame that is no answer by command_id."""

    @property
    def is_open(self) -> bool:
        """Whether there is a socket now, greeted."""
        return self._open.is_set()

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait for news that make it so; whether they did in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        return holds()

    def leave(self) -> None:
        """Drop the socket, to be told the present state by the next one."""
        if self._socket is not None and self._life is not None:
            self._life.left = True
            self._socket.transport.abort()

    # --- commands ------------------------------------------------------------------------------------------------

    async def command(
        self, kind: str, about: str | int | None = None, *, mark: str = "", patience_s: float | None = None, **more: Any
    ) -> Op:
        """Have it done, and how that ended. With `mark` this field says the command's id, which is stored so."""
        if patience_s is None:
            patience_s = IMPATIENT_S if self.rng.random() < 0.1 else PATIENCE_S
        command_id = self.world.command_id()
        frame = {"type": kind, "command_id": command_id} | more | ({mark: command_id} if mark else {})
        op = Op(self.role, self.who, kind, command_id, about, time.monotonic(), sent=frame)
        self.world.history.ops.append(op)
        self.world.ops[command_id] = op
        text, deadline = json.dumps(frame), op.began + patience_s
        while (left := deadline - time.monotonic()) > 0:
            answer = await self._tried(op, text, left)
            if answer is not None and answer.get("code") not in TRANSIENT:
                op.outcome, op.code = ("fail", answer["code"]) if answer["type"] == "error" else ("ok", "")
                break
            if answer is not None:
                await asyncio.sleep(0.1 + 0.4 * self.rng.random())
        op.ended = time.monotonic()
        self._waiting.pop(command_id, None)
        return op

    async def _tried(self, op: Op, text: str, left_s: float) -> Frame | None:
        """Send it once (now and then twice: networks do that) over the socket there is or will be; None: no answer."""
        answered: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[op.command_id] = answered
        try:
            async with asyncio.timeout(left_s):
                await self._open.wait()
            socket, gone = self._socket, self._gone
            assert socket is not None
            op.tries += 1
            for _ in range(2 if self.rng.random() < 0.1 else 1):
                await socket.send(text)
        except (TimeoutError, OSError, ConnectionClosed):
            await asyncio.sleep(0.05)  # the socket's own task has yet to see that it is gone
            return None
        lost = asyncio.ensure_future(gone.wait())
        either: list[asyncio.Future[Any]] = [answered, lost]
        try:
            await asyncio.wait(either, timeout=min(ANSWER_S, left_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if answered.done():
            return answered.result()
        if socket is self._socket:
            self.leave()  # it hangs: the other server may not
        return None

    # --- the socket ----------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        while True:
            self._life = None
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._connected(self.server)
            # To any of them; but not to one that has just not answered.
            was_silent, servers = self._life is None or self._life.left, len(self.world.ports)
            self.server = (self.server + 1) % servers if was_silent else self.rng.randrange(servers)
            await asyncio.sleep(JITTER_S * self.rng.random())

    async def _connected(self, server: int) -> None:
        connection = await websockets.connect(
            f"ws://127.0.0.1:{self.world.ports[server]}{self._path}", open_timeout=OPEN_S, close_timeout=0.3,
            additional_headers={"Authorization": f"Token {self.world.tokens[self._user_id]}"},
            subprotocols=self._subprotocols or None, ping_interval=None, compression=None, proxy=None,
        )  # fmt: skip
        life = self._life = Life(self.role, self.who, self.ride_id, server, time.monotonic())
        self.world.history.lives.append(life)
        self._socket, self._gone = connection, asyncio.Event()
        try:
            async with asyncio.timeout(OPEN_S):
                await self._greeted(connection)
            self._open.set()
            self._news.set()
            await self._listen(connection)
        except TimeoutError:
            life.left = True
            connection.transport.abort()
        except asyncio.CancelledError:
            life.left = True
            raise
        finally:
            self._open.clear()
            self._socket = None
            self._gone.set()
            life.closed = time.monotonic()
            await connection.close()
            life.code = connection.close_code

    async def _greeted(self, connection: websockets.ClientConnection) -> None:
        """Read up to the greeting; then say what was the last one was told. An error instead: not greeted."""
        known = self.known
        while True:
            frame = self._take(await connection.recv())
            if frame["type"] == "error":
                raise TimeoutError
            if frame["type"] == ("driver_state" if self.role == "driver" else "connection_established"):
                break
        if known is not None:
            await self._ask_after("resume", known)

    async def _listen(self, connection: websockets.ClientConnection) -> None:
        heard = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    text = await connection.recv()
            except TimeoutError:
                if time.monotonic() - heard > SILENT_S:
                    raise
                await self._ask_after("ping", self.known or 0)
                continue
            heard = time.monotonic()
            self._take(text)

    async def _ask_after(self, kind: str, number: int) -> None:
        assert self._socket is not None
        assert self._life is not None
        self._life.heard.append({"type": kind, "after": number})
        await self._socket.send(json.dumps({"type": kind, "seq" if kind == "ping" else self.resume_by: number}))

    def _take(self, text: str | bytes) -> Frame:
        frame: Frame = json.loads(text)
        assert self._life is not None
        self._life.heard.append(frame)
        command_id = frame.get("command_id")
        if frame["type"] == "error":
            self.world.errors[frame["code"]] += 1
            if command_id is None:
                self.world.strays[frame["code"]] += 1
        if command_id is not None and frame["type"] in {"command_done", "error"}:
            self._answered(command_id, frame)
        else:
            self.told(frame)
            if frame["type"] != "pong" and isinstance(frame.get(self.number), int):
                self.known = max(self.known or 0, frame[self.number])
        self._news.set()
        return frame

    def _answered(self, command_id: str, frame: Frame) -> None:
        op = self.world.ops.get(command_id)
        if op is not None and frame.get("code") not in TRANSIENT:
            op.answers.append(frame)
        waiting = self._waiting.get(command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

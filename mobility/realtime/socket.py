"""The base of every consumer: one socket from the handshake to its end.

It is a Channels consumer with two things of its own. It does not hop to a thread before each message, as the stock one
does to look after database connections: ours never leave mobility.realtime.database. And nothing a client sends, and
nothing that goes wrong while answering, ends the socket with a traceback: every frame gets its answer or an `error`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from types import coroutine
from typing import Any, ClassVar, ParamSpec, TypeVar

import structlog
from channels.consumer import AsyncConsumer
from django.db import DatabaseError, InterfaceError

from mobility.conf import knobs
from mobility.delivery import groups, hub
from mobility.errors import Refusal, refusal_for
from mobility.people.credentials import Principal, holds, still_valid
from mobility.realtime import auth, frames
from mobility.realtime.database import comes_last, in_database
from mobility.realtime.limits import RecentCount, TokenBucket
from mobility.realtime.once import answering
from mobility.realtime.protocol import Misunderstood

log = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

CLOSE_BAD, CLOSE_UNAUTHENTICATED, CLOSE_FORBIDDEN, CLOSE_UNKNOWN = 4400, 4401, 4403, 4404
CLOSE_NOT_READING, CLOSE_REPLACED, CLOSE_TOO_FAST = 4408, 4409, 4429
BAD_FRAMES, BAD_FRAMES_WINDOW_S = 30, 10.0
# How long a client's commands come after everybody else's once it has said what can't be understood, or too much.
MISTRUSTED_S = 60.0
CLOSE_FAULT, CLOSE_FULL = 1011, 1013
_CLOSE_CODES = {
    "unauthenticated": CLOSE_UNAUTHENTICATED,
    "forbidden": CLOSE_FORBIDDEN,
    "bad_ride_id": CLOSE_BAD,
    "bad_driver_id": CLOSE_BAD,
    "unknown_path": CLOSE_UNKNOWN,
    "server_full": CLOSE_FULL,
}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Closed(Exception):
    """The socket is over; unwinds to the end of its loop."""


class Socket(AsyncConsumer):
    """One connected client. Subclasses say what opening, a frame and a layer message mean.

    `live` holds the open, authenticated sockets of this process, `of_user` those of each user with the oldest first,
    and `open_now` counts all, handshakes included.
    """

    live: ClassVar[set["Socket"]] = set()
    of_user: ClassVar[dict[int, dict["Socket", None]]] = {}
    open_now: ClassVar[int] = 0
    principal: Principal

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve the socket from handshake to end."""
        self.scope = scope
        self._raw_send = send
        self._turn = asyncio.Lock()
        self._groups: list[str] = []
        self._hints: set[asyncio.Task[None]] = set()
        self._budget = TokenBucket(knobs().frames_per_s, knobs().frames_burst)
        self._dropped = 0
        self._bad = RecentCount(BAD_FRAMES_WINDOW_S)
        self._mistrusted_until = 0.0
        await receive()  # websocket.connect
        Socket.open_now += 1
        try:
            if await self._handshake():
                await self._serve(receive)
        except Closed:
            pass
        finally:
            Socket.open_now -= 1
            await self._end()

    # --- the handshake -------------------------------------------------------------------------------------------

    async def _handshake(self) -> bool:
        if not auth.origin_is_allowed(self.scope):
            log.warning("origin_refused")
            await self._raw_send({"type": "websocket.close", "code": CLOSE_FORBIDDEN})  # 403: not accepted yet
            return False
        await self._raw_send({"type": "websocket.accept", "subprotocol": auth.subprotocol(self.scope)})
        try:
            _require_room()
            offered = auth.offered_credentials(self.scope)
            about = self.check_path()
            if auth.needs_database(offered):
                self.principal = await in_database(auth.identify, offered, about)
            else:
                self.principal = auth.identify(offered, about)
            await self.admit()
        except (Refusal, DatabaseError, InterfaceError) as fault:
            # Not held by a name of this frame, which its traceback holds: the two would keep the socket in memory.
            await self._refuse(fault)
        return True

    async def _refuse(self, fault: Refusal | DatabaseError | InterfaceError) -> None:
        refusal = fault if isinstance(fault, Refusal) else refusal_for(fault) or Refusal("internal_error")
        await self.tell(frames.error(refusal))
        await self.close(_CLOSE_CODES.get(refusal.code, CLOSE_FAULT))

    def check_path(self) -> str | None:
        """The ride id the path is about, if any, or the refusal that says what is wrong with the path."""
        raise NotImplementedError

    async def admit(self) -> None:
        """Refuse a known principal who has no business at this path, before any group is joined."""

    # --- what the client says, and what others hint ------------------------------------------------------

    async def _serve(self, receive: Receive) -> None:
        if self.principal.user_id is not None:
            await self.join(groups.user(self.principal.user_id))
            self._take_place(self.principal.user_id)
        Socket.live.add(self)
        if not await self._guarded(self.opened):
            await self.close(CLOSE_FAULT)  # it does not know where it stands, and a driver would not be reachable
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._guarded(self._frame, message)

    def _take_place(self, user_id: int) -> None:
        """Of too many sockets of one user the oldest goes: perhaps a phone that lost the network without a word."""
        mine = Socket.of_user.setdefault(user_id, {})
        mine[self] = None
        while len(mine) > knobs().sockets_per_user:
            oldest = next(iter(mine))
            del mine[oldest]
            oldest.heard({"type": "crowded.out"})

    def heard(self, message: hub.Message) -> None:
        """A hint for one of this socket's groups: dealt with in turn, beside the client's own frames."""
        task = asyncio.ensure_future(self._answer_hint(message))
        self._hints.add(task)
        task.add_done_callback(self._hints.discard)

    async def _answer_hint(self, message: hub.Message) -> None:
        # This task began in the context of whoever made the change, perhaps by a command with an id.
        answering.set(None)
        comes_last.set(self._is_mistrusted())
        with suppress(Closed):
            await self._guarded(self._hinted, message)

    async def _hinted(self, message: dict[str, Any]) -> None:
        if message["type"] == "signed.out":
            await self.recheck()
            return
        if message["type"] == "crowded.out":
            log.info("crowded_out")
            await self.close(CLOSE_REPLACED)
        async with self._turn:
            await self.hinted(message)

    async def _frame(self, message: dict[str, Any]) -> None:
        answering.set(None)
        comes_last.set(self._is_mistrusted())
        text = message.get("text")
        budget = self.budget_of(text)
        if not budget.take():
            await self._too_fast()
            return
        if budget.is_full:
            self._dropped = 0
        if text is None:
            raise Misunderstood("binary_frame")
        await self.frame(text)

    def _is_mistrusted(self) -> bool:
        return time.monotonic() < self._mistrusted_until

    def _mistrust(self) -> None:
        self._mistrusted_until = time.monotonic() + MISTRUSTED_S

    async def _too_fast(self) -> None:
        self._mistrust()
        self._dropped += 1
        if self._dropped > knobs().frames_burst:
            await self.close(CLOSE_TOO_FAST)
        await self._tell_error(Refusal("too_fast"))
        await asyncio.sleep(0)

    async def _guarded(self, step: Callable[..., Awaitable[None]], *args: Any) -> bool:
        """Run one step; whether it went well. What goes wrong becomes an `error` frame, and the socket stays open."""
        try:
            await step(*args)
        except Misunderstood as fault:
            self._mistrust()
            await self._tell_error(fault)
            if self._bad.add() > BAD_FRAMES:
                await self.close(CLOSE_BAD)
            await asyncio.sleep(0)  # else all the nonsense of one read is answered before anybody else's frame
        except Refusal as refusal:
            await self._tell_error(refusal)
        except (DatabaseError, InterfaceError) as fault:
            answer = refusal_for(fault)
            if answer is None:
                log.exception("socket_step_failed", step=step.__name__)
            else:
                log.warning("database_refused", code=answer.code, error=type(fault).__name__)
            await self._tell_error(answer or Refusal("internal_error"))
        except Closed:
            raise
        except Exception:
            log.exception("socket_step_failed", step=step.__name__)
            await self._tell_error(Refusal("internal_error"))
        else:
            return True
        return False

    async def _tell_error(self, refusal: Refusal) -> None:
        named = answering.get()
        await self.tell(frames.error(refusal) | ({} if named is None else {"command_id": named}))

    async def _end(self) -> None:
        Socket.live.discard(self)
        self._leave_place()
        for task in self._hints:
            task.cancel()
        for group in self._groups:
            await hub.leave(group, self)
        if hasattr(self, "principal"):
            self.ended()

    def _leave_place(self) -> None:
        user_id = self.principal.user_id if hasattr(self, "principal") else None
        if user_id is not None:
            mine = Socket.of_user.get(user_id, {})
            mine.pop(self, None)
            if not mine:
                Socket.of_user.pop(user_id, None)

    # --- for subclasses ------------------------------------------------------------------------------------------

    async def opened(self) -> None:
        """The client is known and in its groups; greet it."""

    async def frame(self, text: str) -> None:
        """One text frame within the limits."""
        raise NotImplementedError

    def budget_of(self, text: str | None) -> TokenBucket:  # noqa: ARG002
        """What this frame is counted against."""
        return self._budget

    def require_still_allowed(self) -> None:
        """A command acts only while its credential holds, however long the socket has been open. Reads the database."""
        if not self.principal.is_guest and not holds(self.principal):
            raise Refusal("unauthenticated", "You are logged out.")

    def if_allowed(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do `work` where that still is so: both in one hop to the database."""
        self.require_still_allowed()
        return work(*args, **kwargs)

    def told(self) -> tuple[int, int] | None:
        """The booking this client follows and the seq it was told last."""
        return None

    async def hinted(self, message: dict[str, Any]) -> None:
        """A hint to one of this socket's groups."""

    def ended(self) -> None:
        """The socket is gone."""

    async def join(self, group: str) -> None:
        """Hear what is hinted to the group."""
        self._groups.append(group)
        await hub.join(group, self)

    async def tell(self, frame: frames.Frame) -> None:
        """Send one frame; a client that does not read for too long is closed (4408)."""
        await self._send({"type": "websocket.send", "text": json.dumps(frame)})

    def say(self, text: str) -> bool:
        """Send a frame now, from the loop, without a task; not at all, and False, while the client is not reading.

        For what a newer frame makes up for, and what many are told: encoded once, it reaches a thousand sockets in
        some 10 ms.
        """
        sending = self._raw_send({"type": "websocket.send", "text": text})
        try:
            sending.send(None)
        except StopIteration:
            return True
        except (OSError, RuntimeError):  # gone; its own loop hears of it
            return False
        sending.close()  # it waited for the client and has written nothing
        return False

    async def close(self, code: int) -> None:
        """Close with this code and leave the loops."""
        await self._send({"type": "websocket.close", "code": code})
        raise Closed

    async def _send(self, message: dict[str, Any]) -> None:
        sending = self._raw_send(message)
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return  # written at once, which is the rule: a time limit costs more than all else here
        except (OSError, RuntimeError):  # the client went away while we were speaking
            raise Closed from None
        try:
            async with asyncio.timeout(knobs().socket_send_timeout_s):
                await _rest_of(sending, waits_for)
        except TimeoutError:
            log.warning("client_not_reading")
            with suppress(TimeoutError, OSError, RuntimeError):
                async with asyncio.timeout(1):
                    await self._raw_send({"type": "websocket.close", "code": CLOSE_NOT_READING})
            raise Closed from None
        except (OSError, RuntimeError):
            raise Closed from None

    async def recheck(self) -> None:
        """Close with 4401 when the credential this socket was opened with does not hold any more."""
        if not await in_database(still_valid, [self.principal]):
            await self.tell(frames.error(Refusal("unauthenticated", "You are logged out.")))
            await self.close(CLOSE_UNAUTHENTICATED)


@coroutine
def _rest_of(begun: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Await the rest of a coroutine whose first step was made already and gave what it waits for."""
    while True:
        try:
            answer = yield waits_for
        except BaseException as thrown:  # cancelled, perhaps: it has to know
            step = partial(begun.throw, thrown)
        else:
            step = partial(begun.send, answer)
        try:
            waits_for = step()
        except StopIteration:
            return


def _require_room() -> None:
    if Socket.open_now > knobs().sockets_per_process:
        log.warning("server_full", sockets=Socket.open_now - 1)
        raise Refusal("server_full")


class UnknownPath(Socket):
    """A WebSocket to an address where nothing is."""

    def check_path(self) -> str | None:
        """Always refused."""
        raise Refusal("unknown_path")

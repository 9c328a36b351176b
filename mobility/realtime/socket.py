"""The base of every consumer: one socket from the handshake to its end.

It is a Channels consumer with two things of its own. It does not hop to a thread before each message, as the stock one
does to look after database connections: ours never leave mobility.realtime.database. And nothing a client sends, and
nothing that goes wrong while answering, ends the socket with a traceback: every frame gets its answer or an `error`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar

import structlog
from channels.consumer import AsyncConsumer
from channels.layers import get_channel_layer
from django.db import DatabaseError, InterfaceError

from mobility.conf import knobs
from mobility.delivery import groups
from mobility.errors import Refusal, refusal_for
from mobility.people.credentials import Principal, still_valid
from mobility.realtime import auth, frames
from mobility.realtime.database import in_database
from mobility.realtime.limits import RecentCount, TokenBucket
from mobility.realtime.protocol import Misunderstood

log = structlog.get_logger(__name__)

CLOSE_BAD, CLOSE_UNAUTHENTICATED, CLOSE_FORBIDDEN, CLOSE_UNKNOWN = 4400, 4401, 4403, 4404
CLOSE_NOT_READING, CLOSE_TOO_FAST = 4408, 4429
BAD_FRAMES, BAD_FRAMES_WINDOW_S = 30, 10.0
LAYER_TIMEOUT_S = 2.0
CLOSE_FAULT = 1011
_CLOSE_CODES = {
    "unauthenticated": CLOSE_UNAUTHENTICATED,
    "forbidden": CLOSE_FORBIDDEN,
    "bad_ride_id": CLOSE_BAD,
    "unknown_path": CLOSE_UNKNOWN,
}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Closed(Exception):
    """The socket is over; unwinds to the end of its loop."""


class Socket(AsyncConsumer):
    """One connected client. Subclasses say what opening, a frame and a layer message mean.

    `live` holds the open, authenticated sockets of this process.
    """

    live: ClassVar[set["Socket"]] = set()
    principal: Principal

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve the socket from handshake to end."""
        self.scope = scope
        self._raw_send = send
        self._turn = asyncio.Lock()
        self._channel = ""  # none while the layer can't be reached
        self._groups: list[str] = []
        self._budget = TokenBucket(knobs().frames_per_s, knobs().frames_burst)
        self._dropped = 0
        self._bad = RecentCount(BAD_FRAMES_WINDOW_S)
        self._layer = get_channel_layer()
        await receive()  # websocket.connect
        listener: asyncio.Task[None] | None = None
        try:
            if not await self._handshake():
                return
            if await self._reach_layer(self._open_channel):
                listener = asyncio.create_task(self._listen())
            await self._serve(receive)
        except Closed:
            pass
        finally:
            await self._end(listener)

    # --- the handshake -------------------------------------------------------------------------------------------

    async def _handshake(self) -> bool:
        if not auth.origin_is_allowed(self.scope):
            log.warning("origin_refused")
            await self._raw_send({"type": "websocket.close", "code": CLOSE_FORBIDDEN})  # 403: not accepted yet
            return False
        await self._raw_send({"type": "websocket.accept", "subprotocol": auth.subprotocol(self.scope)})
        try:
            offered = auth.offered_credentials(self.scope)
            about = self.check_path()
            if auth.needs_database(offered):
                self.principal = await in_database(auth.identify, offered, about)
            else:
                self.principal = auth.identify(offered, about)
        except (Refusal, DatabaseError, InterfaceError) as fault:
            refusal = fault if isinstance(fault, Refusal) else refusal_for(fault) or Refusal("internal_error")
            await self.tell(frames.error(refusal))
            await self.close(_CLOSE_CODES.get(refusal.code, CLOSE_FAULT))
        return True

    def check_path(self) -> str:
        """What the path is about (a ride id), or the refusal that says what is wrong with it."""
        raise NotImplementedError

    async def _open_channel(self) -> None:
        self._channel = await self._layer.new_channel()

    async def _reach_layer(self, step: Callable[..., Awaitable[None]], *args: Any) -> bool:
        """Do something with the channel layer. Without it a socket hears late, which is no reason to end it."""
        try:
            async with asyncio.timeout(LAYER_TIMEOUT_S):
                await step(*args)
        except Exception as error:
            log.warning("layer_unreachable", step=step.__name__, error=type(error).__name__)
            return False
        return True

    # --- two loops: what the client says, what the layer says ------------------------------------------------------

    async def _serve(self, receive: Receive) -> None:
        if not self.principal.is_guest:
            await self.join(groups.user(self.principal.user_id or 0))
        Socket.live.add(self)
        await self._guarded(self.opened)
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._guarded(self._frame, message)

    async def _listen(self) -> None:
        while True:
            message = await self._layer.receive(self._channel)
            with suppress(Closed):
                await self._guarded(self._hinted, message)

    async def _hinted(self, message: dict[str, Any]) -> None:
        if message["type"] == "signed.out":
            await self.recheck()
            return
        async with self._turn:
            await self.hinted(message)

    async def _frame(self, message: dict[str, Any]) -> None:
        if not self._budget.take():
            await self._too_fast()
            return
        if self._budget.is_full:
            self._dropped = 0
        text = message.get("text")
        if text is None:
            raise Misunderstood("binary_frame")
        await self.frame(text)

    async def _too_fast(self) -> None:
        self._dropped += 1
        if self._dropped > knobs().frames_burst:
            await self.close(CLOSE_TOO_FAST)
        await self.tell(frames.error(Refusal("too_fast")))

    async def _guarded(self, step: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run one step; whatever goes wrong becomes an `error` frame and the socket stays open."""
        try:
            await step(*args)
        except Misunderstood as fault:
            await self.tell(frames.error(fault))
            if self._bad.add() > BAD_FRAMES:
                await self.close(CLOSE_BAD)
        except Refusal as refusal:
            await self.tell(frames.error(refusal))
        except (DatabaseError, InterfaceError) as fault:
            answer = refusal_for(fault)
            if answer is None:
                log.exception("socket_step_failed", step=step.__name__)
            else:
                log.warning("database_refused", code=answer.code, error=type(fault).__name__)
            await self.tell(frames.error(answer or Refusal("internal_error")))
        except Closed:
            raise
        except Exception:
            log.exception("socket_step_failed", step=step.__name__)
            await self.tell(frames.error(Refusal("internal_error")))

    async def _end(self, listener: "asyncio.Task[None] | None") -> None:
        Socket.live.discard(self)
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
        for group in self._groups:
            await self._reach_layer(self._layer.group_discard, group, self._channel)
        if hasattr(self, "principal"):
            self.ended()

    # --- for subclasses ------------------------------------------------------------------------------------------

    async def opened(self) -> None:
        """The client is known and in its groups; greet it."""

    async def frame(self, text: str) -> None:
        """One text frame within the limits."""
        raise NotImplementedError

    async def hinted(self, message: dict[str, Any]) -> None:
        """A channel-layer message of one of this socket's groups."""

    def ended(self) -> None:
        """The socket is gone."""

    async def join(self, group: str) -> None:
        """Receive what is sent to the group."""
        if self._channel and await self._reach_layer(self._layer.group_add, group, self._channel):
            self._groups.append(group)

    async def tell(self, frame: frames.Frame) -> None:
        """Send one frame; a client that does not read for too long is closed (4408)."""
        await self._send({"type": "websocket.send", "text": json.dumps(frame)})

    async def close(self, code: int) -> None:
        """Close with this code and leave the loops."""
        await self._send({"type": "websocket.close", "code": code})
        raise Closed

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(knobs().socket_send_timeout_s):
                await self._raw_send(message)
        except TimeoutError:
            log.warning("client_not_reading")
            with suppress(TimeoutError, OSError, RuntimeError):
                async with asyncio.timeout(1):
                    await self._raw_send({"type": "websocket.close", "code": CLOSE_NOT_READING})
            raise Closed from None
        except (OSError, RuntimeError):  # the client went away while we were speaking
            raise Closed from None

    async def recheck(self) -> None:
        """Close with 4401 when the credential this socket was opened with does not hold any more."""
        if not await in_database(still_valid, [self.principal]):
            await self.tell(frames.error(Refusal("unauthenticated", "You are logged out.")))
            await self.close(CLOSE_UNAUTHENTICATED)


class UnknownPath(Socket):
    """A WebSocket to an address where nothing is."""

    def check_path(self) -> str:
        """Always refused."""
        raise Refusal("unknown_path")

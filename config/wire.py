"""What uvicorn speaks with clients: its own protocols with the bounds they lack. bin/serve names both classes.

The consumers limit messages (mobility/realtime/socket.py). Below them a client can send what never becomes a message:
pings, pongs, empty fragments, half a request. Those are bounded here, and a mistake of the client stays the client's:
an answer or a close code, never a traceback in our log or a socket that hangs.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mobility.conf import knobs
from mobility.realtime.limits import TokenBucket

# WebSocket frames of every kind for each message that the consumers' limit allows: room for fragments and pings.
FRAMES_A_MESSAGE = 10
# Bytes that are parsed before the limit is looked at again: 682 empty frames, some 3 ms.
SLICE = 4096
HEAD_WITHIN_S, HEAD_BYTES, BODY_WITHIN_S = 10.0, 65_536, 20.0
TOO_FAST, NOT_UTF8 = 4429, 1007


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection. Above ten frames of any kind for each message of the limit it closes with 4429."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = knobs()
        self._budget = TokenBucket(FRAMES_A_MESSAGE * limit.frames_per_s, FRAMES_A_MESSAGE * limit.frames_burst)

    def data_received(self, data: bytes) -> None:
        """Parse a little at a time: one read can hold 40,000 empty frames, and nobody else is served meanwhile."""
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated:
                self._refuse_handshake()
            return
        for at in range(0, len(data), SLICE):
            if self.transport.is_closing():
                return
            super().data_received(data[at : at + SLICE])

    def handle_events(self) -> None:
        """Count the frames, then handle them."""
        if self._budget.take(len(self.conn.events)):
            super().handle_events()
        else:
            self._fail(TOO_FAST, "too fast")

    def send_receive_event_to_app(self) -> None:
        """A message is complete. uvicorn takes text that is not UTF-8 for an error of the server's and logs it so."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self._fail(NOT_UTF8, "not UTF-8")
                return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """No pong came. While we do not read, because a command is being worked on, none can: wait on, then."""
        if self.read_paused and self.ping_timeout is not None:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over. What `websockets` keeps of a connection holds itself in memory: its parser, and an error's traceback.

        Without this only a full garbage collection would find it, which holds up every other socket
        (mobility/server.py).
        """
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.parser_exc = self.conn.handshake_exc = None

    def _refuse_handshake(self) -> None:
        """uvicorn leaves a request open that `websockets` can't take: too many or too long headers, or a body."""
        answer = b"".join(self.conn.data_to_send())
        if not answer:
            answer = self.conn.reject(HTTPStatus.BAD_REQUEST, "This is not a WebSocket handshake.\n").serialize()
        self.handshake_complete = self.close_sent = True
        self.transport.write(answer)
        self.transport.close()

    def _fail(self, code: int, reason: str) -> None:
        """Close at once and for good; whatever else has arrived is not looked at."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()


class Http(HttpToolsProtocol):
    """One HTTP connection. A request's line and headers must come within 10 s and 64 KiB, its body within 20 s more."""

    _due: asyncio.TimerHandle | None = None
    _head_bytes: int | None = None  # None: no head is awaited
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet."""
        if self._due is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()  # uvicorn ends its own wait for the next request with any byte, be it a line's end
        super().data_received(data)
        if self._head_bytes is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        """A request begins, perhaps while the one before it is being answered."""
        super().on_message_begin()
        if self._due is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there; the body must follow."""
        self._head_bytes = None
        self._wait(BODY_WITHIN_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        self._stop_waiting()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a WebSocket's connection, which bounds itself."""
        self._stop_waiting()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it and this object hold each other in memory

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more, and nobody to answer.

        With several requests in a row uvicorn tells only the newest of them, and the one that is being answered fails
        with an error when it writes.
        """
        self._stop_waiting()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._wait(HEAD_WITHIN_S)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

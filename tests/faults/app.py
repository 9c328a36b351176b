"""An app in this process: the real consumers between a `send` and a `receive` of ours, on the real database."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from mobility.routing import websocket

Frame = dict[str, Any]
_GONE = {"type": "websocket.disconnect", "code": 1000}


class App:
    """One socket, from its handshake until `leave`. `told` is every frame it was sent; a close counts as one."""

    def __init__(self, path: str, token: str = "", *, authorization: str = "") -> None:
        self.told: list[Frame] = []
        self._inbox: asyncio.Queue[Frame] = asyncio.Queue()
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent = authorization or (f"Token {token}" if token else "")  # with neither it is a guest's
        scope = {
            "type": "websocket", "path": path, "query_string": b"", "subprotocols": [], "client": ["127.0.0.1", 1],
            "headers": [(b"authorization", sent.encode())] if sent else [],
        }  # fmt: skip
        serving: Awaitable[None] = websocket(scope, self._outbox.get, self._take)
        self._serving = asyncio.ensure_future(serving)

    async def connect(self) -> list[Frame]:
        """Shake hands; what the app is told on the way, to the end of its greeting."""
        await self._outbox.put({"type": "websocket.connect"})
        return await self.ask()

    async def ask(self, *frames: Frame) -> list[Frame]:
        """Send these, and a ping after them; what was told before its pong, or before the socket was closed."""
        for frame in (*frames, {"type": "ping"}):
            await self._outbox.put({"type": "websocket.receive", "text": json.dumps(frame)})
        answer: list[Frame] = []
        async with asyncio.timeout(20):
            while (frame := await self._inbox.get())["type"] != "pong":
                answer.append(frame)
                if frame["type"] == "closed":
                    break
        return answer

    async def leave(self) -> None:
        """Go away."""
        await self._outbox.put(_GONE)
        async with asyncio.timeout(20):
            await self._serving

    async def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.send":
                frame = json.loads(message["text"])
            case "websocket.close":
                frame = {"type": "closed", "code": message["code"]}
            case _:
                return
        self.told.append(frame)
        await self._inbox.put(frame)

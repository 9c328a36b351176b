"""Three applications that send back what they are sent, to see what our base consumer costs and saves."""

import json
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


async def plain(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Bare ASGI: the least a socket can be."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        await _no_page(send)
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _no_page(send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _consumer(name: str) -> Any:
    """The consumer class, made after Django is set up."""
    import django

    django.setup()
    if name == "stock":
        from channels.generic.websocket import AsyncJsonWebsocketConsumer

        class Stock(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
            """Channels' own JSON consumer."""

            async def receive_json(self, content: Any, **kwargs: Any) -> None:
                await self.send_json(content)

        return Stock.as_asgi()

    from mobility.realtime.socket import Socket

    class Base(Socket):
        """Our base consumer and nothing more."""

        def check_path(self) -> str:
            return ""

        async def frame(self, text: str) -> None:
            await self.tell(json.loads(text))

    return Base.as_asgi()


def _beside_plain(name: str) -> Any:
    consumer = None

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal consumer
        if scope["type"] != "websocket":
            await plain(scope, receive, send)
            return
        consumer = consumer or _consumer(name)
        await consumer(scope, receive, send)

    return application


stock = _beside_plain("stock")
base = _beside_plain("base")

"""Applications to see what our base consumer costs and saves: three send back what they are sent, two tell a group of
sockets what another process sent to it.
"""

import json
import os
from typing import Any

FAN = "bench"
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

    if name == "core_group":
        return _core_group()

    from mobility.realtime.socket import Socket

    if name == "hub_group":

        class Member(Socket):
            """Our base consumer in a group of the hub, telling what everybody is told alike."""

            def check_path(self) -> str:
                return ""

            async def opened(self) -> None:
                await self.join(FAN)

            def heard(self, message: dict[str, Any]) -> None:
                if not self.say(message["text"]):
                    raise RuntimeError("a client of the bench does not read")

        return Member.as_asgi()

    class Base(Socket):
        """Our base consumer and nothing more."""

        def check_path(self) -> str:
            return ""

        async def frame(self, text: str) -> None:
            await self.tell(json.loads(text))

    return Base.as_asgi()


def _core_group() -> Any:
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from django.conf import settings

    settings.CHANNEL_LAYERS["core"] = {
        "BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [settings.REDIS_URL]},
    }  # fmt: skip

    class Member(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
        """As the documentation of Channels has it."""

        channel_layer_alias = "core"
        groups = (FAN,)

        async def fan_out(self, event: dict[str, Any]) -> None:
            await self.send_json(event["content"])

    return Member.as_asgi()


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
core_group = _beside_plain("core_group")
hub_group = _beside_plain("hub_group")

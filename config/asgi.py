"""What uvicorn serves: HTTP goes to Django, WebSockets to our consumers, lifespan to the background loops."""

import os
from typing import Any

import django
import structlog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DB_POOL", "yes")

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

from config.http import OneTurn  # noqa: E402
from config.logs import write_outside  # noqa: E402
from mobility.routing import websocket  # noqa: E402
from mobility.server import lifespan  # noqa: E402

# uvicorn runs no system checks. What they call an error must not be served, however the server is started.
_found = [found for found in run_checks() if not found.is_silenced()]
if mistakes := [str(found) for found in _found if found.is_serious()]:
    raise ImproperlyConfigured("\n".join(mistakes))
for _warning in _found:
    structlog.get_logger(__name__).warning("configuration", check=_warning.id, says=_warning.msg)

_write_inside = write_outside()


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    async def told(message: Any) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            _write_inside()
        await send(message)

    await lifespan(scope, receive, told)


application = ProtocolTypeRouter({"http": OneTurn(), "websocket": websocket, "lifespan": _lifespan})

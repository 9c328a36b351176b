"""What uvicorn serves: HTTP goes to Django, WebSockets to our consumers, lifespan to the background loops."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DB_POOL", "yes")

http = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from mobility.routing import websocket  # noqa: E402
from mobility.server import lifespan  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})

"""Index of every socket path. The last one catches the rest, so that a wrong address is told apart from a crash."""

from channels.routing import URLRouter
from django.urls import re_path

from mobility.realtime.driver import DriverSocket
from mobility.realtime.passenger import PassengerSocket
from mobility.realtime.socket import UnknownPath

websocket = URLRouter(
    [
        re_path(r"^ws/ride/(?P<ride_id>(?s:.*))$", PassengerSocket.as_asgi()),
        re_path(r"^ws/driver/(?P<driver_id>(?s:.*))$", DriverSocket.as_asgi()),
        re_path(r"", UnknownPath.as_asgi()),
    ]
)

"""How long drives take: the engine that is set, one in a process."""

import threading

from django.conf import settings

from geo.routing.engine import Engine
from geo.routing.osrm import Osrm
from geo.routing.router import GreatCircle, Router
from geo.routing.valhalla import Valhalla
from mobility.conf import knobs

_starting = threading.Lock()
_engines: dict[tuple[object, ...], Engine] = {}


def engine_is_set() -> bool:
    """Whether there is more to ask than the great circle."""
    return bool(settings.OSRM_URL or settings.VALHALLA_URL)


def router() -> Router:
    """The engine that is set, always the same one in a process: its connections, cache and breaker are shared."""
    now = knobs()
    great_circle = GreatCircle(detour=now.eta_detour, speed_km_h=now.eta_speed_km_h)
    if not engine_is_set():
        return great_circle
    kind, url = (Osrm, settings.OSRM_URL) if settings.OSRM_URL else (Valhalla, settings.VALHALLA_URL)
    with _starting:
        # Settings do not change in a server; in a test they do.
        key = (kind, url, now.routing_timeout_s, now.eta_detour, now.eta_speed_km_h)
        if key not in _engines:
            _engines[key] = kind(url, timeout_s=now.routing_timeout_s, otherwise=great_circle)
        return _engines[key]

"""Which geocoder is set, one in a process, and the box its answers lean to."""

import threading

from django.conf import settings

from geo.coordinates import Bounds, bounds
from geo.geocoding.geocoder import Misconfigured
from geo.geocoding.services import PUBLIC_NOMINATIM, GeopyGeocoder
from mobility.areas.queries import served_bounds
from mobility.places import gazetteer
from mobility.places.gazetteer import Gazetteer

_starting = threading.Lock()
_made: dict[tuple[object, ...], GeopyGeocoder] = {}


def geocoder_is_set() -> bool:
    """Whether there is anybody to ask."""
    return bool(settings.GEOCODER)


def geocoder() -> Gazetteer | GeopyGeocoder:
    """The geocoder that is set, always the same one in a process: its breaker is shared. Misconfigured for none, or
    for one that cannot be."""
    if not geocoder_is_set():
        raise Misconfigured("no geocoder is set")
    if settings.GEOCODER == gazetteer.NAME:
        return Gazetteer(attribution=settings.GEOCODER_ATTRIBUTION)
    with _starting:
        # Settings do not change in a server; in a test they do.
        key = (
            settings.GEOCODER, repr(sorted(settings.GEOCODER_OPTIONS.items())), settings.GEOCODER_USER_AGENT,
            settings.GEOCODER_TIMEOUT_S, settings.GEOCODER_ATTRIBUTION, settings.GEOCODER_RATE_PER_S,
        )  # fmt: skip
        if key not in _made:
            _check_rate()
            _made[key] = GeopyGeocoder(
                settings.GEOCODER, settings.GEOCODER_OPTIONS, user_agent=settings.GEOCODER_USER_AGENT,
                timeout_s=settings.GEOCODER_TIMEOUT_S, attribution=settings.GEOCODER_ATTRIBUTION,
            )  # fmt: skip
        return _made[key]


def _check_rate() -> None:
    """The public Nominatim's own rule: https://operations.osmfoundation.org/policies/nominatim/."""
    domain = settings.GEOCODER_OPTIONS.get("domain", PUBLIC_NOMINATIM)
    if settings.GEOCODER == "nominatim" and domain == PUBLIC_NOMINATIM and settings.GEOCODER_RATE_PER_S > 1:
        raise Misconfigured(f"{PUBLIC_NOMINATIM} allows one request a second: GEOCODER_RATE_PER_S is more")


def bias() -> Bounds | None:
    """The box whose places come first: what is set, else the one around the service areas; None for nowhere in
    particular."""
    return bounds(settings.GEOCODER_BOUNDS) if settings.GEOCODER_BOUNDS else served_bounds()

"""Any geocoder that geopy knows, by the name geopy gives its service."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog
from geopy.exc import (
    ConfigurationError,
    GeocoderAuthenticationFailure,
    GeocoderInsufficientPrivileges,
    GeocoderNotFound,
    GeocoderQueryError,
    GeocoderQuotaExceeded,
    GeocoderRateLimited,
    GeocoderServiceError,
    GeocoderTimedOut,
    GeopyError,
)
from geopy.geocoders import get_geocoder_for_service

from geo.coordinates import Bounds, LatLon, lat_lon
from geo.geocoding.geocoder import (
    GeocodingError,
    Misconfigured,
    Place,
    Refused,
    TimedOut,
    Unavailable,
    around,
    plain,
    ranked,
    share,
)
from geo.geocoding.http import BoundedAdapter, line
from geo.routing.breaker import Breaker

log = structlog.get_logger(__name__)
PUBLIC_NOMINATIM = "nominatim.openstreetmap.org"
OPENSTREETMAP = "OpenStreetMap contributors, ODbL"
FAILURES, REST_S = 3, 30.0
LONGEST_KIND = 50
# What is decided here and not by options: bounds, and who we say we are.
NOT_OPTIONS = frozenset({"adapter_factory", "timeout", "proxies", "ssl_context", "user_agent"})


class Dialect(NamedTuple):
    """What geopy's interface leaves open about a service: how it takes a box (`box_is_wish`: and still knows of places
    outside) and a position to lean to, which member of its raw answer says what a place is and how important, and whose
    data it is."""

    box: str = ""
    box_is_wish: bool = False
    near: str = ""
    kind: tuple[str, ...] = ()
    importance: tuple[str, ...] = ()
    attribution: str = ""


_NOMINATIM = Dialect(
    box="viewbox", box_is_wish=True, kind=("type",), importance=("importance",), attribution=OPENSTREETMAP
)
_PELIAS = Dialect(box="boundary_rect", kind=("properties", "layer"), importance=("properties", "confidence"))
DIALECTS: Mapping[str, Dialect] = {
    "nominatim": _NOMINATIM,
    "pickpoint": _NOMINATIM,
    "openmapquest": _NOMINATIM,
    "photon": Dialect(box="bbox", near="location_bias", kind=("properties", "osm_value"), attribution=OPENSTREETMAP),
    "pelias": _PELIAS,
    "geocodeearth": _PELIAS,
    "opencage": Dialect(kind=("components", "_type"), attribution=OPENSTREETMAP),
    "mapbox": Dialect(box="bbox", near="proximity"),
    "google": Dialect(box="bounds", box_is_wish=True),
    "googlev3": Dialect(box="bounds", box_is_wish=True),
    "maptiler": Dialect(box="bbox", near="proximity", attribution=OPENSTREETMAP),
}


class GeopyGeocoder:
    """One service, as a `Geocoder`. For many threads; make one a process.

    `timeout_s` bounds each question in all. After three failures in a row it is left alone for 30 s; meanwhile
    `is_resting`, and whoever asks all the same hears Unavailable. Misconfigured when geopy does not take the options.
    """

    def __init__(
        self, service: str, options: Mapping[str, Any], *, user_agent: str, timeout_s: float, attribution: str = ""
    ) -> None:
        self.name = service.lower()
        self._timeout_s = timeout_s
        self._dialect = DIALECTS.get(self.name, Dialect())
        self._attribution = attribution or self._dialect.attribution
        self._geopy = _made(self.name, options, user_agent, timeout_s)
        self._breaker = Breaker(failures=FAILURES, rest_s=REST_S)

    @property
    def is_resting(self) -> bool:
        """Whether it is left alone just now."""
        return self._breaker.is_resting

    def forward(self, text: str, *, limit: int, near: LatLon | None = None, box: Bounds | None = None) -> list[Place]:
        """Places of this text, best first."""
        ask = self._geopy.geocode
        wanted = {"exactly_one": False, "limit": limit, **self._leanings(near, box)}
        found = self._asked(lambda: ask(text, **_taken(ask, wanted)))
        return ranked(found, near=near, box=box)[:limit]

    def reverse(self, at: LatLon) -> Place | None:
        """What is at this position, or None."""
        ask = getattr(self._geopy, "reverse", None)
        if ask is None:
            raise Misconfigured(f"{self.name} cannot tell what is at a position")
        found = self._asked(lambda: ask(tuple(at), **_taken(ask, {"exactly_one": True})))
        return found[0] if found else None

    def _leanings(self, near: LatLon | None, box: Bounds | None) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if near is not None and self._dialect.box_is_wish and not self._dialect.near:
            box = around(near)
        # Across the antimeridian no service can be told a box; then it only ranks what comes.
        if self._dialect.box and box is not None and box.west <= box.east:
            said[self._dialect.box] = [(box.south, box.west), (box.north, box.east)]
        if self._dialect.near and near is not None:
            said[self._dialect.near] = tuple(near)
        return said

    def _asked(self, question: Callable[[], Any]) -> list[Place]:
        if not self._breaker.allows():
            raise Unavailable("resting", retry_after_s=REST_S)
        try:
            found = self._places(line().ask(question, self._timeout_s))
        except GeocoderQueryError:
            # It is well, and does not take this question; the text may quote it.
            self._breaker.succeeded()
            raise Unavailable("bad_question") from None
        except Exception as error:
            failure = _failure(error)
            if self._breaker.failed():
                log.warning("geocoder_rests", geocoder=self.name, reason=failure.reason, rest_s=REST_S)
            raise failure from None
        if self._breaker.succeeded():
            log.info("geocoder_is_back", geocoder=self.name)
        return found

    def _places(self, answer: Any) -> list[Place]:
        """Checked: anything may be raised by an answer of another shape."""
        if answer is None:
            return []
        return [self._place(location) for location in (answer if isinstance(answer, list) else [answer])]

    def _place(self, location: Any) -> Place:
        label = plain(_text(location.address))
        if not label:
            raise ValueError("a place without a name")
        at = lat_lon(location.latitude, location.longitude)
        if not any(at):
            raise ValueError("at 0, 0: that is where geopy puts what has no position")
        raw = location.raw
        name = raw.get("name") if isinstance(raw, dict) else None
        kind = _member(raw, self._dialect.kind)
        return Place(
            label=label,
            name=plain(name if isinstance(name, str) and name else label.split(",")[0]) or label,
            at=at,
            kind=plain(kind, LONGEST_KIND) if isinstance(kind, str) else "",
            importance=share(_member(raw, self._dialect.importance)),
            source=self.name,
            attribution=self._attribution,
        )


def _made(service: str, options: Mapping[str, Any], user_agent: str, timeout_s: float) -> Any:
    if forbidden := NOT_OPTIONS & set(options):
        raise Misconfigured(f"{', '.join(sorted(forbidden))} cannot be an option: see docs/geocoding.md")
    try:
        kind = get_geocoder_for_service(service)
    except GeocoderNotFound:
        raise Misconfigured(f"geopy knows no service {service!r}") from None
    said = {**options, "timeout": timeout_s, "adapter_factory": BoundedAdapter}
    if user_agent:
        said["user_agent"] = user_agent
    try:
        return kind(**said)
    except (ConfigurationError, TypeError, ValueError, AttributeError) as error:
        raise Misconfigured(f"{service} does not take these options: {error}") from None


def _taken(ask: Callable[..., Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Of these arguments those that this service's method has."""
    known = inspect.signature(ask).parameters
    return {name: value for name, value in wanted.items() if name in known}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _member(raw: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        raw = raw.get(step) if isinstance(raw, dict) else None
    return raw if path else None


def _failure(error: Exception) -> GeocodingError:
    """What geopy raised, or what its reading of nonsense did, as one of ours. Texts of others stay out of it."""
    match error:
        case GeocoderTimedOut():
            return TimedOut("timeout")
        case GeocoderRateLimited():
            return Refused("too_often", retry_after_s=error.retry_after)
        case GeocoderQuotaExceeded():
            return Refused("quota")
        case GeocoderAuthenticationFailure() | GeocoderInsufficientPrivileges():
            return Refused("forbidden")
        case GeocoderServiceError() | GeopyError():
            return Unavailable(type(error).__name__)
        case _:
            return Unavailable("nonsense")

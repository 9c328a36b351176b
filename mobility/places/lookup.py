"""Looking places up: what was answered before comes from the database, a new question waits for its turn.

While somebody outside is waited for, no connection to the database is held.
"""

import hashlib
import json
import time
from typing import Any

import structlog
from django.conf import settings

from geo.coordinates import LatLon, lat_lon
from geo.geocoding.geocoder import GeocodingError, Place, Refused, Unavailable
from geo.geocoding.services import REST_S, GeopyGeocoder
from mobility.conf import knobs
from mobility.connections import give_back
from mobility.places.backend import bias, geocoder
from mobility.places.folding import folded
from mobility.places.gazetteer import Gazetteer
from mobility.places.turns import book_turn, put_off
from mobility.transactions import rows

log = structlog.get_logger(__name__)
AT_MOST = 10
# Of a degree. Questions that differ by less are the same: 1 km for what is only leant to, 11 m for what is asked about.
NEAR_DECIMALS, REVERSE_DECIMALS = 2, 4
# How long a provider is left alone that does not want to be asked: where it does not say, and at most. One that says
# "not before tomorrow" may have been misread.
PAUSE_S, LONGEST_PAUSE_S = 10.0, 3600.0
ANSWERS_AT_ONCE = 5_000


def places_named(text: str, *, limit: int, near: LatLon | None = None) -> list[Place]:
    """Up to 10 places of this text, best first. GeocodingError, among them Misconfigured when no geocoder is set."""
    asked, box = geocoder(), bias()
    if isinstance(asked, Gazetteer):
        return asked.forward(text, limit=limit, near=near, box=box)
    if not folded(text):  # nothing but punctuation
        return []
    near = near and lat_lon(*(round(degrees, NEAR_DECIMALS) for degrees in near))
    key = _key("forward", folded(text), near, box)
    # All that it would tell, so that a question for fewer is answered by the same row.
    return _once(asked, key, lambda: asked.forward(text, limit=AT_MOST, near=near, box=box), _longest_s())[:limit]


def place_at(at: LatLon, *, longest_wait_s: float | None = None) -> Place | None:
    """What is at this position, or None. GeocodingError as above."""
    asked = geocoder()
    if isinstance(asked, Gazetteer):
        return asked.reverse(at)
    key = _key("reverse", *(f"{round(degrees, REVERSE_DECIMALS):.4f}" for degrees in at))

    def ask() -> list[Place]:
        place = asked.reverse(at)
        return [place] if place else []

    found = _once(asked, key, ask, _longest_s() if longest_wait_s is None else longest_wait_s)
    return found[0] if found else None


def _longest_s() -> float:
    return float(settings.GEOCODER_WAIT_S)


def _once(asked: GeopyGeocoder, key: str, ask: Any, longest_wait_s: float) -> list[Place]:
    known = _known(key)
    if known is not None:
        return known
    if asked.is_resting:  # and so books no turn
        raise Unavailable("resting", retry_after_s=REST_S)
    turn = book_turn(asked.name, rate_per_s=settings.GEOCODER_RATE_PER_S, longest_wait_s=longest_wait_s)
    if turn.wait_s:
        give_back()
        time.sleep(turn.wait_s)
        known = _known(key)  # somebody who asked the same was before us
        if known is not None:
            return known
    give_back()
    try:
        found: list[Place] = ask()
    except Refused as refused:
        _told(asked, refused)
        pause_s = min(PAUSE_S if refused.retry_after_s is None else refused.retry_after_s, LONGEST_PAUSE_S)
        put_off(asked.name, pause_s)
        raise Refused(refused.reason, retry_after_s=pause_s) from None
    except GeocodingError as failed:
        _told(asked, failed)
        raise
    _keep(key, found)
    return found


def _told(asked: GeopyGeocoder, failed: GeocodingError) -> None:
    """A line without what was asked: that says where people are."""
    log.warning("geocoding_failed", geocoder=asked.name, reason=failed.reason)


# --- what was answered before ----------------------------------------------------------------------------------------


def _key(*question: Any) -> str:
    who = [settings.GEOCODER, settings.GEOCODER_OPTIONS, settings.GEOCODER_ATTRIBUTION]
    return hashlib.sha256(json.dumps([who, question], sort_keys=True).encode()).hexdigest()


def _known(key: str) -> list[Place] | None:
    if not knobs().geocode_cache_days:
        return None
    found = rows("places/sql/known_answer", {"key": key, "keep_days": knobs().geocode_cache_days})
    if not found:
        return None
    return [Place(**told | {"at": lat_lon(*told["at"])}) for told in json.loads(found[0].answer)]


def _keep(key: str, places: list[Place]) -> None:
    if knobs().geocode_cache_days:
        rows("places/sql/keep_answer", {"key": key, "answer": json.dumps([place._asdict() for place in places])})


def forget_old_answers() -> int:
    """Throw away answers older than `geocode_cache_days`, a bounded number at a time; how many."""
    return len(rows("places/sql/forget_answers", {"keep_days": knobs().geocode_cache_days, "at_once": ANSWERS_AT_ONCE}))

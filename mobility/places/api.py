"""Places and addresses over REST, for whoever is logged in."""

import math
import unicodedata
from typing import Any

import structlog
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from geo import params
from geo.geocoding.geocoder import GeocodingError, Misconfigured, Place
from geo.geojson import point_geometry
from geo.params import ParameterError
from mobility.conf import knobs
from mobility.errors import Refusal
from mobility.geojson_api import GEO_JSON, PositionField
from mobility.people.authentication import user_of
from mobility.people.keys import WITH_KEYS
from mobility.people.models import Scope
from mobility.people.permissions import HasScope, is_key
from mobility.people.throttle import Limit, retry_after_s, spend
from mobility.places.backend import geocoder_is_set
from mobility.places.lookup import AT_MOST, place_at, places_named
from mobility.rest import GeoJSONRenderer, PersonalView, documented, query_of

log = structlog.get_logger(__name__)
DEFAULT_LIMIT = 5
SHORTEST, LONGEST = 2, 200
MINUTE_S = 60.0


class PlaceProperties(serializers.Serializer[Any]):
    """What is told of a place."""

    label = serializers.CharField(help_text="As people read it.")  # type: ignore[assignment]
    name = serializers.CharField()
    kind = serializers.CharField(help_text="In the words of the source; empty where it says nothing.")
    source = serializers.CharField(help_text="The geocoder, or the source of the gazetteer's file.")  # type: ignore[assignment]
    attribution = serializers.CharField(help_text="Shown beside the place where it is not empty.")


class PlaceFeature(serializers.Serializer[Any]):
    """A place as a GeoJSON Feature."""

    type = serializers.RegexField("^Feature$")
    geometry = PositionField()
    properties = PlaceProperties()


class PlaceCollection(serializers.Serializer[Any]):
    """GeoJSON (RFC 7946)."""

    type = serializers.RegexField("^FeatureCollection$")
    features = serializers.ListField(child=PlaceFeature())


_EXAMPLE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [18.4653, -33.9412]},
            "properties": {
                "label": "Groote Schuur Hospital, Observatory, Cape Town", "name": "Groote Schuur Hospital",
                "kind": "hospital", "source": "nominatim", "attribution": "OpenStreetMap contributors, ODbL",
            },
        }
    ],
}  # fmt: skip
_REFUSALS = (
    "invalid_parameter", "unauthenticated", "forbidden", "too_many_tries", "too_many_requests",
    "geocoder_not_configured", "geocoder_unavailable",
)  # fmt: skip


class GeocodeView(PersonalView):
    """Places of a text."""

    authentication_classes = WITH_KEYS
    permission_classes = (HasScope(Scope.GEOCODE),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        *_REFUSALS,
        operation_id="geocode", tags=["places"], summary="Where something lies: places of a text, best first",
        parameters=[
            OpenApiParameter("q", str, required=True, description=f"{SHORTEST} to {LONGEST} characters."),
            OpenApiParameter("limit", int, description=f"Places; default {DEFAULT_LIMIT}, at most {AT_MOST}."),
            OpenApiParameter("near", str, description="latitude,longitude in degrees: what is around comes first."),
        ],
        responses={(200, GEO_JSON): PlaceCollection},
        examples=[OpenApiExample("A hospital", _EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Best first, those inside the region that is served before all others. `geocoder_unavailable` says in
        `Retry-After` when it is worth asking again; a geocoder that is asked by many answers one after the other."""
        query = query_of(request, "q", "limit", "near")
        text, near = _text(query), params.place(query, "near")
        limit = params.limit(query, default=DEFAULT_LIMIT, highest=AT_MOST)
        _spend(request)
        try:
            return Response(_collection(places_named(text, limit=limit, near=near)))
        except GeocodingError as failed:
            raise _refusal(failed) from failed


class ReverseView(PersonalView):
    """What is at a position."""

    authentication_classes = WITH_KEYS
    permission_classes = (HasScope(Scope.GEOCODE),)
    renderer_classes = (GeoJSONRenderer,)

    @documented(
        *_REFUSALS,
        operation_id="geocode_reverse", tags=["places"], summary="What is at a position: its address, or no place",
        parameters=[
            OpenApiParameter("lat", float, required=True, description="Latitude in degrees."),
            OpenApiParameter("lon", float, required=True, description="Longitude in degrees."),
        ],
        responses={(200, GEO_JSON): PlaceCollection},
        examples=[OpenApiExample("A hospital", _EXAMPLE, media_type=GEO_JSON)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One place, or none where the geocoder knows nothing."""
        at = params.position(query_of(request, "lat", "lon"))
        _spend(request)
        try:
            place = place_at(at)
        except GeocodingError as failed:
            raise _refusal(failed) from failed
        return Response(_collection([place] if place else []))


def _text(query: dict[str, str]) -> str:
    if "q" not in query:
        raise ParameterError("q", "is needed")
    text = " ".join(query["q"].split())
    if not SHORTEST <= len(text) <= LONGEST:
        raise ParameterError("q", f"must have {SHORTEST} to {LONGEST} characters")
    if any(unicodedata.category(c) == "Cc" for c in text):
        raise ParameterError("q", "contains control characters")
    return text


def _spend(request: Request) -> None:
    """One question of the person's or the key's, unless there is nobody to ask."""
    if not geocoder_is_set():
        raise Refusal("geocoder_not_configured")
    who = f"key {request.auth.pk}" if is_key(request) else str(user_of(request).pk)
    limit = Limit("geocode", who, knobs().geocodes_per_minute, MINUTE_S)
    if spend([limit]) is not None:
        raise Refusal("too_many_tries", retry_after_s=retry_after_s(limit))


def _refusal(failed: GeocodingError) -> Refusal:
    if isinstance(failed, Misconfigured):
        log.error("geocoder_misconfigured", reason=failed.reason)
        return Refusal("geocoder_not_configured")
    if failed.retry_after_s is None:
        return Refusal("geocoder_unavailable")
    return Refusal("geocoder_unavailable", retry_after_s=math.ceil(failed.retry_after_s) or 1)


def _collection(places: list[Place]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": [_feature(place) for place in places]}


def _feature(place: Place) -> dict[str, Any]:
    told = {name: getattr(place, name) for name in ("label", "name", "kind", "source", "attribution")}
    return {"type": "Feature", "geometry": point_geometry(place.at), "properties": told}

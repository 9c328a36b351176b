"""The doors for positions over HTTP: a driver's own, a fleet's, and the one phone trackers speak."""

from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as NotYet
from datetime import UTC, datetime
from typing import Annotated, Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from pydantic import Field, TypeAdapter, ValidationError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mobility.conf import knobs
from mobility.connections import give_back
from mobility.drivers.models import Driver
from mobility.errors import Refusal
from mobility.locations import ingest
from mobility.locations.fixes import Door, Drop, Fix
from mobility.locations.keys import FleetKeyAuthentication, HasFleetKey, driver_of_device
from mobility.locations.told import ToldPosition
from mobility.people.authentication import user_of
from mobility.rest import PersonalView, StrictJSONParser, documented

DRIVER_AT_MOST, FLEET_AT_MOST = 1_000, 5_000
STORED_WITHIN_S = 5.0
M_S_PER_KNOT = 1852 / 3600
UNKNOWN_LISTED = 20


class FleetPosition(ToldPosition):
    """A position and whose it is."""

    driver_id: Annotated[int, Field(ge=1, le=2**63 - 1)]


_OWN: TypeAdapter[list[ToldPosition]] = TypeAdapter(list[ToldPosition])
_FLEET: TypeAdapter[list[FleetPosition]] = TypeAdapter(list[FleetPosition])


class PositionsParser(StrictJSONParser):
    """Strict JSON with room for many positions."""

    max_bytes = 2 * 1024 * 1024


class GeoJSONPositionsParser(PositionsParser):
    """The same under the name GeoJSON has."""

    media_type = "application/geo+json"


class TakenBody(serializers.Serializer[Any]):
    """What became of the positions; those that are not dropped are stored."""

    taken = serializers.IntegerField()
    dropped = serializers.DictField(
        child=serializers.IntegerField(), help_text=f"By reason: {', '.join(Drop)}, unknown_driver."
    )


class PositionForm(serializers.Serializer[Any]):
    """One position. For documentation: what is checked is mobility/locations/told.py."""

    latitude = serializers.FloatField(min_value=-90, max_value=90)
    longitude = serializers.FloatField(min_value=-180, max_value=180)
    heading = serializers.FloatField(required=False, help_text="Degrees clockwise from true north; -1: not known.")
    speed = serializers.FloatField(required=False, help_text="Metres per second; -1: not known.")
    accuracy_m = serializers.FloatField(required=False)
    recorded_at = serializers.DateTimeField(required=False, help_text="With its offset. Without: now.")


class PositionsForm(serializers.Serializer[Any]):
    """`locations`, or instead of it a GeoJSON FeatureCollection of Points with the other members as properties."""

    locations = PositionForm(many=True)


class FleetPositionForm(PositionForm):
    """One position and whose it is."""

    driver_id = serializers.IntegerField(min_value=1)


class FleetPositionsForm(serializers.Serializer[Any]):
    """`locations`, or instead of it a GeoJSON FeatureCollection of Points with the other members as properties."""

    locations = FleetPositionForm(many=True)


_TAKEN = OpenApiExample("Two taken, one too inaccurate", {"taken": 2, "dropped": {"inaccurate": 1}}, response_only=True)
_AT = "2026-01-01T08:00:00Z"


def _geojson(properties: dict[str, Any]) -> OpenApiExample:
    point = {"type": "Point", "coordinates": [28.0473, -26.2041]}
    feature = {"type": "Feature", "geometry": point, "properties": properties}
    return OpenApiExample(
        "One, as GeoJSON", {"type": "FeatureCollection", "features": [feature]}, request_only=True,
        media_type="application/geo+json",
    )  # fmt: skip


class OwnLocationsView(PersonalView):
    """A driver's own positions."""

    parser_classes = [PositionsParser, GeoJSONPositionsParser]

    @documented(
        "invalid_json", "invalid_field", "missing_field", "unauthenticated", "forbidden", "unavailable",
        operation_id="tell_own_locations", tags=["locations"], summary="Where one was and is, as a driver",
        request=PositionsForm, responses={200: TakenBody},
        examples=[
            _TAKEN,
            OpenApiExample(
                "One", {"locations": [{"latitude": -26.2041, "longitude": 28.0473, "recorded_at": _AT}]},
                request_only=True,
            ),
            _geojson({"recorded_at": _AT}),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Up to 1,000 positions, in any order; the newest is where the driver is. Again: no effect."""
        driver_id = Driver.objects.filter(user=user_of(request)).values_list("pk", flat=True).first()
        if driver_id is None:
            raise Refusal("forbidden", "Only drivers tell where they are.")
        told = _parsed(_OWN, request.data, DRIVER_AT_MOST)
        return Response(_store(position.fix(driver_id, Door.DRIVER) for position in told))


class FleetLocationsView(PersonalView):
    """The positions of a fleet."""

    parser_classes = [PositionsParser, GeoJSONPositionsParser]
    authentication_classes = (FleetKeyAuthentication,)
    permission_classes = (HasFleetKey,)

    @documented(
        "invalid_json", "invalid_field", "missing_field", "unauthenticated", "unavailable",
        operation_id="tell_fleet_locations", tags=["locations"],
        summary="Where many drivers are and were, as a gateway",
        request=FleetPositionsForm, responses={200: TakenBody},
        examples=[
            _TAKEN,
            OpenApiExample(
                "One",
                {"locations": [{"driver_id": 1, "latitude": -26.2041, "longitude": 28.0473, "recorded_at": _AT}]},
                request_only=True,
            ),
            _geojson({"driver_id": 1, "recorded_at": _AT}),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Up to 5,000 positions of any drivers, in any order. Those of drivers who do not exist are dropped."""
        told = _parsed(_FLEET, request.data, FLEET_AT_MOST)
        asked = {position.driver_id for position in told}
        known = set(Driver.objects.filter(pk__in=asked).values_list("pk", flat=True))
        answer = _store(p.fix(p.driver_id, Door.FLEET) for p in told if p.driver_id in known)
        if asked - known:
            answer["dropped"]["unknown_driver"] = sum(p.driver_id not in known for p in told)
            answer["unknown_drivers"] = sorted(asked - known)[:UNKNOWN_LISTED]
        return Response(answer)


_TRACKED = [
    OpenApiParameter("id", str, required=True, description="The device's key."),
    OpenApiParameter("lat", float, required=True, description="Latitude in degrees."),
    OpenApiParameter("lon", float, required=True, description="Longitude in degrees."),
    OpenApiParameter("timestamp", str, description="Seconds or milliseconds since 1970, or ISO 8601 (UTC)."),
    OpenApiParameter("speed", float, description="Knots."),
    OpenApiParameter("bearing", float, description="Degrees clockwise from true north."),
    OpenApiParameter("accuracy", float, description="Metres."),
]


class TrackerView(PersonalView):
    """One position of a phone that runs a tracker app, which speaks the OsmAnd protocol."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = [StrictJSONParser]

    @documented(
        "invalid_parameter", "unauthenticated", "not_found",
        operation_id="track", tags=["locations"], summary="Where a phone with a tracker app is (OsmAnd protocol)",
        parameters=_TRACKED, responses={200: TakenBody}, examples=[_TAKEN], auth=[],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """What these apps send with every position. A dropped one is answered with 200: it need not be sent again."""
        if not knobs().trackers:
            raise Refusal("not_found")
        query = request.query_params
        driver_id = driver_of_device(query.get("id") or query.get("deviceid") or "")
        if driver_id is None:
            raise Refusal("unauthenticated", "This key is unknown or revoked, or not a device's.")
        return Response(_store([_tracked(query).fix(driver_id, Door.TRACKER)], wait=False))

    @documented(
        "invalid_parameter", "unauthenticated", "not_found",
        operation_id="track_by_post", tags=["locations"], summary="The same, for apps that POST it",
        parameters=_TRACKED, request=None, responses={200: TakenBody}, examples=[_TAKEN], auth=[],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Everything stands in the query, as with GET."""
        return self.get(request)


def _store(fixes: Iterable[Fix], *, wait: bool = True) -> dict[str, Any]:
    """Let them in and wait until they are stored."""
    fixes = list(fixes)
    taken = ingest.take(fixes)
    if wait and taken.stored is not None:
        give_back()
        ingest.hurry()
        try:
            code = taken.stored.result(STORED_WITHIN_S)
        except NotYet:
            code = "unavailable"
        if code == "unavailable":
            raise Refusal(code, "The positions wait to be stored; sent again they do no harm.")
        if code is not None:
            raise Refusal(code)
    return {"taken": len(fixes) - taken.dropped.total(), "dropped": {str(k): n for k, n in taken.dropped.items()}}


# --- what was sent -----------------------------------------------------------------------------------------------


def _parsed(kind: TypeAdapter[Any], body: Any, at_most: int) -> list[Any]:
    """The positions in a body, or the refusal that names the first wrong field."""
    if not isinstance(body, dict):
        raise Refusal("not_an_object", "The body must be an object with `locations`, or a FeatureCollection.")
    by_feature = body.get("type") == "FeatureCollection"
    name, one = ("features", _feature) if by_feature else ("locations", _plain)
    told = body.get(name)
    if told is None:
        raise Refusal("missing_field", f"`{name}` is missing.", field=name)
    if not isinstance(told, list) or not 1 <= len(told) <= at_most:
        raise Refusal("invalid_field", f"`{name}` must be a list of 1 to {at_most} positions.", field=name)
    plain = [one(value, f"{name}.{n}") for n, value in enumerate(told)]
    try:
        positions: list[Any] = kind.validate_python(plain)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(step) for step in (name, *first["loc"]))
        code = "missing_field" if first["type"] == "missing" else "invalid_field"
        raise Refusal(code, f"`{field}`: {first['msg']}.", field=field) from None
    return positions


def _plain(value: Any, _path: str) -> Any:
    return value


def _feature(value: Any, path: str) -> dict[str, Any]:
    """A GeoJSON Feature with a Point, as a plain position."""
    geometry = value.get("geometry") if isinstance(value, dict) and value.get("type") == "Feature" else None
    at = geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else None
    if not isinstance(at, list) or len(at) not in {2, 3}:
        raise Refusal("invalid_field", f"`{path}` must be a Feature with a Point.", field=path)
    properties = value.get("properties")
    return (properties if isinstance(properties, dict) else {}) | {"longitude": at[0], "latitude": at[1]}


def _tracked(query: Any) -> ToldPosition:
    """A position out of a tracker's query."""
    try:
        return ToldPosition(
            latitude=_number(query, "lat"),
            longitude=_number(query, "lon"),
            heading=_optional(query, "bearing", lambda degrees: degrees % 360 if degrees >= 0 else -1.0),
            speed=_optional(query, "speed", lambda knots: knots * M_S_PER_KNOT if knots >= 0 else -1.0),
            accuracy_m=_optional(query, "accuracy", lambda metres: metres if metres >= 0 else None),
            recorded_at=_timestamp(query.get("timestamp")),
        )
    except ValidationError as wrong:
        field = str(wrong.errors()[0]["loc"][0])
        name = {"latitude": "lat", "longitude": "lon", "heading": "bearing", "accuracy_m": "accuracy"}.get(field, field)
        raise Refusal("invalid_parameter", f"`{name}` cannot be used.", field=name) from None


def _number(query: Any, name: str) -> float:
    try:
        return float(query[name])
    except (KeyError, ValueError):
        raise Refusal("invalid_parameter", f"`{name}` must be a number.", field=name) from None


def _optional(query: Any, name: str, value: Callable[[float], float | None]) -> float | None:
    return value(_number(query, name)) if query.get(name) else None


def _timestamp(text: str | None) -> datetime | None:
    """Seconds or milliseconds since 1970, or ISO 8601; without an offset it is UTC, as these apps have it."""
    if not text:
        return None
    try:
        if text.replace(".", "", 1).isdecimal():
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise Refusal("invalid_parameter", "`timestamp` cannot be read.", field="timestamp") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)

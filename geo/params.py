"""Spatial query parameters: text from a URL in, checked values out, or a refusal that names the parameter."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from geo.coordinates import Bounds, CoordinateError, LatLon, bounds, lat_lon

MAX_RADIUS_M = 200_000.0


class ParameterError(ValueError):
    """A query parameter that cannot be used; `parameter` names it."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter


class Circle(NamedTuple):
    """Everything within `radius_m` metres of `centre`."""

    centre: LatLon
    radius_m: float


def bbox(query: Mapping[str, str]) -> Bounds | None:
    """`?bbox=west,south,east,north` (RFC 7946 order; west > east crosses the antimeridian), or None when absent."""
    if "bbox" not in query:
        return None
    try:
        return bounds(query["bbox"])
    except ValueError as wrong:
        raise ParameterError("bbox", str(wrong)) from None


def circle(query: Mapping[str, str]) -> Circle | None:
    """`?near=latitude,longitude&radius_m=metres`, or None when both are absent."""
    if "near" not in query and "radius_m" not in query:
        return None
    for name, other in (("near", "radius_m"), ("radius_m", "near")):
        if name not in query:
            raise ParameterError(name, f"is needed together with {other}")
    try:
        latitude, longitude = (float(part) for part in query["near"].split(","))
        centre = lat_lon(latitude, longitude)
    except CoordinateError as wrong:
        raise ParameterError("near", str(wrong)) from None
    except ValueError:
        raise ParameterError("near", "must be two numbers: latitude,longitude") from None
    return Circle(centre, _radius(query["radius_m"]))


def place(query: Mapping[str, str], name: str) -> LatLon | None:
    """`?near=latitude,longitude` by itself, or None when absent."""
    if name not in query:
        return None
    try:
        latitude, longitude = (float(part) for part in query[name].split(","))
        return lat_lon(latitude, longitude)
    except CoordinateError as wrong:
        raise ParameterError(name, str(wrong)) from None
    except ValueError:
        raise ParameterError(name, "must be two numbers: latitude,longitude") from None


def position(query: Mapping[str, str]) -> LatLon:
    """`?lat=&lon=`, both needed."""
    degrees: dict[str, float] = {}
    for name in ("lat", "lon"):
        if name not in query:
            raise ParameterError(name, "is needed")
        try:
            degrees[name] = float(query[name])
        except ValueError:
            raise ParameterError(name, "must be a number of degrees") from None
    try:
        return lat_lon(degrees["lat"], degrees["lon"])
    except CoordinateError as wrong:
        raise ParameterError({"latitude": "lat", "longitude": "lon"}[wrong.axis], str(wrong)) from None


def _radius(text: str) -> float:
    try:
        radius_m = float(text)
    except ValueError:
        raise ParameterError("radius_m", "must be a number of metres") from None
    if not 0 < radius_m <= MAX_RADIUS_M:
        raise ParameterError("radius_m", f"must be more than 0 and at most {MAX_RADIUS_M:.0f} metres")
    return radius_m


class Interval(NamedTuple):
    """From one instant to another, both included; None where it is open."""

    begin: datetime | None
    end: datetime | None


def interval(query: Mapping[str, str], name: str = "datetime") -> Interval | None:
    """`?datetime=` as OGC API has it: an instant, or `begin/end` with `..` or nothing for an open end; None when
    absent.

    Instants are RFC 3339 with an offset, so that nobody has to guess whose clock is meant.
    """
    if name not in query:
        return None
    begin, slash, end = query[name].partition("/")
    if not slash:
        instant = _instant(name, begin)
        return Interval(instant, instant)
    between = Interval(*(None if text in {"", ".."} else _instant(name, text) for text in (begin, end)))
    if between == (None, None):
        raise ParameterError(name, "has no end on either side: leave it out for all times")
    if between.begin and between.end and between.begin > between.end:
        raise ParameterError(name, "begins after its end")
    return between


def _instant(name: str, text: str) -> datetime:
    # A plus sign that was not escaped in the URL arrives as a space.
    text = text.strip().replace(" ", "+") if text.count(" ") == 1 and "T" in text.upper() else text
    try:
        instant = datetime.fromisoformat(text.upper()) if len(text) <= 35 and "T" in text.upper() else None
        if instant is not None and instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ParameterError(name, "must be like 2026-01-31T08:00:00Z, or two such times with a slash between")


def bounded(between: Interval | None, longest: timedelta, now: datetime, name: str = "datetime") -> Interval:
    """The interval with both ends: an open one is `now`, or `longest` from the other. More than that is refused."""
    begin, end = between or (None, None)
    if end is None:
        end = now if begin is None else begin + longest
    if begin is None:
        begin = end - longest
    if end - begin > longest:
        hours = longest / timedelta(hours=1)
        raise ParameterError(
            name, f"may span {hours:.0f} hours at most" if hours <= 48 else f"may span {longest.days} days at most"
        )
    return Interval(begin, end)


def number_of(query: Mapping[str, str], name: str, known: Collection[int], *, default: int) -> int:
    """`?size_m=1000`, one of some whole numbers."""
    text = query.get(name, str(default))
    if text not in {str(number) for number in known}:
        raise ParameterError(name, f"must be one of {', '.join(map(str, known))}")
    return int(text)


def fields(query: Mapping[str, str], known: Collection[str]) -> list[str] | None:
    """`?fields=a,b`: the properties somebody wants, in their order, each of them known; None when absent: all of
    them."""
    if "fields" not in query:
        return None
    wanted = [name for name in query["fields"].split(",") if name]
    for name in wanted:
        if name not in known:
            raise ParameterError("fields", f"each must be one of {', '.join(known)}")
    return list(dict.fromkeys(wanted))


def choices(query: Mapping[str, str], name: str, known: Collection[str]) -> list[str]:
    """`?status=a,b` as the values it names, each of them known; empty when absent."""
    if name not in query:
        return []
    wanted = query[name].split(",")
    for value in wanted:
        if value not in known:
            raise ParameterError(name, f"each must be one of {', '.join(known)}")
    return wanted


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """`?attention=true` or `false`, or None when absent."""
    if name not in query:
        return None
    if query[name] not in {"true", "false"}:
        raise ParameterError(name, "must be true or false")
    return query[name] == "true"


def one(query: Mapping[str, str], name: str) -> bool:
    """`?export=1`: a switch that is either given as 1 or absent."""
    if name in query and query[name] != "1":
        raise ParameterError(name, "must be 1, or left out")
    return name in query


def limit(query: Mapping[str, str], *, default: int, highest: int) -> int:
    """`?limit=`, a whole number from 1; more than the highest is as much as the highest."""
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) < 1:
        raise ParameterError("limit", f"must be a whole number from 1 to {highest}")
    return min(int(text), highest)

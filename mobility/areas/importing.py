"""Files of service areas: all of a file, or nothing of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction

from geo.params import MAX_RADIUS_M
from mobility.areas.geojson import BadShape, parsed, polygons_of, require_wgs84
from mobility.areas.services import checked_shape, keep_area
from mobility.transactions import rows

LONGEST_NAME = 100
BAD_SHOWN = 10


@dataclass(frozen=True, slots=True)
class How:
    """How a file is read: which properties hold name and radius, and what is done with the areas."""

    name_field: str = "name"
    radius_field: str = "matching_radius_m"
    inactive: bool = False
    replace: bool = False
    repair: bool = True
    dry_run: bool = False


class Note(NamedTuple):
    """What there is to say about a feature: its number in the file, its name where it has one, and a sentence."""

    number: int
    name: str
    text: str


@dataclass(slots=True)
class Imported:
    """How many features were read and what became of them."""

    total: int
    read: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    bad: int = 0
    repaired: list[Note] = field(default_factory=list)
    first_bad: list[Note] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Areas that were so already."""
        return self.read - self.bad - self.new - self.changed


def import_areas(path: Path, how: How, progress: Callable[[Imported], None] = lambda _: None) -> Imported:
    """Keep the file's areas, in one transaction; what was done. A bad feature spoils all of it; the same file again
    changes nothing. BadShape for a file that is no GeoJSON."""
    features = _features(path)
    done, names = Imported(len(features)), set[str]()
    with transaction.atomic():
        for number, feature in enumerate(features, 1):
            done.read += 1
            _keep_one(done, number, feature, how, names)
            progress(done)
        if how.replace and not done.bad:
            done.removed = len(rows("areas/sql/forget_others", {"names": sorted(names)}))
        if done.bad or how.dry_run:
            transaction.set_rollback(True)
    return done


def _features(path: Path) -> list[Any]:
    whole = parsed(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(whole, dict):
        raise BadShape("this is not GeoJSON")
    require_wgs84(whole)
    if whole.get("type") == "Feature":
        return [whole]
    features = whole.get("features")
    if whole.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise BadShape("this is neither a FeatureCollection nor a Feature")
    if not features:
        raise BadShape("there is no feature in it")
    return features


def _keep_one(done: Imported, number: int, feature: Any, how: How, names: set[str]) -> None:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    members = properties if isinstance(properties, dict) else {}
    name = members.get(how.name_field)
    said = name[:LONGEST_NAME] if isinstance(name, str) else ""
    try:
        _require_feature(feature)
        kept = _kept(_name(name, how.name_field, names), members, feature, how, number, done)
    except BadShape as wrong:
        done.bad += 1
        done.first_bad += [Note(number, said, str(wrong))] if len(done.first_bad) < BAD_SHOWN else []
        return
    done.new += kept == "new"
    done.changed += kept == "changed"


def _require_feature(feature: Any) -> None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise BadShape("this is no GeoJSON Feature")


def _kept(name: str, members: dict[str, Any], feature: Any, how: How, number: int, done: Imported) -> str:
    require_wgs84(feature)
    radius_m = _radius(members.get(how.radius_field), how.radius_field)
    shape = checked_shape(polygons_of(feature.get("geometry")), repair=how.repair)
    if shape.repaired:
        done.repaired.append(Note(number, name, shape.repaired))
    told = {"active"} if how.inactive else set()
    told |= {"radius_m"} if how.radius_field in members else set()
    return keep_area(name, shape, active=not how.inactive, radius_m=radius_m, told=frozenset(told))


def _name(told: Any, name_field: str, names: set[str]) -> str:
    name = told.strip() if isinstance(told, str) else ""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadShape(f"its property {name_field} is no name of 1 to {LONGEST_NAME} characters")
    if name in names:
        raise BadShape("another feature before it has the same name")
    names.add(name)
    return name


def _radius(told: Any, radius_field: str) -> float | None:
    if told is None:
        return None
    number = isinstance(told, int | float) and not isinstance(told, bool)
    if not number or not 1 <= told <= MAX_RADIUS_M:
        raise BadShape(f"its property {radius_field} is not a number of metres from 1 to {MAX_RADIUS_M:.0f}")
    return float(told)

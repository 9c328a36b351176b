"""What members an answer has, and what of that the table does not say."""

from typing import Any

from tests.permissions.table import Field

Members = dict[str, set[str]]
FREE = "{}"


def named(value: Any) -> Members:
    """Place -> the names there, of a JSON value: `""` is the top, `features[].properties` what is in these."""
    found: Members = {}
    _name(value, "", found)
    return found


def _name(value: Any, place: str, found: Members) -> None:
    if isinstance(value, dict):
        found.setdefault(place, set()).update(value)
        for name, member in value.items():
            _name(member, f"{place}.{name}".lstrip("."), found)
    elif isinstance(value, list):
        for member in value:
            _name(member, f"{place}[]", found)


def wrong_members(listed: dict[str, list[Field]], seen: Members, role: str) -> list[str]:
    """What to review: members that are told and not listed, and the reverse."""
    free = {place for place, fields in listed.items() if [f.name for f in fields] == [FREE]}
    told = []
    for place in sorted(set(listed) | set(seen)):
        if any(place == one or place.startswith((f"{one}.", f"{one}[")) for one in free):
            continue
        expected = {f.name for f in listed.get(place, []) if f.roles is None or role in f.roles}
        there = seen.get(place, set())
        if there - expected:
            told.append(f'add to "{place}": {" ".join(sorted(there - expected))}')
        if expected - there:
            told.append(f'not there any more, at "{place}": {" ".join(sorted(expected - there))}')
    return told

"""The permission table, tests/permissions.toml, as the tests and the page read it."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mobility.people.models import Scope

FILE = Path(__file__).resolve().parent.parent / "permissions.toml"
NAME = "tests/permissions.toml"
REVIEW = f"Decide who may, then change {NAME} and write the page anew: make permissions"
NOBODY = "nobody"
DATABASE_ROLES = {"app": "careconnect_app", "analyst": "careconnect_analyst", "operations": "careconnect_operations"}

OPERATORS = ("operator", "staff", "superuser")
PEOPLE = ("passenger", "driver", *OPERATORS)
KEYS = tuple(f"key:{scope}" for scope in Scope.values)
# Everybody an HTTP request can come from. A guest is who opens a socket without a credential.
ROLES = ("anonymous", *PEOPLE, *KEYS, "fleet-key", "device-key")
SOCKET_ROLES = ("guest", *PEOPLE, KEYS[0], "fleet-key")  # to a socket one key is like another: no credential
# A key with all scopes but those that a cell names.
OTHER_KEY = "key with every other scope"
GROUPS = {"everybody": ROLES, "people": PEOPLE, "operators": OPERATORS, "keys": KEYS, "members": PEOPLE[:2]}


class Field(NamedTuple):
    """One member of an answer: whether it tells who somebody is, and to whom it is told (None: whoever may ask)."""

    name: str
    personal: bool
    roles: frozenset[str] | None


@cache
def table() -> dict[str, Any]:
    """The file."""
    return tomllib.loads(FILE.read_text())


def allowed(text: str) -> dict[str, bool]:
    """Role -> whether on their own things only, of a cell like `own:passenger operators key:bookings:read`."""
    found: dict[str, bool] = {}
    for word in text.removeprefix(NOBODY).split():
        name = word.removeprefix("own:")
        members = GROUPS.get(name, (name,))
        unknown = set(members) - {*ROLES, *SOCKET_ROLES}
        assert not unknown, f"{NAME}: nobody is called {sorted(unknown)}; there are {[*GROUPS, *ROLES]}"
        found |= dict.fromkeys(members, word != name)
    return found


def tried(text: str) -> list[str]:
    """The roles to try at a cell: of keys that are refused one stands for all, which has every scope but those."""
    keys = [role for role in KEYS if role in allowed(text)]
    return [role for role in ROLES if role not in KEYS] + (keys[:1] if len(keys) == len(KEYS) else [*keys, OTHER_KEY])


def fields_of(text: str) -> list[Field]:
    """The fields of a text like `status !passenger_phone@people`."""
    fields = []
    for word in text.split():
        name, _, roles = word.partition("@")
        whom = frozenset(allowed(roles.replace(",", " "))) if roles else None
        fields.append(Field(name.removeprefix("!"), name.startswith("!"), whom))
    return fields


def answer_of(endpoint: str) -> dict[str, list[Field]]:
    """Where in the answer (`""` is the top) -> its fields; an answer may be told to be the same `as` another's."""
    rows: Mapping[str, str] = table()["answers"].get(endpoint, {})
    base = answer_of(rows["as"]) if "as" in rows else {}
    return base | {place: fields_of(text) for place, text in rows.items() if place != "as"}


def privileges(text: str) -> dict[str, frozenset[str]]:
    """Role -> what it may, of a line like `app: select, update (note); analyst: select`."""
    found = {}
    for part in filter(None, (part.strip() for part in text.removeprefix(NOBODY).split(";"))):
        role, _, rights = part.partition(":")
        found[role.strip()] = frozenset(right.strip() for right in _split(rights))
    return found


def privilege_line(granted: Mapping[str, Iterable[str]]) -> str:
    """Such a line."""
    order = ["app", "analyst", "operations", "PUBLIC"]
    known = [role for role in order if role in granted] + sorted(set(granted) - set(order))
    return "; ".join(f"{role}: {', '.join(sorted(granted[role], key=_rank))}" for role in known) or NOBODY


def differences(section: str, in_code: Mapping[str, Any], listed: Mapping[str, Any]) -> list[str]:
    """What to review: lines to add to a section, to change, and to take out. Values are compared as they are."""
    told = []
    for name in sorted(set(in_code) | set(listed)):
        if name not in listed:
            told.append(f'add to [{section}]:      "{name}" = {_toml(in_code[name])}')
        elif name not in in_code:
            told.append(f'take out of [{section}]: "{name}"')
        elif in_code[name] != listed[name]:
            told.append(f'change in [{section}]:   "{name}" = {_toml(in_code[name])}')
    return told


def _toml(value: Any) -> str:
    return f'"{value}"'


def _split(rights: str) -> list[str]:
    """At commas outside brackets."""
    parts, depth = [""], 0
    for letter in rights:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


_ORDER = ("select", "insert", "update", "delete", "truncate", "references", "trigger", "usage", "execute", "create")


def _rank(right: str) -> tuple[int, str]:
    word = right.split(" ", maxsplit=1)[0]
    return (_ORDER.index(word) if word in _ORDER else len(_ORDER)), right

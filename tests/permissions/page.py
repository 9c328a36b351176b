"""docs/permissions.md out of the table: the same for people. `make permissions` writes it."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the settings want a database's name; nothing is asked of it
    os.environ |= {
        "ENV_FILE": "", "CARECONNECT_ENV": "demo", "DJANGO_SECRET_KEY": "only-to-write-a-page-" + "0123456789" * 4,
        "DATABASE_URL": "postgis://nobody@localhost/none", "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    import django

    django.setup()

from tests.permissions.table import DATABASE_ROLES, KEYS, PEOPLE, allowed, answer_of, fields_of, privileges, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
_COLUMNS = ("anonymous", *PEOPLE)
_HEAD = """# Who may do what

Written out of `tests/permissions.toml` by `make permissions`; a test keeps the two equal. The table is held against
the code (the URLconf, the registry of messages, the functions that make frames, the catalog of layers, the catalog of
the database), and what HTTP endpoints, exports, tiles and socket messages answer to each role is tried:
`tests/permissions`. Of keys that are refused one stands for all, with every other scope. What is added to the service
and not listed fails there, with the line that is missing.

**yes**: may. **own**: may, for their own things; somebody else's answer like one that does not exist. **-**: refused,
401 without a usable credential, else 403; pages lead to the login. A **key** reads what its scopes name and is nobody;
fleet and device keys only tell positions. Personal members, which say who somebody is, what they wrote or where they
are to be found, are in *italics*.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## HTTP\n", _HTTP, _grid(table()["http"], _COLUMNS, keys=True)]
    parts += ["## Exports (`?export=1`)\n", _grid(table()["exports"], _COLUMNS, keys=True)]
    parts += ["## The admin's pages about a model\n", _ADMIN, _rows(("model", "what"), table()["admin"].items())]
    parts += ["## Members of answers\n", *(_answer(name) for name in table()["answers"])]
    parts += ["## Map layers\n", _layers()]
    parts += ["## Sockets: who may send what\n"]
    for path, messages in table()["sockets"].items():
        parts += [f"### `{path}`\n", _grid(messages, ("guest", *PEOPLE), keys=False)]
    parts += ["## Sockets: members of frames\n"]
    for whom, of in table()["frames"].items():
        parts += [f"### {_FRAMES[whom]}\n", _rows(("frame", "members"), ((k, _told(text)) for k, text in of.items()))]
    parts += ["## The database\n", _DATABASE]
    for kind, things in table()["database"].items():
        parts += [f"### {kind.capitalize()}s\n", _database(things)]
    return "\n".join(parts).rstrip() + "\n"


_HTTP = "Tiles are shown for the layer `drivers`: a key needs the scope of the layer, below under Map layers.\n"
_ADMIN = "For a superuser, and for staff who were given the permission on the model; nobody else.\n"
_FRAMES = {"ride": "To the passenger or guest of the ride", "driver": "To the driver"}
_DATABASE = f"Schemas `public` and `gis`. {', '.join(f'`{s}` is `{role}`' for s, role in DATABASE_ROLES.items())}.\n"


def _grid(cells: dict[str, str], columns: tuple[str, ...], *, keys: bool) -> str:
    rows = []
    for name, text in cells.items():
        may = allowed(text)
        marks = ["-" if c not in may else "own" if may[c] else "yes" for c in columns]
        scopes = [role.removeprefix("key:") for role in (*KEYS, "fleet-key", "device-key") if role in may]
        every = set(KEYS) <= set(may)
        rows.append((name, *marks, *(["every key" if every else ", ".join(scopes) or "-"] if keys else [])))
    return _table(("", *columns, *(["keys"] if keys else [])), rows)


def _answer(name: str) -> str:
    rows = []
    for place, fields in answer_of(name).items():
        told = [f"{_name(f)}{'' if f.roles is None else ' (' + _whom(f.roles) + ')'}" for f in fields]
        rows.append((place or "top", ", ".join(told)))
    return f"### {name}\n\n" + _table(("place", "members"), rows)


def _name(field: Any) -> str:
    return f"*{field.name}*" if field.personal else "any" if field.name == "{}" else field.name


def _whom(roles: frozenset[str]) -> str:
    if roles == set(PEOPLE):
        return "people"
    return "operators" if roles == set(PEOPLE[2:]) else ", ".join(sorted(roles))


def _layers() -> str:
    rows = []
    for name, of in table()["layers"].items():
        fields = ", ".join(_name(f) for f in fields_of(of["fields"]))
        rows.append((name, of.get("scope", "-"), fields, ", ".join(of.get("tile", "").split()) or "no tiles"))
    return _table(("layer", "key's scope", "collection", "tile"), rows)


def _told(text: str) -> str:
    return ", ".join(f"*{word.strip('!')}*" if word.startswith("!") else word for word in text.split())


def _database(things: dict[str, str]) -> str:
    columns = [*DATABASE_ROLES, "PUBLIC"]
    rows = []
    for name, line in things.items():
        rights = privileges(line)
        rows.append((name, *(", ".join(sorted(rights.get(role, ()))) or "-" for role in columns)))
    return _table(("", *columns), rows)


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return _table(head, list(rows))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *[(_code(first), *rest) for first, *rest in rows]]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE.relative_to(Path.cwd())} is written\n")

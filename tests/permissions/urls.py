"""Every HTTP endpoint there is, out of the URLconf: a method or several, and a path, `GET /api/v1/me/`."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


class Route(NamedTuple):
    """A path of the URLconf, with `<int:pk>` where something goes in, and what answers there."""

    path: str
    answers: Any


def routes() -> list[Route]:
    """All of them but the admin's about a model."""
    return [r for r in _walk(get_resolver(), "/") if not _of_model(r.path)]


def path_of(path: str, arguments: dict[str, Any]) -> str:
    """The path with these in it; KeyError for one that is not given."""
    return _CONVERTER.sub(lambda found: str(arguments[found[1]]), path)


def methods_of(route: Route, client: Client, arguments: dict[str, Any]) -> tuple[str, ...]:
    """What may be sent there. A view that is a function says so only when asked, as a superuser."""
    kind = getattr(route.answers, "view_class", None) or getattr(route.answers, "cls", None)
    if kind is not None:
        return tuple(m for m in METHODS if hasattr(kind, m.lower()))
    path = path_of(route.path, arguments)
    # The admin's pages do not look at the method: GET and POST are what they are made for.
    asked = ("GET", "POST") if path.startswith("/admin/") else METHODS
    return tuple(m for m in asked if client.generic(m, path).status_code != 405)


def endpoint(methods: tuple[str, ...], path: str) -> str:
    """Its name in the table."""
    return f"{'|'.join(methods)} {path}"


def split(name: str) -> tuple[tuple[str, ...], str]:
    """The methods and the path of such a name."""
    methods, path = name.split(" ", 1)
    return tuple(methods.split("|")), path


def _of_model(path: str) -> bool:
    return bool(re.match(r"/admin/(?!r/)\w+/\w+/", path)) and not path.startswith("/admin/password_change/")


def _walk(resolver: URLResolver, before: str) -> Iterator[Route]:
    for found in resolver.url_patterns:
        path = before + _plain(str(found.pattern))
        if isinstance(found, URLResolver):
            yield from _walk(found, path)
        elif isinstance(found, URLPattern):
            yield Route(path, found.callback)


def _plain(pattern: str) -> str:
    """A pattern as a path: of a regular expression its groups alone."""
    if not pattern.startswith("^") and "(?P" not in pattern:
        return pattern
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", pattern).strip("^$")

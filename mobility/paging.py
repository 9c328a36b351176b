"""Pages of long lists, by keyset: a cursor says after which row the next page begins, so that no page is skipped or
told twice while rows come and go, and no page costs more than the first."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.request import Request

from geo.params import ParameterError

Row = TypeVar("Row")
MAX_CURSOR_LENGTH = 120


class Page(NamedTuple, Generic[Row]):
    """Some rows, and the cursor of the page after them; None when that was all."""

    rows: list[Row]
    next_cursor: str | None


def page_of(rows: "QuerySet[Any]", limit: int, key: Callable[[Any], str]) -> Page[Any]:
    """The first `limit` rows of an ordered queryset that begins after the cursor; `key` names a row in cursors."""
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return Page(found[:limit], encoded(key(found[limit - 1])) if more else None)


def encoded(key: str) -> str:
    """A row's key as a cursor: opaque, so that nobody builds one by hand."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decoded(cursor: str) -> str:
    """The key in a cursor; `ParameterError` for what cannot be one of ours."""
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise bad_cursor()
    try:
        return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        raise bad_cursor() from None


def bad_cursor() -> ParameterError:
    """The refusal of a cursor that is none."""
    return ParameterError("cursor", "is not one that this list gave out")


def next_url(request: Request, query: dict[str, str], page: Page[Any]) -> str | None:
    """The address of the page after this one, with the same filters."""
    if page.next_cursor is None:
        return None
    return request.build_absolute_uri("?" + urlencode(query | {"cursor": page.next_cursor}))
